"""Pretend pushes on the fleet's own history: how often the verdict would have been wrong on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from leuko.statistics import limits
from leuko.statistics.path import Path, path
from leuko.statistics.question import Question, Series
from leuko.statistics.rows import compared
from leuko.statistics.windows import Windows, readings

TAIL = 0.999
"""Quantile of the largest evidence of pretend pushes that a real push must pass."""


@dataclass(frozen=True, slots=True)
class Placebo:
    """What came of pretend pushes."""

    pushes: int
    rolled_back: int
    """How many of them the budget alone would have rolled back."""
    threshold: float
    """Log of the evidence that is needed on this fleet; never below the budget's own."""
    per_gauge: Mapping[str, tuple[float, float]]
    """By gauge: the largest log of evidence seen, and the smallest visible factor of the real watch."""
    limits: Mapping[str, tuple[float, ...]]
    """By gauge: in what part of quiet windows each of its limits would have fired."""


def placebo(question: Question, pretend: int = 120, seed: int = 0) -> Placebo:
    """Judges so many pushes that never were, at random times of the history and on random hosts."""
    windows = Windows(question)
    length = max(1, question.wanted)
    end = windows.before.stop
    earliest = min(end, max(length, 20))
    random = np.random.default_rng(seed)
    paths: list[Path] = []
    fired: dict[str, list[tuple[bool, ...]]] = {gauge.name: [] for gauge in question.gauges}
    for _ in range(pretend if end - length > earliest else 0):
        at = int(random.integers(earliest, end - length + 1))
        one = _pretended(question, at, length, random)
        paths.append(path(one))
        for gauge in question.gauges:
            found = limits.broken(Windows(one), gauge, *readings(one, gauge))
            blamed = {broken.limit for broken in found if not broken.already}
            fired[gauge.name].append(tuple(limit in blamed for limit in question.limits_of(gauge)))
    return _summary(question, paths, fired)


def _pretended(question: Question, at: int, length: int, random: np.random.Generator) -> Question:
    series = {
        name: Series(
            one.values[: at + length], None if one.denominators is None else one.denominators[: at + length]
        )
        for name, one in question.series.items()
    }
    began = float(question.times[at - 1])
    switched = np.full(len(question.hosts), np.nan)
    roles = np.array(question.roles, dtype=np.str_)
    real = np.isfinite(question.switched_at) if np.isfinite(question.switched_at).any() else question.watched
    for role in sorted({question.roles[index] for index in np.flatnonzero(real)}):
        members = np.flatnonzero(roles == role)
        count = int(real[members].sum())
        switched[random.choice(members, size=count, replace=False)] = began
    return replace(
        question, times=question.times[: at + length], series=series, switched_at=switched,
        watched=np.isfinite(switched), watch_from=began, evidence_from=began, carried=0.0, share=1.0,
        placebo=None, held_back=None,
    )  # fmt: skip


def _summary(
    question: Question, paths: Sequence[Path], fired: Mapping[str, Sequence[tuple[bool, ...]]]
) -> Placebo:
    nominal = -float(np.log(question.budget))
    largest = np.array([float(one.total.max()) for one in paths if one.total.size])
    per_gauge: dict[str, tuple[float, float]] = {}
    visible: dict[str, float] = {}
    for row in compared(question).rows:
        least = min(row.evidence.rise, row.evidence.fall, visible.get(row.gauge.name, float("inf")))
        visible[row.gauge.name] = least
    for gauge in question.gauges:
        seen = [
            float(one.logs[index].max())
            for one in paths
            for index, (name, _) in enumerate(one.rows)
            if name == gauge.name and one.logs.shape[1]
        ]
        per_gauge[gauge.name] = (max(seen, default=0.0), visible.get(gauge.name, float("inf")))
    rates = {
        name: tuple(float(np.mean(column)) for column in zip(*rows, strict=True)) if rows else ()
        for name, rows in fired.items()
    }
    over = int((largest >= nominal).sum()) if largest.size else 0
    return Placebo(len(paths), over, max(nominal, tail(largest)), per_gauge, rates)


def tail(largest: np.ndarray[tuple[int, ...], np.dtype[np.float64]], quantile: float = TAIL) -> float:
    """That quantile of the logs, their upper fifth taken for the beginning of an exponential tail."""
    if largest.size < 20:
        return 0.0
    start = float(np.quantile(largest, 0.8))
    excess = float(np.mean(largest[largest > start] - start)) if (largest > start).any() else 0.0
    return start + excess * float(np.log(0.2 / (1 - quantile)))
