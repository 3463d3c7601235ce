"""How long a capacity lasts, and the fast fill that leaves no time for days of readings."""

from __future__ import annotations

import numpy as np

from leuko.domain.trend import Room, Slope
from leuko.statistics.question import Values
from leuko.statistics.trends_kendall import Guard, kendall_s, pair_slopes
from leuko.statistics.trends_question import CELLS
from leuko.statistics.trends_season import DAY, middle

FAST_CELLS = 18
"""Three hours of cells."""
FAST_HOURS = 12.0
STEADY = 0.85
"""Part of all pairs of cells that must rise (more rise than fall, as Kendall counts)."""
NEVER = 1e5
"""Hours: who would wait to see."""
BEYOND = 0.1
"""Of the window's range: so far above all that was seen a fill must be. A nightly backup never is."""


def room(hours: Values, slope: Slope, capacity: float | None) -> Room | None:
    """Time to exhaustion from hourly readings; None without a capacity or not towards it.

    Likely: from the last day's middle. At the earliest: from its worst hour at the steepest slope. Both as
    the slope has carried them until now.
    """
    last = hours[-DAY:] + slope.day / DAY * np.arange(min(DAY, len(hours)) - 1.0, -1.0, -1.0)
    last = last[~np.isnan(last)]
    if capacity is None or not len(last):
        return None
    level = float(np.median(last))
    sign = 1.0 if capacity >= level else -1.0
    toward, steep, shallow = sorted_slopes(slope, sign)
    if toward <= 0:
        return None
    worst = float((sign * last).max()) * sign
    earliest = max(0.0, sign * (capacity - worst)) / steep * DAY
    latest = sign * (capacity - level) / shallow * DAY if shallow > 0 else None
    if latest is not None and latest > NEVER:
        latest = None
    likely = sign * (capacity - level) / toward * DAY
    return Room(capacity, likely, min(earliest, likely), latest)


def sorted_slopes(slope: Slope, sign: float) -> tuple[float, float, float]:
    """(likely, steepest, shallowest) towards `sign`."""
    ends = (sign * slope.low, sign * slope.high)
    return sign * slope.day, max(ends), min(ends)


def filling(cells: Values, capacity: float, window: Values) -> Guard | None:
    """The slope an hour of the last three hours of one host, where they fill it up; None where they do not.

    It must rise steadily, be beyond everything seen in the window before, and reach the capacity within
    twelve hours.
    """
    last = cells[-FAST_CELLS:]
    there = ~np.isnan(last)
    before = window[:-FAST_CELLS]
    before = before[~np.isnan(before)]
    if there.sum() < FAST_CELLS * 2 // 3 or np.isnan(last[-CELLS // 2 :]).all() or len(before) < DAY * CELLS:
        return None
    level = float(last[there][-1])
    sign = 1.0 if capacity >= float(middle(before)) else -1.0
    most, least = float((sign * before).max()), float((sign * before).min())
    margin = max(BEYOND * (most - least), 0.01 * abs(capacity - sign * most))
    if sign * level <= most + margin:
        return None
    pairs = there.sum() * (there.sum() - 1) / 2.0
    if sign * kendall_s(last) < STEADY * pairs:
        return None
    slopes = np.sort(pair_slopes(last, np.arange(len(last)) / CELLS))
    slope = float(np.median(slopes))
    recent = pair_slopes(last[-CELLS:], np.arange(CELLS) / CELLS)
    if not len(recent) or sign * float(np.median(recent)) <= 0.5 * sign * slope:
        return None
    if sign * (capacity - level) / max(sign * slope, 1e-300) > FAST_HOURS:
        return None
    low, high = np.quantile(slopes, [0.1, 0.9])
    return Guard(slope, float(low), float(high), 0.0, 1.0, float(there.sum()), 0.0)
