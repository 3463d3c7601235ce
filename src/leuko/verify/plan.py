"""What a run of suites is asked for, and what it comes to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from leuko.config.verify import SetupNode, Suite
from leuko.domain.build import BuildState
from leuko.domain.case import Case, CaseResult, CaseState, NodeChanged
from leuko.domain.schedule import SMALLEST, Known, NothingKnown, Rank, Unit, divided, units

SELECTIVE = ("pytest", "unittest")
"""Runners that can run single tests of a file, and find all tests of it before they run one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`files` are those of each suite (leuko.verify.finding); `selection` says which tests to run of them.

    A selected case without a name is its whole file; None: everything. `touched` are files that the change
    touches, `quarantined` tests (as `str(case)`) whose failing holds up nobody. Times are seconds.
    """

    revision: str
    build: str
    suites: Mapping[str, Suite]
    files: Mapping[str, tuple[str, ...]]
    setup: tuple[SetupNode, ...] = ()
    known: Known = field(default_factory=NothingKnown)
    touched: Collection[str] = ()
    quarantined: Collection[str] = ()
    selection: Collection[Case] | None = None
    retry: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    smallest: float = SMALLEST
    """Expected work below which a batch is not worth its hand-out at this engine."""
    patience: float = 900.0
    """Without any worker for so long, the build is broken."""

    @property
    def wanted(self) -> Mapping[str, tuple[str, ...]]:
        """Files of each suite of which anything is to run."""
        if self.selection is None:
            return self.files
        asked = {(case.suite, case.file) for case in self.selection}
        chosen = {
            name: tuple(file for file in those if (name, file) in asked) for name, those in self.files.items()
        }
        return {name: those for name, those in chosen.items() if those}

    def units(self, workers: int) -> list[Unit]:
        """What is handed out, for so many workers."""
        selective = [name for name, suite in self.suites.items() if suite.runner in SELECTIVE]
        timeouts = {name: suite.timeout for name, suite in self.suites.items()}
        whole = units(self.wanted, self.known, timeouts, self.touched)
        if self.selection is None:
            return divided(whole, self.known, workers, selective)
        return [self._selected(unit) if unit.suite in selective else unit for unit in whole]

    def _selected(self, unit: Unit) -> Unit:
        assert self.selection is not None
        mine = [case for case in self.selection if (case.suite, case.file) == (unit.suite, unit.file)]
        if any(not case.name for case in mine):
            return unit
        seconds = [self.known.seconds(case) or 0.0 for case in mine]
        return Unit(
            unit.suite,
            unit.file,
            only=tuple(mine),
            expected=sum(seconds) or unit.expected,
            rank=min(unit.rank, Rank.TOUCHED),
            timeout=unit.timeout,
        )


@dataclass(frozen=True, slots=True)
class Verified:
    """What a run came to. `results` has the final result of each test.

    `flaky` failed on one worker and passed on another; `failures` has what their failing attempts printed,
    and the first attempts of those that failed twice.
    """

    state: BuildState
    reason: str = ""
    results: tuple[CaseResult, ...] = ()
    flaky: tuple[Case, ...] = ()
    failures: tuple[CaseResult, ...] = ()
    nodes: tuple[NodeChanged, ...] = ()
    warnings: tuple[str, ...] = ()


class Ledger:
    """The results of a run as they come in: which attempt counts, and what is flaky."""

    def __init__(self) -> None:
        self._results: dict[Case, CaseResult] = {}
        self._failures: dict[Case, CaseResult] = {}
        self._flaky: dict[Case, None] = {}

    @property
    def results(self) -> tuple[CaseResult, ...]:
        """Final as far as is known."""
        return tuple(self._results.values())

    @property
    def flaky(self) -> tuple[Case, ...]:
        """Tests that passed at one attempt and failed at the other."""
        return tuple(self._flaky)

    @property
    def failures(self) -> tuple[CaseResult, ...]:
        """Attempts that failed and do not stand as the test's result."""
        return tuple(self._failures.values())

    def of(self, case: Case) -> CaseResult | None:
        """What stands for a test."""
        return self._results.get(case)

    def record(self, result: CaseResult) -> bool:
        """Takes a result; False where another one goes on standing for the test."""
        before = self._results.get(result.case)
        if before is None:
            self._results[result.case] = result
            return True
        if result.attempt == before.attempt:
            return self._same_attempt(before, result)
        if before.attempt > result.attempt:
            return False
        return self._second_attempt(before, result)

    def _same_attempt(self, before: CaseResult, result: CaseResult) -> bool:
        """A file that was run again because its worker died: what failed once has failed."""
        if before.state is CaseState.FAILED and not before.broken:
            return False
        self._results[result.case] = result
        return True

    def _second_attempt(self, first: CaseResult, second: CaseResult) -> bool:
        if first.state is not CaseState.FAILED:  # it was run again because of another test of its file
            if second.state is CaseState.FAILED and not second.broken and first.state is CaseState.PASSED:
                self._flaky[second.case] = None
                self._failures[second.case] = second
            return False
        if second.state is CaseState.SKIPPED or (second.broken and not first.broken):
            return False  # neither says that it is good
        self._failures[first.case] = first
        self._results[second.case] = second
        if second.state is CaseState.PASSED and not first.broken:
            self._flaky[second.case] = None
        return True


def not_run(unit_list: Sequence[Unit], node: str) -> list[CaseResult]:
    """Results of files whose set-up did not pass: they say so."""
    return [
        CaseResult(Case(unit.suite, unit.file), CaseState.SKIPPED, reason=f'not run: "{node}" did not pass')
        for unit in unit_list
    ]
