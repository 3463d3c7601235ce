"""Slope and guard: Theil-Sen, and the Mann-Kendall test with its variance corrected for autocorrelation.

Theil and Sen: the median of the slopes of all pairs; a quarter of the readings may be wild. Mann and Kendall:
do later values tend to be greater? Hamed and Rao (1998): readings that resemble their neighbours are worth
less than their number says, so the variance grows with the autocorrelation of the ranks of what the slope
leaves. Readings a day's wave has been taken out of are what belongs in here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leuko.statistics.question import Values

SIGNIFICANT = 1.96
"""Autocorrelations count from here on, in deviations of white noise (Hamed and Rao: 5 %)."""
FEWEST = 8
"""Readings below which nothing is tested."""
MAD = 1.4826
"""Deviation of a normal noise over its median absolute deviation."""
TAKEN = 3.0
"""Readings' worth by which a first autocorrelation is too small: Kendall's 1, and slope and wave."""
MEMORY = 48
"""Hours of a stretch that autocorrelation is learned from."""
APART = 0.5
"""Average hours between two readings below which they make no slope: where nothing is served, nothing is."""
FEWEST_WORTH = 4.0
"""However much readings resemble their neighbours, they are taken for worth this many."""


@dataclass(frozen=True, slots=True)
class Guard:
    """The test's answer. `evidence` is a normal deviate: what the small effective number leaves of `z`."""

    slope: float
    low: float
    high: float
    z: float
    inflation: float
    effective: float
    evidence: float


@dataclass(frozen=True, slots=True)
class Habit:
    """How a gauge wanders by itself, learned from all readings in sight: short ones do not show it.

    Inflation by autocorrelation, size of the noise, and how many readings it was learned from.
    """

    inflation: float
    size: float
    sight: float


UNKNOWN = Habit(1.0, 0.0, 0.0)
NOTHING = Guard(0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0)


def pair_slopes(values: Values, times: Values, *, least: float = 0.0) -> Values:
    """Slopes of all pairs of readings at least so far apart, unsorted; absent readings make none."""
    there = ~np.isnan(values)
    y, x = values[there], times[there]
    first, second = np.triu_indices(len(y), 1)
    apart = x[second] - x[first]
    far = apart > least
    return np.asarray((y[second] - y[first])[far] / apart[far])


def theil_sen(values: Values, times: Values) -> float:
    """Median of the slopes of all pairs; NaN where there is no pair."""
    slopes = pair_slopes(values, times)
    return float(np.median(slopes)) if len(slopes) else float("nan")


def kendall_s(values: Values) -> float:
    """Pairs that rise less pairs that fall."""
    y = values[~np.isnan(values)]
    return float(np.triu(np.sign(y[None, :] - y[:, None]), 1).sum())


def variance_of_s(values: Values) -> float:
    """Of independent readings, ties taken into account."""
    y = values[~np.isnan(values)]
    n = len(y)
    _, counts = np.unique(y, return_counts=True)
    tied = float((counts * (counts - 1.0) * (2.0 * counts + 5.0)).sum())
    return (n * (n - 1.0) * (2.0 * n + 5.0) - tied) / 18.0


def inflation(rest: Values) -> float:
    """By how much autocorrelation widens the variance of S; never below 1. `rest` lies on a regular grid.

    Hamed and Rao's sum over the significant lags; but at least what a process with the first lag's
    autocorrelation has, corrected for the few readings that it was estimated from.
    """
    there = ~np.isnan(rest)
    n = int(there.sum())
    if n < FEWEST:
        return 1.0
    ranks = np.full(len(rest), np.nan)
    ranks[there] = _ranks(rest[there])
    deviation = np.where(there, ranks - np.nanmean(ranks), 0.0)
    power = float((deviation**2).sum())
    if power <= 0:
        return 1.0
    lags = np.arange(1, max(2, min(n - 2, len(rest) // 2)))
    # absent readings count as none: far lags, which few pairs have, count for less
    sums = np.correlate(deviation, deviation, "full")[len(rest) :]
    rho = sums[: len(lags)] / power * (n / len(rest))
    bound = SIGNIFICANT / np.sqrt(n)
    weights = (n - lags) * (n - lags - 1.0) * (n - lags - 2.0)
    counted = np.abs(rho) > bound
    hamed_rao = 1.0 + 2.0 / (n * (n - 1.0) * (n - 2.0)) * float((weights * rho)[counted].sum())
    return max(1.0, hamed_rao, min(_markov(float(rho[0]), n), n / 2.0))


def habit(rest: Values) -> Habit:
    """What readings without wave show in stretches of two days, each less its own slope.

    The middle of the stretches: a slope that begins in one of them must not pass for noise.
    """
    wider, sizes = [], []
    hours = np.arange(float(MEMORY))
    for end in range(len(rest), MEMORY - 1, -MEMORY):
        part = rest[end - MEMORY : end]
        if np.isnan(part).mean() < 0.5:
            part = part - theil_sen(part, hours) * hours
            wider.append(inflation(part))
            sizes.append(MAD * float(np.nanmedian(np.abs(part - np.nanmedian(part)))))
    if len(wider) < 2:
        return UNKNOWN
    return Habit(float(np.median(wider)), float(np.median(sizes)), float((~np.isnan(rest)).sum()))


def _markov(rho: float, n: int) -> float:
    """Of a process in which only the reading before counts; what wave and slope took with them put back."""
    first = min(0.95, rho + (TAKEN + 4.0 * max(rho, 0.0)) / n)
    return (1.0 + first) / (1.0 - first) if first > 0 else 1.0


def guard(values: Values, times: Values, days: float = 0.0, known: Habit = UNKNOWN) -> Guard:
    """Slope, range and evidence of readings on a regular grid; `times` in hours, not falling.

    `days`: how many days the wave that was taken out was learned from; it took some of the noise with it.
    `known`: how the gauge wanders, from longer readings of the same.
    """
    there = ~np.isnan(values)
    n = int(there.sum())
    if n < FEWEST:
        return NOTHING
    slopes = np.sort(pair_slopes(values, times, least=APART))
    if not len(slopes):
        return NOTHING
    slope = float(np.median(slopes))
    s = kendall_s(values)
    variance = variance_of_s(values)
    if variance <= 0:
        return NOTHING
    wider = max(inflation(values - slope * (times - times[0])), min(known.inflation, n / FEWEST_WORTH))
    wider = max(wider, days / (days - 1.0) if days > 1 else 1.0)
    deviation = float(np.sqrt(variance * wider))
    z = (s - np.sign(s)) / deviation
    effective = n / wider
    reach = SIGNIFICANT * deviation
    low, high = _order_statistics(slopes, reach)
    freedom = max(float(n), known.sight) / wider - 2.0
    found = as_normal(float(z), freedom)
    span = float(times[-1] - times[0])
    # of a steady noise of this size; by luck a few readings may lie closer to a line than that
    usual = known.size * float(np.sqrt(12.0 * wider / n)) / span if span > 0 else 0.0
    width = max((high - low) / (2.0 * SIGNIFICANT), usual)
    if abs(z) > SIGNIFICANT and width > 0 and np.sign(slope) == np.sign(z):
        # ranks cannot say more than "every pair rises"; the slope against its own range can
        found = as_normal(slope / width, freedom)
    return Guard(slope, low, high, float(z), wider, effective, found)


def as_normal(t: float, freedom: float) -> float:
    """The normal deviate as unlikely as Student's `t` (Wallace 1959); 0 where freedom is gone."""
    if not np.isfinite(t) or freedom < 1.0:
        return 0.0
    size = np.sqrt(freedom * np.log1p(t * t / freedom)) * (8.0 * freedom + 1.0) / (8.0 * freedom + 3.0)
    return float(np.sign(t) * size)


def _order_statistics(slopes: Values, reach: float) -> tuple[float, float]:
    """Sen's confidence limits: the slopes `reach` half-ranks to both sides of the median."""
    pairs = len(slopes)
    low = max(0, int(np.floor((pairs - reach) / 2.0)))
    high = min(pairs - 1, int(np.ceil((pairs + reach) / 2.0)))
    return float(slopes[low]), float(slopes[high])


def _ranks(values: Values) -> Values:
    order = np.argsort(values, kind="stable")
    ranks = np.empty(len(values))
    ranks[order] = np.arange(1.0, len(values) + 1.0)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.bincount(inverse, weights=ranks) / counts)[inverse])
