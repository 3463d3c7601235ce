"""A drill: a fault planted on purpose on one canary, to see whether the watch finds it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Fault(StrEnum):
    """What is planted: it touches what the gauges read on the host, never what customers are served by."""

    ERRORS = "errors"
    SILENCE = "silence"


class DrillState(StrEnum):
    """PLANTED is written before the fault is planted: after a crash it means *perhaps*; it is taken out."""

    WAITING = "waiting"
    PLANTED = "planted"
    CLEANING = "cleaning"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it; seconds are None where the thing did not happen."""

    caught: bool = False
    after: float | None = None
    """Seconds from the planting to the verdict against it."""
    back: float | None = None
    """Seconds from the verdict until every host ran what it ran before."""
    clean: bool = False
    """Every host is back, and the planted fault is gone."""
    sentence: str = ""
    exercised: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()
    """What a real fault would have gone through, and this one did not."""


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill. Numbers count from 1 on each line."""

    id: int
    fault: Fault
    host: str
    state: DrillState
    started_at: datetime
    by: str
    why: str = ""
    push: int | None = None
    gauge: str = ""
    file: str = ""
    """The log on the host that lines are appended to; empty for silence."""
    match: str = ""
    """What the gauge looks for in it."""
    line: str = ""
    """What is appended; empty: the newest line that matches, as the host finds it."""
    rate: int = 0
    """Lines a second."""
    marker: str = ""
    """A file on the host: the planting ends when it is gone."""
    role: str = ""
    planted_at: datetime | None = None
    ended_at: datetime | None = None
    with_customers: bool = False
    report: Report = Report()
    version: int = 0

    @property
    def name(self) -> str:
        """For people: `drill 3`."""
        return f"drill {self.id}"
