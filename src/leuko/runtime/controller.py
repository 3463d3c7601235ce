"""All the loops of one line, put together and kept running."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from leuko.cancellation import apart, obey
from leuko.config.verify import Verify
from leuko.domain.errors import LeukoError
from leuko.domain.intent import Intent, IntentKind
from leuko.domain.push import Origin
from leuko.domain.release import Release
from leuko.hosts.perform import Orders
from leuko.hosts.pool import HostPool
from leuko.notify.port import Notifier
from leuko.releases.archives import Archives
from leuko.runtime.adopting import Adopting
from leuko.runtime.builder import Builder
from leuko.runtime.culprits import Culprits
from leuko.runtime.drilling import Drilling
from leuko.runtime.farming import Farming
from leuko.runtime.fleet import RemoteFleet
from leuko.runtime.freezing import frozen_for
from leuko.runtime.gatehouse import Gatehouse, lock_file_of
from leuko.runtime.gauging import Judge, Sampling
from leuko.runtime.ground import Ground
from leuko.runtime.guard import Guard
from leuko.runtime.logs import Logs
from leuko.runtime.messenger import Messenger
from leuko.runtime.obeying import Obeying
from leuko.runtime.observing import Observing
from leuko.runtime.planning import Planner
from leuko.runtime.probing import BuildProber
from leuko.runtime.pusher import Pusher
from leuko.runtime.queue import Queue
from leuko.runtime.requests import overrides_of
from leuko.runtime.reverting import Reverting
from leuko.runtime.studying import Studying
from leuko.runtime.supervision import Loop
from leuko.runtime.trends import LOOK_SECONDS, TrendWatch
from leuko.runtime.watcher import Watcher
from leuko.store.changes import ChangeState
from leuko.store.errors import Lost
from leuko.store.installation import InstallationLock
from leuko.store.leases import Lease
from leuko.store.readings import Readings
from leuko.vcs.mirror import Mirror
from leuko.verify.account import Account, workspace
from leuko.verify.build import LocalVerifier

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=15)
INTENT_SECONDS = 1.0
POKE_SECONDS = 0.25
BUSY_SECONDS = 0.1
TIDY_SECONDS = 3600.0
DOUBT_SECONDS = 0.5


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
    held_up: Callable[[], bool] = lambda: False
    """True while the event loop is so late that nothing new may be begun."""


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
        self.farming = Farming(ground, self.mirror.history.tree_of)
        verifier = self._verifier()
        self.builder = Builder(ground, self.mirror, verifier, self.archives)
        self.culprits = Culprits(ground, self.mirror, self._prober(verifier))
        self.reverting = Reverting(ground, self.mirror)
        self.sampling = Sampling(ground, doors.readings, self.fleet.start)
        self.judge = Judge(ground, doors.readings)
        self.studying = Studying(ground)
        self.pusher = Pusher(ground, self.fleet, self.judge, self.queue.admission, doors.held_up)
        self.guard = Guard(ground, self.fleet)
        self.observing = Observing(ground)
        self.trends = TrendWatch(ground, doors.readings)
        self.watcher = Watcher(ground, self.mirror, self.mirror.history)
        self.gatehouse = Gatehouse(ground, lock_file_of(configuration.repository))
        self.drilling = Drilling(ground, self.fleet, self.planner)
        self._look_at_branch = asyncio.Event()
        self._looking = asyncio.Lock()
        adopting = Adopting(ground, self.fleet, self.mirror.history)
        self.obeying = Obeying(
            ground,
            self.queue,
            self.planner,
            self.builder,
            self.mirror,
            adopting,
            self._look_at_branch.set,
            self._look_once,
            self.drilling.ask,
            read=Logs(ground, self.fleet.start).read,
            revert=self.reverting.ask,
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
            workspace(account, state, str(self.ground.line)),
            state,
            hidden=(state, *self._doors.hidden),
            mask=self.ground.secrets.mask,
            engine_for=self.farming.engine,
        )

    def _prober(self, verifier: LocalVerifier) -> BuildProber:
        history = self.mirror.history

        async def verify_of(revision: str) -> Verify:
            return (await frozen_for(self.ground.configuration, history, revision)).verify

        return BuildProber(verifier, verify_of, history.has_file)

    def _loops(self) -> list[Loop]:
        clock, bell = self.ground.clock, self.ground.bell
        return [
            Loop(
                "watch the branch", self._watch, self.ground.configuration.poll, clock, self._look_at_branch
            ),
            Loop("listen for pokes", self._listen, POKE_SECONDS, clock),
            Loop("drill", self.drilling.step, INTENT_SECONDS, clock, bell.ear()),
            Loop("study", self.studying.step, INTENT_SECONDS, clock, bell.ear()),
            Loop("build", self.builder.step, INTENT_SECONDS, clock, bell.ear()),
            Loop("search culprits", self.culprits.step, INTENT_SECONDS, clock, bell.ear()),
            Loop("look after culprits", self.reverting.step, INTENT_SECONDS, clock, bell.ear()),
            Loop("offer what is green", self._offer, INTENT_SECONDS, clock, bell.ear()),
            Loop("look after the fleet", self.guard.look, _look_seconds(self.ground), clock),
            Loop("tidy readings", self._tidy, TIDY_SECONDS, clock),
            Loop("watch trends", self.trends.step, LOOK_SECONDS, clock),
            Loop("watch deployments of others", self.observing.step, INTENT_SECONDS, clock, bell.ear()),
            Loop("keep the commit lock", self.gatehouse.step, INTENT_SECONDS, clock, bell.ear()),
        ]

    async def run(self) -> None:
        """Waits for the lease and acts while it is ours; for ever, until cancelled. Raises nothing else."""
        while True:
            obey()  # a lease may be lost in the moment in which this is told to end
            await self._take_lease()
            try:
                await apart(self._act())
            except* Lost:
                line = str(self.ground.line)
                log.warning("another controller took over this line; waiting for its lease", line=line)
            finally:
                await self.pusher.close()
            self.ground.lease = None

    async def _act(self) -> None:
        """Every loop of the line until the lease is lost: then all end, and nothing more is written."""
        self.ground.doubt.clear()
        clock = self.ground.clock
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hold_lease(), name="lease")
            await self._recovered()
            tasks.create_task(self._obey_for_ever(), name="intents")
            tasks.create_task(self.pusher.run(), name="pusher")
            tasks.create_task(self._sample_for_ever(), name="sampling")
            tell = Loop("tell people", self.messenger.run, INTENT_SECONDS, clock)
            for loop in (*self.loops, tell):
                tasks.create_task(loop.run(), name=loop.name)

    async def serve_text(self) -> None:
        """Keeps the configuration that this process looks by; without a lease it acts on nothing."""
        async with self.ground.write() as tx:
            await self.ground.store.lines.serve(tx, self.ground.configuration.model_dump_json())

    async def look_only(self) -> None:
        """Samples, and notes what hosts run, until cancelled: nothing is pushed, built, mended or told."""
        note = Loop("note the fleet", self.guard.note, _look_seconds(self.ground), self.ground.clock)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sample_for_ever(), name="sampling")
            tasks.create_task(note.run(), name="fleet")

    async def _recovered(self) -> None:
        """What the one before left; a step of the builder does it, too, should this not succeed."""
        await Loop("recover", self.builder.recover, INTENT_SECONDS, self.ground.clock).once()

    async def close(self) -> None:
        """Lets go of the lease, so that the next one need not wait."""
        await self.pusher.close()
        self.judge.close()
        self.studying.close()
        self.trends.close()
        await self.farming.close()
        lease, self.ground.lease = self.ground.lease, None
        if lease is not None:
            async with self.ground.store.write(self.ground.line) as tx:
                await self.ground.store.leases.release(tx, lease, self.ground.clock.now())

    # -- the lease --------------------------------------------------------------------------------------

    async def _take_lease(self) -> None:
        holder = f"{socket.gethostname()}:{os.getpid()}:{id(self):x}"
        told = False
        while self.ground.lease is None:
            try:
                self.ground.lease = await self._asked_for_lease(holder)
            except LeukoError as error:
                log.warning("the store cannot be asked for the lease; asking again", error=str(error))
            if self.ground.lease is None:
                if not told:
                    log.info(
                        "another controller acts for this line; waiting for its lease", **await self._acting()
                    )
                    told = True
                await self.ground.clock.sleep(1.0)

    async def _acting(self) -> Mapping[str, str]:
        """Who acts for the line instead of us, for the log."""
        lease = await self.ground.store.leases.get(self.ground.line)
        return {"line": str(self.ground.line), "acting": lease.holder if lease else "nobody any more"}

    async def _asked_for_lease(self, holder: str) -> Lease | None:
        ground, now, host = self.ground, self.ground.clock.now(), socket.gethostname()
        async with ground.store.write(ground.line) as tx:
            lease = await ground.store.leases.acquire(
                tx, holder, LEASE, now, host=host, pid=os.getpid(), alone=self._doors.alone
            )
            if lease is not None:
                await ground.store.lines.serve(tx, ground.configuration.model_dump_json())
                tx.event("controller", holder, {"epoch": lease.epoch, "to": "acting"}, now)
        return lease

    async def _hold_lease(self) -> None:
        """Raises Lost when somebody else took over: everything of this line stops then, and asks again.

        A store that cannot be reached takes nothing over: meanwhile no write succeeds, and this tries on.
        """
        ground, every = self.ground, LEASE.total_seconds() / 3
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(every):
                    await ground.doubt.wait()
            doubted = ground.doubt.is_set()
            ground.doubt.clear()
            assert ground.lease is not None
            try:
                async with ground.store.write(ground.line) as tx:
                    ground.lease = await ground.store.leases.renew(
                        tx, ground.lease, LEASE, ground.clock.now()
                    )
            except Lost:
                raise
            except Exception:
                obey()
                log.exception("the lease could not be renewed; trying again", line=str(ground.line))
                doubted = True
            if doubted:
                await asyncio.sleep(DOUBT_SECONDS)

    # -- the loops --------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        await self._look_once()

    async def _look_once(self) -> None:
        async with self._looking:
            await self.watcher.step()
            await self.obeying.hotfixes.look()

    async def _tidy(self) -> None:
        """Raw readings become minutes after two days, and go after thirty."""
        await self.ground.store.readings.tidy(self.ground.clock.now())

    async def _listen(self) -> None:
        if self.gatehouse.poked():
            self._look_at_branch.set()

    async def _offer(self) -> None:
        """Green releases go to whoever asked for them, and the newest by itself where delivery is continuous.

        Looked for in the store, so that what a controller that died had built is not forgotten.
        """
        for intent, release in await self.obeying.requests.to_follow_up():
            await self._follow_up(intent, release)
        store, line = self.ground.store, self.ground.line
        green = await store.changes.recent(line, states=(ChangeState.GREEN,), limit=1)
        newest = await store.releases.get(line, green[0].revision) if green else None
        if newest is not None:
            await self.queue.continuous(newest)

    async def _follow_up(self, intent: Intent, release: Release) -> None:
        origin = Origin.HOTFIX if intent.kind is IntentKind.HOTFIX else Origin.PERSON
        first = bool(intent.arguments.get("first", False))
        try:
            await self.queue.propose(
                release, origin, intent.by, intent.why, first=first, overrides=overrides_of(intent)
            )
        except Lost:
            raise
        except LeukoError as error:
            now = self.ground.clock.now()
            async with self.ground.write() as tx:
                facts = {"reason": str(error), "by": intent.by, "intent": intent.id}
                tx.event("push.refused", release.revision, facts, now)

    async def _obey_for_ever(self) -> None:
        loop = Loop("obey", self._obey_once, INTENT_SECONDS, self.ground.clock)
        try:
            while True:
                await loop.once()
                obey()
                if loop.failures:
                    await self.ground.clock.sleep(min(INTENT_SECONDS, 0.1 * loop.failures))
        finally:
            await self.obeying.close()

    async def _obey_once(self) -> None:
        found = await self.ground.store.intents.wait_news(self.ground.line, INTENT_SECONDS)
        if await self.obeying.step() == 0 and found:
            await asyncio.sleep(BUSY_SECONDS)  # those that wait are being obeyed

    async def _sample_for_ever(self) -> None:
        while True:
            loop = Loop("sample", self.sampling.run, INTENT_SECONDS, self.ground.clock)
            await loop.once()
            obey()
            await self.ground.clock.sleep(1.0)


def _look_seconds(ground: Ground) -> float:
    """Hosts are probed every third tick, but not more often than every 5 s and at least every 15 s."""
    return min(15.0, max(5.0, 3 * ground.configuration.tick))
