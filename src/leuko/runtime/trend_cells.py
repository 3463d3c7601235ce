"""Readings of a week in cells of ten minutes, kept in memory: a look reads only what is new.

A thousand hosts are 4 MB a gauge. Everything in here comes from stored readings: a restart reads it again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from leuko.domain.gauge import Kind
from leuko.domain.line import Line
from leuko.statistics.question import Values
from leuko.statistics.trends_question import CELLS, WINDOW
from leuko.store.minutes import Summary
from leuko.store.readings import Readings

MINUTES = 60 // CELLS
CELL = timedelta(minutes=MINUTES)
PIECE = timedelta(hours=6)
"""Readings are read in pieces of this: ticks are written in between."""
LATE = timedelta(minutes=1)
"""A cell is closed when its last ticks have been stored, too."""
WHOLE = WINDOW * CELLS


@dataclass(slots=True, eq=False)
class Table:
    """Cells of one gauge up to `end` (counted since 1970) [WHOLE, hosts]; a count's are events a minute."""

    hosts: tuple[str, ...]
    end: int
    values: NDArray[np.float32]

    def push(self, new: NDArray[np.float32]) -> None:
        """Newer cells at the end; the oldest go."""
        self.values = np.concatenate([self.values, new])[-WHOLE:]
        self.end += len(new)


@dataclass(slots=True)
class Cells:
    """Of the gauges of one line."""

    line: Line
    readings: Readings
    tick: float
    _tables: dict[str, Table] = field(default_factory=dict)

    async def upto(self, gauge: str, kind: Kind, hosts: tuple[str, ...], now: datetime) -> Table:
        """The gauge's cells that are closed by now; none of the future, whatever the clock did."""
        end = last_cell(now)
        table = self._tables.get(gauge)
        if table is None or table.hosts != hosts or table.end > end or end - table.end > WHOLE:
            table = Table(hosts, end - WHOLE, np.full((WHOLE, len(hosts)), np.nan, dtype=np.float32))
        while table.end < end:
            begin, until = _moment(table.end), _moment(end)
            until = min(until, _day_after(begin), begin + PIECE)
            found = await self.readings.minutes(self.line, [gauge], begin, until, hosts)
            table.push(in_cells(found.gauges[gauge], kind, self.tick))
        self._tables[gauge] = table
        return table

    def keep(self, gauges: set[str]) -> None:
        """Lets go of all others."""
        for gauge in set(self._tables) - gauges:
            del self._tables[gauge]


def last_cell(now: datetime) -> int:
    """The end of the last cell that is closed."""
    return int((now - LATE).timestamp()) // (MINUTES * 60)


def in_cells(minutes: Summary, kind: Kind, tick: float) -> NDArray[np.float32]:
    """Means of ten minutes, weighed by how many readings each minute had."""
    weight = minutes.count.astype(np.float64)
    total = _sum(np.where(weight > 0, minutes.mean, 0.0) * weight)
    below = _sum(weight)
    if kind is Kind.RATIO and minutes.denominators is not None:
        below = _sum(np.where(weight > 0, np.nan_to_num(minutes.denominators), 0.0) * weight)
    mean = np.where(below > 0, total / np.where(below > 0, below, 1.0), np.nan)
    scale = 60.0 / tick if kind is Kind.COUNT else 1.0
    return np.asarray(mean * scale, dtype=np.float32)


def _sum(values: Values) -> Values:
    return np.asarray(values.reshape(-1, MINUTES, values.shape[1]).sum(axis=1))


def _moment(cell: int) -> datetime:
    return datetime.fromtimestamp(cell * MINUTES * 60, UTC)


def _day_after(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0) + timedelta(days=1)
