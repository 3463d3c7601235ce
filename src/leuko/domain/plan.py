"""What a push will do, fixed before it begins; `leuko plan` shows the same without beginning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from leuko.domain.change import Commit
from leuko.domain.fleet import HOLD_BACK


@dataclass(frozen=True, slots=True)
class PlannedHost:
    """A host and the phase it is switched in (HOLD_BACK: after the last)."""

    name: str
    role: str
    phase: int


@dataclass(frozen=True, slots=True)
class WatchedHost:
    """A host that is not pushed to (a database, a cache), but watched."""

    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What the canaries' watch can show of one gauge in one role, as factors; None: nothing."""

    gauge: str
    role: str
    rise: float | None
    fall: float | None
    longer: float | None
    """The smallest visible change with a watch twice as long."""
    more: float | None
    """The same with one more canary."""
    traffic: float | None
    """How many times today's events it would take to see a doubling."""
    sentence: str
    reach: str = ""
    """Of events that are rare: the rate that would show, `12 a minute on each host`."""

    @property
    def phrase(self) -> str:
        """`errors: tripled`, `latency: +28 %`, `registrations: only a stop`."""
        if self.reach and (self.rise is None or self.rise > RARE):
            return f"{self.gauge}: {self.reach}"
        return f"{self.gauge}: {_change(self.rise, self.fall)}"

    @property
    def better(self) -> str:
        """What would let it see clearly more, and how much; empty where nothing sensible would."""
        ways = (("twice the watch", self.longer), ("one canary more", self.more))
        said = [
            f"{self._as(value)} with {name}"
            for name, value in ways
            if value is not None and self._worth_saying(value)
        ]
        if self.traffic is not None and 1.5 <= self.traffic <= MOST_TRAFFIC:
            change = "a fall to half" if self.rise is None and self.fall is not None else "a doubling"
            said.append(f"{change} with about {_times(self.traffic)} the traffic")
        return ", ".join(said)

    @property
    def smallest(self) -> float:
        """The smallest change that shows, as a factor; infinite: none."""
        return min((one for one in (self.rise, self.fall) if one is not None), default=inf)

    @property
    def _as_a_rate(self) -> bool:
        return bool(self.reach) and (self.rise is None or self.rise > RARE)

    def _worth_saying(self, factor: float) -> bool:
        """A fifth less than now; and no rise that nobody would call one to look for."""
        if self._as_a_rate:
            return self.rise is not None and factor <= WORTH * self.rise
        falls = self.rise is None and self.fall is not None
        return (factor <= RARE or falls) and factor - 1 <= WORTH * (self.smallest - 1)

    def _as(self, factor: float) -> str:
        """A smallest change, in the words of `phrase`."""
        if self._as_a_rate and self.rise is not None:
            return f"{10 * round(10 * factor / self.rise)} % of that rate"
        falls = self.rise is None and self.fall is not None
        return _change(None, factor) if falls else _rise(factor)


RARE = 10.0
"""A rise by more is said as the rate that it comes to."""
ABSURD = 100.0
"""A rise that only so many times the usual would show is as good as none."""
WORTH = 0.8
"""What shows more is worth a word from this part of the change on that shows already."""
MOST_TRAFFIC = 20.0
"""Nobody has more times the traffic tomorrow."""
MOST_ADVICE = 3
STOP = 1e8
"""A fall by this factor is a stop."""


def _change(rise: float | None, fall: float | None) -> str:
    said = [_rise(rise)] if rise is not None and rise < ABSURD else []
    if fall is not None and not said:
        said.append("only a stop" if fall >= STOP else f"a fall to 1/{fall:.1f}")
    return " or ".join(said) or "nothing"


def _rise(factor: float) -> str:
    if factor >= STOP:
        return "a stop"
    return (
        f"+{100 * (factor - 1):.0f} %"
        if factor < 2
        else f"{factor:.1f} times"
        if factor < 10
        else f"{factor:.0f} times"
    )


def _times(factor: float) -> str:
    return "twice" if round(factor) <= 2 else f"{round(factor)} times"


def sight_advice(found: Sequence[Foreseen]) -> tuple[str, ...]:
    """What would let the watch see more, for the gauges that see least, three at most."""
    several = len({one.role for one in found}) > 1
    improvable = sorted((one for one in found if one.better), key=lambda one: -one.smallest)
    return tuple(
        f"{one.gauge}{f' ({one.role})' if several else ''} would show {one.better}"
        for one in improvable[:MOST_ADVICE]
    )


def sight_sentence(found: Sequence[Foreseen]) -> str:
    """`this push can show errors: 3.1 times; latency: +28 %`; empty where nothing is known."""
    if not found:
        return ""
    several = len({one.role for one in found}) > 1
    said = [f"{one.phrase}{f' ({one.role})' if several else ''}" for one in found]
    return f"this push can show {'; '.join(said)}"


@dataclass(frozen=True, slots=True)
class Plan:
    """Hosts by phase, how long each is watched, what is carried and what changes."""

    hosts: tuple[PlannedHost, ...]
    watches: tuple[int, ...]
    """Ticks that each phase is watched."""
    tick: float
    """Seconds."""
    commits: tuple[Commit, ...] = ()
    """All commits since the base, newest first."""
    base_is_ancestor: bool = True
    differences: tuple[str, ...] = ()
    """What changes in hooks, gauges, limits and fleet, a sentence each."""
    warnings: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    """Moments that have a hook, in the order in which they run."""
    bytes_full: int = 0
    bytes_sent: int = 0
    """What goes over the wire to all hosts together, as far as known."""
    expected_seconds: float = 0.0
    min_healthy: str = "75%"
    secrets: tuple[str, ...] = ()
    """Names only."""
    override_blocks: str = ""
    """A person's reason for pushing in spite of locks and blocked commits."""
    override_window: bool = False
    override_limits: str = ""
    """A person's reason for pushing while a limit is broken already."""
    approved_by: str = ""
    """Who let a push start that changes hooks, gauges, limits or fleet."""
    watched: tuple[WatchedHost, ...] = ()
    sight: tuple[Foreseen, ...] = ()
    """What it will be able to see, from the history before it; empty where there was none."""
    observe: bool = False
    """Judged without acting."""

    def phase(self, index: int) -> tuple[PlannedHost, ...]:
        """Hosts of one phase."""
        return tuple(host for host in self.hosts if host.phase == index)

    @property
    def foresight(self) -> str:
        """What the canaries' watch will be able to show, in a sentence; empty where nothing is known."""
        return sight_sentence(self.sight)

    @property
    def advice(self) -> tuple[str, ...]:
        """What would let it see more, a line each."""
        return sight_advice(self.sight)

    @property
    def held_back(self) -> tuple[PlannedHost, ...]:
        """Hosts that stay on the base until every phase has passed."""
        return self.phase(HOLD_BACK)
