"""One order on its way: sent to the master, found there again, followed in its log, stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from leuko.cancellation import obey
from leuko.verify.buildbot.errors import SHAPELESS, FarmError, FarmUnreachableError, unexpected
from leuko.verify.buildbot.lines import GapError, Lines, Relayed, Said
from leuko.verify.buildbot.master import Master
from leuko.verify.engine import WorkerLostError

log = structlog.get_logger(__name__)

SCHEDULER = "leuko"
STEP = "builds/{build}/steps/leuko/logs/stdio/contents"
AT_ONCE = 1000
"""Lines of the log in one answer."""
COALESCE = 0.03
"""Seconds that a notice waits for the next one: they come in pairs."""
WATCHED, UNWATCHED = 5.0, 0.5
"""Seconds between two looks: with a master that tells what happens, and without."""
SILENT = 60.0
"""Seconds without a line, of a program that beats every 5 s."""
QUEUED = 300.0
"""Seconds that a request waits for a worker that somebody else keeps busy."""
GONE = 180.0
"""Seconds that the master may be away: a restart takes less."""
STOPPING = 10.0
RETRY = 5
RESULTS = ("success", "warnings", "failure", "skipped", "exception", "retry", "cancelled")


@dataclass(slots=True)
class Errand:
    """An order at a worker. `order` is its text, `told` gets every message.

    `live` says whether the master tells what happens by itself; then looking is rarer.
    """

    master: Master
    builder: str
    worker: str
    key: str
    order: str
    reason: str
    revision: str
    told: Callable[[Said | Relayed], None]
    live: Callable[[], bool]
    silent: float = SILENT
    request: int = 0
    build: int = 0
    log: int = 0
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    _look_at_build: bool = True
    _lines: Lines = field(default_factory=Lines)
    _offset: int = 0
    _results: int | None = None
    _complete: bool = False

    async def carry_out(self) -> int:
        """To its end; Buildbot's number for how that was.

        Raises WorkerLostError where the worker, the master or the log was lost. Whatever ends this ends what
        runs there as well.
        """
        try:
            await self._send()
            await self._follow()
            if self._results == RETRY:  # Buildbot would run it once more; that is ours to say
                await asyncio.shield(self.stop())
        except BaseException as error:
            await asyncio.shield(self.stop())
            if isinstance(error, SHAPELESS):
                raise self._lost(f"the master answers what is not understood: {error!r}") from error
            raise
        return 4 if self._results is None else self._results

    def heard(self, *, of_build: bool) -> None:
        """There is news: of the build itself, or of its log."""
        self._look_at_build |= of_build
        self.woken.set()

    @property
    def said_besides(self) -> str:
        """What stands in the log beside our lines, for an error."""
        return " / ".join(self._lines.besides[-3:])

    # -- there -----------------------------------------------------------------------------------------

    async def _send(self) -> None:
        """Sends it once, also where an answer is lost: the master is asked whether it has the key."""
        deadline = _now() + GONE
        while True:
            obey()
            try:
                self.request = await self._sent()
            except FarmUnreachableError as error:
                if _now() > deadline:
                    raise self._lost(error.rule) from error
                await asyncio.sleep(1.0)
                self.request = await self._found()
            if self.request:
                return

    async def _sent(self) -> int:
        result = await self.master.control(
            f"forceschedulers/{SCHEDULER}",
            "force",
            leuko_key=self.key,
            leuko_order=self.order,
            workername=self.worker,
            reason=self.reason,
            revision=self.revision,
            builderid=str(await self.master.builder(self.builder)),
        )
        try:
            return int(next(iter(result[1].values())))
        except (TypeError, IndexError, AttributeError, StopIteration, ValueError):
            raise FarmError(
                f"the scheduler {SCHEDULER!r} took the batch and made no request of it",
                where=self.master.url,
                way_out=f"its builderNames should have {self.builder!r}",
                code="F007",
            ) from None

    async def _found(self) -> int:
        """The request with our key, should the master have taken it before it fell silent."""
        try:
            for request, key in await pending(self.master, self.builder):
                if key == self.key:
                    return request
        except FarmUnreachableError:
            pass
        return 0

    # -- there and here --------------------------------------------------------------------------------

    async def _follow(self) -> None:
        answered = spoke = _now()
        while True:
            obey()
            self.woken.clear()
            try:
                if await self._looked():
                    spoke = _now()
                answered = _now()
            except FarmUnreachableError as error:
                if _now() - answered > GONE:
                    raise self._lost(error.rule) from error
                self.master.forget()
                self._look_at_build = True
                spoke = _now()
            except GapError as error:
                raise self._lost(str(error)) from error
            if self._complete:
                return
            if _now() - spoke > (self.silent if self.build else QUEUED):
                why = f"has said nothing for {self.silent:g} s" if self.build else "was not free for it"
                raise self._lost(f"the worker {why}")
            await self._nap()

    async def _nap(self) -> None:
        try:
            async with asyncio.timeout(WATCHED if self.live() and self.build else UNWATCHED):
                await self.woken.wait()
            await asyncio.sleep(COALESCE)
        except TimeoutError:
            self._look_at_build = True

    async def _looked(self) -> bool:
        """Asks for what is new; True where there was anything."""
        complete = False
        begun = bool(self.build)
        if self._look_at_build or not self.build:
            self._look_at_build = False
            complete = await self._build_looked_at()
        if not self.build:
            return False
        news = await self._read()
        self._complete = complete
        return news or not begun

    async def _build_looked_at(self) -> bool:
        """True where the build has ended. A second build of the request means that the first was lost."""
        found = await self.master.get("builds", ("buildrequestid", str(self.request)))
        builds = sorted(found["builds"] if found else [], key=lambda row: row["buildid"])
        if not builds:
            return await self._request_gone()
        first: dict[str, Any] = builds[0]
        self.build = first["buildid"]
        if first["complete"]:
            self._results = first["results"]
        return bool(first["complete"])

    async def _request_gone(self) -> bool:
        found = await self.master.get(f"buildrequests/{self.request}")
        if found is None or found["buildrequests"][0]["complete"]:
            raise self._lost("somebody took the batch out of the master's queue")
        return False

    async def _read(self) -> bool:
        """Everything that the log has and we have not."""
        news = False
        while True:
            path = STEP.format(build=self.build)
            found = await self.master.get(path, ("offset", str(self._offset)), ("limit", str(AT_ONCE)))
            if found is None:
                return news
            chunk = found["logchunks"][0]
            self.log = chunk["logid"]
            content = chunk["content"]
            lines = content.count("\n")
            if not lines:
                return news
            news = True
            self._offset += lines
            for message in self._lines.feed(content):
                self.told(message)
            if lines < AT_ONCE:
                return news

    # -- and no further --------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Ends it at the master and at the worker, and waits until it has; as well as that can be done."""
        try:
            async with asyncio.timeout(STOPPING):
                if not self.request:
                    self.request = await self._found()
                if self.request:
                    await cancelled(self.master, self.request, "no longer needed")
        except (FarmError, TimeoutError, *SHAPELESS) as error:
            log.warning("a batch could not be stopped at the farm", worker=self.worker, error=str(error))

    def _lost(self, why: str) -> WorkerLostError:
        return WorkerLostError(
            why,
            where=f"worker {self.worker}",
            way_out="its batch is run elsewhere; its own log is twistd.log in its folder",
            code="F010",
        )


async def pending(master: Master, builder: str) -> list[tuple[int, str]]:
    """Requests of ours that have not ended, waiting or running: number and key."""
    number = await master.builder(builder)
    found = await master.get(
        f"builders/{number}/buildrequests", ("complete", "false"), ("property", "leuko_key")
    )
    rows = found["buildrequests"] if found else []
    try:
        return [
            (row["buildrequestid"], str(row["properties"]["leuko_key"][0]))
            for row in rows
            if row.get("properties") and "leuko_key" in row["properties"]
        ]
    except SHAPELESS as error:
        raise unexpected(master.url, "its list of requests", repr(error)) from error


async def cancelled(master: Master, request: int, reason: str) -> None:
    """Cancels a request, with the build that it became, and returns when both have ended."""
    asked: set[int] = set()
    await master.control(f"buildrequests/{request}", "cancel", reason=reason)
    while True:
        found = await master.get("builds", ("buildrequestid", str(request)))
        running = [row["buildid"] for row in (found["builds"] if found else []) if not row["complete"]]
        for build in running:
            if build not in asked:
                asked.add(build)
                await master.control(f"builds/{build}", "stop", reason=reason)
        row = await master.get(f"buildrequests/{request}")
        if not running and (row is None or row["buildrequests"][0]["complete"]):
            return
        if not running:  # back in the queue, after the build was lost with its worker
            await master.control(f"buildrequests/{request}", "cancel", reason=reason)
        await asyncio.sleep(0.1)


def _now() -> float:
    return asyncio.get_running_loop().time()
