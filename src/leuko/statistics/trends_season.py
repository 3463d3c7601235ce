"""Taking the day's wave out: readings are compared with readings of the same hour of other days.

Whatever comes back every day, a customers' wave or a backup that fills the disk at three, is the same in both
and goes. All arrays lie on a grid of hours; absent hours are NaN.
"""

from __future__ import annotations

import numpy as np

from leuko.statistics.question import Values

DAY = 24
STILL = 1.0 / 3.0
"""Part of the slope that the last day must still have: a step that is over is no trend."""

TRIMMED = 5
"""Days from which on the greatest and the least of each hour are left out of the wave."""
CLEARLY = 0.7
"""A jump must leave so much less than a steady slope: readings that wander look like one, too."""


def middle(values: Values, axis: int = 0) -> Values:
    """Medians that leave out what is absent; NaN where all is. Sorting beats numpy's own by far here."""
    ordered = np.sort(values, axis=axis)  # NaN go to the end
    count = (~np.isnan(ordered)).sum(axis=axis)
    low = np.expand_dims(np.maximum(count - 1, 0) // 2, axis)
    high = np.expand_dims(np.maximum(count, 1) // 2 - (count == 0), axis)
    high = np.clip(high, 0, max(0, ordered.shape[axis] - 1))
    if ordered.shape[axis] == 0:
        return np.full(count.shape, np.nan)
    both = np.take_along_axis(ordered, low, axis) + np.take_along_axis(ordered, high, axis)
    return np.asarray(np.squeeze(both, axis) / 2.0)


def day_slopes(values: Values) -> Values:
    """Change an hour of each column [n, H]: the median over pairs whole days apart (seasonal Theil-Sen)."""
    apart = range(DAY, len(values), DAY)
    slopes = [(values[lag:] - values[:-lag]) / lag for lag in apart]
    return middle(np.concatenate(slopes)) if slopes else np.full(values.shape[1], np.nan)


def wave(values: Values, slope: float, hour: int) -> Values:
    """What each hour of the day adds [24], from readings [n] whose slope is known; `hour` is the first's.

    Means, for medians of three days leave a residue of their own; from five days on without the extremes.
    """
    days = -(-len(values) // DAY)
    level = np.full(days * DAY, np.nan)
    level[: len(values)] = values - slope * np.arange(len(values))
    ordered = np.sort(level.reshape(days, DAY), axis=0)
    count = (~np.isnan(ordered)).sum(axis=0)
    place = np.arange(days)[:, None]
    cut = (count >= TRIMMED).astype(np.int64)
    kept = (place >= cut) & (place < count - cut)
    total = np.where(kept, ordered, 0.0).sum(axis=0)
    found = np.where(count > 0, total / np.maximum(kept.sum(axis=0), 1), np.nan)
    found = np.roll(found, hour % DAY)
    rest = float(middle(found))
    return np.where(np.isnan(found), 0.0, found - rest)


def without_wave(values: Values, pattern: Values, hour: int) -> Values:
    """The readings [n] less the day's wave."""
    return np.asarray(values - pattern[(hour + np.arange(len(values))) % DAY])


def goes_on(values: Values, slope: float) -> bool:
    """True where the last day rose, too, by a fair part of what the slope says."""
    if len(values) < 2 * DAY:
        return False
    rise = middle(values[-DAY:] - values[-2 * DAY : -DAY])
    return bool(np.sign(slope) * rise >= STILL * abs(slope) * DAY)


def is_step(values: Values) -> bool:
    """True where one jump explains the readings (without wave) better than a steady slope does."""
    y = values[~np.isnan(values)]
    n = len(y)
    if n < 4:
        return False
    x = np.arange(n, dtype=np.float64)
    x -= x.mean()
    d = y - y.mean()
    total = float((d**2).sum())
    line = total - float((x * d).sum()) ** 2 / float((x**2).sum())
    sums = np.cumsum(d)[:-1]
    sizes = np.arange(1.0, n)
    jump = total - float((sums**2 * (1.0 / sizes + 1.0 / (n - sizes))).max())
    return jump < CLEARLY * line
