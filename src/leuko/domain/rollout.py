"""Where each host of a push stands, and which hosts may move next.

The rows are stored one per (push, host). The push's state machine sees only their tally: how many hosts of
each phase and role are in which state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from leuko.domain.fleet import Share, room_to_take_out
from leuko.domain.order import OrderKind, Outcome, Result


class HostState(StrEnum):
    """SWITCHING and RESTORING are written before the order is sent: after a crash they mean *perhaps*."""

    WAITING = "waiting"
    STAGED = "staged"
    SWITCHING = "switching"
    SWITCHED = "switched"
    FAILED = "failed"
    RESTORING = "restoring"
    RESTORED = "restored"
    LEFT_OUT = "left out"


PERHAPS_ON_TARGET = frozenset(
    {HostState.SWITCHING, HostState.SWITCHED, HostState.FAILED, HostState.RESTORING}
)
"""States of a host that may be serving the release that is being pushed."""


@dataclass(frozen=True, slots=True)
class HostProgress:
    """One host in one push.

    `attempts` counts the tries of the present step; `not_before` holds the next one off. `perhaps`: an
    earlier try of this switch was left without an answer, so it may have been carried out.
    """

    host: str
    role: str
    phase: int
    state: HostState = HostState.WAITING
    order: str = ""
    attempts: int = 0
    perhaps: bool = False
    round: int = 1
    """Part of the order's id: an order that failed for good is given again under a new id."""
    detail: str = ""
    output: str = ""
    at: datetime | None = None
    not_before: datetime | None = None
    switched_at: datetime | None = None
    seconds: float = 0.0
    link_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of hosts by (phase, role, state)."""

    counts: Mapping[tuple[int, str, HostState], int] = field(
        default_factory=lambda: MappingProxyType({}), hash=False
    )

    @classmethod
    def of(cls, rows: Iterable[HostProgress]) -> Tally:
        """The tally of these rows."""
        return cls(MappingProxyType(Counter((row.phase, row.role, row.state) for row in rows)))

    def count(self, *states: HostState, phase: int | None = None) -> int:
        """Hosts in any of `states`: in all phases, or in those that are switched by the time `phase` is."""
        return sum(
            number
            for (at, _, state), number in self.counts.items()
            if state in states and (phase is None or belongs(at, phase))
        )

    def uncovered(self, phase: int) -> tuple[str, ...]:
        """Roles that have hosts in this phase and none of them switched."""
        planned = {role for (at, role, _), number in self.counts.items() if at == phase and number}
        switched = {
            role
            for (at, role, state), number in self.counts.items()
            if at == phase and number and state is HostState.SWITCHED
        }
        return tuple(sorted(planned - switched))


RETRY_AFTER = (1.0, 2.0, 5.0, 10.0, 15.0)
"""Seconds before an order whose outcome is not known is sent again; the last one repeats."""

PATIENCE = timedelta(seconds=10)
"""A host that has been restoring for longer keeps no other waiting: a rollback has no budget."""

STAGE_TRIES = 3
"""A host that could not be reached or staged this often in a row is left out of the push."""


def ordered(row: HostProgress, state: HostState, order: str, at: datetime) -> HostProgress:
    """The row as it is written before the order is sent."""
    attempts = row.attempts + 1 if row.attempts and _same_step(row.order, order) else 1
    perhaps = row.perhaps or row.state is HostState.SWITCHING
    return replace(row, state=state, order=order, attempts=attempts, perhaps=perhaps, at=at, not_before=None)


def _same_step(before: str, order: str) -> bool:
    """Ids differ in the round only: `p12-stage-www1-1`, `p12-stage-www1-2`."""
    return before.rpartition("-")[0] == order.rpartition("-")[0]


def answered(row: HostProgress, kind: OrderKind, outcome: Outcome, at: datetime) -> HostProgress:
    """The row after the host's answer, or after none came."""
    row = replace(
        row,
        at=at,
        detail=outcome.reason,
        output=outcome.output,
        seconds=outcome.seconds,
        link_seconds=outcome.link_seconds,
    )
    match kind:
        case OrderKind.STAGE:
            return _staged(row, outcome, at)
        case OrderKind.SWITCH:
            return _switched(row, outcome, at)
        case OrderKind.RESTORE | OrderKind.STOP:
            return _restored(row, outcome, at)
        case _:
            raise ValueError(f"{kind} is not a step of a push")


def _later(row: HostProgress, at: datetime) -> datetime:
    return at + timedelta(seconds=RETRY_AFTER[min(row.attempts, len(RETRY_AFTER)) - 1])


def _staged(row: HostProgress, outcome: Outcome, at: datetime) -> HostProgress:
    if outcome.done:
        return replace(row, state=HostState.STAGED, attempts=0, not_before=None)
    if outcome.result is Result.REFUSED or row.attempts >= STAGE_TRIES:
        return replace(row, state=HostState.LEFT_OUT)
    return replace(row, not_before=_later(row, at), round=_next_round(row, outcome))


def _switched(row: HostProgress, outcome: Outcome, at: datetime) -> HostProgress:
    match outcome.result:
        case Result.DONE:
            return replace(
                row, state=HostState.SWITCHED, attempts=0, perhaps=False, not_before=None, switched_at=at
            )
        case Result.UNREACHABLE if row.perhaps:
            return replace(
                row, not_before=_later(row, at)
            )  # this try did not arrive; an earlier one may have
        case Result.UNREACHABLE if row.attempts >= STAGE_TRIES:
            return replace(row, state=HostState.LEFT_OUT)
        case Result.UNREACHABLE:
            # the order did not leave: the host is as it was before
            return replace(row, state=HostState.STAGED, not_before=_later(row, at))
        case Result.UNKNOWN:
            return replace(row, not_before=_later(row, at))
        case Result.FAILED | Result.REFUSED | Result.TIMED_OUT:
            return replace(row, state=HostState.FAILED, attempts=0, not_before=None)


def _restored(row: HostProgress, outcome: Outcome, at: datetime) -> HostProgress:
    if outcome.done:
        return replace(row, state=HostState.RESTORED, attempts=0, not_before=None)
    return replace(row, not_before=_later(row, at), round=_next_round(row, outcome))


def _next_round(row: HostProgress, outcome: Outcome) -> int:
    """A host answers a repeated order with its recorded result: a new try needs a new id."""
    return row.round + (outcome.result in (Result.FAILED, Result.REFUSED, Result.TIMED_OUT))


def again(row: HostProgress) -> HostProgress:
    """A host that was left out, for another try after a person said so."""
    return replace(row, state=HostState.WAITING, attempts=0, not_before=None, round=row.round + 1)


def ready(row: HostProgress, now: datetime) -> bool:
    """False while a retry is held off."""
    return row.not_before is None or row.not_before <= now


def to_stage(rows: Sequence[HostProgress], now: datetime) -> list[HostProgress]:
    """Hosts that have yet to be staged, and may be tried now."""
    return [row for row in rows if row.state is HostState.WAITING and ready(row, now)]


def to_switch(
    rows: Sequence[HostProgress], phase: int, now: datetime, min_healthy: Share, *, in_flight: frozenset[str]
) -> list[HostProgress]:
    """Hosts of the phase that may be switched now without taking too many of a role out of service.

    A switch whose outcome is not known is asked about again first: it holds its place. Hosts of phases that
    were passed without them, and that a person said to try again, come along.
    """
    mine = [row for row in rows if belongs(row.phase, phase) and row.host not in in_flight]
    again = [row for row in mine if row.state is HostState.SWITCHING and ready(row, now)]
    fresh = [row for row in mine if row.state is HostState.STAGED and ready(row, now)]
    out = (HostState.SWITCHING, HostState.RESTORING, HostState.FAILED)
    return again + _within_capacity(rows, fresh, lambda row: row.state in out, min_healthy)


def belongs(phase: int, at: int) -> bool:
    """True where a host of `phase` is switched by the time phase `at` is: hold-back comes after all."""
    return at < 0 or 0 <= phase <= at


def to_restore(
    rows: Sequence[HostProgress],
    now: datetime,
    min_healthy: Share,
    *,
    in_flight: frozenset[str],
    only_failed: bool = False,
    at_once: bool = False,
) -> list[HostProgress]:
    """Hosts that may be on the target and have to go back: those that are out of service already first.

    `only_failed`: in a phase that goes on, hosts within the failure budget. `at_once` gives up capacity.
    """
    mine = [row for row in rows if row.host not in in_flight]
    again = [row for row in mine if row.state is HostState.RESTORING and ready(row, now)]
    failed = [row for row in mine if row.state is HostState.FAILED]
    if only_failed:
        return again + failed
    # a host that failed, or that was being switched, is out of service: restoring it takes nothing away
    between = [row for row in mine if row.state is HostState.SWITCHING]
    rest = [row for row in mine if row.state is HostState.SWITCHED]
    if not at_once:
        rest = _within_capacity(rows, rest, lambda row: _keeps_waiting(row, now), min_healthy)
    return again + failed + between + rest


def _keeps_waiting(row: HostProgress, now: datetime) -> bool:
    """Only a restore that is on its way and young: one that hangs or got no answer must not stop the rest."""
    if row.state is not HostState.RESTORING or row.attempts > 1 or row.not_before is not None:
        return False
    return row.at is None or now - row.at < PATIENCE


def _within_capacity(
    rows: Sequence[HostProgress],
    wanted: Sequence[HostProgress],
    is_out: Callable[[HostProgress], bool],
    min_healthy: Share,
) -> list[HostProgress]:
    allowed: list[HostProgress] = []
    for role in dict.fromkeys(row.role for row in wanted):
        members = [row for row in rows if row.role == role]
        serving = sum(row.state is not HostState.LEFT_OUT for row in members)
        room = room_to_take_out(serving, sum(is_out(row) for row in members), min_healthy)
        allowed += [row for row in wanted if row.role == role][:room]
    return allowed
