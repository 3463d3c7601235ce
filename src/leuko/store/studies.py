"""What was learned around a push: pretend pushes on the history before it, what its switch looked like."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import RowMapping, select

from leuko.domain.line import Line
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.records import from_json, to_json
from leuko.store.transaction import Transaction

T = TypeVar("T")
PLACEBO, SAID, SWITCH, PEAK = "placebo", "said", "switch", "peak"
"""Pretend pushes, what they mean in sentences, the curves of a good push's switch, and its most evidence."""


@dataclass(frozen=True, slots=True)
class Study:
    """One study of one push; `value` as plain JSON, `read` as what it was."""

    push: int
    kind: str
    at: datetime
    value: Any

    def read(self, kind: type[T]) -> T:
        """The value again."""
        return from_json(self.value, kind)


class Studies:
    """At most one of a kind a push, kept as it was made first: a verdict that used it can be given again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, tx: Transaction, push: int, kind: str, value: Any, at: datetime) -> None:
        """Keeps a study, unless there is one already."""
        row = {**schema.key(tx.line), "push": push, "kind": kind, "value": to_json(value), "at": at}
        await tx.execute(tx.upsert(schema.study).values(**row).on_conflict_do_nothing())

    async def get(self, line: Line, push: int, kind: str) -> Study | None:
        """Of one push."""
        found = await self._rows(line, schema.study.c.push == push, schema.study.c.kind == kind)
        return found[0] if found else None

    async def recent(
        self, line: Line, kind: str, *, before: int | None = None, by: datetime | None = None, limit: int = 50
    ) -> list[Study]:
        """Of one kind, the newest push first; of pushes before one, and made by a time, where given."""
        table = schema.study
        conditions = [table.c.kind == kind]
        if before is not None:
            conditions.append(table.c.push < before)
        if by is not None:
            conditions.append(table.c.at <= by)
        return await self._rows(line, *conditions, limit=limit)

    async def _rows(self, line: Line, *conditions: Any, limit: int = 1) -> list[Study]:
        table = schema.study
        query = select(table).where(schema.of(table, line), *conditions)
        async with self._database.reading() as connection:
            rows = await connection.execute(query.order_by(table.c.push.desc()).limit(limit))
            return [_study(row) for row in rows.mappings().all()]


def _study(row: RowMapping) -> Study:
    return Study(row["push"], row["kind"], row["at"], row["value"])
