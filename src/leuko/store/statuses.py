"""What another CI says of each revision, one word a context."""

from __future__ import annotations

from sqlalchemy import RowMapping, select

from leuko.domain.line import Line
from leuko.domain.outside import Status, StatusState
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.transaction import Transaction


class Statuses:
    """The newest word of each context counts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set(self, tx: Transaction, status: Status) -> None:
        """Keeps it in place of what the context said before."""
        values = {
            "state": status.state.value,
            "url": status.url,
            "description": status.description,
            "by": status.by,
            "at": status.at,
        }
        named = {"revision": status.revision, "context": status.context}
        statement = tx.upsert(schema.outside_status).values(
            **schema.key(tx.line), **named, **values, first_at=status.at
        )
        index = ["application", "environment", "revision", "context"]
        await tx.execute(statement.on_conflict_do_update(index_elements=index, set_=values))

    async def of(self, line: Line, revision: str) -> list[Status]:
        """Of one revision, by context."""
        table = schema.outside_status
        query = select(table).where(schema.of(table, line), table.c.revision == revision)
        async with self._database.reading() as connection:
            found = (await connection.execute(query.order_by(table.c.context))).mappings().all()
        return [_status(row) for row in found]

    async def recent(self, line: Line, *, limit: int = 100) -> list[Status]:
        """The newest first, of any revision."""
        table = schema.outside_status
        query = select(table).where(schema.of(table, line)).order_by(table.c.at.desc()).limit(limit)
        async with self._database.reading() as connection:
            return [_status(row) for row in (await connection.execute(query)).mappings().all()]


def _status(row: RowMapping) -> Status:
    return Status(
        row["revision"],
        row["context"],
        StatusState(row["state"]),
        row["at"],
        row["url"],
        row["description"],
        row["by"],
        row["first_at"],
    )
