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
    """Change an hour of each column [n, H]: the median over all pairs of whole days apart (seasonal Theil-Sen)."""
    apart = range(DAY, len(values), DAY)
    slopes = [(values[lag:] - values[:-lag]) / lag for lag in apart]
    return middle(np.concatenate(slopes)) if slopes else np.full(values.shape[1], np.nan)


def wave(values: Values, slope: float, hour: int) -> Values:
    """What each hour of the day adds [24], from readings [n] whose slope is known; `hour` is the first's."""
    hours = (hour + np.arange(len(values))) % DAY
    level = values - slope * np.arange(len(values))
    found = np.full(DAY, np.nan)
    for each in range(DAY):
        found[each] = middle(level[hours == each])
    rest = middle(found)
    return np.where(np.isnan(found), 0.0, found - rest)


def without_wave(values: Values, slope: float, hour: int) -> Values:
    """The readings [n] less the day's wave."""
    hours = (hour + np.arange(len(values))) % DAY
    return np.asarray(values - wave(values, slope, hour)[hours])


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
    return jump < line
