"""The evidence at every tick of a watch, in one pass."""

from __future__ import annotations

from dataclasses import dataclass

from leuko.statistics.question import Question, Values
from leuko.statistics.rows import compared, threshold


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
    """What `judge` would have found at each tick: its last column is what it finds now."""
    found = compared(question)
    windows = found.windows
    rows = tuple((row.gauge.name, row.role) for row in found.rows)
    times = windows.question.times[windows.span]
    return Path(rows, found.logs, found.total, threshold(question), times)
