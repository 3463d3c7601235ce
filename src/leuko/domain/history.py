"""What each test did before: how long it takes, how it ended last, how often it was flaky."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from leuko.domain.case import Case, CaseState

NEWEST_WEIGHT = 0.3
"""Of the newest run in the expected seconds: a test that became slow is known as slow after a few builds."""
LEAST_FLAKE_RATE = 0.001
"""Nothing is held for safer. A rate held too high costs a few runs; too low, it convicts the wrong."""


@dataclass(frozen=True, slots=True)
class Past:
    """Of one test, over the builds that ended and were not broken.

    `failures` counts builds in which it failed on every attempt, `flakes` those in which it failed and then
    passed on another worker. `seconds` weighs the newest runs most; 0 where it never ran.
    """

    case: Case
    runs: int = 0
    failures: int = 0
    flakes: int = 0
    seconds: float = 0.0
    last_state: CaseState | None = None
    last_build: int = 0
    last_at: datetime | None = None
    last_failed_at: datetime | None = None
    last_flaked_at: datetime | None = None

    @property
    def flake_rate(self) -> float:
        """Part of its runs in which it was flaky; 0 where it never ran."""
        return self.flakes / self.runs if self.runs else 0.0

    def after(
        self, state: CaseState, seconds: float, build: int, at: datetime, *, flaky: bool = False
    ) -> Past:
        """With one more build. What did not end, or is of a build counted already, adds nothing."""
        if not state.ended or build <= self.last_build:
            return self
        seen = replace(self, last_state=state, last_build=build, last_at=at)
        if state is CaseState.SKIPPED:
            return seen
        failed = state is CaseState.FAILED
        return replace(
            seen,
            runs=self.runs + 1,
            failures=self.failures + failed,
            flakes=self.flakes + flaky,
            seconds=_weighed(self.seconds, seconds) if self.runs else seconds,
            last_failed_at=at if failed else self.last_failed_at,
            last_flaked_at=at if flaky else self.last_flaked_at,
        )


def _weighed(before: float, newest: float) -> float:
    return before + NEWEST_WEIGHT * (newest - before)


class History:
    """Of all tests of a line. What is not known is None, never 0."""

    def __init__(self, pasts: Iterable[Past] = ()) -> None:
        self._cases: Mapping[Case, Past] = {past.case: past for past in pasts}
        self._files: dict[tuple[str, str], list[Past]] = {}
        for past in self._cases.values():
            self._files.setdefault((past.case.suite, past.case.file), []).append(past)

    def __len__(self) -> int:
        return len(self._cases)

    def past(self, case: Case) -> Past | None:
        """All that is known of one test."""
        return self._cases.get(case)

    def seconds(self, case: Case) -> float | None:
        """How long it should take."""
        past = self._cases.get(case)
        return past.seconds if past is not None and past.runs else None

    def file_seconds(self, suite: str, file: str) -> float | None:
        """How long all tests of a file should take, one after the other."""
        known = [past.seconds for past in self._current(suite, file) if past.runs]
        return sum(known) if known else None

    def cases(self, suite: str, file: str) -> tuple[Case, ...]:
        """The tests that the file had when it last ran."""
        return tuple(past.case for past in self._current(suite, file))

    def failed_last(self, case: Case) -> bool:
        """True where its last run failed, or passed only on the second attempt."""
        past = self._cases.get(case)
        return past is not None and _failed_last(past)

    def file_failed_last(self, suite: str, file: str) -> bool:
        """True where a test of the file failed last."""
        return any(_failed_last(past) for past in self._current(suite, file))

    def flake_rate(self, case: Case) -> float:
        """A guess that leans to the high side, for those who weigh evidence: (flakes + 1) / (runs + 20)."""
        past = self._cases.get(case)
        flakes, runs = (past.flakes, past.runs) if past is not None else (0, 0)
        return max(LEAST_FLAKE_RATE, (flakes + 1) / (runs + 20))

    def _current(self, suite: str, file: str) -> list[Past]:
        """Without those that were in the file once: tests are renamed, and old names stay in the store."""
        known = self._files.get((suite, file), [])
        newest = max((past.last_build for past in known), default=0)
        return [past for past in known if past.last_build == newest]


def _failed_last(past: Past) -> bool:
    flaked = past.last_at is not None and past.last_flaked_at == past.last_at
    return past.last_state is CaseState.FAILED or flaked
