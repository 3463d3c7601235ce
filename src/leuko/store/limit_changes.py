"""Who changed which limit, when and why: for people, and so that a push can be judged again as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, func, select

from leuko.domain.gauge import Limit
from leuko.domain.line import Line
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.errors import Lost
from leuko.store.records import from_json, to_json
from leuko.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class LimitChange:
    """One change in one place of a gauge. None: no person had, or has, a limit there."""

    id: int
    gauge: str
    was: Limit | None
    became: Limit | None
    by: str
    why: str
    at: datetime

    @property
    def place(self) -> tuple[str, str, str]:
        """Scope, role, host."""
        limit = self.became or self.was
        assert limit is not None  # a change is of one limit to another or to none
        return limit.place


class LimitChanges:
    """Numbered from 1 on each line; none is ever changed or removed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, tx: Transaction, change: LimitChange, *, seen: int | None = None) -> LimitChange:
        """Keeps a change and gives it its number.

        `seen` is the newest change of this gauge that its author knew of: Lost where there is a newer one.
        """
        table = schema.limit_change
        if seen is not None:
            mine = (schema.of(table, tx.line), table.c.gauge == change.gauge)
            newest = (await tx.execute(select(func.max(table.c.id)).where(*mine))).scalar_one_or_none() or 0
            if newest > seen:
                raise Lost(
                    f"limits of {change.gauge} were changed in the meantime (change {newest})",
                    where=f"{tx.line} {change.gauge}",
                    way_out="look at what they are now, and decide again",
                    code="S010",
                )
        scope, role, host = change.place
        kept = replace(change, id=tx.number("limit_changes"))
        await tx.execute(
            tx.insert(
                table,
                id=kept.id,
                gauge=kept.gauge,
                scope=scope,
                role=role,
                host=host,
                was=to_json(kept.was),
                became=to_json(kept.became),
                by=kept.by,
                why=kept.why,
                at=kept.at,
            )
        )
        return kept

    async def recent(
        self, line: Line, *, gauge: str = "", limit: int = 50, before: int | None = None
    ) -> list[LimitChange]:
        """Newest first; of one gauge where given; `before` a number, to go on."""
        table = schema.limit_change
        conditions: list[Any] = [table.c.gauge == gauge] if gauge else []
        if before is not None:
            conditions.append(table.c.id < before)
        query = select(table).where(schema.of(table, line), *conditions).order_by(table.c.id.desc())
        return await self._rows(query.limit(limit))

    async def newest(self, line: Line) -> dict[str, int]:
        """Number of the newest change of each gauge that had one."""
        table = schema.limit_change
        query = select(table.c.gauge, func.max(table.c.id)).where(schema.of(table, line))
        async with self._database.reading() as connection:
            rows = (await connection.execute(query.group_by(table.c.gauge))).all()
        return {row[0]: int(row[1]) for row in rows}

    async def timeline(self, line: Line) -> Sequence[LimitChange]:
        """Every change, oldest first."""
        table = schema.limit_change
        return await self._rows(select(table).where(schema.of(table, line)).order_by(table.c.id))

    async def _rows(self, query: Any) -> list[LimitChange]:
        async with self._database.reading() as connection:
            return [_change(row) for row in (await connection.execute(query)).mappings().all()]


def people_at(timeline: Sequence[LimitChange], moment: datetime) -> dict[str, list[Limit]]:
    """Limits that people had set by then, by gauge."""
    held: dict[tuple[str, tuple[str, str, str]], Limit | None] = {}
    for change in timeline:
        if change.at <= moment:
            held[change.gauge, change.place] = change.became
    found: dict[str, list[Limit]] = {}
    for (gauge, _), limit in sorted(held.items(), key=lambda item: item[0]):
        if limit is not None:
            found.setdefault(gauge, []).append(limit)
    return found


def _change(row: RowMapping) -> LimitChange:
    return LimitChange(
        id=row["id"],
        gauge=row["gauge"],
        was=None if row["was"] is None else from_json(row["was"], Limit),
        became=None if row["became"] is None else from_json(row["became"], Limit),
        by=row["by"],
        why=row["why"],
        at=row["at"],
    )
