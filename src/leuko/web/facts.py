"""What the sentences are computed from: rows as they stand, gathered once for `why`, status and pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from leuko.domain.build import Build, StepResult
from leuko.domain.line import Line
from leuko.domain.lock import Lock, LockKind, Severity
from leuko.domain.plan import Plan
from leuko.domain.push import Push
from leuko.domain.rollout import HostProgress
from leuko.domain.tally import Tally
from leuko.domain.template import Template
from leuko.store.changes import Landed
from leuko.store.findings import Judgement
from leuko.store.hosts import KnownHost
from leuko.store.leases import Lease
from leuko.store.trends import Warned


@dataclass(frozen=True, slots=True)
class BuildFacts:
    """A build, what of it is done, and the end of what its failed command printed."""

    build: Build
    steps: tuple[StepResult, ...] = ()
    started_at: datetime | None = None
    ended_at: datetime | None = None
    of: int | None = None
    """Commands in all, where an event told."""
    doing: str = ""
    tail: tuple[str, ...] = ()
    coverage: str = ""
    """What tests ran of the lines of its changes, in a sentence; empty where nothing is asked for."""

    @property
    def failed(self) -> StepResult | None:
        """The first step that did not pass."""
        return next((step for step in self.steps if not step.passed), None)


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a push or a change does not go on, as the controller last told it."""

    why: str
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class SourceTrouble:
    """A source of readings that gives none."""

    source: str
    why: str
    since: datetime
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PushFacts:
    """One push with its rows."""

    push: Push
    plan: Plan | None = None
    progress: tuple[HostProgress, ...] = ()
    judgement: Judgement | None = None
    locks: tuple[Lock, ...] = ()
    """Locks that it took, held or not."""
    appeared: tuple[Template, ...] = ()
    """Kinds of error lines that were never seen before its hosts were switched."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The line at one moment."""

    line: Line
    now: datetime
    lease: Lease | None = None
    locks: tuple[Lock, ...] = ()
    live: Push | None = None
    active: PushFacts | None = None
    pending: Push | None = None
    stuck: tuple[PushFacts, ...] = ()
    pushes: tuple[Push, ...] = ()
    changes: tuple[Landed, ...] = ()
    """Those that concern the application, newest first."""
    builds: Mapping[int, BuildFacts] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    waits: Mapping[str, Wait] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    troubles: tuple[SourceTrouble, ...] = ()
    hosts: tuple[KnownHost, ...] = ()
    tally: Tally | None = None
    """True and false rollbacks; None where nothing was served yet."""
    trends: tuple[Warned, ...] = ()
    """Warnings of slow failures that are open."""
    hotfixes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    """Picked revision -> subject, of hotfixes that the branch has not got."""
    event: int = 0

    @property
    def serving(self) -> bool:
        """True while a controller acts."""
        return self.lease is not None and self.lease.expires_at > self.now

    def lock(self, kind: LockKind, *, hard: bool = False) -> Lock | None:
        """The newest held lock of a kind, hard ones first."""
        mine = [lock for lock in self.locks if lock.kind is kind and lock.held(self.now)]
        firm = [lock for lock in mine if lock.severity is Severity.HARD]
        chosen = firm if hard else firm or mine
        return chosen[0] if chosen else None
