"""Which of many hosts are worth a closer look: a thousand at once, with figures that are quick to have.

A host is passed over only where its slope, however sure, would not matter.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from leuko.domain.gauge import Direction
from leuko.statistics.question import Mask, Values
from leuko.statistics.trends_chain import SHORTEST
from leuko.statistics.trends_kendall import MAD
from leuko.statistics.trends_question import LEAST, WINDOW, Bar, History, Over, Watched
from leuko.statistics.trends_room import FAST_CELLS
from leuko.statistics.trends_season import DAY, day_slopes, middle
from leuko.statistics.trends_subjects import Crew

PRESENT = 0.6
"""Part of a window's hours that must have readings."""
SILENT = 3
"""Hours without a reading after which a subject says nothing of itself."""
WORTH = 6.0
"""Differences of days that a window is worth, readings resembling their neighbours as they do."""
CLEAR = 1.5
"""Of what the quick figures are usually: below this no exact one will be sure."""
NEAR = 0.7
"""The quick figures are not the exact ones: so much of what matters is worth the look."""


def enough(values: Values) -> Mask:
    """Columns [n, H] with readings lately and over most of the three days that a look needs."""
    there = ~np.isnan(values)
    lately = there[-SILENT:].any(axis=0)
    first = np.where(there.any(axis=0), there.argmax(axis=0), len(values))
    return np.asarray(
        lately & (len(values) - first >= LEAST) & (there[-LEAST:].mean(axis=0) >= PRESENT), dtype=bool
    )


def level_of(values: Values) -> Values:
    """Each column's middle of the last day with readings."""
    last = middle(values[-DAY:])
    return np.where(np.isnan(last), middle(values), last)


def matters(watched: Watched, slope: Values, level: Values, horizon: float, part: float = 1.0) -> Mask:
    """Where a slope an hour would use a capacity up, or change the level notably, within the horizon."""
    reach = slope * horizon / part
    if watched.capacity is not None:
        left = watched.capacity - level
        return np.asarray((np.sign(reach) == np.sign(left)) & (np.abs(reach) >= np.abs(left)), dtype=bool)
    sized = np.abs(reach) >= watched.notable * np.maximum(np.abs(level), 1e-12)
    match watched.direction:
        case Direction.UP:
            sized &= reach > 0
        case Direction.DOWN:
            sized &= reach < 0
        case Direction.BOTH:
            pass
    return np.asarray(sized & np.isfinite(reach), dtype=bool)


def worth_it(history: History, crew: Crew, bar: Bar) -> Mask:
    """Hosts of a crew [H] that may hold a finding of their own."""
    # what is sure but not urgent yet is worth a look, too: its cause may be out of sight once it is
    watched, level = replace(history.watched, capacity=None), level_of(crew.values)
    days = crew.own[DAY:] - crew.own[:-DAY] if len(crew.own) > DAY else np.zeros((1, len(crew.names)))
    usual = MAD * middle(np.abs(days - middle(days))) / (DAY * np.sqrt(WORTH))
    chosen = np.zeros(len(crew.names), dtype=bool)
    for hours in (LEAST, WINDOW):
        if len(crew.own) >= hours:
            slope = day_slopes(crew.own[-hours:])
            chosen |= (np.abs(slope) > CLEAR * usual) & matters(watched, slope, level, bar.horizon, NEAR)
    lately, usual = _lately(history, crew)
    chosen |= (np.abs(lately) > CLEAR * usual) & matters(watched, lately, level, bar.horizon, NEAR)
    return (chosen & enough(crew.values)) | beyond(history, crew)


def _lately(history: History, crew: Crew) -> tuple[Values, Values]:
    """Slope an hour of the newest stretch, from its first and last third, and how great it usually is."""
    hours, nothing = len(crew.own), np.zeros(len(crew.names))
    length = DAY
    if history.watched.over is Over.UPTIME:
        restarts = [history.restarts.get(name) for name in crew.names]
        began = [float(each[-1]) - history.start for each in restarts if each is not None and len(each)]
        length = int(hours - np.ceil(np.median(began))) if began else DAY
    if length < SHORTEST or length > hours:
        return nothing, nothing
    third = length // 3
    # the same hours of the days before, wave and all
    ends = range(hours, max(length, hours - WINDOW) - 1, -DAY)
    rises = [_rise(crew.own[end - length : end], third) / (length - third) for end in ends]
    newest, before = rises[0], np.array(rises[1:] or [nothing])
    typical = middle(before)
    rise = np.where(np.isnan(newest), 0.0, newest - np.where(np.isnan(typical), 0.0, typical))
    usual = MAD * middle(np.abs(before - typical))
    return rise, np.where(np.isnan(usual) | (len(before) < 3), 0.0, usual)


def _rise(values: Values, third: int) -> Values:
    return np.asarray(middle(values[-third:]) - middle(values[:third]))


def beyond(history: History, crew: Crew) -> Mask:
    """Where the last cells are beyond everything before, towards a capacity."""
    if history.watched.capacity is None or len(history.cells) <= 2 * FAST_CELLS:
        return np.zeros(len(crew.names), dtype=bool)
    cells = history.cells[:, crew.columns]
    sign = np.where(middle(cells) <= history.watched.capacity, 1.0, -1.0)
    before = np.where(np.isnan(cells[:-FAST_CELLS]), -np.inf, sign * cells[:-FAST_CELLS]).max(axis=0)
    last = np.where(np.isnan(cells[-FAST_CELLS:]), -np.inf, sign * cells[-FAST_CELLS:]).max(axis=0)
    return np.asarray(last > before, dtype=bool)
