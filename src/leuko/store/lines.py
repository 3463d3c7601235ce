"""The lines that this store knows, and what configuration each is served with."""

from __future__ import annotations

from sqlalchemy import select, update

from leuko.domain.line import Line
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.transaction import Transaction


class Lines:
    """A line's row is made by the first `store.write(line)`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[Line]:
        """Every line, in order of name."""
        table = schema.line
        query = select(table.c.application, table.c.environment).order_by(
            table.c.application, table.c.environment
        )
        async with self._database.reading() as connection:
            return [Line(*row) for row in (await connection.execute(query)).all()]

    async def serve(self, tx: Transaction, configuration: str) -> None:
        """Keeps the text of the installation's configuration that is served now."""
        table = schema.line
        await tx.execute(update(table).where(schema.of(table, tx.line)).values(configuration=configuration))

    async def served(self, line: Line) -> str:
        """The text kept last; empty where there is none."""
        table = schema.line
        async with self._database.reading() as connection:
            found = await connection.execute(select(table.c.configuration).where(schema.of(table, line)))
            return found.scalar_one_or_none() or ""
