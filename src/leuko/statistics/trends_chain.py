"""The chain of releases: stretches between restarts, and the newest one beside those before it.

A process begins anew with every push, so at fifty pushes a day its uptime is minutes. A leak shows as the
same slope within each stretch, and does not outlive it; a table that grows shows across them. So the newest
stretch is laid beside the earlier ones at equal uptime: only what is steeper than they were is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leuko.statistics.question import Values
from leuko.statistics.trends_kendall import MAD, NOTHING, SIGNIFICANT, Guard, Habit, as_normal, guard
from leuko.statistics.trends_question import LEAST
from leuko.statistics.trends_season import DAY, middle

SHORTEST = 8
"""Hours of a stretch below which its slope is not compared."""
LONGEST = 48
ALIKE = 0.5
"""An earlier stretch of at least this part of the newest one's length can be laid beside it."""
HOLES = 0.5
"""Part of a stretch that may be absent."""
UPTIMES = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0])
"""Bounds between uptimes that count as equal, in hours."""
DRIFT = 2.0
"""With one or two earlier stretches nobody knows how much a day's wave differs from the next: a guess."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Hours [begin, end) of the window in which no restart happened, whole ones."""

    begin: int
    end: int

    @property
    def hours(self) -> int:
        """How long."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class Change:
    """The newest stretch beside those before: slopes an hour."""

    new: Guard
    before: float
    evidence: float
    stretch: Stretch


def between_restarts(restarts: Sequence[float], start: int, hours: int) -> list[Stretch]:
    """Whole hours without a restart; a restart's own hour belongs to none."""
    inside = sorted(at - start for at in restarts if 0.0 <= at - start < hours)
    bounds = [0.0, *inside, float(hours)]
    found = []
    for index in range(len(bounds) - 1):
        begin = int(np.floor(bounds[index])) + (1 if index else 0)
        end = int(np.floor(bounds[index + 1]))
        if end > begin:
            found.append(Stretch(begin, end))
    return found


def whole_days(hours: int) -> list[Stretch]:
    """Days counted back from now: the chain of what no restart touches."""
    return [Stretch(end - DAY, end) for end in range(hours % DAY + DAY, hours + 1, DAY)]


def uptimes(restarts: Sequence[float], start: int, hours: int) -> Values:
    """Hours since the restart before, in the middle of each hour; at first, since the window began."""
    middle = np.arange(hours) + 0.5
    began = np.array([0.0, *sorted(at - start for at in restarts if at - start < hours)])
    place = np.searchsorted(began, middle, side="right") - 1
    return np.asarray(middle - began[place])


def joined(rest: Values, uptime: Values, stretches: Sequence[Stretch]) -> Values:
    """The stretches laid on one another at equal uptime: what remains is what grows across them.

    Uptimes that only one stretch reached have nothing to be compared with and are left out; but a stretch
    that is long enough by itself is the chain.
    """
    if len(stretches) < 2:
        return rest
    if stretches[-1].hours >= LEAST:
        own = np.full(len(rest), np.nan)
        own[stretches[-1].begin :] = rest[stretches[-1].begin :]
        return own
    place = np.searchsorted(UPTIMES, uptime, side="right")
    number = np.zeros(len(rest), dtype=np.int64)
    for index, each in enumerate(stretches):
        number[each.begin : each.end] = index
    level = np.full(len(rest), np.nan)
    for each in np.unique(place):
        chosen = place == each
        if len(np.unique(number[chosen])) > 1:
            level[chosen] = middle(rest[chosen])
    return np.asarray(rest - level)


def change(rest: Values, stretches: Sequence[Stretch], axis: Values, known: Habit) -> Change | None:
    """The newest stretch against the earlier ones at equal uptime; None where that cannot be said.

    `rest` are hourly readings without the day's wave; `axis` is where each lies, in hours or in requests;
    `known` is how the gauge wanders by itself.
    """
    if not stretches or stretches[-1].hours < SHORTEST or stretches[-1].end != len(rest):
        return None
    last = stretches[-1]
    length = min(last.hours, LONGEST)
    newest = Stretch(last.begin, last.begin + length)
    new = _slope(rest, newest, axis, known)
    if new.effective <= 0:
        return None
    earlier = [
        _slope(rest, Stretch(each.begin, each.begin + min(length, each.hours)), axis, known)
        for each in stretches[:-1]
        if each.hours >= max(SHORTEST, ALIKE * length)
    ]
    earlier = [each for each in earlier if each.effective > 0]
    if not earlier:
        return None
    before = float(np.median([each.slope for each in earlier]))
    return Change(new, before, _evidence(new, earlier, before), newest)


def _evidence(new: Guard, earlier: Sequence[Guard], before: float) -> float:
    theirs = float(np.median([_error(each) for each in earlier]))
    error = float(np.hypot(max(_error(new), theirs), theirs / np.sqrt(len(earlier))))
    # how noisy a stretch is all of them say together
    freedom = max(1.0, sum(each.effective - 1.0 for each in (new, *earlier)))
    if len(earlier) > 2:
        # robust: what is new today may have been new yesterday, too
        spread = MAD * float(np.median([abs(each.slope - before) for each in earlier]))
        # the wave was learned from them: they lie closer to it than a new one does
        spread *= np.sqrt((len(earlier) + 1.0) / (len(earlier) - 1.0))
        if spread > error:
            error, freedom = spread, float(len(earlier) - 1)
    else:
        error *= DRIFT
    if error <= 0:
        return 0.0
    return as_normal((new.slope - before) / error, max(freedom, 1.0))


def _slope(rest: Values, stretch: Stretch, axis: Values, known: Habit) -> Guard:
    values = rest[stretch.begin : stretch.end]
    if np.isnan(values).mean() > HOLES:
        return NOTHING
    return guard(values, axis[stretch.begin : stretch.end], known=known)


def _error(found: Guard) -> float:
    return (found.high - found.low) / (2.0 * SIGNIFICANT)
