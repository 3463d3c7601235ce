"""Commit locks and push locks, held and past: past ones may still block revisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, or_, select, update

from leuko.domain.line import Line
from leuko.domain.lock import Lock, LockKind, Severity
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.transaction import Transaction


class Locks:
    """Ids are short and can be said aloud: L1, L2, ... on each line."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, tx: Transaction, lock: Lock) -> Lock:
        """Takes a lock and gives it its id (the one in `lock` is not looked at)."""
        number = tx.number("locks")
        lock = replace(lock, id=f"L{number}")
        await tx.execute(
            tx.insert(
                schema.lock,
                number=number,
                kind=lock.kind.value,
                severity=lock.severity.value,
                owner=lock.owner,
                reason=lock.reason,
                since=lock.since,
                expires_at=lock.expires_at,
                push=lock.push,
                blocks=list(lock.blocks),
                pins=lock.pins,
                released_at=lock.released_at,
                released_by=lock.released_by,
                released_why=lock.released_why,
                version=0,
            )
        )
        return lock

    async def release(
        self, tx: Transaction, lock_id: str, by: str, why: str, now: datetime, *, forget: bool = False
    ) -> None:
        """Lets go of it; raises Lost when it was let go already. `forget`: it blocks nothing any more."""
        values: dict[str, Any] = {"released_at": now, "released_by": by, "released_why": why}
        if forget:
            values["blocks"] = []
        await self._swap(tx, lock_id, schema.lock.c.released_at.is_(None), values)

    async def forget(self, tx: Transaction, lock_id: str) -> None:
        """The revisions that it blocks are blocked no more, whether it is held or not."""
        await self._swap(tx, lock_id, None, {"blocks": []})

    async def get(self, line: Line, lock_id: str) -> Lock | None:
        """By its id."""
        number = _number(lock_id)
        if number is None:
            return None
        found = await self._rows(line, schema.lock.c.number == number)
        return found[0] if found else None

    async def held(self, line: Line, kind: LockKind | None, now: datetime) -> list[Lock]:
        """Those held now, newest first; of both kinds where `kind` is None."""
        table = schema.lock
        conditions: list[Any] = [
            table.c.released_at.is_(None),
            or_(table.c.expires_at.is_(None), table.c.expires_at > now),
        ]
        if kind is not None:
            conditions.append(table.c.kind == kind.value)
        return await self._rows(line, *conditions)

    async def recent(self, line: Line, *, limit: int = 50) -> list[Lock]:
        """Held and past ones, newest first."""
        return await self._rows(line, limit=limit)

    async def blocking(self, line: Line) -> list[Lock]:
        """Every lock that names blocked revisions, held or not, newest first."""
        return await self._rows(line, schema.lock.c.blocks != [])

    async def _swap(self, tx: Transaction, lock_id: str, condition: Any, values: dict[str, Any]) -> None:
        table = schema.lock
        statement = update(table).where(schema.of(table, tx.line), table.c.number == _number(lock_id))
        if condition is not None:
            statement = statement.where(condition)
        await tx.swap(statement.values(version=table.c.version + 1, **values), f"lock {lock_id}")

    async def _rows(self, line: Line, *conditions: Any, limit: int | None = None) -> list[Lock]:
        table = schema.lock
        query = select(table).where(schema.of(table, line), *conditions).order_by(table.c.number.desc())
        async with self._database.reading() as connection:
            rows: Sequence[RowMapping] = (await connection.execute(query.limit(limit))).mappings().all()
        return [_lock(row) for row in rows]


def _number(lock_id: str) -> int | None:
    digits = lock_id.strip().upper().removeprefix("L")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 16 else None


def _lock(row: RowMapping) -> Lock:
    return Lock(
        id=f"L{row['number']}",
        kind=LockKind(row["kind"]),
        severity=Severity(row["severity"]),
        owner=row["owner"],
        reason=row["reason"],
        since=row["since"],
        expires_at=row["expires_at"],
        push=row["push"],
        blocks=tuple(row["blocks"]),
        pins=row["pins"],
        released_at=row["released_at"],
        released_by=row["released_by"],
        released_why=row["released_why"],
    )
