"""What is watched, and the hard bounds that operators set on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

HOSTLESS = "-"
"""Stands for the whole where a gauge belongs to no host: a pseudo host in rosters, and its role."""


class Kind(StrEnum):
    """count: events a tick, summed over hosts; level: a value now; ratio: numerator over denominator."""

    COUNT = "count"
    LEVEL = "level"
    RATIO = "ratio"


class Direction(StrEnum):
    """Which way is bad."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Limit:
    """An operator's hard bound: broken when a reading is above `above` or below `below`.

    It holds for single hosts, or for aggregates (per role and over all hosts), of one role or of every one;
    or for one host by name. Counts are compared as events a minute, so that the tick may change without the
    limits.
    """

    above: float | None = None
    below: float | None = None
    scope: str = "host"
    role: str = ""
    readings: int = 2
    """How many readings in a row must break it."""
    host: str = ""
    """Only this host; empty: every one."""
    besides: tuple[str, ...] = ()
    """Hosts, and roles as `@role`, for which somebody set a limit of their own in place of this one."""

    @property
    def place(self) -> tuple[str, str, str]:
        """What it is about: scope, role, host. A gauge has one limit that a person set in each place."""
        return self.scope, self.role, self.host

    def concerns(self, host: str, role: str) -> bool:
        """True where it holds for this host; with an empty host, for this role's aggregate."""
        if self.host:
            return host == self.host
        if self.role and self.role != role:
            return False
        return f"@{role}" not in self.besides and (not host or host not in self.besides)

    def broken_by(self, value: float) -> bool:
        """NaN breaks nothing: absence is the no-data rules' business."""
        return (self.above is not None and value > self.above) or (
            self.below is not None and value < self.below
        )

    def __str__(self) -> str:
        parts = [
            f">{_plain(self.above)}" if self.above is not None else "",
            f"<{_plain(self.below)}" if self.below is not None else "",
        ]
        return " or ".join(part for part in parts if part)


def _plain(value: float) -> str:
    """As it was written: `0.05`, `1000`, `400,000,000`; not `4e+08`, which people read wrong."""
    return f"{value:,.12g}" if 1e6 <= abs(value) < 1e12 else f"{value:.12g}"


@dataclass(frozen=True, slots=True)
class Gauge:
    """Something watched. `required` gauges must have data in 80 % of a phase's ticks for it to pass."""

    name: str
    kind: Kind
    direction: Direction = Direction.UP
    unit: str = ""
    roles: tuple[str, ...] = ()
    required: bool = True
    limits: tuple[Limit, ...] = ()
    must_see: float | None = None
    """The smallest change, as a factor, that a pass must have been able to show."""
    smoothed: float = 0.0
    """Seconds of an exponential filter that readings went through: 60 for the one-minute load average."""
    per: str = ""
    """Name of a count of traffic: events are judged per unit of it, so that more customers are no errors."""
