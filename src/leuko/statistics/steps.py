"""Did the series of a group step, creep or climb after the switch? Asked at each tick of a linear model.

History and watch are one Gaussian series: an unknown level, the noise that history shows, and, after the
switch, what a healthy switch may do (a warm-up that fades, a small lasting change). The evidence at a tick
is the likelihood of all readings so far with a change added, over the likelihood without. Both contain every
unknown, integrated out, so that what is not known never looks like a change.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from leuko.statistics.clocks import log_mean_exp
from leuko.statistics.noise import Noise
from leuko.statistics.question import Values

LEVEL = 4.0
"""Variance of a level about which nothing is known."""
STANDING = 0.4
"""Part of a size that the latest readings must show for it to count."""
BEYOND = 3.0
"""Deviations beyond what a size predicts that a tick may speak for it."""
ALONE = 12
"""Ticks before the watch that are conditioned on one by one; older ones in blocks of as many."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A way to change: its course over the watch (1 is the full size) and its part of the bet."""

    course: Values
    weight: float


@dataclass(frozen=True, eq=False)
class Model:
    """What is known of a series before the watch says anything.

    `scale` multiplies the noise with memory (variance of the group's mean over a host's), `white` is the
    memoryless variance of each tick; `nuisances` are courses over the watch with their variances.
    """

    noise: Noise
    scale: float
    before: Values
    """Begin and end of what is conditioned on, [blocks, 2]; the watch's first tick is 0."""
    before_white: Values
    ticks: int
    white: Values
    scales: Values
    """Of each watch tick's noise with memory, beside `scale`: more where hosts are absent."""
    nuisances: tuple[tuple[Values, float], ...] = ()
    trend: float = 0.0
    """Variance of what the series may rise or fall by over a watch, before and after alike."""

    @cached_property
    def whitening(self) -> Values:
        """Inverse of the covariance's triangular root, over history blocks and watch ticks."""
        begin = np.concatenate([self.before[:, 0], np.arange(self.ticks)]).astype(np.intp)
        end = np.concatenate([self.before[:, 1], np.arange(self.ticks) + 1]).astype(np.intp)
        length = (end - begin).astype(np.float64)
        sizes = np.concatenate([np.ones(len(self.before)), np.sqrt(self.scales)]) / length
        span = int(end.max() - begin.min()) + 1
        twice = _summed_twice(self.noise.covariance(span))
        shared = (
            twice[np.abs(end[:, None] - begin[None, :])]
            - twice[np.abs(begin[:, None] - begin[None, :])]
            - twice[np.abs(end[:, None] - end[None, :])]
            + twice[np.abs(begin[:, None] - end[None, :])]
        )
        found = self.scale * shared * sizes[:, None] * sizes[None, :] + LEVEL
        diagonal = np.concatenate([self.before_white / length[: len(self.before)], self.white])
        found[np.diag_indices_from(found)] += np.maximum(diagonal, 1e-9)
        middles = (begin + end) / 2 / self.ticks
        if self.trend:
            found += self.trend * np.outer(middles, middles)
        first = len(self.before)
        if self.nuisances:
            courses = np.stack([course * np.sqrt(variance) for course, variance in self.nuisances])
            found[first:, first:] += courses.T @ courses
        return np.asarray(np.linalg.inv(np.linalg.cholesky(found)))

    def surprises(self, before: Values, watch: Values) -> Values:
        """What each watch tick says beyond what all before it predicted, in deviations: [ticks(, series)]."""
        first = len(self.before)
        ticks = len(watch)
        whitening = self.whitening[first : first + ticks]
        return np.asarray(
            whitening[:, :first] @ before + whitening[:, first : first + ticks] @ np.nan_to_num(watch)
        )

    def course(self, shape: Values) -> Values:
        """The same of a change of that course."""
        first = len(self.before)
        return np.asarray(self.whitening[first:, first:] @ shape)


def _summed_twice(covariance: Values) -> Values:
    """D with D(n+1) - 2 D(n) + D(n-1) = covariance(n): sums over blocks are four of its values."""
    steps = np.concatenate([[covariance[0] / 2], covariance[1:]])
    return np.concatenate([[0.0], np.cumsum(np.cumsum(steps))])


def blocks(ticks: int, gap: int) -> Values:
    """Begin and end of the history's blocks, the watch's first tick being 0; the last are single ticks."""
    ends = [-gap - index for index in range(min(ALONE, ticks))]
    found = [(end - 1, end) for end in ends]
    left, end = ticks - len(found), -gap - len(found)
    while left > 0:
        length = min(ALONE, left)
        if length >= ALONE // 2 or len(found) < ALONE:
            found.append((end - length, end))
        left, end = left - length, end - length
    return np.array(found[::-1], dtype=np.float64).reshape(-1, 2)


def means(series: Values, spans: Values, start: int) -> tuple[Values, Values]:
    """Mean of each block of a series [ticks(, series)] whose index `start` is the watch's first tick.

    And whether at least half of it is there.
    """
    begin, end = (start + spans.astype(np.intp)).T
    present = ~np.isnan(series)
    none = np.zeros((1, *series.shape[1:]))
    total = np.concatenate([none, np.cumsum(np.where(present, series, 0.0), axis=0)])
    number = np.concatenate([none, np.cumsum(present, axis=0)])
    some = number[end] - number[begin]
    length = (end - begin).reshape(-1, *(1,) * (series.ndim - 1))
    return (total[end] - total[begin]) / np.maximum(some, 1), 2 * some >= length


@dataclass(frozen=True, slots=True)
class Bet:
    """What is looked for: sizes (factors above the margin) and the ways to change."""

    margin: float
    sizes: tuple[float, ...]
    likely: tuple[float, ...]
    shapes: tuple[Shape, ...]
    patience: float
    """How much a tick may add to the log of the evidence, more for larger sizes: small means many ticks."""


def evidence(model: Model, surprises: Values, recent: Values, bet: Bet) -> Values:
    """Log of the e-value at every tick: [ticks(, series)]; the bad direction is up.

    A size counts while the `recent` level still shows a good part of it: what went away is no change.
    """
    margin = float(np.log(bet.margin))
    ticks = len(surprises)
    if not ticks:
        return np.zeros(surprises.shape)
    sizes = np.log(np.array(bet.sizes))
    # axes: ways to change, sizes, ticks, series
    own = np.stack([model.course(shape.course)[:ticks] for shape in bet.shapes])
    own = own.reshape(len(own), 1, ticks, *(1,) * (surprises.ndim - 1))
    size = sizes.reshape(1, -1, *(1,) * surprises.ndim)
    # a reading far beyond what a size predicts speaks for another size, or is garbage: not for this one
    gained = np.minimum(own * (surprises - margin * own), np.abs(own) * (size * np.abs(own) + BEYOND))
    total = np.cumsum(size * gained - size**2 * own**2 / 2, axis=2)
    risen = (
        bet.patience * (1 + 1.4 * size) * np.arange(1, ticks + 1).reshape(-1, *(1,) * (surprises.ndim - 1))
    )
    # rising by no more than that in a tick: a spike is over before it weighs much
    held = np.minimum(np.minimum.accumulate(total - risen, axis=2), 0.0) + risen
    held = np.where(recent > margin + STANDING * size, held, np.minimum(held, 0.0))
    parts = np.array([shape.weight for shape in bet.shapes])
    weights = np.outer(parts / parts.sum(), bet.likely).reshape(-1, *(1,) * surprises.ndim)
    return log_mean_exp(held.reshape(-1, *surprises.shape), weights, axis=0)


def visible(model: Model, bet: Bet, threshold: float) -> float:
    """The smallest lasting change, as a factor, that the whole watch would have shown; infinite: none."""
    sizes = np.log(np.array(bet.sizes))
    shape = bet.shapes[0]
    weighed = sum(one.weight for one in bet.shapes)
    known = float((model.course(shape.course) ** 2).sum())
    if known <= 0:
        return float("inf")
    wanted = threshold - np.log(shape.weight / weighed * np.array(bet.likely))
    needed = float(np.min((wanted / known + sizes**2 / 2) / sizes))
    return float(np.exp(min(needed, 20.0)) * bet.margin)
