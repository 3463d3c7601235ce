"""Tests whose failures do not count for a while."""

from __future__ import annotations

from datetime import datetime

import msgspec

from leuko.domain.line import Line
from leuko.domain.quarantine import Quarantine
from leuko.store.store import Store


class QuarantineView(msgspec.Struct, frozen=True):
    """`state`: `held`, `over` (its end came) or `ended` (by a person)."""

    id: int
    test: str
    suite: str
    file: str
    name: str
    owner: str
    why: str
    by: str
    since: datetime
    until: datetime
    state: str
    ended_at: datetime | None
    ended_by: str
    ended_why: str


async def quarantines(store: Store, line: Line, now: datetime, *, limit: int = 50) -> list[QuarantineView]:
    """Those that hold first, then the newest."""
    found = await store.quarantines.recent(line, limit=limit)
    holding = await store.quarantines.holding(line, now)
    known = {one.id for one in holding}
    return [quarantine_view(one, now) for one in (*holding, *(one for one in found if one.id not in known))]


def quarantine_view(one: Quarantine, now: datetime) -> QuarantineView:
    """With what it comes to now."""
    state = "held" if one.holds(now) else "ended" if one.ended_at else "over"
    return QuarantineView(
        one.id, str(one.case), one.case.suite, one.case.file, one.case.name, one.owner, one.why, one.by,
        one.since, one.until, state, one.ended_at, one.ended_by, one.ended_why,
    )  # fmt: skip
