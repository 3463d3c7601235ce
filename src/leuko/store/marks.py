"""What people say of rollbacks: true, or false."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import RowMapping, func, select

from leuko.domain.line import Line
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Mark:
    """`correct`: the push was really bad (or, of one that went live, really good)."""

    push: int
    correct: bool
    by: str
    why: str
    at: datetime


class Marks:
    """At most one a push: who thinks better of it marks it again. Earlier ones are in the events."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set(self, tx: Transaction, mark: Mark) -> None:
        """In place of the one before."""
        rest = {"correct": mark.correct, "by": mark.by, "why": mark.why, "at": mark.at}
        statement = tx.upsert(schema.mark).values(**schema.key(tx.line), push=mark.push, **rest)
        index = ["application", "environment", "push"]
        await tx.execute(statement.on_conflict_do_update(index_elements=index, set_=rest))

    async def get(self, line: Line, push: int) -> Mark | None:
        """Of one push."""
        table = schema.mark
        query = select(table).where(schema.of(table, line), table.c.push == push)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).mappings().first()
        return _mark(row) if row else None

    async def recent(self, line: Line, *, limit: int = 1000) -> list[Mark]:
        """Of the newest pushes first."""
        table = schema.mark
        query = select(table).where(schema.of(table, line)).order_by(table.c.push.desc()).limit(limit)
        async with self._database.reading() as connection:
            return [_mark(row) for row in (await connection.execute(query)).mappings().all()]

    async def count(self, line: Line) -> tuple[int, int]:
        """(marked, of which false)."""
        table = schema.mark
        query = select(table.c.correct, func.count()).where(schema.of(table, line)).group_by(table.c.correct)
        async with self._database.reading() as connection:
            found = {bool(row[0]): int(row[1]) for row in (await connection.execute(query)).all()}
        return sum(found.values()), found.get(False, 0)


def _mark(row: RowMapping) -> Mark:
    return Mark(row["push"], row["correct"], row["by"], row["why"], row["at"])
