"""What others watch slow failures with, each as published: one series of ten-minute cells, and an answer.

`cells` end now. Capacities are percentages of a disk. Sources: Prometheus' `predict_linear` as the node
mixin and its users write it, Netdata's disk fill rate alarm, ordinary least squares with its own p-value,
Hamed and Rao's test on readings as they come, Theil and Sen on daily minima.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from leuko.statistics.trends_kendall import guard, kendall_s, theil_sen, variance_of_s
from leuko.statistics.trends_question import CELLS, hourly

Floats = NDArray[np.float64]
DAY = 24 * CELLS


def line(cells: Floats) -> tuple[float, float, float]:
    """(slope an hour, value now, its t) by ordinary least squares."""
    x = np.arange(len(cells)) / CELLS
    x -= x.mean()
    slope = float((x * (cells - cells.mean())).sum() / (x**2).sum())
    rest = cells - cells.mean() - slope * x
    error = sqrt(float((rest**2).sum()) / (len(cells) - 2) / float((x**2).sum()))
    return slope, float(cells.mean() + slope * x[-1]), slope / max(error, 1e-300)


def predict_linear(cells: Floats, hours: int, free_below: float = 100.0) -> bool:
    """Full within 24 h by a line through the last hours; and for an hour so (every cell of it)."""
    for back in range(CELLS):
        part = cells[len(cells) - back - hours * CELLS : len(cells) - back]
        slope, now, _ = line(part)
        if now + 24.0 * slope < 100.0 or 100.0 - part[-1] > free_below:
            return False
    return True


def netdata(cells: Floats) -> bool:
    """Full within 8 h at the rate of the last 50 minutes."""
    rate = (cells[-1] - cells[-6]) / (5.0 / CELLS)
    return bool(rate > 0 and (100.0 - cells[-1]) / rate < 8.0)


def ols(cells: Floats, hours: int = 72) -> bool:
    """A rising line with p < .001 over the last hours."""
    return line(cells[-hours * CELLS :])[2] > 3.09


def hamed_rao(cells: Floats, hours: int = 72) -> bool:
    """p < .001, the day's wave left in."""
    part = hourly(cells[-hours * CELLS :, None])[:, 0]
    return guard(part, np.arange(len(part), dtype=np.float64)).z > 3.09


def mann_kendall(cells: Floats, hours: int = 72) -> bool:
    """p < .001, uncorrected."""
    part = hourly(cells[-hours * CELLS :, None])[:, 0]
    return kendall_s(part) / sqrt(variance_of_s(part)) > 3.09


def block_t(cells: Floats, hours: int = 72) -> bool:
    """Readings less those of a day before, in blocks of six hours; p < .001 (t of 2 days' blocks)."""
    part = hourly(cells[-hours * CELLS :, None])[:, 0]
    lag = part[24:] - part[:-24]
    blocks = lag[: len(lag) // 6 * 6].reshape(-1, 6).mean(axis=1)
    t = blocks.mean() / (blocks.std(ddof=1) / sqrt(len(blocks)))
    return bool(t > 4.79)  # 7 degrees of freedom


def daily_minima(cells: Floats, days: int = 7, within: float = 96.0) -> bool:
    """Full within four days by Theil and Sen's slope of the daily minima."""
    if len(cells) < days * DAY:
        return False
    least = cells[-days * DAY :].reshape(days, DAY).min(axis=1)
    slope = theil_sen(least, np.arange(days, dtype=np.float64)) / 24.0
    return bool(slope > 0 and (100.0 - least[-1]) / slope < within)
