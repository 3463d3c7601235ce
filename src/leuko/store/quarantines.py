"""Tests whose failures do not count for a while: who owns each, why, until when; and those that were."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import RowMapping, select, update

from leuko.domain.case import Case
from leuko.domain.line import Line
from leuko.domain.quarantine import Quarantine
from leuko.store import schema
from leuko.store.cases import digest_of
from leuko.store.database import Database
from leuko.store.transaction import Transaction


class Quarantines:
    """Numbered from 1 on each line; none is ever removed, they end."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, tx: Transaction, quarantine: Quarantine) -> Quarantine:
        """Keeps a new one, in place of one that holds for the same test; its number is given here."""
        case = quarantine.case
        await self.end(tx, case, quarantine.since, quarantine.by, "another one took its place")
        made = replace(quarantine, id=tx.number("quarantines"))
        await tx.execute(
            tx.insert(
                schema.quarantine,
                id=made.id,
                digest=digest_of(case),
                suite=case.suite,
                file=case.file,
                name=case.name,
                owner=made.owner,
                why=made.why,
                by=made.by,
                since=made.since,
                until=made.until,
                ended_at=None,
                ended_by="",
                ended_why="",
            )
        )
        return made

    async def end(self, tx: Transaction, case: Case, at: datetime, by: str, why: str) -> bool:
        """Ends the one that holds for this test; False where none does."""
        table = schema.quarantine
        where = (
            schema.of(table, tx.line),
            table.c.digest == digest_of(case),
            table.c.ended_at.is_(None),
            table.c.until > at,
        )
        values = {"ended_at": at, "ended_by": by, "ended_why": why}
        return (await tx.execute(update(table).where(*where).values(**values))).rowcount > 0

    async def holding(self, line: Line, at: datetime) -> list[Quarantine]:
        """Those whose tests' failures do not count now, those that end soonest first."""
        table = schema.quarantine
        query = select(table).where(
            schema.of(table, line), table.c.ended_at.is_(None), table.c.since <= at, table.c.until > at
        )
        async with self._database.reading() as connection:
            found = (await connection.execute(query.order_by(table.c.until, table.c.id))).mappings().all()
        return [_quarantine(row) for row in found]

    async def recent(self, line: Line, *, limit: int = 50) -> list[Quarantine]:
        """Newest first, ended ones too."""
        table = schema.quarantine
        query = select(table).where(schema.of(table, line)).order_by(table.c.id.desc()).limit(limit)
        async with self._database.reading() as connection:
            return [_quarantine(row) for row in (await connection.execute(query)).mappings().all()]


def _quarantine(row: RowMapping) -> Quarantine:
    return Quarantine(
        row["id"],
        Case(row["suite"], row["file"], row["name"]),
        row["owner"],
        row["why"],
        row["by"],
        row["since"],
        row["until"],
        row["ended_at"],
        row["ended_by"],
        row["ended_why"],
    )
