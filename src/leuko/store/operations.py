"""The operations table of the console: what was done, by whom, how long it took, how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from leuko.domain.line import Line
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Operation:
    """One row; `finished_at` is None while it runs."""

    id: int
    operation: str
    started_at: datetime
    finished_at: datetime | None
    person: str
    revision: str
    outcome: str
    subject: str

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return None if self.finished_at is None else (self.finished_at - self.started_at).total_seconds()


class Operations:
    """Started and finished in the transactions of what they tell."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(
        self,
        tx: Transaction,
        operation: str,
        at: datetime,
        *,
        person: str = "",
        revision: str = "",
        subject: str = "",
    ) -> int:
        """Begins a row; its number is for `finish`."""
        number = tx.number("operations")
        values = {"operation": operation, "person": person, "revision": revision, "subject": subject}
        await tx.execute(
            tx.insert(schema.operation, id=number, started_at=at, finished_at=None, outcome="", **values)
        )
        return number

    async def finish(self, tx: Transaction, number: int, outcome: str, at: datetime) -> None:
        """Ends a row; raises Lost when it was ended already."""
        table = schema.operation
        where = (schema.of(table, tx.line), table.c.id == number, table.c.finished_at.is_(None))
        ended = update(table).where(*where).values(outcome=outcome, finished_at=at)
        await tx.swap(ended, f"operation {number}")

    async def unfinished(self, line: Line, subject: str = "") -> list[Operation]:
        """Rows that run, newest first; about one subject where given."""
        table = schema.operation
        conditions = [table.c.finished_at.is_(None)] + ([table.c.subject == subject] if subject else [])
        return await self._rows(line, *conditions, limit=None)

    async def recent(self, line: Line, *, limit: int = 50, before: int | None = None) -> list[Operation]:
        """Newest first; `before` a number, to go on."""
        conditions = () if before is None else (schema.operation.c.id < before,)
        return await self._rows(line, *conditions, limit=limit)

    async def _rows(self, line: Line, *conditions: Any, limit: int | None) -> list[Operation]:
        table = schema.operation
        query = select(table).where(schema.of(table, line), *conditions).order_by(table.c.id.desc())
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.limit(limit))).mappings().all()
        names = ("id", "operation", "started_at", "finished_at", "person", "revision", "outcome", "subject")
        return [Operation(**{name: row[name] for name in names}) for row in rows]
