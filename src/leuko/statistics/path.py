"""The evidence at every tick of a watch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from leuko.statistics.judge import Row, compared, threshold, total
from leuko.statistics.question import Question, Series, Values
from leuko.statistics.windows import Windows


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """Logs of e-values. `rows` are (gauge, role); `total` is the push's, earlier phases included."""

    rows: tuple[tuple[str, str], ...]
    logs: Values
    """[rows, ticks]"""
    total: Values
    """[ticks]"""
    threshold: float
    """The log from which on the push fails."""
    times: Values
    """When each tick closed."""

    @property
    def fails_at(self) -> int | None:
        """Index of the first tick at which the push fails; None where it does not."""
        over = (self.total >= self.threshold).nonzero()[0]
        return int(over[0]) if over.size else None


def path(question: Question) -> Path:
    """What `judge` would have found at each tick of the watch."""
    watch = Windows(question).watch
    columns, totals = [], []
    rows: list[Row] = compared(_cut(question, watch.start))
    for end in range(watch.start + 1, watch.stop + 1):
        rows = compared(_cut(question, end))
        columns.append([row.evidence.log for row in rows])
        totals.append(total(question, rows))
    return Path(
        tuple((row.gauge.name, row.role) for row in rows),
        np.array(columns, dtype=np.float64).reshape(len(columns), len(rows)).T,
        np.array(totals, dtype=np.float64),
        threshold(question),
        question.times[watch],
    )


def _cut(question: Question, ticks: int) -> Question:
    series = {
        name: Series(one.values[:ticks], None if one.denominators is None else one.denominators[:ticks])
        for name, one in question.series.items()
    }
    return replace(question, times=question.times[:ticks], series=series)
