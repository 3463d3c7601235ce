"""All the loops of one line, put together and kept running."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from leuko.domain.errors import LeukoError, Refused
from leuko.domain.intent import IntentKind
from leuko.domain.push import Origin
from leuko.domain.release import Release
from leuko.hosts.perform import Orders
from leuko.hosts.pool import HostPool
from leuko.notify.port import Notifier
from leuko.releases.archives import Archives
from leuko.runtime.adopting import Adopting
from leuko.runtime.builder import Builder
from leuko.runtime.fleet import RemoteFleet
from leuko.runtime.gatehouse import Gatehouse, lock_file_of
from leuko.runtime.gauging import Judge, Sampling
from leuko.runtime.ground import Ground
from leuko.runtime.guard import Guard
from leuko.runtime.messenger import Messenger
from leuko.runtime.obeying import Obeying, overrides_of
from leuko.runtime.planning import Planner
from leuko.runtime.pusher import Pusher
from leuko.runtime.queue import Queue
from leuko.runtime.supervision import Loop
from leuko.runtime.watcher import Watcher
from leuko.store.changes import ChangeState
from leuko.store.installation import InstallationLock
from leuko.store.readings import Readings
from leuko.vcs.mirror import Mirror
from leuko.verify.account import Account, workspace
from leuko.verify.build import LocalVerifier

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=15)
INTENT_SECONDS = 1.0
POKE_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Doors:
    """What the controller of a line is given from outside."""

    pool: HostPool
    readings: Readings
    account: Account
    notifiers: Sequence[Notifier] = ()
    alone: InstallationLock | None = None
    address: str = ""
    hidden: Sequence[Path] = ()


class Controller:
    """Of one line in this process."""

    def __init__(self, ground: Ground, doors: Doors) -> None:
        self.ground = ground
        self._doors = doors
        configuration, folder = ground.configuration, ground.state / "lines" / str(ground.line)
        self.mirror = Mirror(folder / "mirror.git", configuration.repository, configuration.branch)
        self.archives = Archives(ground.state / "archives")
        self.fleet = RemoteFleet(ground, doors.pool, Orders(), self.archives)
        self.planner = Planner(ground, self.mirror.history, self.archives)
        self.queue = Queue(ground, self.planner)
        self.builder = Builder(ground, self.mirror, self._verifier(), self.archives)
        self.sampling = Sampling(ground, doors.readings, self.fleet.start)
        self.pusher = Pusher(ground, self.fleet, Judge(ground, doors.readings), self.queue.admission)
        self.guard = Guard(ground, self.fleet)
        self.watcher = Watcher(ground, self.mirror, self.mirror.history)
        self.gatehouse = Gatehouse(ground, lock_file_of(configuration.repository))
        self._look_at_branch = asyncio.Event()
        adopting = Adopting(ground, self.fleet, self.mirror.history)
        self.obeying = Obeying(
            ground, self.queue, self.planner, self.builder, self.mirror, adopting, self._look_at_branch.set
        )
        self.messenger = Messenger(ground, doors.notifiers, doors.address)
        self.loops = self._loops()

    def _verifier(self) -> LocalVerifier:
        account, state = self._doors.account, self.ground.state

        async def check_out(revision: str, folder: Path) -> Sequence[str]:
            from leuko.vcs.checkout import check_out as export

            return (await export(self.mirror.git, revision, folder)).warnings

        return LocalVerifier(
            check_out,
            account,
            workspace(account, state),
            state,
            hidden=(state, *self._doors.hidden),
            mask=self.ground.secrets.mask,
        )

    def _loops(self) -> list[Loop]:
        clock, bell = self.ground.clock, self.ground.bell
        return [
            Loop(
                "watch the branch", self._watch, self.ground.configuration.poll, clock, self._look_at_branch
            ),
            Loop("listen for pokes", self._listen, POKE_SECONDS, clock),
            Loop("build", self._build, INTENT_SECONDS, clock, bell.ear()),
            Loop("look after the fleet", self.guard.look, _look_seconds(self.ground), clock),
            Loop("keep the commit lock", self.gatehouse.step, INTENT_SECONDS, clock, bell.ear()),
        ]

    async def run(self) -> None:
        """Waits for the lease, then acts until cancelled or the lease is lost."""
        await self._take_lease()
        await self.builder.recover()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hold_lease(), name="lease")
            tasks.create_task(self._obey_for_ever(), name="intents")
            tasks.create_task(self._push_for_ever(), name="pusher")
            tasks.create_task(self._sample_for_ever(), name="sampling")
            tasks.create_task(self.messenger.run(), name="messenger")
            for loop in self.loops:
                tasks.create_task(loop.run(), name=loop.name)

    async def close(self) -> None:
        """Lets go of the lease, so that the next one need not wait."""
        await self.pusher.close()
        lease, self.ground.lease = self.ground.lease, None
        if lease is not None:
            async with self.ground.store.write(self.ground.line) as tx:
                await self.ground.store.leases.release(tx, lease, self.ground.clock.now())

    # -- the lease --------------------------------------------------------------------------------------

    async def _take_lease(self) -> None:
        holder = f"{socket.gethostname()}:{os.getpid()}:{id(self):x}"
        told = False
        while self.ground.lease is None:
            now = self.ground.clock.now()
            async with self.ground.store.write(self.ground.line) as tx:
                self.ground.lease = await self.ground.store.leases.acquire(
                    tx,
                    holder,
                    LEASE,
                    now,
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    alone=self._doors.alone,
                )
                if self.ground.lease is not None:
                    text = self.ground.configuration.model_dump_json()
                    await self.ground.store.lines.serve(tx, text)
                    tx.event("controller", holder, {"epoch": self.ground.epoch, "to": "acting"}, now)
            if self.ground.lease is None:
                if not told:
                    log.info(
                        "another controller acts on this line; waiting for its lease",
                        line=str(self.ground.line),
                    )
                    told = True
                await self.ground.clock.sleep(1.0)

    async def _hold_lease(self) -> None:
        """Raises Lost when somebody else took over: everything of this line stops then, and asks again."""
        while True:
            await self.ground.clock.sleep(LEASE.total_seconds() / 3)
            assert self.ground.lease is not None
            async with self.ground.store.write(self.ground.line) as tx:
                self.ground.lease = await self.ground.store.leases.renew(
                    tx, self.ground.lease, LEASE, self.ground.clock.now()
                )

    # -- the loops --------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        await self.watcher.step()

    async def _listen(self) -> None:
        if self.gatehouse.poked():
            self._look_at_branch.set()

    async def _build(self) -> None:
        """Builds, then offers: also what a controller that died had built and not offered yet."""
        release = await self.builder.step() or await self._newest_green()
        if release is not None:
            await self._offer(release)

    async def _newest_green(self) -> Release | None:
        store, line = self.ground.store, self.ground.line
        green = await store.changes.recent(line, states=(ChangeState.GREEN,), limit=1)
        return await store.releases.get(line, green[0].revision) if green else None

    async def _offer(self, release: Release) -> None:
        """A green release goes to whoever asked for it, or by itself where delivery is continuous."""
        intent = await self.obeying.followed_up(release)
        if intent is None:
            await self.queue.continuous(release)
            return
        origin = Origin.HOTFIX if intent.kind is IntentKind.HOTFIX else Origin.PERSON
        first = bool(intent.arguments.get("first", False))
        try:
            await self.queue.propose(
                release, origin, intent.by, intent.why, first=first, overrides=overrides_of(intent)
            )
        except LeukoError as error:
            now = self.ground.clock.now()
            async with self.ground.store.write(self.ground.line) as tx:
                facts = {"reason": str(error), "by": intent.by, "intent": intent.id}
                tx.event("push.refused", release.revision, facts, now)

    async def _obey_for_ever(self) -> None:
        while True:
            loop = Loop("obey", self.obeying.step, INTENT_SECONDS, self.ground.clock)
            await self.ground.store.intents.wait_news(self.ground.line, INTENT_SECONDS)
            await loop.once()

    async def _push_for_ever(self) -> None:
        ear, failures = self.ground.bell.ear(), 0
        while True:
            ear.clear()
            wake = self.ground.clock.now() + timedelta(seconds=1)
            try:
                wake = await self.pusher.step()
                failures = 0
            except Refused:
                raise
            except Exception:
                failures += 1
                log.exception("the push could not be carried on; trying again", failures=failures)
                wake += timedelta(seconds=min(10, failures))
            pause = (wake - self.ground.clock.now()).total_seconds()
            try:
                await asyncio.wait_for(ear.wait(), max(0.01, pause))
            except TimeoutError:
                continue

    async def _sample_for_ever(self) -> None:
        while True:
            loop = Loop("sample", self.sampling.run, INTENT_SECONDS, self.ground.clock)
            await loop.once()
            await self.ground.clock.sleep(1.0)


def _look_seconds(ground: Ground) -> float:
    """Hosts are probed every third tick, but not more often than every 5 s and at least every 15 s."""
    return min(15.0, max(5.0, 3 * ground.configuration.tick))
