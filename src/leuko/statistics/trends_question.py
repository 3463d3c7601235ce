"""What is asked about slow changes, and how sure an answer has to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import erfc, sqrt
from types import MappingProxyType

import numpy as np

from leuko.domain.gauge import Direction
from leuko.statistics.question import Values

CELLS = 6
"""Cells an hour: ten minutes each."""
WINDOW = 7 * 24
"""Hours that a look goes back."""
LEAST = 3 * 24
"""Hours without which a day's wave cannot be told from growth."""
TESTS = 3
"""Of each subject: growth over three days, over seven, and the newest stretch against those before."""
INDEPENDENT = 60.0
"""Looks a month that are worth an independent one; more than there are, for tails are heavier than normal."""


class Over(StrEnum):
    """What the chain of releases is laid along: restarts begin a process's memory anew, not a disk."""

    TIME = "time"
    UPTIME = "uptime"


@dataclass(frozen=True, slots=True)
class Watched:
    """One gauge and what about it would matter."""

    gauge: str
    unit: str = ""
    direction: Direction = Direction.UP
    over: Over = Over.TIME
    capacity: float | None = None
    notable: float = 0.1
    """Growth within the horizon, as a part of the level, below which nobody is told."""
    axis_unit: str = "h"


@dataclass(frozen=True, slots=True)
class Landing:
    """A push that became live: when its switching began, in hours since 1970."""

    push: int
    at: float


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """One gauge over the window. `start` is the first cell's hour since 1970, a whole number.

    `cells` are ten minutes each [6 * hours, H]; `restarts` are each host's, in hours since 1970, ascending.
    `mileage` is the length of each cell on the axis that the chain is laid along, where that is not time:
    thousands of requests [6 * hours, H].
    """

    watched: Watched
    hosts: tuple[str, ...]
    roles: tuple[str, ...]
    start: int
    cells: Values
    restarts: Mapping[str, Values] = field(default_factory=lambda: MappingProxyType({}))
    landings: tuple[Landing, ...] = ()
    mileage: Values | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """How sure an answer must be: `evidence` in deviations, from the budget of false warnings."""

    evidence: float
    horizon: float = 7 * 24.0

    @classmethod
    def of(cls, a_month: float, subjects: int, horizon: float = 7 * 24.0) -> Bar:
        """So that `subjects` that are watched all the time give so many false warnings a month."""
        tests = max(1, subjects) * TESTS * INDEPENDENT
        return cls(deviate(min(0.5, a_month / tests)), horizon)


def deviate(chance: float) -> float:
    """The normal deviate that is exceeded with this chance (one-sided)."""
    low, high = 0.0, 40.0
    for _ in range(80):
        half = (low + high) / 2.0
        if erfc(half / sqrt(2.0)) / 2.0 > chance:
            low = half
        else:
            high = half
    return (low + high) / 2.0


def hourly(cells: Values) -> Values:
    """Means of the hours; an hour of which less than half was read is absent."""
    parts = cells[: len(cells) // CELLS * CELLS].reshape(-1, CELLS, cells.shape[1])
    there = ~np.isnan(parts)
    count = there.sum(axis=1)
    total = np.where(there, parts, 0.0).sum(axis=1)
    return np.asarray(np.where(count >= CELLS // 2, total / np.maximum(count, 1), np.nan))
