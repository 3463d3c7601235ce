"""A farm as one controller sees it: its workers, who has reserved them, what is on its way there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from leuko.cancellation import end, obey
from leuko.verify.buildbot.errand import GONE, SILENT, Errand, cancelled, pending
from leuko.verify.buildbot.errors import SHAPELESS, FarmError, FarmUnreachableError, unexpected
from leuko.verify.buildbot.lines import Relayed, Said
from leuko.verify.buildbot.master import Master
from leuko.verify.buildbot.notices import Notices
from leuko.verify.buildbot.order import Order, Programs, encoded

log = structlog.get_logger(__name__)

LOOK_SECONDS = 10.0
"""Between two looks at the workers, whose coming and going the master tells by itself."""
LOOK_AGAIN_SECONDS = 1.0
"""While it does not answer."""
REST_SECONDS = 5.0
"""Of a worker that was lost, doubled each time up to `LONGEST_REST`."""
LONGEST_REST = 300.0
PACE = 0.02
"""Seconds between two writes of a log, for each worker there is: writes are what a master is busy with."""
FASTEST, SLOWEST = 0.1, 1.0


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as the master knows it."""

    name: str
    connected: bool
    paused: bool
    version: str
    """Of buildbot-worker."""

    @property
    def usable(self) -> bool:
        """It would take a batch."""
        return self.connected and not self.paused


class Farm:
    """One for all builds of a controller. `prefix` begins the keys of everything that it sends."""

    def __init__(self, master: Master, builder: str, prefix: str, most: int = 0) -> None:
        self.master = master
        self.builder = builder
        self.prefix = prefix
        self.silent = SILENT
        """Seconds without a word after which a worker is lost."""
        self._error: FarmError | None = None
        self._since = 0.0
        self._most = most
        self._workers: dict[str, Worker] = {}
        self._reserved: set[str] = set()
        self._resting: dict[str, tuple[float, float]] = {}
        self._knows: set[tuple[str, str]] = set()
        self._errands: dict[str, Errand] = {}
        self._orphans: set[int] = set()
        self._sent = 0
        self._changed = asyncio.Event()
        self._look = asyncio.Event()
        self._notices = Notices(master, self._heard, self._began)
        self._task: asyncio.Task[None] | None = None

    # -- workers ---------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begins to look and to listen; what a controller before this one left running is stopped."""
        if self._task is None:
            self._notices.start()
            self._task = asyncio.create_task(self._look_for_ever(), name="look at the farm")

    async def close(self) -> None:
        """Lets go of the master; what is on its way is for whoever sent it to end first."""
        task, self._task = self._task, None
        if task is not None:
            await end(task)
        await self._notices.close()
        await self.master.close()

    def workers(self) -> tuple[str, ...]:
        """Names of those that can be had, reserved or not."""
        return tuple(name for name, one in self._workers.items() if one.usable and not self._rests(name))

    @property
    def known(self) -> Mapping[str, Worker]:
        """All of the builder's."""
        return dict(self._workers)

    def reserve(self, wanted: Callable[[str], bool]) -> str:
        """A free worker that is wanted, from now on reserved; empty where there is none."""
        if self._most and len(self._reserved) >= self._most:
            return ""
        for name in self.workers():
            if name not in self._reserved and wanted(name):
                self._reserved.add(name)
                return name
        return ""

    def release(self, worker: str) -> None:
        """Free again."""
        self._reserved.discard(worker)
        self._stir()

    async def changed(self, seconds: float) -> None:
        """Waits until something about workers changes, but not longer than so many seconds."""
        event = self._changed
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass

    def rest(self, worker: str) -> None:
        """A worker that failed gets no batch for a while, longer each time."""
        _, before = self._resting.get(worker, (0.0, REST_SECONDS / 2))
        seconds = min(LONGEST_REST, before * 2)
        self._resting[worker] = (_now() + seconds, seconds)
        self._stir()

    def did_well(self, worker: str) -> None:
        """It carried something out: the next failure is its first."""
        self._resting.pop(worker, None)

    def hopeless(self) -> FarmError | None:
        """Why waiting for a worker would not help: we are not let in, or the master is away for long."""
        if isinstance(self._error, FarmUnreachableError) and _now() - self._since < GONE:
            return None
        return self._error

    def _rests(self, worker: str) -> bool:
        return worker in self._resting and _now() < self._resting[worker][0]

    def _stir(self) -> None:
        event, self._changed = self._changed, asyncio.Event()
        event.set()

    # -- errands ---------------------------------------------------------------------------------------

    async def carry_out(
        self, order: Order, worker: str, sent: Programs, told: Callable[[Said | Relayed], None]
    ) -> int:
        """Sends an order to a worker and follows it to its end; Buildbot's number for how it ended.

        Raises WorkerLostError where it has no end of its own, FarmError where it cannot be sent.
        """
        unknown = False

        def hear(message: Said | Relayed) -> None:
            nonlocal unknown
            if isinstance(message, Said) and message.what == "unknown":
                unknown = True
            else:
                told(message)

        whole = (worker, sent.digest) not in self._knows
        result = await self._errand(order, worker, encoded(order, sent, whole=whole), hear)
        if unknown:  # somebody emptied its folder
            result = await self._errand(order, worker, encoded(order, sent, whole=True), hear)
        self._knows.add((worker, sent.digest))
        return result

    async def _errand(
        self, order: Order, worker: str, text: str, told: Callable[[Said | Relayed], None]
    ) -> int:
        self._sent += 1
        key = f"{order.key}/{self._sent}"
        errand = Errand(
            self.master,
            self.builder,
            worker,
            key,
            text,
            order.reason,
            order.revision,
            told,
            lambda: self._notices.live,
            self.silent,
        )
        self._errands[key] = errand
        try:
            return await errand.carry_out()
        finally:
            del self._errands[key]

    def key(self, name: str) -> str:
        """The key of an order of this controller."""
        return f"{self.prefix}/{name}"

    @property
    def pace(self) -> float:
        """How often a batch writes its log, in seconds, so that the master keeps up."""
        return min(SLOWEST, max(FASTEST, PACE * len(self._workers)))

    # -- looking ---------------------------------------------------------------------------------------

    async def _look_for_ever(self) -> None:
        swept = False
        while True:
            obey()
            self._look.clear()
            try:
                await self._look_once()
                if not swept:
                    await self._sweep()
                    swept = True
                self._error = None
            except FarmError as error:
                if self._error is None:
                    log.warning("the farm cannot be used", error=str(error))
                    self._since = _now()
                self._error = error
                swept = False  # what could not be stopped meanwhile is stopped when it is back
                self._workers = {}
                self.master.forget()
                self._stir()
            try:
                async with asyncio.timeout(LOOK_AGAIN_SECONDS if self._error else LOOK_SECONDS):
                    await self._look.wait()
            except TimeoutError:
                pass

    async def _look_once(self) -> None:
        found = await workers_of(self.master, self.builder)
        if found != self._workers:
            for name, one in found.items():
                before = self._workers.get(name)
                if one.connected and before is not None and not before.connected:
                    self._resting.pop(name, None)  # it came back, which is what was waited for
            self._workers = found
            self._stir()
        elif any(until <= _now() for until, _ in self._resting.values()):
            self._stir()

    async def _sweep(self) -> None:
        """Ends what has our prefix and belongs to nobody: its controller died."""
        mine = {errand.key for errand in self._errands.values()}
        for request, key in await pending(self.master, self.builder):
            if key.startswith(f"{self.prefix}/") and key not in mine:
                log.info("a batch that nobody waits for is stopped at the farm", key=key)
                try:
                    async with asyncio.timeout(LOOK_SECONDS):
                        await cancelled(self.master, request, "its controller is gone")
                except TimeoutError:
                    continue

    def _began(self) -> None:
        """Listening works again: whatever was told meanwhile has to be asked for."""
        self._look.set()
        for errand in self._errands.values():
            errand.heard(of_build=True)

    def _heard(self, key: list[str], message: dict[str, Any]) -> None:
        match key:
            case ["workers", *_]:
                self._look.set()
            case ["builds", _, event]:
                self._heard_build(message, event)
            case ["logs", *_]:
                number = message.get("logid")
                for errand in self._errands.values():
                    if errand.log == number or (errand.build and not errand.log):
                        errand.heard(of_build=False)
            case _:
                pass

    def _heard_build(self, message: dict[str, Any], event: str) -> None:
        for errand in self._errands.values():
            mine = errand.request and errand.request == message.get("buildrequestid")
            if mine and (event in ("new", "finished") or not errand.build):
                errand.heard(of_build=True)


async def workers_of(master: Master, builder: str) -> dict[str, Worker]:
    """The workers of a builder by name, in the order of their names. Raises FarmError."""
    number = await master.builder(builder)
    found = await master.get(f"builders/{number}/workers")
    if found is None:
        raise FarmUnreachableError("the builder is gone", where=master.url, code="F001")
    try:
        rows = sorted(found["workers"], key=lambda row: _natural(row["name"]))
        return {row["name"]: _worker(row) for row in rows if row["configured_on"]}
    except SHAPELESS as error:
        raise unexpected(master.url, "its list of workers", repr(error)) from error


def _worker(row: dict[str, Any]) -> Worker:
    paused = bool(row["paused"] or row["graceful"])
    version = str((row.get("workerinfo") or {}).get("version") or "")
    return Worker(row["name"], bool(row["connected_to"]), paused, version)


def _natural(name: str) -> tuple[str, int, str]:
    """worker10 comes after worker9."""
    head = name.rstrip("0123456789")
    return head, int(name[len(head) :] or 0), name


def _now() -> float:
    return asyncio.get_running_loop().time()
