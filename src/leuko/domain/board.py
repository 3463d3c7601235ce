"""The state of all tests and set-up nodes of a checkout or a build: what RunTests and the build page show.

A board is told what happens, one event after the other, and answers with counts, progress and columns. Each
change has a number, so that a page asks for what is new since the last one that it knows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from leuko.domain.board_rows import MARKS, NODE, OPEN, Counts, FileOfTests, Mark, Row, RunState
from leuko.domain.case import (
    Case,
    CaseBegan,
    CaseEnded,
    CaseFound,
    CaseResult,
    CaseState,
    NodeChanged,
    VerifyEvent,
)
from leuko.domain.progress import Progress


def unknown(_case: Case) -> float:
    """No history: nobody knows how long a test takes."""
    return 0.0


class Board:
    """`name` tells this board from any other; `expect` gives the usual seconds of a test (0: unknown)."""

    def __init__(self, name: str, expect: Callable[[Case], float] = unknown) -> None:
        self.name = name
        self.change = 0
        self.run = 0
        self.state = RunState.IDLE
        self.reason = ""
        self.files: list[FileOfTests] = []
        self.rows: list[Row] = []
        self.progress = Progress()
        self._expect = expect
        self._file_ids: dict[tuple[str, str], int] = {}
        self._in_file: list[list[int]] = []
        self._node_rows: list[int] = []
        self._case_rows: dict[tuple[int, str], int] = {}
        self._changed: dict[int, int] = {}  # row -> change, the latest last
        self._marks: dict[Mark, int] = dict.fromkeys(Mark, 0)
        self._flaky = 0
        self._running: dict[int, None] = {}

    # -- what there is ---------------------------------------------------------------------------------

    def node(self, name: str) -> int:
        """The row of a set-up node, made where there is none."""
        return self._row(NODE, name)

    def file(self, suite: str, path: str, tags: Sequence[str] = ()) -> int:
        """The number of a file of tests, made where there is none."""
        found = self._file_ids.get((suite, path))
        if found is not None:
            return found
        self.change += 1
        self._file_ids[suite, path] = len(self.files)
        self.files.append(FileOfTests(suite, path, tuple(tags), self.change))
        self._in_file.append([])
        return len(self.files) - 1

    def add(self, case: Case, tags: Sequence[str] = ()) -> int:
        """The row of a test, made where there is none. `tags` count where its file is new."""
        row = self._row(self.file(case.suite, case.file, tags), case.name)
        if case.name:
            self._told_its_tests(self.rows[row].file)
        return row

    def remember(self, result: CaseResult, *, flaky: bool = False) -> None:
        """A result of an earlier session."""
        row = self.rows[self.add(result.case)]
        row.seconds, row.reason, row.worker = result.seconds, result.reason, result.worker
        row.remembered = True
        self._flag(row, flaky=flaky)
        self._mark(row, Mark.BROKEN if result.broken else MARKS[result.state])

    def replace(self, suite: str, path: str, names: Iterable[str]) -> None:
        """The file has these tests and no others (an empty list: it is gone)."""
        index = self.file(suite, path)
        wanted = list(names)
        keep = {self._row(index, name) for name in wanted}
        for row in self._in_file[index]:
            if row not in keep and self.rows[row].mark not in OPEN:
                self._mark(self.rows[row], Mark.GONE)
        for row in keep:
            if self.rows[row].mark is Mark.GONE:
                self._mark(self.rows[row], Mark.LISTED)

    def case(self, row: int) -> Case | None:
        """The test of a row; None for a set-up node."""
        found = self.rows[row]
        if found.file == NODE:
            return None
        file = self.files[found.file]
        return Case(file.suite, file.path, found.name)

    def usual(self, case: Case) -> float:
        """Seconds that a test takes, as far as is known; else 0."""
        index = self._file_ids.get((case.suite, case.file))
        found = None if index is None else self._case_rows.get((index, case.name))
        return 0.0 if found is None else self.rows[found].usual

    def in_file(self, suite: str, path: str) -> tuple[int, ...]:
        """Rows of a file, without those that are gone."""
        index = self._file_ids.get((suite, path))
        if index is None:
            return ()
        return tuple(row for row in self._in_file[index] if self.rows[row].mark is not Mark.GONE)

    # -- what happens ----------------------------------------------------------------------------------

    def begin(self, rows: Iterable[int], at: datetime, nodes: Sequence[str] = ()) -> None:
        """A run of these tests starts, after these set-up nodes."""
        self.run += 1
        self.change += 1
        self.state, self.reason = RunState.RUNNING, ""
        self.progress = Progress(began=at.timestamp())
        for name in nodes:
            self._ask(self.rows[self.node(name)])
        for row in rows:
            self._ask(self.rows[row])

    def apply(self, event: VerifyEvent, at: datetime) -> None:
        """One thing more has happened."""
        match event:
            case CaseFound(case):
                self._found(case, only_told=True)
            case CaseBegan(case, worker):
                self._began(self.rows[self._found(case)], worker, at)
            case CaseEnded(result):
                self._ended(self.rows[self._found(result.case)], result)
            case NodeChanged():
                self._node(self.rows[self.node(event.name)], event, at)

    def end(self, state: RunState, at: datetime, reason: str = "") -> None:
        """The run is over. What had no turn is as it was before."""
        self.change += 1
        self.state, self.reason = state, reason
        self.progress.ended = at.timestamp()
        told = {row.file for row in self.rows if row.run == self.run and row.ended}
        for row in self.rows:
            if row.mark not in OPEN:
                continue
            if row.mark is Mark.RUNNING:
                row.reason = "stopped while it ran"
                self._mark(row, Mark.LISTED)
            elif state in (RunState.PASSED, RunState.FAILED) and row.file in told and not row.failed_before:
                self._mark(row, Mark.GONE)  # its file ran and did not know it any more
            else:
                self._mark(row, row.before)

    # -- what it comes to ------------------------------------------------------------------------------

    def counts(self) -> Counts:
        """Of all tests on the board."""
        marks = dict(self._marks)
        for row in self._nodes():
            marks[row.mark] -= 1
        return Counts(
            all=sum(number for mark, number in marks.items() if mark is not Mark.GONE),
            passed=marks[Mark.PASSED],
            failed=marks[Mark.FAILED],
            running=marks[Mark.RUNNING],
            skipped=marks[Mark.SKIPPED],
            waiting=marks[Mark.WAITING],
            broken=marks[Mark.BROKEN],
            listed=marks[Mark.LISTED],
            flaky=self._flaky,
        )

    def percent(self, at: datetime) -> float:
        """How much of the run is done, by expected time: 0 to 100."""
        if self.state not in (RunState.RUNNING, RunState.IDLE, RunState.STOPPED):
            return 100.0
        return self.progress.percent(self._busy(), at.timestamp())

    def seconds_left(self, at: datetime) -> float | None:
        """Until the run ends; None where nothing runs or too little is known."""
        if self.state is not RunState.RUNNING:
            return None
        return self.progress.left(self._busy(), at.timestamp())

    def since(self, change: int) -> Iterator[Row]:
        """Rows that changed after this number, the latest first."""
        for row, number in reversed(self._changed.items()):
            if number <= change:
                return
            yield self.rows[row]

    def first_new(self, change: int) -> tuple[int, int]:
        """The first file and the first row that came after this number."""
        return (
            bisect_right(self.files, change, key=lambda file: file.born),
            bisect_right(self.rows, change, key=lambda row: row.born),
        )

    # -- inside ----------------------------------------------------------------------------------------

    def _nodes(self) -> Iterator[Row]:
        return (self.rows[row] for row in self._node_rows)

    def _busy(self) -> list[tuple[float, float]]:
        return [(self.rows[row].began, self.rows[row].counted) for row in self._running]

    def _row(self, file: int, name: str) -> int:
        found = self._case_rows.get((file, name))
        if found is not None:
            return found
        self.change += 1
        row = Row(len(self.rows), file, name, born=self.change)
        self.rows.append(row)
        self._case_rows[file, name] = row.id
        if file == NODE:
            self._node_rows.append(row.id)
        else:
            self._in_file[file].append(row.id)
            of = self.files[file]
            row.expected = max(0.0, self._expect(Case(of.suite, of.path, name)))
        self._marks[row.mark] += 1
        self._changed[row.id] = self.change
        return row.id

    def _told_its_tests(self, file: int) -> None:
        """The row of the file as a whole goes, unless it has a result of its own in this run."""
        whole = self._case_rows.get((file, ""))
        if whole is None:
            return
        row = self.rows[whole]
        if row.mark is not Mark.GONE and not (row.ended and row.run == self.run and self.run):
            self._leave(row)
            self._mark(row, Mark.GONE)

    def _found(self, case: Case, *, only_told: bool = False) -> int:
        """`only_told`: nothing happened to it, so a file whose tests are known is no row beside them."""
        row = self.rows[self.add(case)]
        if (
            only_told
            and not case.name
            and len(self.in_file(case.suite, case.file)) > (row.mark is not Mark.GONE)
        ):
            self._told_its_tests(row.file)
            if row.mark is Mark.GONE or row.born == self.change:
                return row.id
        if self.state is RunState.RUNNING and row.run != self.run:
            self._ask(row)
        return row.id

    def _ask(self, row: Row) -> None:
        """It belongs to the run, and waits."""
        if row.run == self.run:
            return
        row.run, row.failed_before, row.attempt = self.run, False, 1
        row.before = row.mark if row.mark is not Mark.GONE else Mark.LISTED
        self._flag(row, flaky=False)
        row.counted = row.usual
        self.progress.ask(row.counted)
        self._mark(row, Mark.WAITING)

    def _leave(self, row: Row) -> None:
        if row.run == self.run and self.run and not row.ended:
            self.progress.forget(row.counted)
            row.run = 0

    def _began(self, row: Row, worker: str, at: datetime) -> None:
        if row.ended and row.run == self.run:
            self.progress.done(row.counted, row.seconds, -1)
            row.failed_before = row.failed_before or row.mark is Mark.FAILED
        row.began, row.worker, row.reason, row.size = at.timestamp(), worker, "", 0
        row.remembered = False
        self._flag(row, flaky=False)
        self._mark(row, Mark.RUNNING)
        self.progress.workers = max(self.progress.workers, len(self._running))

    def _ended(self, row: Row, result: CaseResult) -> None:
        mark = Mark.BROKEN if result.broken else MARKS[result.state]
        if row.ended and row.run == self.run:
            if row.mark is Mark.FAILED and result.attempt == row.attempt:
                return  # two tests of one name: the one that failed counts
            self.progress.done(row.counted, row.seconds, -1)
            row.failed_before = row.failed_before or row.mark is Mark.FAILED
        row.seconds, row.reason = result.seconds, result.broken or result.reason
        row.worker, row.attempt, row.size = result.worker, result.attempt, len(result.output)
        row.remembered = False
        if mark in OPEN:
            self._mark(row, mark)
            return
        if row.run == self.run:
            self.progress.done(row.counted, row.seconds)
        self._flag(row, flaky=mark is Mark.PASSED and row.failed_before)
        self._mark(row, mark)

    def _node(self, row: Row, event: NodeChanged, at: datetime) -> None:
        if self.state is RunState.RUNNING:
            self._ask(row)
        if event.state is CaseState.RUNNING:
            self._began(row, "", at)
            return
        if event.state is CaseState.WAITING:
            self._mark(row, Mark.WAITING)
            return
        case = Case("", "", event.name)
        self._ended(
            row,
            CaseResult(
                case,
                event.state,
                event.seconds,
                reason=event.reason,
                output=event.output,
                broken=event.broken,
            ),
        )

    def _flag(self, row: Row, *, flaky: bool) -> None:
        self._flaky += flaky - row.flaky
        row.flaky = flaky

    def _mark(self, row: Row, mark: Mark) -> None:
        self._marks[row.mark] -= 1
        self._marks[mark] += 1
        if row.mark is Mark.RUNNING:
            self._running.pop(row.id, None)
        row.mark = mark
        if mark is Mark.RUNNING:
            self._running[row.id] = None
        if mark is Mark.GONE:
            self._flag(row, flaky=False)
        self.change += 1
        self._changed.pop(row.id, None)
        self._changed[row.id] = self.change
