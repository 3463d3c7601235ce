"""What the watch said, tick after tick: the newest rows of each phase of a push."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, delete, func, select

from leuko.domain.line import Line
from leuko.domain.verdict import Verdict
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.records import from_json, to_json
from leuko.store.transaction import Transaction

KEPT = 60
"""Verdicts kept of each phase: the newest, so that a long hold does not fill the disk."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, of which phase, and when."""

    push: int
    phase: int
    at: datetime
    verdict: Verdict


class Findings:
    """One row a verdict."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, tx: Transaction, push: int, phase: int, verdict: Verdict, at: datetime) -> None:
        """Keeps a verdict; the oldest of the phase goes when there are too many."""
        table = schema.finding
        mine = (schema.of(table, tx.line), table.c.push == push, table.c.phase == phase)
        last = (await tx.execute(select(func.max(table.c.number)).where(*mine))).scalar_one_or_none() or 0
        await tx.execute(
            tx.insert(
                table,
                push=push,
                phase=phase,
                number=last + 1,
                decision=verdict.decision.value,
                sentence=verdict.sentence,
                record=to_json(verdict),
                at=at,
            )
        )
        await tx.execute(delete(table).where(*mine, table.c.number <= last + 1 - KEPT))

    async def latest(self, line: Line, push: int, phase: int | None = None) -> Judgement | None:
        """The newest verdict of a phase, or of the push."""
        table = schema.finding
        query = select(table).where(schema.of(table, line), table.c.push == push)
        if phase is not None:
            query = query.where(table.c.phase == phase)
        newest = query.order_by(table.c.at.desc(), table.c.phase.desc(), table.c.number.desc()).limit(1)
        found = await self._rows(newest)
        return found[0] if found else None

    async def history(self, line: Line, push: int, phase: int) -> list[Judgement]:
        """The newest verdicts of a phase, oldest first."""
        table = schema.finding
        query = select(table).where(schema.of(table, line), table.c.push == push, table.c.phase == phase)
        return await self._rows(query.order_by(table.c.number))

    async def _rows(self, query: Any) -> list[Judgement]:
        async with self._database.reading() as connection:
            return [_judgement(row) for row in (await connection.execute(query)).mappings().all()]


def _judgement(row: RowMapping) -> Judgement:
    return Judgement(row["push"], row["phase"], row["at"], from_json(row["record"], Verdict))
