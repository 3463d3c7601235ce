"""Which pushes could have caused it: how well a bend at each one explains the readings.

For every push the same question: had the slope changed there, how much of the readings would be left
unexplained? What is left, over the noise, gives each its share of the blame. Pushes close together explain
alike and share; that nothing bent in sight (it grew so before the first push) is a suspect, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leuko.domain.trend import Suspect
from leuko.statistics.question import Values
from leuko.statistics.trends_question import Landing

NAMED = 60
SMALL = 0.01
"""Shares below this are not named."""
SETTLED = 1.0
"""Hours of uptime in which caches fill: they say nothing of a leak."""


def blame(
    rest: Values, landings: Sequence[Landing], start: int, inflation: float, uptime: Values | None = None
) -> tuple[tuple[Suspect, ...], float]:
    """Suspects, best first, and the share of what came before them all.

    `rest` are hourly readings without wave. With `uptime` the change is one of the slope over uptime, of
    stretches that began with or after the push; else of the slope over time.
    """
    there = ~np.isnan(rest)
    if uptime is not None:
        there &= uptime >= SETTLED
    n = int(there.sum())
    inside = [each for each in landings if 0.0 < each.at - start < len(rest) - 1]
    if n < 4 or not inside:
        return (), 1.0
    left = [_unexplained(rest, there, None)]
    left += [_unexplained(rest, there, _bend(len(rest), each.at - start, uptime)) for each in inside]
    noise = max(min(left) / max(1.0, n - 4.0) * max(1.0, inflation), 1e-300)
    likely = -np.array(left) / (2.0 * noise)
    effective = max(2.0, n / max(1.0, inflation))
    likely[1:] -= 0.5 * np.log(effective)  # a bend is one more thing to choose
    likely[1:] -= np.log(len(inside))
    shares = np.exp(likely - likely.max())
    shares /= shares.sum()
    ranked = sorted(zip(inside, shares[1:], strict=True), key=lambda each: (-each[1], -each[0].at))
    named = [Suspect(each.push, round(float(share), 3)) for each, share in ranked[:NAMED] if share >= SMALL]
    return tuple(named), round(float(shares[0]), 3)


def _bend(hours: int, at: float, uptime: Values | None) -> Values:
    """What a change of slope at a moment adds to each hour."""
    times = np.arange(hours) + 0.5
    if uptime is None:
        return np.asarray(np.maximum(times - at, 0.0))
    began = times - uptime
    return np.asarray(np.where(began >= at - 0.5, uptime, 0.0))


def _unexplained(rest: Values, there: np.ndarray, bend: Values | None) -> float:
    """Sum of squares that a line, with a bend where one is given, leaves."""
    n = len(rest)
    columns = [np.ones(n), np.linspace(-1.0, 1.0, n)]
    if bend is not None and float(np.ptp(bend)) > 0:
        columns.append(bend / float(np.ptp(bend)))
    design = np.stack(columns, axis=1)[there]
    y = rest[there]
    found, *_ = np.linalg.lstsq(design, y, rcond=None)
    return float(((y - design @ found) ** 2).sum())
