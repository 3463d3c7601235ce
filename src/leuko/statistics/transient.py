"""What healthy switches look like in their first seconds: the learned warm-up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from leuko.domain.gauge import Gauge, Kind
from leuko.statistics.noise import nonnegative
from leuko.statistics.question import Question, Values
from leuko.statistics.series import unsmoothed
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
    for gauge in question.gauges:
        if gauge.kind is Kind.LEVEL:
            both = _curve(Windows(question), known(question, gauge))
            if both is not None:
                found[gauge.name] = Curve(question.tick, _kept(both[0]), _kept(both[1]))
    return found


def known(question: Question, gauge: Gauge) -> Values:
    """The gauge's values, without what the kernel smoothed."""
    values = readings(question, gauge)[0]
    return unsmoothed(values, question.tick, gauge.smoothed) if gauge.smoothed else values


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


def _curve(windows: Windows, values: Values) -> tuple[Values, Values] | None:
    """Log of canaries over controls by tick, less its own end: after the switch, and as long before it."""
    canary, control = windows.switched, ~windows.switched
    if not canary.any() or not control.any() or (values < 0).any():
        return None
    seen = values[~np.isnan(values)]
    added = 0.1 * float(np.median(seen)) if seen.size else 0.0
    if added <= 0:
        return None
    logs = np.log(values + added)
    difference = _mean_of(logs[:, canary]) - _mean_of(logs[:, control])
    before, watch = difference[windows.before], difference[windows.watch]
    before = before[-len(watch) :]
    if len(before) < len(watch) or len(watch) < FEWEST:
        return None
    ends = [one[-max(3, len(one) // 3) :] for one in (watch, before)]
    if not all(np.isfinite(end).any() for end in ends):
        return None
    return watch - np.nanmean(ends[0]), before - np.nanmean(ends[1])


def _mean_of(logs: Values) -> Values:
    present = ~np.isnan(logs)
    number = present.sum(axis=1)
    total = np.where(present, logs, 0.0).sum(axis=1)
    return np.asarray(np.where(number > 0, total / np.maximum(number, 1), np.nan))


def _mean(switches: Sequence[Curve]) -> Transient:
    """Smooth: noise of the gauge must look neither like a warm-up nor like one that differs."""
    step, length = switches[0].step, min(len(curve.logs) for curve in switches)
    mean, spread = _moments([curve.logs[:length] for curve in switches])
    _, usual = _moments([curve.before[:length] for curve in switches if len(curve.before) >= length])
    ages = step * (np.arange(length) + 0.5)
    fades = np.stack([np.exp(-ages / seconds) for seconds in FADES], axis=1)
    sign = 1.0 if mean[: max(1, length // 3)].sum() >= 0 else -1.0
    level = sign * (fades @ nonnegative(fades, sign * mean))
    extra = fades @ nonnegative(fades, spread - (usual if len(usual) else 0.0))
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
