"""Slow changes: warnings as they were found and ended, and what the last look said of each gauge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, delete, select, update

from leuko.domain.line import Line
from leuko.domain.trend import Outlook, Trend
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.errors import Lost
from leuko.store.records import from_json, to_json
from leuko.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Warned:
    """One warning. `push` is the first suspect; None where nobody is suspected."""

    id: int
    trend: Trend
    push: int | None
    found_at: datetime
    changed_at: datetime
    ended_at: datetime | None = None
    ended_why: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """What the last look said of one gauge; `why` where it could not look."""

    gauge: str
    at: datetime
    until: datetime | None
    """How long looks go on; None: as long as a warning is open, or none since nothing was pushed."""
    outlooks: tuple[Outlook, ...]
    why: str = ""


class Trends:
    """At most one warning a gauge and subject is open."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, tx: Transaction, trend: Trend, at: datetime) -> Warned:
        """Keeps a new warning; raises Lost where one about the same is open."""
        table = schema.trend
        place = table.c.subject == _place(trend)
        same = (table.c.gauge == trend.gauge, place, table.c.ended_at.is_(None))
        if (await tx.execute(select(table.c.id).where(schema.of(table, tx.line), *same))).first():
            raise Lost(f"a trend of {trend.gauge} at {trend.subject} is open already", code="S010")
        push = trend.suspects[0].push if trend.suspects else None
        warned = Warned(tx.number("trends"), trend, push, at, at)
        await tx.execute(tx.insert(table, id=warned.id, **_columns(warned)))
        return warned

    async def change(self, tx: Transaction, warned: Warned, trend: Trend, at: datetime) -> Warned:
        """The newest figures; raises Lost when somebody was faster."""
        return await self._save(tx, warned, replace(warned, trend=trend, changed_at=at))

    async def end(self, tx: Transaction, warned: Warned, why: str, at: datetime) -> Warned:
        """It is over; raises Lost when somebody was faster."""
        return await self._save(tx, warned, replace(warned, ended_at=at, ended_why=why))

    async def _save(self, tx: Transaction, before: Warned, after: Warned) -> Warned:
        table = schema.trend
        where = (
            schema.of(table, tx.line),
            table.c.id == before.id,
            table.c.version == before.version,
            table.c.ended_at.is_(None),
        )
        after = replace(after, version=before.version + 1)
        await tx.swap(update(table).where(*where).values(**_columns(after)), f"trend {before.id}")
        return after

    async def open(self, line: Line) -> list[Warned]:
        """Those that have not ended, oldest first."""
        return (await self._rows(line, schema.trend.c.ended_at.is_(None), limit=None))[::-1]

    async def recent(self, line: Line, *, limit: int = 50, before: int | None = None) -> list[Warned]:
        """Newest first; `before` a number, to go on."""
        conditions = () if before is None else (schema.trend.c.id < before,)
        return await self._rows(line, *conditions, limit=limit)

    async def get(self, line: Line, number: int) -> Warned | None:
        """By its number."""
        found = await self._rows(line, schema.trend.c.id == number, limit=1)
        return found[0] if found else None

    async def save_look(self, tx: Transaction, look: Look) -> None:
        """Puts it in place of the last look at the same gauge."""
        rest = {"record": to_json(look), "at": look.at}
        new = tx.upsert(schema.trend_look).values(**schema.key(tx.line), gauge=look.gauge, **rest)
        index = ["application", "environment", "gauge"]
        await tx.execute(new.on_conflict_do_update(index_elements=index, set_=rest))

    async def keep_looks(self, tx: Transaction, gauges: Sequence[str]) -> None:
        """Forgets gauges that are not watched any more."""
        table = schema.trend_look
        await tx.execute(delete(table).where(schema.of(table, tx.line), table.c.gauge.not_in(list(gauges))))

    async def looks(self, line: Line) -> list[Look]:
        """The last look at each gauge, in order of name."""
        table = schema.trend_look
        query = select(table.c.record).where(schema.of(table, line)).order_by(table.c.gauge)
        async with self._database.reading() as connection:
            return [from_json(row[0], Look) for row in (await connection.execute(query)).all()]

    async def _rows(self, line: Line, *conditions: Any, limit: int | None) -> list[Warned]:
        table = schema.trend
        query = select(table).where(schema.of(table, line), *conditions).order_by(table.c.id.desc())
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.limit(limit))).mappings().all()
        return [_warned(row) for row in rows]


def _columns(warned: Warned) -> dict[str, Any]:
    return {
        "gauge": warned.trend.gauge,
        "subject": _place(warned.trend),
        "push": warned.push,
        "found_at": warned.found_at,
        "ended_at": warned.ended_at,
        "sentence": warned.trend.sentence,
        "record": to_json(warned),
        "version": warned.version,
    }


def _place(trend: Trend) -> str:
    """A host may be called as its role is."""
    return f"role {trend.subject}" if trend.aggregate else trend.subject


def _warned(row: RowMapping) -> Warned:
    return from_json(row["record"], Warned)
