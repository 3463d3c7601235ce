"""After a batch: whose fault is what did not go as it should, and what must run again. Pure.

A batch ends in one of four ways. Tests that told a result are done with. What is left is judged: the test
that was running when the command hung or crashed is to blame; where nobody can say, the batch is divided
until it can be said, and one file alone is to blame for what it does. A worker that died is nobody's fault,
unless the same test was running at three of them: then something is broken, which is neither red nor green.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from leuko.domain.case import Case, CaseBegan, CaseEnded, CaseEvent, CaseFound, CaseResult, CaseState
from leuko.domain.schedule import Rank, Unit

MOST_LOSSES = 3
"""Workers that may die while a test runs."""
NO_PROGRAM = (126, 127)
"""Exit codes of a shell that could not start a program."""
NO_TESTS = 5
"""Exit code of pytest, and of Python's unittest since 3.12, where there were none."""


class Ending(StrEnum):
    """How a batch ended."""

    EXIT = "exit"
    HUNG = "hung"
    CRASHED = "crashed"
    """By a signal that a program brings upon itself."""
    LOST = "lost"
    """The worker died, or something killed the command from outside."""


@dataclass(frozen=True, slots=True)
class End:
    """`reason` in words; `output` what was printed beside single tests."""

    ending: Ending
    worker: str
    exit_code: int | None = None
    reason: str = ""
    output: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class Seen:
    """What a batch told so far."""

    found: dict[Case, None] = field(default_factory=dict)
    running: dict[Case, None] = field(default_factory=dict)
    ended: dict[Case, CaseResult] = field(default_factory=dict)
    twice: dict[Case, None] = field(default_factory=dict)
    """Names that two tests of the batch have."""

    def take(self, event: CaseEvent) -> None:
        """One event more."""
        match event:
            case CaseFound(case):
                self.found[case] = None
            case CaseBegan(case):
                self.found[case] = self.running[case] = None
            case CaseEnded(result):
                self._end(result)

    def _end(self, result: CaseResult) -> None:
        case = result.case
        self.found[case] = None
        self.running.pop(case, None)
        before = self.ended.get(case)
        if before is not None:
            self.twice[case] = None
        if before is None or before.state is not CaseState.FAILED:
            self.ended[case] = result  # of two tests with one name, the one that failed counts

    def by_file(self) -> dict[str, tuple[list[Case], list[Case]]]:
        """Tests of each file: those that ended, and those that were found and did not."""
        files: dict[str, tuple[list[Case], list[Case]]] = {}
        for case in self.found:
            files.setdefault(case.file, ([], []))[case not in self.ended].append(case)
        return files


@dataclass(frozen=True, slots=True)
class Aftermath:
    """`results` that nobody told; units to run `again`; files in which there are no tests."""

    results: tuple[CaseResult, ...] = ()
    again: tuple[Unit, ...] = ()
    empty: tuple[str, ...] = ()


def aftermath(batch: Sequence[Unit], seen: Seen, end: End, *, selective: bool) -> Aftermath:
    """What follows. `selective`: the suite's runner can run single tests, and finds them all first."""
    one = _Judgement(batch, seen, end, selective)
    match end.ending:
        case Ending.EXIT:
            one.exited()
        case Ending.HUNG | Ending.CRASHED:
            one.stopped()
        case Ending.LOST:
            one.lost()
    return Aftermath(tuple(one.results), tuple(one.again), tuple(one.empty))


class _Judgement:
    """Of one batch."""

    def __init__(self, batch: Sequence[Unit], seen: Seen, end: End, selective: bool) -> None:
        self.batch, self.seen, self.end, self.selective = batch, seen, end, selective
        self._files = seen.by_file()
        self._units = {unit.file: unit for unit in reversed(batch)}
        self.results: list[CaseResult] = []
        self.again: list[Unit] = []
        self.empty: list[str] = []

    def _of(self, unit: Unit) -> tuple[list[Case], list[Case]]:
        return self._files.get(unit.file, ([], []))

    def exited(self) -> None:
        """By itself, with an exit code."""
        code = self.end.exit_code
        silent, unclear = [], []
        for unit in self.batch:
            ended, left = self._of(unit)
            if left:
                self._cut_short(unit, left)
            elif not ended:
                silent.append(unit)
            else:
                unclear.append(unit)
        if silent:
            self._said_nothing(silent)
        elif code != 0 and not self.results and not self._explained():
            self._blame(unclear, f"its tests passed, and yet the command ended with exit code {code}")

    def _cut_short(self, unit: Unit, left: list[Case]) -> None:
        """The command ended in the middle of a test, or never came to some."""
        how = f"the command ended with exit code {self.end.exit_code}"
        guilty = [case for case in left if case in self.seen.running]
        for case in guilty:
            self._fail(case, f"{how} while it ran", unit)
        rest = [case for case in left if case not in self.seen.running]
        if rest:
            self._no_turn(unit, rest, how, guilty=bool(guilty))

    def _no_turn(self, unit: Unit, rest: list[Case], how: str, *, guilty: bool) -> None:
        """Tests that were found and not run: they are run now, unless that was tried, or cannot help."""
        hopeless = guilty and not self.selective  # the whole file again would only end at the same place
        if hopeless or (unit.alone and not guilty):
            for case in rest:
                self._fail(case, f"had no turn: {how}", unit)
        else:
            self.again.append(self._rest(unit, rest))

    def _said_nothing(self, silent: list[Unit]) -> None:
        code = self.end.exit_code
        if code in NO_PROGRAM:
            for unit in silent:
                why = f"a program is not there or cannot be run (exit code {code})"
                self._broken(Case(unit.suite, unit.file), why, unit)
        elif code == 0 or (code == NO_TESTS and self.selective):
            self.empty += [unit.file for unit in silent if not unit.only]
        elif self._explained() and len(silent) < len(self.batch):
            # something else in the batch failed; that does not say that these were run
            self.again += _halves(silent)
        else:
            self._blame(silent, f"ended with exit code {code} before it told of any test")

    def _explained(self) -> bool:
        """True where a test that failed accounts for the exit code."""
        return any(one.state is CaseState.FAILED or one.broken for one in self.seen.ended.values())

    def stopped(self) -> None:
        """It hung, or crashed: the test that ran is to blame, and what had no turn goes elsewhere."""
        for case in self.seen.running:
            self._fail(case, self.end.reason, self._unit_of(case))
        known = bool(self.results) or self._explained()
        unclear = []
        for unit in self.batch:
            ended, left = self._of(unit)
            rest = [case for case in left if case not in self.seen.running]
            if rest:
                guilty = any(self._unit_of(case) is unit for case in self.seen.running)
                self._no_turn(unit, rest, f"its command {self.end.reason}", guilty=guilty)
            elif not ended and not left:
                unclear.append(unit)
        if known:
            self.again += [replace(unit, alone=unit.alone or len(unclear) == 1) for unit in unclear]
        elif not self.again:
            self._blame(unclear or list(self.batch), self.end.reason)
        else:
            self.again += unclear

    def lost(self) -> None:
        """Not the tests' fault: what had not ended goes elsewhere; a test that does this thrice is broken."""
        suspects = {self._unit_of(case) for case in self.seen.running}
        open_units = [unit for unit in self.batch if self._open(unit)]
        if not suspects and len(open_units) == 1:
            suspects = set(open_units)
        others = []
        for unit in open_units:
            _, left = self._of(unit)
            if unit not in suspects:
                others.append(self._rest(unit, left))
            elif unit.losses + 1 >= MOST_LOSSES:
                self._lost_too_often(unit, left)
            else:
                self.again.append(replace(self._rest(unit, left), losses=unit.losses + 1, alone=True))
        self.again += others if suspects else _halves(others)

    def _open(self, unit: Unit) -> bool:
        ended, left = self._of(unit)
        if not self.selective:
            return True  # its runner may tell of its tests as they end: nobody knows that these were all
        return bool(left) or not ended

    def _lost_too_often(self, unit: Unit, left: list[Case]) -> None:
        why = f"{MOST_LOSSES} workers died while it ran: {self.end.reason}"
        running = [case for case in left if case in self.seen.running] or [Case(unit.suite, unit.file)]
        for case in running:
            self._broken(case, why, unit)
        rest = [case for case in left if case not in running]
        if rest:
            self.again.append(self._rest(unit, rest))

    def _blame(self, units: list[Unit], reason: str) -> None:
        """One file alone is to blame; of several, each half is tried by itself."""
        if len(units) == 1:
            self._fail(Case(units[0].suite, units[0].file), reason, units[0])
        else:
            self.again += _halves(units)

    def _rest(self, unit: Unit, left: list[Case]) -> Unit:
        """What is left of a unit, where the runner can be told so; else all of it again."""
        if not self.selective or not left:
            return replace(unit, alone=unit.alone or not self.selective)
        ended, _ = self._of(unit)
        whole = len(ended) + len(left)
        expected = unit.expected * len(left) / whole
        return replace(unit, only=tuple(left), without=(), expected=expected, alone=True)

    def _unit_of(self, case: Case) -> Unit:
        return self._units.get(case.file, self.batch[0])

    def _fail(self, case: Case, reason: str, unit: Unit) -> None:
        self._add(CaseResult(case, CaseState.FAILED, attempt=unit.attempt, reason=reason))

    def _broken(self, case: Case, why: str, unit: Unit) -> None:
        self._add(CaseResult(case, CaseState.FAILED, attempt=unit.attempt, reason=why, broken=why))

    def _add(self, result: CaseResult) -> None:
        self.results.append(
            replace(result, worker=self.end.worker, output=self.end.output, seconds=self.end.seconds)
        )


def _halves(units: Sequence[Unit]) -> list[Unit]:
    """So that each half becomes a batch: the schedule keeps apart what differs in `group`."""
    middle = (len(units) + 1) // 2
    return [
        replace(unit, group=(*unit.group, index >= middle), rank=Rank.RETRY)
        for index, unit in enumerate(units)
    ]


def retries(results: Iterable[CaseResult], batch: Sequence[Unit], *, selective: bool) -> list[Unit]:
    """What is run once more elsewhere of what failed at its first attempt."""
    units = {(unit.suite, unit.file): unit for unit in batch}
    chosen: dict[tuple[str, str], list[CaseResult]] = {}
    for result in results:
        if result.state is CaseState.FAILED and result.attempt == 1:
            chosen.setdefault((result.case.suite, result.case.file), []).append(result)
    out = []
    for place, failed in chosen.items():
        whole = not selective or any(not one.case.name for one in failed)
        unit = units.get(place) or Unit(*place)
        out.append(
            replace(
                unit,
                only=() if whole else tuple(one.case for one in failed),
                without=(),
                attempt=2,
                rank=Rank.RETRY,
                alone=False,
                group=(),
                losses=0,
                expected=unit.expected if whole else sum(one.seconds for one in failed),
                avoid=unit.avoid | {one.worker for one in failed},
            )
        )
    return out
