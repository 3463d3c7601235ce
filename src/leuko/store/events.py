"""What happened, in order, without gaps: the audit trail, and what pages and clients follow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, delete, select

from leuko.domain.line import Line
from leuko.store import schema
from leuko.store.bell import Bell, news
from leuko.store.database import Database
from leuko.store.transaction import Transaction

BATCH = 500


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. Numbers count from 1 on each line."""

    line: Line
    number: int
    kind: str
    subject: str
    data: Mapping[str, Any] = field(hash=False)
    at: datetime


class Events:
    """Reads; they are written with `Transaction.event`."""

    def __init__(self, database: Database, bell: Bell) -> None:
        self._database = database
        self._bell = bell

    async def after(self, line: Line, number: int = 0, *, limit: int = BATCH) -> list[Event]:
        """Events past `number`, oldest first."""
        table = schema.event
        query = select(table).where(schema.of(table, line), table.c.number > number)
        return await self._rows(line, query.order_by(table.c.number).limit(limit))

    async def latest(
        self, line: Line, *, kind: str = "", subject: str = "", limit: int = 100, before: int | None = None
    ) -> list[Event]:
        """Newest first, of one kind or about one subject where given."""
        table = schema.event
        query = select(table).where(schema.of(table, line))
        if kind:
            query = query.where(table.c.kind == kind)
        if subject:
            query = query.where(table.c.subject == subject)
        if before is not None:
            query = query.where(table.c.number < before)
        return await self._rows(line, query.order_by(table.c.number.desc()).limit(limit))

    async def expire(self, tx: Transaction, kind: str, subject: str) -> int:
        """Drops events of one kind about one subject: progress that nobody follows any more."""
        table = schema.event
        where = (schema.of(table, tx.line), table.c.subject == subject, table.c.kind == kind)
        return (await tx.execute(delete(table).where(*where))).rowcount

    async def last_number(self, line: Line) -> int:
        """Number of the newest event; 0 where there is none."""
        table = schema.line
        async with self._database.reading() as connection:
            found = await connection.execute(select(table.c.events).where(schema.of(table, line)))
            return int(found.scalar_one_or_none() or 0)

    async def follow(self, line: Line, after: int = 0) -> AsyncIterator[Event]:
        """Every event past `after`, each once and in order, and then those to come. Never ends by itself."""
        with self._bell.hearing(line) as waiter:
            while True:
                batch = await self.after(line, after)
                for event in batch:
                    yield event
                    after = event.number
                if len(batch) < BATCH:
                    await news(waiter)

    async def _rows(self, line: Line, query: Any) -> list[Event]:
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [_event(line, row) for row in rows]


def _event(line: Line, row: RowMapping) -> Event:
    return Event(line, row["number"], row["kind"], row["subject"], row["data"], row["at"])
