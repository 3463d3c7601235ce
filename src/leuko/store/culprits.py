"""Searches for the change that broke a test or moved a number: what was asked, believed, run and found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import RowMapping, select, update

from leuko.domain.line import Line
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class CulpritSearch:
    """`state` is "open" until there is an answer. `record` holds range, posterior and probes.

    `kind`: "tests" or "metric". `culprit` and `revert` are revisions, empty where there is none; `sentence`
    says the answer to a person.
    """

    id: int
    kind: str
    state: str
    started_at: datetime
    build: int | None = None
    culprit: str = ""
    ended_at: datetime | None = None
    sentence: str = ""
    revert: str = ""
    record: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    version: int = 0


class Culprits:
    """Numbered from 1 on each line; saved with compare-and-set."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, tx: Transaction, search: CulpritSearch) -> CulpritSearch:
        """Keeps a new one and gives it its number."""
        made = replace(search, id=tx.number("culprits"), version=0)
        table = schema.culprit_search
        await tx.execute(tx.insert(table, id=made.id, version=0, **_values(made)))
        return made

    async def save(self, tx: Transaction, search: CulpritSearch) -> CulpritSearch:
        """Raises Lost when somebody was faster. Returns it as it is now."""
        table = schema.culprit_search
        where = (schema.of(table, tx.line), table.c.id == search.id, table.c.version == search.version)
        statement = update(table).where(*where).values(version=search.version + 1, **_values(search))
        await tx.swap(statement, f"culprit search {search.id}")
        return replace(search, version=search.version + 1)

    async def get(self, line: Line, number: int) -> CulpritSearch | None:
        """By its number."""
        found = await self._rows(line, schema.culprit_search.c.id == number)
        return found[0] if found else None

    async def of_build(self, line: Line, build: int) -> list[CulpritSearch]:
        """Those that the failure of this build began, newest first."""
        return await self._rows(line, schema.culprit_search.c.build == build)

    async def recent(self, line: Line, *, limit: int = 50) -> list[CulpritSearch]:
        """Newest first."""
        return await self._rows(line, limit=limit)

    async def open(self, line: Line) -> list[CulpritSearch]:
        """Those that have no answer yet: what a restart has to go on with."""
        return await self._rows(line, schema.culprit_search.c.ended_at.is_(None))

    async def _rows(self, line: Line, *conditions: Any, limit: int = 1000) -> list[CulpritSearch]:
        table = schema.culprit_search
        query = select(table).where(schema.of(table, line), *conditions).order_by(table.c.id.desc())
        async with self._database.reading() as connection:
            return [_search(row) for row in (await connection.execute(query.limit(limit))).mappings().all()]


def _values(search: CulpritSearch) -> dict[str, Any]:
    names = ("kind", "build", "state", "culprit", "started_at", "ended_at", "sentence", "revert")
    return {name: getattr(search, name) for name in names} | {"record": dict(search.record)}


def _search(row: RowMapping) -> CulpritSearch:
    return CulpritSearch(
        row["id"],
        row["kind"],
        row["state"],
        row["started_at"],
        row["build"],
        row["culprit"],
        row["ended_at"],
        row["sentence"],
        row["revert"],
        row["record"],
        row["version"],
    )
