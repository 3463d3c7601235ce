"""The demo: a good commit, a bad one and its fix, on a fleet of real processes under real requests.

Nothing here tells the controller which commit is the bad one: it is committed like the others. What has to
come true is in `expectations`; whatever does not makes the demo fail.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from leuko.clock import Clock
from leuko.demo.byhand import deploy_by_hand
from leuko.demo.controller import ServedShop
from leuko.demo.fleet import EmbeddedFleet
from leuko.demo.installation import WATCHES, write_installation
from leuko.demo.repository import STORY, ShopRepository
from leuko.demo.tally import Facts
from leuko.demo.telling import Teller
from leuko.demo.timeline import PushTimes, timelines
from leuko.demo.traffic import Traffic
from leuko.domain.errors import LeukoError
from leuko.vcs.hook import LOCK_FILE, install

PATIENCE = 90.0
"""Seconds that any one thing may take before the demo says that it did not come."""
ENDS = ("LIVE", "ROLLED_BACK", "CANCELLED", "STUCK", "HELD")
CONSOLE = 8420
HISTORY = 16
"""Ticks before the first act; what they are too few for is told as blind."""
TICK_SECONDS = 1.0


@dataclass
class Demo:
    """Everything that runs, and what was seen of it."""

    folder: Path
    clock: Clock
    teller: Teller
    repository: ShopRepository
    fleet: EmbeddedFleet
    traffic: Traffic
    shop: ServedShop
    began: datetime
    events: list[dict[str, Any]] = field(default_factory=list)
    commits: dict[str, datetime] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    """Revisions of the story, in its order."""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self) -> None:
        """Takes in every event, until cancelled."""
        async for event in self.shop.events():
            self.events.append(event)
            self.teller.event(event)
            self.news.set()

    async def until(self, what: str, found: Callable[[], Any]) -> Any:
        """The first true value of `found`, looked at after each event."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not (value := found()):
                    self.news.clear()
                    await self.news.wait()
        except TimeoutError:
            raise LeukoError(
                f"{what} did not come within {PATIENCE:.0f} s",
                where="demo",
                way_out=f"what the controller said is in {self.shop.log}",
                code="D011",
            ) from None
        return value

    def pushes(self) -> dict[int, PushTimes]:
        """As the events so far tell them."""
        return timelines(self.events, self.commits)

    async def commit(self, name: str, *, fixes: str = "") -> str:
        """One of the story's commits, pushed to the bare repository."""
        revision = await self.repository.commit(name, fixes=fixes, push=False)
        self.commits[revision] = self.clock.now()
        self.names.append(revision)
        await self.repository.push()
        return revision

    async def ending(self, revision: str) -> PushTimes:
        """The push of a revision, once it has ended or is held."""

        def ended() -> PushTimes | None:
            # the newest: one that still waits gives way to another push of the same revision
            found = [push for push in self.pushes().values() if push.revision == revision]
            return next((push for push in found[-1:] if push.state in ENDS), None)

        push: PushTimes = await self.until(f"the end of the push of {revision[:8]}", ended)
        return push


@asynccontextmanager
async def running_demo(
    folder: Path, clock: Clock, teller: Teller, hosts: int = 8, *, watches: tuple[int, int] = WATCHES
) -> AsyncIterator[Demo]:
    """Sets everything up, and takes all of it down again, whatever happens in between."""
    began = clock.now()
    repository, fleet = ShopRepository(folder), EmbeddedFleet(folder / "hosts", hosts)
    first = await repository.create()
    await asyncio.to_thread(deploy_by_hand, fleet, first, repository.clone)
    await fleet.start()
    traffic = Traffic(fleet.addresses(), folder / "traffic")
    configuration = write_installation(folder / "leuko", fleet, repository.origin, watches=watches)
    shop = ServedShop(folder / "leuko" / "state", configuration, f"127.0.0.1:{_free_port()}")
    demo = Demo(folder, clock, teller, repository, fleet, traffic, shop, began)
    follower: asyncio.Task[None] | None = None
    try:
        await install(repository.origin, repository.origin / LOCK_FILE, "main")
        await fleet.serving()  # a customer who comes before the shop opens has nothing to do with Leuko
        traffic.start()
        await shop.start()
        follower = asyncio.create_task(demo.follow())
        yield demo
    finally:
        if follower is not None:
            follower.cancel()
            await asyncio.gather(follower, return_exceptions=True)
        await shop.stop()
        await traffic.stop()
        await fleet.stop()


async def begin(demo: Demo) -> None:
    """Leuko takes over what runs, and watches it for a while."""
    hosts = len(demo.fleet.hosts)
    demo.teller.heading(
        f"Set-up: {hosts} hosts run a shop that was put there by hand; Leuko takes over what runs"
    )
    adopted = await demo.shop.intend("adopt", why="the demo begins")
    demo.teller.line(demo.clock.now(), f"adopted as the base: release {adopted.get('release')}")
    await demo.until("the first verified change", lambda: _passed(demo))
    await _gather_history(demo)


async def play(demo: Demo, story: Sequence[str] = STORY) -> None:
    """The three acts; the third is the answer to the second, and is left out where that has no such end."""
    good, other, fix = story
    await begin(demo)
    demo.teller.heading("1. A good commit goes live, with nobody's help")
    await demo.ending(await demo.commit(good))
    demo.teller.heading("2. Another commit: its tests pass")
    bad = await demo.ending(await demo.commit(other))
    if bad.state == "ROLLED_BACK":
        lock = await demo.until("the commit lock", lambda: _lock(demo, bad.number))
        demo.teller.heading("3. The fix: let through the lock because it says that it is one")
        await demo.ending(await demo.commit(fix, fixes=lock))
    await asyncio.sleep(1.1)  # the traffic writes its facts once a second: the last ones belong to the story


async def _gather_history(demo: Demo) -> None:
    """A verdict lives on history: so many ticks under real requests, counted from the first sampling."""
    acting = next(event for event in demo.events if event["kind"] == "controller")
    began = datetime.fromisoformat(acting["at"])
    while (ticks := int((demo.clock.now() - began).total_seconds() / TICK_SECONDS)) < HISTORY:
        demo.teller.progress(f"history under load: {ticks} of {HISTORY} ticks")
        await demo.clock.sleep(0.25)
    demo.teller.line(demo.clock.now(), f"{HISTORY} ticks of history under load: enough to begin with")


def _passed(demo: Demo) -> bool:
    return any(event["kind"] == "build" and event["data"].get("to") == "passed" for event in demo.events)


def _lock(demo: Demo, push: int) -> str:
    """The commit lock of a rolled back push, once the hook goes by it."""
    taken = [
        event["data"]["lock"]
        for event in demo.events
        if event["kind"] == "lock"
        and event["data"]["kind"] == "commit"
        and event["data"]["reason"].startswith(f"push {push} ")
    ]
    file = demo.repository.origin / LOCK_FILE
    held = file.read_text() if file.is_file() else ""
    return next((lock for lock in taken if f'"{lock}"' in held), "")


def _free_port() -> int:
    """The console's usual port where it is free, else any."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", CONSOLE))
        except OSError:
            return 0
    return CONSOLE


def facts_of(demo: Demo) -> Facts:
    """What the customers saw so far."""
    facts = demo.traffic.facts()
    if facts is None:
        raise LeukoError("the traffic never began", where=str(demo.traffic.folder), code="D012")
    return facts
