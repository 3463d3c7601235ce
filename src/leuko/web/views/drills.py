"""Drills, and what came of them."""

from __future__ import annotations

from datetime import datetime

import msgspec

from leuko.domain.drill import Drill
from leuko.domain.line import Line
from leuko.store.store import Store


class DrillView(msgspec.Struct, frozen=True):
    """One drill. Seconds are null where the thing did not happen."""

    id: int
    push: int | None
    fault: str
    gauge: str
    host: str
    state: str
    by: str
    why: str
    started_at: datetime
    planted_at: datetime | None
    ended_at: datetime | None
    planted: str
    """The line that was appended to the log; empty for silence."""
    caught: bool
    after: float | None
    """Seconds from the planting to the verdict against it."""
    back: float | None
    """Seconds from the verdict until every host was back."""
    clean: bool
    sentence: str
    exercised: list[str]
    spared: list[str]
    """What a real fault would have gone through, and this one did not."""


async def drills(store: Store, line: Line, *, limit: int = 50) -> list[DrillView]:
    """Newest first."""
    return [_view(drill) for drill in await store.drills.recent(line, limit=limit)]


def _view(drill: Drill) -> DrillView:
    report = drill.report
    return DrillView(
        drill.id,
        drill.push,
        drill.fault.value,
        drill.gauge,
        drill.host,
        drill.state.value,
        drill.by,
        drill.why,
        drill.started_at,
        drill.planted_at,
        drill.ended_at,
        drill.line,
        report.caught,
        report.after,
        report.back,
        report.clean,
        report.sentence,
        list(report.exercised),
        list(report.spared),
    )
