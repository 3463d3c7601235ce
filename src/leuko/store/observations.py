"""Deployments by other programs that were watched: what ran, when, and what the readings said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from sqlalchemy import RowMapping, select, update

from leuko.domain.line import Line
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.transaction import Transaction


class ObservationState(StrEnum):
    """BEFORE: history is gathered; ENDED: judged; INTERRUPTED: nobody waited for its end."""

    BEFORE = "before"
    RUNNING = "running"
    WATCHING = "watching"
    ENDED = "ended"
    INTERRUPTED = "interrupted"

    @property
    def over(self) -> bool:
        """True where nothing more will come."""
        return self in (ObservationState.ENDED, ObservationState.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Observation:
    """One run of one command. `record` holds canaries, times of switches, and the verdict as it was last."""

    id: int
    command: tuple[str, ...]
    state: ObservationState
    started_at: datetime
    by: str
    ended_at: datetime | None = None
    exit_code: int | None = None
    decision: str = ""
    sentence: str = ""
    record: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    version: int = 0


class Observations:
    """Numbered from 1 on each line; saved with compare-and-set."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, tx: Transaction, observation: Observation) -> Observation:
        """Keeps a new one and gives it its number."""
        made = replace(observation, id=tx.number("observations"), version=0)
        await tx.execute(tx.insert(schema.observation, id=made.id, version=0, **_columns(made)))
        return made

    async def save(self, tx: Transaction, observation: Observation) -> Observation:
        """Saves it; raises Lost when somebody was faster. Returns it as it is now."""
        table = schema.observation
        mine = (table.c.id == observation.id, table.c.version == observation.version)
        saved = replace(observation, version=observation.version + 1)
        statement = update(table).where(schema.of(table, tx.line), *mine)
        await tx.swap(
            statement.values(version=saved.version, **_columns(saved)), f"observation {observation.id}"
        )
        return saved

    async def get(self, line: Line, number: int) -> Observation | None:
        """By its number."""
        found = await self._rows(line, schema.observation.c.id == number, limit=1)
        return found[0] if found else None

    async def recent(self, line: Line, *, limit: int = 50, before: int | None = None) -> list[Observation]:
        """Newest first; `before` a number, to go on."""
        conditions = () if before is None else (schema.observation.c.id < before,)
        return await self._rows(line, *conditions, limit=limit)

    async def open(self, line: Line) -> list[Observation]:
        """Those that are not over, oldest first."""
        over = [state.value for state in ObservationState if state.over]
        return (await self._rows(line, schema.observation.c.state.not_in(over), limit=None))[::-1]

    async def _rows(self, line: Line, *conditions: Any, limit: int | None) -> list[Observation]:
        table = schema.observation
        query = select(table).where(schema.of(table, line), *conditions).order_by(table.c.id.desc())
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.limit(limit))).mappings().all()
        return [_observation(row) for row in rows]


def _columns(one: Observation) -> dict[str, Any]:
    return {
        "command": list(one.command),
        "state": one.state.value,
        "started_at": one.started_at,
        "ended_at": one.ended_at,
        "exit_code": one.exit_code,
        "by": one.by,
        "decision": one.decision,
        "sentence": one.sentence,
        "record": dict(one.record),
    }


def _observation(row: RowMapping) -> Observation:
    return Observation(
        id=row["id"],
        command=tuple(row["command"]),
        state=ObservationState(row["state"]),
        started_at=row["started_at"],
        by=row["by"],
        ended_at=row["ended_at"],
        exit_code=row["exit_code"],
        decision=row["decision"],
        sentence=row["sentence"],
        record=MappingProxyType(row["record"]),
        version=row["version"],
    )
