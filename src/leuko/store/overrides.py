"""Limits that people set by hand: they stand in place of the configured ones until taken back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select

from leuko.domain.gauge import Limit
from leuko.domain.line import Line
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.records import from_json, to_json
from leuko.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Override:
    """One gauge's limit in one place, by whom and why."""

    gauge: str
    limit: Limit
    by: str
    why: str
    at: datetime


class Overrides:
    """At most one a gauge and place. Who set what before is in the changes of limits."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set(self, tx: Transaction, override: Override) -> None:
        """Puts it in place of the one before."""
        limit = override.limit
        named = {"gauge": override.gauge, "scope": limit.scope, "role": limit.role, "host": limit.host}
        rest = {"value": to_json(limit), "by": override.by, "why": override.why, "at": override.at}
        statement = tx.upsert(schema.override).values(**schema.key(tx.line), **named, **rest)
        index = ["application", "environment", *named]
        await tx.execute(statement.on_conflict_do_update(index_elements=index, set_=rest))

    async def clear(
        self, tx: Transaction, gauge: str, scope: str = "host", role: str = "", host: str = ""
    ) -> bool:
        """Takes it back; False where there was none."""
        table = schema.override
        place = (table.c.scope == scope, table.c.role == role, table.c.host == host)
        where = (schema.of(table, tx.line), table.c.gauge == gauge, *place)
        return (await tx.execute(delete(table).where(*where))).rowcount > 0

    async def all(self, line: Line) -> list[Override]:
        """In order of gauge and place."""
        table = schema.override
        query = select(table).where(schema.of(table, line))
        order = (table.c.gauge, table.c.scope, table.c.role, table.c.host)
        async with self._database.reading() as connection:
            found = await connection.execute(query.order_by(*order))
            return [
                Override(row["gauge"], from_json(row["value"], Limit), row["by"], row["why"], row["at"])
                for row in found.mappings().all()
            ]
