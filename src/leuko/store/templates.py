"""Kinds of log lines that were seen, so that a restart knows what is new."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, delete, select

from leuko.domain.line import Line
from leuko.domain.template import Template
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.transaction import Transaction

AT_ONCE = 200
"""Rows of one statement."""


class Templates:
    """By gauge and id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, tx: Transaction, templates: Sequence[Template]) -> None:
        """Keeps new ones, and the newest figures of others; what they were first seen in stays."""
        table = schema.template
        rows = list({(one.gauge, one.id): _row(tx.line, one) for one in templates}.values())
        for start in range(0, len(rows), AT_ONCE):
            new = tx.upsert(table).values(rows[start : start + AT_ONCE])
            moving = {name: new.excluded[name] for name in ("text", "last_seen_at", "seen", "record")}
            key = ["application", "environment", "gauge", "id"]
            await tx.execute(new.on_conflict_do_update(index_elements=key, set_=moving))

    async def forget(self, tx: Transaction, gauge: str, *, keep: int) -> None:
        """Drops those that were not seen for longest."""
        table = schema.template
        mine = (schema.of(table, tx.line), table.c.gauge == gauge)
        newest = table.c.last_seen_at.desc(), table.c.id
        rows = await tx.execute(select(table.c.id).where(*mine).order_by(*newest).offset(keep).limit(10_000))
        old = [row[0] for row in rows.all()]
        for start in range(0, len(old), 500):
            await tx.execute(delete(table).where(*mine, table.c.id.in_(old[start : start + 500])))

    async def of_gauge(self, line: Line, gauge: str) -> list[Template]:
        """Everything known of one gauge, in the order in which it was first seen."""
        table = schema.template
        return await self._rows(line, table.c.gauge == gauge, limit=None, order=(table.c.first_seen_at,))

    async def of_push(self, line: Line, push: int, *, limit: int = 500) -> list[Template]:
        """Those first seen while a push ran, the newest first."""
        return await self._rows(line, schema.template.c.push == push, limit=limit)

    async def recent(
        self, line: Line, since: datetime, *, gauge: str = "", limit: int = 200
    ) -> list[Template]:
        """Those seen lately, the last first seen first."""
        table = schema.template
        conditions = [table.c.last_seen_at >= since, *((table.c.gauge == gauge,) if gauge else ())]
        return await self._rows(line, *conditions, limit=limit)

    async def _rows(
        self, line: Line, *conditions: Any, limit: int | None, order: tuple[Any, ...] = ()
    ) -> list[Template]:
        table = schema.template
        by = order or (table.c.first_seen_at.desc(),)
        query = select(table).where(schema.of(table, line), *conditions).order_by(*by, table.c.id)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.limit(limit) if limit else query)).mappings().all()
        return [_template(row) for row in rows]


def _row(line: Line, one: Template) -> dict[str, Any]:
    return {
        **schema.key(line),
        "gauge": one.gauge,
        "id": one.id,
        "text": one.text,
        "example": one.example,
        "first_seen_at": one.first_seen,
        "last_seen_at": one.last_seen,
        "seen": one.seen,
        "push": one.push,
        "record": {"hosts": dict(one.hosts)},
    }


def _template(row: RowMapping) -> Template:
    return Template(
        gauge=row["gauge"],
        id=row["id"],
        text=row["text"],
        example=row["example"],
        first_seen=row["first_seen_at"],
        last_seen=row["last_seen_at"],
        seen=row["seen"],
        hosts=dict(row["record"]["hosts"]),
        push=row["push"],
    )
