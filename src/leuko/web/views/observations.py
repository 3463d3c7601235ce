"""Deployments of others that were watched."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from leuko.domain.line import Line
from leuko.store.observations import Observation
from leuko.store.store import Store


class ObservationView(msgspec.Struct, frozen=True):
    """One. `decision`: continue, pass, fail, hold, unknown; `switched`: when hosts were seen to change."""

    id: int
    command: list[str]
    state: str
    over: bool
    started_at: datetime
    ended_at: datetime | None
    exit_code: int | None
    by: str
    decision: str
    sentence: str
    canaries: list[str]
    watch: float
    switched: dict[str, float]
    ticks: int
    wanted: int
    findings: list[Mapping[str, Any]]


def observation_view(one: Observation) -> ObservationView:
    """An observation as it stands."""
    verdict = one.record.get("verdict") or {}
    return ObservationView(
        one.id,
        list(one.command),
        one.state.value,
        one.state.over,
        one.started_at,
        one.ended_at,
        one.exit_code,
        one.by,
        one.decision,
        one.sentence,
        list(one.record.get("canaries", ())),
        float(one.record.get("watch", 0.0)),
        dict(one.record.get("switched", {})),
        int(verdict.get("ticks", 0)),
        int(verdict.get("wanted", 0)),
        list(verdict.get("findings", ())),
    )


async def observations(
    store: Store, line: Line, *, limit: int = 20, before: int | None = None
) -> list[ObservationView]:
    """Newest first, without their findings."""
    found = await store.observations.recent(line, limit=limit, before=before)
    return [msgspec.structs.replace(observation_view(one), findings=[]) for one in found]


async def observation(store: Store, line: Line, number: int) -> ObservationView | None:
    """One, with its findings."""
    found = await store.observations.get(line, number)
    return observation_view(found) if found else None
