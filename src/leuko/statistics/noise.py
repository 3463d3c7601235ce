"""How readings wander by themselves: a mixture of memories, fitted to the history's autocovariance.

Real gauges have no single memory: a fast noise rides on a slow drift. What a mean of many ticks is worth, and
what a jump from one tick to the next is worth, are different questions, and one mixture answers both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leuko.statistics.question import Mask, Values

MEMORIES = (1.5, 4.0, 10.0, 25.0, 60.0, 150.0)
"""Ticks after which a component has forgotten all but a third."""
LAGS = np.array([0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96])
SMALLEST = 0.01
"""No gauge is believed to be quieter than this (deviation of the logarithm from tick to tick)."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Variances: of what has no memory, and of each component that has one."""

    white: float
    slow: tuple[float, ...]

    @property
    def variance(self) -> float:
        """Of one reading."""
        return self.white + sum(self.slow)

    def covariance(self, ticks: int) -> Values:
        """Of the components with memory, at lags 0 to `ticks`."""
        lags = np.arange(ticks + 1)
        found = np.zeros(ticks + 1)
        for variance, memory in zip(self.slow, MEMORIES, strict=True):
            if variance > 0:
                found += variance * np.exp(-lags / memory)
        return found

    def times(self, factor: float) -> Noise:
        """So many times the variance."""
        return Noise(self.white * factor, tuple(one * factor for one in self.slow))


def autocovariance(residuals: Values, lags: Values) -> Values:
    """Pooled over the columns; NaN where two readings so far apart are never both present."""
    present = ~np.isnan(residuals)
    whole = bool(present.all())
    filled = residuals if whole else np.where(present, residuals, 0.0)
    number = present.astype(np.float32)
    found = np.full(len(lags), np.nan)
    for index, lag in enumerate(int(one) for one in lags):
        if lag >= len(filled):
            break
        end = len(filled) - lag
        pairs = filled[:end].size if whole else float(np.vdot(number[:end], number[lag:]))
        if pairs > 0:
            found[index] = float(np.vdot(filled[:end], filled[lag:])) / pairs
    return found


def fitted(residuals: Values) -> Noise:
    """The mixture that explains the residuals' autocovariance best.

    Each column has lost its own mean, which makes slow components look smaller than they are: the same is
    done to the components before they are compared.
    """
    ticks = len(residuals)
    lags = LAGS[(max(1, ticks // 3) >= LAGS) | (LAGS == 0)]
    seen = autocovariance(residuals, lags)
    known = np.isfinite(seen)
    if not known.any() or seen[0] <= 0:
        return Noise(SMALLEST**2, (0.0,) * len(MEMORIES))
    memories = [memory for memory in MEMORIES if memory <= ticks / 2] or [MEMORIES[0]]
    columns = [np.where(lags == 0, 1.0, 0.0) - 1 / ticks]
    columns += [np.exp(-lags / memory) - _of_mean(memory, ticks) for memory in memories]
    weights = np.sqrt(np.maximum(ticks - lags, 1) / ticks / (1 + lags / 8))
    table = np.stack(columns, axis=1) * weights[:, None]
    white, *slow = nonnegative(table[known], (seen * weights)[known])
    padded = tuple(float(one) for one in slow) + (0.0,) * (len(MEMORIES) - len(slow))
    found = Noise(max(float(white), SMALLEST**2), padded)
    # the mixture may be no quieter than the readings were
    return found.times(max(1.0, float(seen[0]) / found.variance))


def _of_mean(memory: float, ticks: int) -> float:
    """Variance of the mean of so many ticks of one component of variance 1."""
    kept = float(np.exp(-1 / memory))
    return ((1 + kept) / (1 - kept) - 2 * kept * (1 - kept**ticks) / (ticks * (1 - kept) ** 2)) / ticks


def nonnegative(table: Values, wanted: Values) -> Values:
    """Least squares with no negative part (Lawson and Hanson's active set)."""
    size = table.shape[1]
    gram, target = table.T @ table, table.T @ wanted
    found: Values = np.zeros(size)
    used: Mask = np.zeros(size, dtype=np.bool_)
    for _ in range(3 * size):
        slope = target - gram @ found
        slope[used] = -np.inf
        best = int(np.argmax(slope))
        if slope[best] <= 1e-10 * max(1e-12, float(np.abs(target).max())):
            break
        used[best] = True
        found = _solved(gram, target, used, found)
        used = found > 0
    return found


def _solved(gram: Values, target: Values, used: Mask, found: Values) -> Values:
    used = used.copy()
    while used.any():
        wanted = np.zeros(len(found))
        ridge = 1e-9 * float(np.trace(gram)) * np.eye(int(used.sum()))
        wanted[used] = np.linalg.solve(gram[np.ix_(used, used)] + ridge, target[used])
        if (wanted[used] > 0).all():
            return wanted
        bad = used & (wanted <= 0)
        step = float(np.min(found[bad] / np.maximum(found[bad] - wanted[bad], 1e-300)))
        found = found + step * (wanted - found)
        used &= found > 1e-14
        used &= ~(bad & (found <= 1e-14))
        found = np.where(used, found, 0.0)
    return found
