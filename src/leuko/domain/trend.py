"""What slowly goes wrong after a push is live: a gauge that rises and does not come back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Shape(StrEnum):
    """How it was seen.

    GROWTH: day over day at the same hour. LEAK: the new release rises faster than the ones before did at the
    same hour and uptime. FILL: within hours, beyond everything seen, towards a capacity.
    """

    GROWTH = "growth"
    LEAK = "leak"
    FILL = "fill"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A push that could have caused it; `share` of the blame, all of them with `older` adding up to 1."""

    push: int
    share: float


@dataclass(frozen=True, slots=True)
class Slope:
    """Change a day, and the range that chance leaves open."""

    day: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Room:
    """Hours until a capacity is used up: likely, at the earliest, at the latest (None: perhaps never)."""

    capacity: float
    hours: float
    earliest: float
    latest: float | None


@dataclass(frozen=True, slots=True)
class Trend:
    """One finding about one gauge at a host, or over a role. Never from absence: only from readings."""

    gauge: str
    subject: str
    role: str
    aggregate: bool
    shape: Shape
    slope: Slope
    level: float
    evidence: float
    """Standard deviations by which it exceeds what chance does, autocorrelation taken into account."""
    hours: float
    """How long a stretch of readings shows it."""
    hosts: int
    room: Room | None = None
    suspects: tuple[Suspect, ...] = ()
    older: float = 0.0
    """Share of the blame on what came before the first push in sight."""
    unit: str = ""
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Leg:
    """One release of the chain: what the gauge did while it ran. A day's change; None: too short to say."""

    push: int
    began: float
    hours: float
    day: float | None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the last look said of one gauge at one subject, found or not."""

    gauge: str
    subject: str
    role: str
    aggregate: bool
    unit: str
    level: float | None
    slope: Slope | None
    evidence: float
    needs: float = 0.0
    """Hours of readings that are still missing; 0: there is enough."""
    room: Room | None = None
    chain: tuple[Leg, ...] = ()
    points: tuple[float | None, ...] = ()
    """For a small picture: the window in equal parts."""
    hours: float = 0.0
    warned: bool = False
    suspects: tuple[Suspect, ...] = ()
    """Of a slope that is sure, whether or not it matters yet: when it does, its cause may be out of sight."""
    older: float = 0.0
    sentence: str = ""
