"""What a push will do, fixed before it begins; `leuko plan` shows the same without beginning."""

from __future__ import annotations

from dataclasses import dataclass

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

    def phase(self, index: int) -> tuple[PlannedHost, ...]:
        """Hosts of one phase."""
        return tuple(host for host in self.hosts if host.phase == index)

    @property
    def held_back(self) -> tuple[PlannedHost, ...]:
        """Hosts that stay on the base until every phase has passed."""
        return self.phase(HOLD_BACK)
