"""Which of several commits moved a number that is measured with noise.

A step between the versions before the commit and those from it on, or no step at all: one hypothesis each,
compared by their marginal likelihood with the two levels and the noise unknown. Only steps in the direction
that was asked about count. The ends are measured first, in turn, until a step between them is settled one way
or the other; then versions in between, where a value tells most, until one commit has the probability asked
for and it and its parent were measured more than once.

The noise is that of repeated runs. What changes from build to build without meaning (the layout of memory,
the order of linking) looks like a small step: `least` is for that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from leuko.statistics.culprit import likely
from leuko.statistics.student import log_student

Floats = NDArray[np.float64]

NONE = 0.3
"""Probability before any measurement that none of the commits moved it."""
CERTAIN = 0.95
MOST_RUNS = 80
FIRST = 3
"""Measurements of each end before anything is said."""
ENDS = 12
"""Measurements of each end, at most, before a step between them is given up."""
TWICE = 2
SPREADS: Floats = np.array([1.0, 10.0, 100.0, 1e3, 1e4, 1e6])
"""Squares of step over noise that are thought possible, each as likely as the next."""
RESOLUTION = 1e-6
"""Differences below this part of the level are none: a size in bytes has no noise at all."""


class MetricAnswer(StrEnum):
    """OPEN: it goes on. NONE: no step. UNCLEAR: the noise is too large for the runs there were."""

    OPEN = "open"
    CULPRIT = "culprit"
    NONE = "none"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value of the number at a version."""

    version: int
    value: float


@dataclass(frozen=True)
class MetricQuestion:
    """A search as it stands. Versions are numbered as in `culprit.Question`; `rises`: up is worse.

    `least` is the smallest step that matters, as a part of the level before it: 0.02 for 2 %.
    """

    versions: int
    values: Sequence[Measurement] = ()
    rises: bool = True
    weights: Sequence[float] = ()
    untestable: frozenset[int] = frozenset()
    least: float = 0.0
    certain: float = CERTAIN
    most_runs: int = MOST_RUNS

    @cached_property
    def places(self) -> tuple[int, ...]:
        """Versions that can be measured, ascending."""
        return tuple(v for v in range(self.versions + 1) if v not in self.untestable)

    def at(self, version: int) -> Floats:
        """Values at a version."""
        return np.array([one.value for one in self.values if one.version == version], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class MetricStanding:
    """What is believed. `changes` is the probability of each commit, `none` of no step; they sum to 1.

    `before` and `after` are the levels on both sides of the likeliest step, `noise` the standard deviation of
    one measurement; NaN where too little was measured.
    """

    answer: MetricAnswer
    changes: Floats
    none: float
    before: float
    after: float
    noise: float
    culprits: tuple[int, ...] = ()
    next: tuple[int, ...] = ()

    @property
    def visible(self) -> float:
        """About the smallest step between the ends that would have shown, after `ENDS` values of each."""
        return 4.0 * self.noise * math.sqrt(2.0 / ENDS)

    @property
    def certainty(self) -> float:
        """Probability of the answer."""
        if self.answer is MetricAnswer.NONE:
            return self.none
        return float(sum(self.changes[version - 1] for version in self.culprits))


def look(question: MetricQuestion, workers: int = 1) -> MetricStanding:
    """What the values say, and which versions to measure next on so many workers."""
    changes, none = _posterior(question)
    best = _groups(question)[_best_group(question, changes)]
    before, after, noise = _levels(question, best[-1])
    leads = float(changes[best[0] - 1 : best[-1]].sum()) >= question.certain
    needed = _unconfirmed(question, best) if leads else []
    answer = _answer(question, none, abs(after - before) < question.least * abs(before))
    culprits: tuple[int, ...] = tuple(best) if leads else ()
    measure: Sequence[int] = ()
    if answer is MetricAnswer.UNCLEAR:
        culprits = likely(changes)
    elif answer is MetricAnswer.NONE:
        culprits = ()
    elif answer is MetricAnswer.CULPRIT and (needed or not leads):
        answer, measure = MetricAnswer.OPEN, needed or _between(question, changes, workers)
    elif answer is MetricAnswer.OPEN:
        culprits, measure = (), _ends(question, workers)
    return MetricStanding(answer, changes, none, before, after, noise, culprits, tuple(measure)[:workers])


def _answer(question: MetricQuestion, none: float, too_small: bool) -> MetricAnswer:
    """Whether there is a step at all; OPEN: the ends say too little; CULPRIT: there is one, somewhere."""
    first, last = question.places[0], question.places[-1]
    ends = min(question.at(first).size, question.at(last).size)
    settled = 1 - none >= question.certain
    if ends < FIRST:
        return MetricAnswer.OPEN
    if none >= question.certain or (settled and too_small) or (ends >= ENDS and not settled and none >= 0.5):
        return MetricAnswer.NONE
    if len(question.values) >= question.most_runs or (not settled and ends >= ENDS):
        return MetricAnswer.UNCLEAR
    return MetricAnswer.CULPRIT if settled else MetricAnswer.OPEN


def _groups(question: MetricQuestion) -> list[range]:
    places = question.places
    return [range(low + 1, high + 1) for low, high in pairwise(places)]


def _best_group(question: MetricQuestion, changes: Floats) -> int:
    return int(np.argmax([changes[group[0] - 1 : group[-1]].sum() for group in _groups(question)]))


def _posterior(question: MetricQuestion) -> tuple[Floats, float]:
    """Probability of a step at each version, and of none. With too few values it is what it was before."""
    n = question.versions
    given = np.asarray(question.weights, dtype=np.float64) if question.weights else np.ones(n)
    given = np.where(np.isfinite(given) & (given > 0), given, 0.0)
    shares = given / given.sum() if given.sum() > 0 else np.full(n, 1.0 / n)
    shares = np.maximum(shares, 0.1 / n)
    prior = (1 - NONE) * shares / shares.sum()
    versions = np.array([one.version for one in question.values])
    values = np.array([one.value for one in question.values], dtype=np.float64)
    if values.size < TWICE + 1 or np.unique(versions).size < TWICE:
        return prior, NONE
    steps = np.array([group[-1] for group in _groups(question)])
    logs = _likelihoods(versions, values if question.rises else -values, steps)
    of_changes = np.empty(n)
    for log, group in zip(logs, _groups(question), strict=True):
        of_changes[group[0] - 1 : group[-1]] = log
    joint = np.append(np.log(prior) + of_changes, math.log(NONE))
    joint = np.exp(joint - joint.max())
    joint /= joint.sum()
    return joint[:-1], float(joint[-1])


def _likelihoods(versions: NDArray[np.int64], values: Floats, steps: NDArray[np.int64]) -> Floats:
    """Log of how much better a rise at each of `steps` explains the values than no step, [steps].

    Levels are unknown and flat, the noise scale-free, the step normal with a spread of one of SPREADS times
    the noise; its sign is upwards.
    """
    n = values.size
    centred = values - values.mean()
    x = (versions[None, :] >= steps[:, None]).astype(np.float64)
    x -= x.mean(axis=1, keepdims=True)
    floor = n * (RESOLUTION * max(1e-100, float(np.abs(values).max()))) ** 2
    syy = float((centred**2).sum()) + floor
    sxx, sxy = (x**2).sum(axis=1)[:, None], (x @ centred)[:, None]
    spread = SPREADS[None, :]
    shrunk = spread / (1 + spread * sxx)
    left = np.maximum(syy - shrunk * sxy**2, floor)
    log = -0.5 * np.log1p(spread * sxx) - 0.5 * (n - 1) * (np.log(left) - math.log(syy))
    t = shrunk * sxy / np.sqrt(left / (n - 1) * shrunk)
    log += math.log(2.0) + log_student(t, n - 1)
    top = log.max(axis=1, keepdims=True)
    found: Floats = (top + np.log(np.exp(log - top).mean(axis=1, keepdims=True)))[:, 0]
    return found


def _levels(question: MetricQuestion, step: int) -> tuple[float, float, float]:
    """Mean before the step, mean from it on, and the deviation of one value around them."""
    low = np.array([one.value for one in question.values if one.version < step])
    high = np.array([one.value for one in question.values if one.version >= step])
    if not low.size or not high.size or low.size + high.size <= TWICE:
        return math.nan, math.nan, math.nan
    squares = float(((low - low.mean()) ** 2).sum() + ((high - high.mean()) ** 2).sum())
    return float(low.mean()), float(high.mean()), math.sqrt(squares / (low.size + high.size - 2))


def _ends(question: MetricQuestion, workers: int) -> list[int]:
    """First and last in turn, the one measured less often first."""
    first, last = question.places[0], question.places[-1]
    counts = {first: question.at(first).size, last: question.at(last).size}
    chosen: list[int] = []
    for _ in range(max(1, workers)):
        least = min((first, last), key=lambda version: counts[version])
        counts[least] += 1
        chosen.append(least)
    return chosen


def _unconfirmed(question: MetricQuestion, group: range) -> list[int]:
    """A culprit and its parent are measured at least twice each."""
    needed: list[int] = []
    for version in (group[0] - 1, group[-1]):
        needed += [version] * (TWICE - min(TWICE, question.at(version).size))
    return needed


def _between(question: MetricQuestion, changes: Floats, workers: int) -> list[int]:
    """Versions that split what is believed into equal parts; both sides of the commit once it stands out."""
    places = question.places
    groups = _groups(question)
    of_groups = np.array([changes[group[0] - 1 : group[-1]].sum() for group in groups])
    below = np.concatenate([[0.0], np.cumsum(of_groups)]) / of_groups.sum()
    chosen: list[int] = []
    for part in range(1, workers + 1):
        distance = np.abs(below - part / (workers + 1))
        tried = [question.at(place).size + chosen.count(place) for place in places]
        order = np.lexsort((tried, np.round(distance, 3)))
        near = [places[int(index)] for index in order[:2]]
        fresh = min(near, key=lambda place: question.at(place).size + 3 * chosen.count(place))
        # where both are equally near, as around one commit that leads, the one measured less often
        even = abs(float(distance[order[0]]) - float(distance[order[1]])) < 0.4
        chosen.append(fresh if even else near[0])
    return chosen
