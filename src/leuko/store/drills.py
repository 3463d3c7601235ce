"""Drills: what was planted where, and what came of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import select, update

from leuko.domain.drill import Drill, DrillState
from leuko.domain.line import Line
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.records import from_json, to_json
from leuko.store.transaction import Transaction


class Drills:
    """Saved with compare-and-set on `version`; numbers count from 1 on each line."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, tx: Transaction, drill: Drill) -> Drill:
        """Keeps a new one and gives it its number."""
        made = replace(drill, id=tx.number("drills"), version=0)
        await tx.execute(tx.insert(schema.drill, id=made.id, **_columns(made)))
        return made

    async def save(self, tx: Transaction, drill: Drill) -> Drill:
        """Saves it; raises Lost when somebody was faster. Returns it as it is now."""
        table = schema.drill
        where = (schema.of(table, tx.line), table.c.id == drill.id, table.c.version == drill.version)
        saved = replace(drill, version=drill.version + 1)
        await tx.swap(update(table).where(*where).values(**_columns(saved)), drill.name)
        return saved

    async def get(self, line: Line, number: int) -> Drill | None:
        """By its number."""
        found = await self._rows(line, schema.drill.c.id == number, limit=1)
        return found[0] if found else None

    async def of_push(self, line: Line, push: int) -> Drill | None:
        """The drill that a push belongs to; None for a real push."""
        found = await self._rows(line, schema.drill.c.push == push, limit=1)
        return found[0] if found else None

    async def running(self, line: Line) -> Drill | None:
        """The one that has not ended: at most one does."""
        found = await self._rows(line, schema.drill.c.state != DrillState.ENDED.value, limit=1)
        return found[0] if found else None

    async def recent(self, line: Line, *, limit: int = 50) -> list[Drill]:
        """Newest first."""
        return await self._rows(line, limit=limit)

    async def _rows(self, line: Line, *conditions: Any, limit: int) -> list[Drill]:
        table = schema.drill
        query = select(table.c.record).where(schema.of(table, line), *conditions)
        async with self._database.reading() as connection:
            rows = await connection.execute(query.order_by(table.c.id.desc()).limit(limit))
            return [from_json(row[0], Drill) for row in rows.all()]


def _columns(drill: Drill) -> dict[str, Any]:
    return {
        "push": drill.push,
        "state": drill.state.value,
        "fault": drill.fault.value,
        "host": drill.host,
        "started_at": drill.started_at,
        "ended_at": drill.ended_at,
        "by": drill.by,
        "why": drill.why,
        "record": to_json(drill),
        "version": drill.version,
    }
