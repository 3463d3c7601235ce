"""What healthy switches look like in their first seconds: the learned warm-up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from leuko.domain.gauge import Gauge, Kind
from leuko.statistics.counts import cells
from leuko.statistics.groups import mean
from leuko.statistics.noise import nonnegative
from leuko.statistics.question import Question, Values
from leuko.statistics.series import BUSY, scale, unsmoothed
from leuko.statistics.windows import Windows, readings

ENOUGH = 20
"""Healthy switches from which a warm-up is believed."""
FEWEST = 6
"""Ticks of a watch that shows a warm-up."""
FADES = (5.0, 15.0, 40.0, 100.0)
"""Seconds in which the parts of a warm-up fade."""


@dataclass(frozen=True, slots=True)
class Transient:
    """Mean and deviation of the logarithm by age since the switch; `step` seconds between two entries."""

    step: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    pushes: int

    def at(self, ages: Values) -> tuple[Values, Values]:
        """Mean and deviation at these ages in seconds; beyond what was learned, nothing is left of it."""
        known = self.step * np.arange(1, len(self.mean) + 1)
        mean = np.interp(ages, known, self.mean, right=0.0)
        return mean, np.interp(ages, known, self.deviation, right=0.0)


@dataclass(frozen=True, slots=True)
class Curve:
    """The logarithm of one switch's canaries over its controls by tick since the switch; None is absence.

    `before` is as much of the time before the switch: what the noise alone looks like.
    """

    step: float
    logs: tuple[float | None, ...]
    before: tuple[float | None, ...] = ()


def curves(question: Question) -> Mapping[str, Curve]:
    """Of one healthy push, by gauge: small enough to be kept when its readings are gone."""
    found: dict[str, Curve] = {}
    windows = Windows(question)
    for gauge in question.gauges:
        difference = _difference(windows, gauge)
        both = _curve(windows, difference) if difference is not None else None
        if both is not None:
            found[gauge.name] = Curve(question.tick, _kept(both[0]), _kept(both[1]))
    return found


def _difference(windows: Windows, gauge: Gauge) -> Values | None:
    """Log of canaries over controls at every tick; None where there are none, or too few events to tell."""
    canary, control = windows.switched & windows.reports(gauge), ~windows.switched & windows.reports(gauge)
    if not canary.any() or not control.any():
        return None
    values, denominators = readings(windows.question, gauge)
    if gauge.kind is Kind.LEVEL:
        if gauge.smoothed:
            values = unsmoothed(values, windows.question.tick, gauge.smoothed, windows.before.stop)
        added = scale(values[windows.before])
        logs = np.log(np.maximum(values, 0.0) + added) if added > 0 else None
        return None if logs is None else mean(logs[:, canary], axis=1) - mean(logs[:, control], axis=1)
    seen = cells(values, denominators)
    if float(seen.events[windows.before][:, canary].sum()) < BUSY * (
        windows.before.stop - windows.before.start
    ):
        return None
    sides = [
        np.log(
            (seen.events[:, side].sum(axis=1) + 0.5) / np.maximum(seen.exposure[:, side].sum(axis=1), 1e-9)
        )
        for side in (canary, control)
    ]
    there = (seen.exposure[:, canary].sum(axis=1) > 0) & (seen.exposure[:, control].sum(axis=1) > 0)
    return np.where(there, sides[0] - sides[1], np.nan)


def _kept(logs: Values) -> tuple[float | None, ...]:
    return tuple(float(f"{one:.6g}") if np.isfinite(one) else None for one in logs)


def learned(pushes: Sequence[Mapping[str, Curve]]) -> Mapping[str, Transient]:
    """By gauge, over the switches of healthy pushes; gauges with too few of them are left out."""
    names = sorted({name for push in pushes for name in push})
    found: dict[str, Transient] = {}
    for name in names:
        mine = [push[name] for push in pushes if name in push]
        same = [curve for curve in mine if curve.step == mine[0].step]
        if len(same) >= ENOUGH:
            found[name] = _mean(same)
    return found


def transient(questions: Sequence[Question]) -> Mapping[str, Transient]:
    """The same from the questions of healthy pushes."""
    return learned([curves(question) for question in questions])


def _curve(windows: Windows, difference: Values) -> tuple[Values, Values] | None:
    """By tick, less its own end: after the switch, and as long before it."""
    before, watch = difference[windows.before], difference[windows.watch]
    before = before[-len(watch) :]
    if len(before) < len(watch) or len(watch) < FEWEST:
        return None
    ends = [one[-max(3, len(one) // 3) :] for one in (watch, before)]
    if not all(np.isfinite(end).any() for end in ends):
        return None
    return watch - np.nanmean(ends[0]), before - np.nanmean(ends[1])


def _mean(switches: Sequence[Curve]) -> Transient:
    """Smooth: noise of the gauge must look neither like a warm-up nor like one that differs."""
    step, length = switches[0].step, min(len(curve.logs) for curve in switches)
    level, spread = _moments([curve.logs[:length] for curve in switches])
    _, usual = _moments([curve.before[:length] for curve in switches if len(curve.before) >= length])
    ages = step * (np.arange(length) + 0.5)
    fades = np.stack([np.exp(-ages / seconds) for seconds in FADES], axis=1)
    sign = 1.0 if level[: max(1, length // 3)].sum() >= 0 else -1.0
    level = sign * (fades @ nonnegative(fades, sign * level))
    extra = fades @ nonnegative(fades, spread - (usual if len(usual) else 0.0))
    # twenty noisy switches do not tell the mean to the last digit
    extra = extra + float(spread.mean()) / len(switches) * np.exp(-2 * ages / 30.0)
    return Transient(step, tuple(map(float, level)), tuple(map(float, np.sqrt(extra))), len(switches))


def _moments(rows: Sequence[Sequence[float | None]]) -> tuple[Values, Values]:
    """Mean and variance of each column."""
    table = np.array(rows, dtype=np.float64)
    if not table.size:
        return np.zeros(0), np.zeros(0)
    known = np.isfinite(table)
    number = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, table, 0.0).sum(axis=0) / number
    return mean, np.where(known, (table - mean) ** 2, 0.0).sum(axis=0) / number
