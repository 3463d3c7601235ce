"""How far a run of tests is, and how long it still takes: from what each test was expected to take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

NEARLY = 0.95
"""A test that takes longer than expected stays at this part of it until it has ended."""
PRIOR = 5.0
"""Seconds of work that are taken to have gone as expected, before the pace of this run is believed."""
ENOUGH = 0.05
"""Where most durations are unknown, nothing is said about the time left before this part is done."""


@dataclass(slots=True)
class Progress:
    """Sums over the tests of one run, kept up to date test by test. All times are seconds."""

    began: float = 0.0
    ended: float | None = None
    workers: int = 1
    """The most tests that ran at one time so far."""
    known: float = 0.0
    known_done: float = 0.0
    took: float = 0.0
    """What the tests of `known_done` really took."""
    unknown: int = 0
    unknown_done: int = 0
    took_unknown: float = 0.0
    number: int = 0

    def ask(self, expected: float) -> None:
        """One test more to run; `expected` is 0 where nobody knows."""
        self.number += 1
        if expected > 0:
            self.known += expected
        else:
            self.unknown += 1

    def forget(self, expected: float) -> None:
        """One test less."""
        self.number -= 1
        if expected > 0:
            self.known -= expected
        else:
            self.unknown -= 1

    def done(self, expected: float, seconds: float, sign: int = 1) -> None:
        """A test of the run has ended; with sign -1 it runs once more after all."""
        if expected > 0:
            self.known_done += sign * expected
            self.took += sign * seconds
        else:
            self.unknown_done += sign
            self.took_unknown += sign * seconds

    def percent(self, running: Iterable[tuple[float, float]], now: float) -> float:
        """0 to 100. `running`: when each running test began, and its expected seconds (0: unknown)."""
        if self.number <= 0:
            return 0.0
        total = self._total()
        if total <= 0:
            return 100.0 * (self.unknown_done / self.number)
        return 100.0 * min(1.0, (self._done() + self._under_way(running, now)) / total)

    def left(self, running: Iterable[tuple[float, float]], now: float) -> float | None:
        """Seconds until the run ends; None where too little is known."""
        busy = list(running)
        total = self._total()
        if self.number <= 0 or total <= 0:
            return None
        done = self._done() + self._under_way(busy, now)
        if self.known < total / 2:
            part = done / total
            return (now - self.began) * (1 - part) / part if part >= ENOUGH else None
        pace = (self.took + PRIOR) / (self.known_done + PRIOR)
        longest = max((pace * expected - (now - began) for began, expected in busy if expected), default=0.0)
        return max(0.0, pace * (total - done) / max(1, self.workers), longest)

    def _mean(self) -> float:
        """What a test of unknown length is taken to need."""
        if self.unknown_done:
            return self.took_unknown / self.unknown_done
        counted = self.number - self.unknown
        return self.known / counted if counted > 0 else 1.0

    def _total(self) -> float:
        return self.known + self.unknown * self._mean()

    def _done(self) -> float:
        return self.known_done + self.unknown_done * self._mean()

    def _under_way(self, running: Iterable[tuple[float, float]], now: float) -> float:
        mean = self._mean()
        part = 0.0
        for began, expected in running:
            needs = expected or mean
            part += min(max(0.0, now - began), needs * NEARLY)
        return part
