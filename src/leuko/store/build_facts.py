"""What else is known of a build: how many tests came out how, its tags, what its tests covered, warnings."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select

from leuko.domain.line import Line
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.transaction import Transaction

Kind = Literal["tests", "tags", "coverage", "outside", "warnings", "verified", "asked"]


class BuildFacts:
    """One JSON value of a kind for each build."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set(self, tx: Transaction, build: int, kind: Kind, value: Any, at: datetime) -> None:
        """Keeps it in place of the one before."""
        values = {"value": value, "at": at}
        statement = tx.upsert(schema.build_fact).values(
            **schema.key(tx.line), build=build, kind=kind, **values
        )
        index = ["application", "environment", "build", "kind"]
        await tx.execute(statement.on_conflict_do_update(index_elements=index, set_=values))

    async def get(self, line: Line, build: int, kind: Kind) -> Any:
        """None where nobody said anything."""
        return (await self.of(line, build)).get(kind)

    async def of(self, line: Line, build: int) -> dict[str, Any]:
        """Everything of one build, by kind."""
        table = schema.build_fact
        query = select(table.c.kind, table.c.value).where(schema.of(table, line), table.c.build == build)
        async with self._database.reading() as connection:
            return {row[0]: row[1] for row in (await connection.execute(query)).all()}

    async def each(self, line: Line, builds: Collection[int], kind: Kind) -> dict[int, Any]:
        """One kind of several builds."""
        table = schema.build_fact
        query = select(table.c.build, table.c.value).where(
            schema.of(table, line), table.c.kind == kind, table.c.build.in_(list(builds))
        )
        async with self._database.reading() as connection:
            return {row[0]: row[1] for row in (await connection.execute(query)).all()}
