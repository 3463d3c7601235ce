"""One developer's session: the board, one run at a time, and the streams that follow both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from leuko.clock import Clock
from leuko.domain.board import Board
from leuko.domain.board_rows import NODE, Mark, Row, RunState
from leuko.domain.case import Case, CaseBegan, CaseEnded, CaseFound, CaseResult, NodeChanged, VerifyEvent
from leuko.domain.columns import news
from leuko.domain.errors import LeukoError, Refused
from leuko.runtests.carrier import Carrier, Ended, Wanted
from leuko.runtests.printed import Printed
from leuko.web.boards import as_json

COALESCE = 0.1
"""Seconds between two pieces of news to one page."""
HEARTBEAT = 10.0
SHOWN = 500
OnEnd = Callable[[Ended], None]


class Session:
    """Everything that the page shows and may ask for."""

    def __init__(
        self, checkout: Path, board: Board, carrier: Carrier, printed: Printed, clock: Clock
    ) -> None:
        self.checkout = checkout
        self.board = board
        self.closing = asyncio.Event()
        self.said = ""
        """What was chosen and why, or what was found, in a sentence."""
        self.watching = False
        self.on_watch: Callable[[bool], None] = lambda _on: None
        self.on_end: OnEnd = lambda _ended: None
        self._carrier = carrier
        self._printed = printed
        self._clock = clock
        self._run: asyncio.Task[Ended] | None = None
        self._stopped_by = ""
        self._news = asyncio.Event()

    @property
    def running(self) -> bool:
        """True while tests run."""
        return self._run is not None and not self._run.done()

    # -- what a person, or a changed file, asks for ---------------------------------------------------------

    def run(self, rows: Iterable[int] | None = None, said: str = "") -> asyncio.Task[Ended]:
        """Starts a run of these rows, of all where None. Refused while one runs."""
        if self.running:
            raise Refused("tests run already", way_out="stop them first, or wait", code="T001")
        tests = [row.id for row in self.board.rows if row.file >= 0 and row.mark is not Mark.GONE]
        anew = False
        if rows is not None:
            wanted = set(rows)
            tests = [row for row in tests if row in wanted]
            anew = any(row.id in wanted for row in self.board.rows if row.file == NODE)
        if anew:
            self._carrier.again()
        if not tests and not anew:
            raise Refused("there is no such test", way_out="load the page again", code="T002")
        self.said, self._stopped_by = said, ""
        cases = self._wanted(tests)
        self._printed.rewind()
        self.board.begin(tests, self._clock.now(), self._carrier.nodes)
        self._ring()
        self._run = asyncio.create_task(self._carry(cases), name="run of tests")
        return self._run

    async def stop(self, why: str) -> None:
        """Ends the run, if there is one, and waits until nothing of it is left."""
        task = self._run
        if task is None or task.done():
            return
        self._stopped_by = why
        task.cancel()
        await asyncio.wait({task})

    async def ended(self) -> None:
        """Returns when nothing runs."""
        task = self._run
        if task is not None and not task.done():
            await asyncio.wait({task})

    def watch(self, on: bool) -> None:
        """Whether changed files start runs."""
        self.watching = on
        self.on_watch(on)
        self.tell("Watching files." if on else "")

    def tell(self, text: str) -> None:
        """A sentence for the page."""
        self.said = text
        self.board.change += 1
        self._ring()

    def changed(self) -> None:
        """The board was changed from outside, as when files were found anew."""
        self._ring()

    async def close(self) -> None:
        """Ends the run, the streams and what was kept warm."""
        self.closing.set()
        await self.stop("the program ends")
        await self._carrier.close()
        self._printed.close()

    # -- what pages read ----------------------------------------------------------------------------------

    def news(self, since: int, board: str = "") -> bytes:
        """JSON: what is new since this change of this board, everything for another one."""
        told = news(self.board, since if board in ("", self.board.name) else 0, self._clock.now())
        told["watching"], told["said"] = self.watching, self.said
        return as_json(told)

    async def stream(self, since: int, board: str) -> AsyncIterator[bytes]:
        """server-sent events: what is new, until closing."""
        known = since if board == self.board.name else 0
        yield b"retry: 1000\n\n"
        while not self.closing.is_set():
            ring = self._news
            if known != self.board.change:
                known_now = self.board.change
                yield b"data: %b\n\n" % self.news(known, self.board.name)
                known = known_now
                await self._pause(self.closing, COALESCE)
            elif not await self._pause(ring, HEARTBEAT):
                yield b": still here\n\n"

    def output(self, row: int) -> dict[str, Any]:
        """Every attempt of a row in its last run."""
        if not 0 <= row < len(self.board.rows):
            raise LeukoError(
                "there is no such row", where=str(row), way_out="load the page again", code="T002"
            )
        return {"row": row, "attempts": [asdict(attempt) for attempt in self._printed.of(row)]}

    def failures(self) -> list[dict[str, str]]:
        """For a page without JavaScript."""
        failed = [row for row in self.board.rows if row.mark in (Mark.FAILED, Mark.BROKEN)]
        return [{"name": row.name, "where": self._where(row), "reason": row.reason} for row in failed[:SHOWN]]

    # -- inside ------------------------------------------------------------------------------------------

    def _where(self, row: Row) -> str:
        return self.board.files[row.file].path if row.file >= 0 else "set-up"

    def _wanted(self, rows: Sequence[int]) -> Wanted:
        cases = [case for row in rows if (case := self.board.case(row)) is not None]
        chosen = set(rows)
        files = {(case.suite, case.file) for case in cases}
        whole = frozenset(file for file in files if chosen.issuperset(self.board.in_file(*file)))
        return Wanted(tuple(cases), whole)

    async def _carry(self, wanted: Wanted) -> Ended:
        try:
            ended = await self._carrier.run(wanted, self._happened)
        except asyncio.CancelledError:
            ended = Ended(RunState.STOPPED, f"stopped: {self._stopped_by}" if self._stopped_by else "stopped")
        except LeukoError as error:
            ended = Ended(RunState.BROKEN, str(error).replace("\n ", ":"))
        except Exception as error:  # noqa: BLE001 - a fault of ours ends the run and not the page
            ended = Ended(RunState.BROKEN, f"a fault in Leuko itself: {type(error).__name__}: {error}")
        self.board.end(ended.state, self._clock.now(), ended.reason)
        self._ring()
        self.on_end(ended)
        return ended

    def _happened(self, event: VerifyEvent) -> None:
        before = self.board.run
        self.board.apply(event, self._clock.now())
        self._print(event, before)
        self._ring()

    def _print(self, event: VerifyEvent, _run: int) -> None:
        match event:
            case CaseEnded(result):
                self._keep(self.board.add(result.case), result)
            case NodeChanged() if event.state.ended:
                case = Case("", "", event.name)
                row = self.board.node(event.name)
                self._printed.forget(row)
                why = event.broken or event.reason
                self._keep(row, CaseResult(case, event.state, event.seconds, reason=why, output=event.output))
            case CaseBegan() | CaseFound() | NodeChanged():
                pass

    def _keep(self, row: int, result: CaseResult) -> None:
        if result.attempt <= 1:
            self._printed.forget(row)
        facts = (result.seconds, result.worker, result.broken or result.reason)
        try:
            self._printed.keep(row, result.attempt, result.state, facts, result.output)
        except OSError as error:  # the results count all the same
            self.said = f"What tests print cannot be kept: {error.strerror or error}."

    def _ring(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _pause(self, event: asyncio.Event, seconds: float) -> bool:
        """Waits for the event or the end of the session; False when neither came in time."""
        tasks = [asyncio.ensure_future(each.wait()) for each in {event, self.closing}]
        try:
            done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return bool(done)
        finally:
            for task in tasks:
                task.cancel()
