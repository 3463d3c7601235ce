"""What healthy switches look like in their first seconds: the learned warm-up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from leuko.domain.gauge import Kind
from leuko.statistics.question import Question, Values
from leuko.statistics.windows import Windows, readings

ENOUGH = 20
"""Healthy switches from which a warm-up is believed."""


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
    """The logarithm of one switch's canaries over its controls by tick since the switch; None is absence."""

    step: float
    logs: tuple[float | None, ...]


def curves(question: Question) -> Mapping[str, Curve]:
    """Of one healthy push, by gauge: small enough to be kept when its readings are gone."""
    found: dict[str, Curve] = {}
    for gauge in question.gauges:
        if gauge.kind is Kind.LEVEL:
            curve = _curve(Windows(question), readings(question, gauge)[0])
            if curve is not None:
                logs = tuple(float(f"{one:.6g}") if np.isfinite(one) else None for one in curve)
                found[gauge.name] = Curve(question.tick, logs)
    return found


def learned(pushes: Sequence[Mapping[str, Curve]]) -> Mapping[str, Transient]:
    """By gauge, over the switches of healthy pushes; gauges with too few of them are left out."""
    names = sorted({name for push in pushes for name in push})
    found: dict[str, Transient] = {}
    for name in names:
        mine = [push[name] for push in pushes if name in push]
        step = mine[0].step
        logs = [np.array(curve.logs, dtype=np.float64) for curve in mine if curve.step == step]
        if len(logs) >= ENOUGH:
            found[name] = _mean(step, logs)
    return found


def transient(questions: Sequence[Question]) -> Mapping[str, Transient]:
    """The same from the questions of healthy pushes."""
    return learned([curves(question) for question in questions])


def _curve(windows: Windows, values: Values) -> Values | None:
    """Log of canaries over controls less the same before, by tick since the switch, less its own end."""
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
    if np.isfinite(before).sum() < 3 or np.isfinite(watch).sum() < 6:
        return None
    end = watch[-max(3, len(watch) // 3) :]
    return np.asarray(watch - np.nanmean(end)) if np.isfinite(end).any() else None


def _mean_of(logs: Values) -> Values:
    present = ~np.isnan(logs)
    number = present.sum(axis=1)
    total = np.where(present, logs, 0.0).sum(axis=1)
    return np.asarray(np.where(number > 0, total / np.maximum(number, 1), np.nan))


def _mean(step: float, curves: Sequence[Values]) -> Transient:
    length = min(len(curve) for curve in curves)
    table = np.array([curve[:length] for curve in curves])
    known = np.isfinite(table)
    number = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, table, 0.0).sum(axis=0) / number
    deviation = np.sqrt(np.where(known, (table - mean) ** 2, 0.0).sum(axis=0) / number)
    return Transient(step, tuple(map(float, mean)), tuple(map(float, deviation)), len(curves))
