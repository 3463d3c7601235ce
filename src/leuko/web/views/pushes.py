"""Pushes in a list, and what a person may do to one now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import msgspec

from leuko.domain.errors import Refused
from leuko.domain.line import Line
from leuko.domain.push import Abort, Hold, Intent, Promote, Push, Resume, RollBack, State, advance
from leuko.domain.rollout import HostProgress
from leuko.store.store import Store


class Move(msgspec.Struct, frozen=True):
    """An intent and whether the push's state allows it; `why_not` says what forbids it."""

    kind: str
    allowed: bool
    why_not: str


class PushSummary(msgspec.Struct, frozen=True):
    """One push. `phase` counts from 0; `hosts` counts hosts by where they stand."""

    number: int
    release: str
    revision: str
    base: str | None
    state: str
    since: datetime
    deadline: datetime | None
    phase: int
    phases: int
    sentence: str
    cause: str
    reason: str
    stopped_by: str
    held_from: str
    held_why: str
    held_by: str
    origin: str
    by: str
    why: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    seconds: float | None
    version: int
    observe: bool
    """Judged without acting: `spared` is what would have held it or rolled it back."""
    spared: list[str]
    ended: bool
    hosts: dict[str, int]
    moves: list[Move]


def push_summary(push: Push, now: datetime, rows: Sequence[HostProgress] = ()) -> PushSummary:
    """A push at a moment."""
    stop = push.stop
    return PushSummary(
        number=push.number,
        release=push.release,
        revision=push.revision,
        base=push.base,
        state=push.state.value,
        since=push.since,
        deadline=push.deadline,
        phase=push.phase,
        phases=push.rules.phases,
        sentence=push.sentence,
        cause=stop.cause.value if stop else "",
        reason=stop.reason if stop else "",
        stopped_by=stop.by if stop else "",
        held_from=push.held_from.value if push.held_from else "",
        held_why=push.held_why if push.state is State.HELD else "",
        held_by=push.held_by if push.state is State.HELD else "",
        origin=push.origin.value,
        by=push.by,
        why=push.why,
        created_at=push.created_at,
        started_at=push.started_at,
        ended_at=push.ended_at,
        seconds=((push.ended_at or now) - push.started_at).total_seconds() if push.started_at else None,
        version=push.version,
        observe=push.rules.observe,
        spared=[f"phase {one.phase + 1} {one.said}" for one in push.spared],
        ended=push.state.ended,
        hosts=dict(Counter(row.state.value for row in rows)),
        moves=moves(push, now),
    )


def moves(push: Push, now: datetime) -> list[Move]:
    """Asks the state table itself, so that a button and the answer to it never disagree."""
    wanted: dict[str, Intent] = {
        "hold": Hold(""),
        "resume": Resume(""),
        "promote": Promote(""),
        "abort": Abort(""),
        "rollback": RollBack(""),
    }
    found = []
    for kind, event in wanted.items():
        try:
            advance(push, event, now)
        except Refused as refused:
            found.append(Move(kind, allowed=False, why_not=refused.rule))
        else:
            found.append(Move(kind, allowed=True, why_not=""))
    return found


async def pushes(
    store: Store, line: Line, now: datetime, *, limit: int = 20, before: int | None = None
) -> list[PushSummary]:
    """Newest first, without their hosts."""
    return [push_summary(push, now) for push in await store.pushes.recent(line, limit=limit, before=before)]
