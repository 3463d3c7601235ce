"""Ranges with a culprit or a flake in them, and who finds which: bisecting, bisecting with repeats, Leuko."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from leuko.statistics.culprit import Answer, History, Question, Run, look

N = 32
FLAKE_ONLY = 0.4
FLAKE = N + 1
"""Stands for "none of them"."""


@dataclass
class Range:
    """One red build: the culprit (FLAKE: none), and how often the test fails by chance."""

    culprit: int
    rate: float
    rng: np.random.Generator
    runs: int = 0

    def fails(self, version: int) -> bool:
        """One run of the test there."""
        self.runs += 1
        return version >= self.culprit or bool(self.rng.random() < self.rate)


@dataclass(frozen=True)
class Found:
    """What a searcher said (None: it cannot tell), after so many rounds."""

    culprit: int | None
    rounds: int


Searcher = Callable[[Range], Found]


def bisect(given: Range, repeats: int = 1, verify: bool = False) -> Found:
    """`git bisect run`: a version is bad where the test fails `repeats` times running."""
    runs = 0

    def bad(version: int) -> bool:
        nonlocal runs
        for _ in range(repeats):
            runs += 1
            if not given.fails(version):
                return False
        return True

    if verify and not bad(N):
        return Found(FLAKE, runs)
    low, high = 0, N
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if bad(middle) else (middle, high)
    return Found(high, runs)


def plain(given: Range) -> Found:
    """Each version once."""
    return bisect(given)


def careful(given: Range) -> Found:
    """The head is run again first, and everything up to three times."""
    return bisect(given, 3, verify=True)


def leuko(given: Range, history: int, workers: int = 1) -> Found:
    """Ours; the test has so many runs of history, in which it failed by chance as often as it does now."""
    flaked = int(given.rng.binomial(history, given.rate)) if history else 0
    runs: list[Run] = []
    rounds = 0
    while True:
        standing = look(Question(N, tuple(runs), history=History(flaked, history)), workers)
        if standing.answer is Answer.FLAKE:
            return Found(FLAKE, rounds)
        if standing.answer is Answer.CULPRIT:
            return Found(standing.culprits[0] if len(standing.culprits) == 1 else None, rounds)
        if standing.answer is not Answer.OPEN:
            return Found(0 if standing.answer is Answer.BEFORE else None, rounds)
        rounds += 1
        runs += [Run(version, given.fails(version)) for version in standing.next]


def measure(searcher: Searcher, rate: float, trials: int, seed: int) -> dict[str, float]:
    """Right, wrong and undecided answers, runs and rounds, over ranges of which 40 % hold no culprit."""
    rng = np.random.default_rng(seed)
    right = undecided = blamed = 0
    runs, rounds = [], []
    for _ in range(trials):
        culprit = FLAKE if rng.random() < FLAKE_ONLY else int(rng.integers(1, N + 1))
        given = Range(culprit, rate, np.random.default_rng(rng.integers(1 << 60)))
        found = searcher(given)
        right += found.culprit == culprit
        undecided += found.culprit is None
        blamed += found.culprit not in (None, culprit, FLAKE, 0)
        runs.append(given.runs)
        rounds.append(found.rounds)
    return {
        "right": right / trials,
        "undecided": undecided / trials,
        "wrong_person": blamed / trials,
        "runs": float(np.mean(runs)),
        "runs_p95": float(np.percentile(runs, 95)),
        "rounds": float(np.mean(rounds)),
        "trials": trials,
    }
