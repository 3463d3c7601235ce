"""What people want of the line, written by the web and the command line, answered by the runtime."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from sqlalchemy import RowMapping, select, update

from leuko.domain.line import Line
from leuko.store import schema
from leuko.store.bell import Bell, news
from leuko.store.database import Database
from leuko.store.transaction import Transaction


class IntentState(StrEnum):
    """Every intent ends accepted, refused or expired."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Wish:
    """An intent as a person states it. `push_state` and `push_version` are what its author saw."""

    kind: str
    by: str
    why: str = ""
    push: int | None = None
    push_state: str = ""
    push_version: int | None = None
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)


@dataclass(frozen=True, slots=True)
class StoredIntent:
    """A wish with its number and what came of it."""

    id: int
    wish: Wish
    at: datetime
    expires_at: datetime
    state: IntentState = IntentState.WAITING
    answer: str = ""
    answered_at: datetime | None = None
    version: int = 0


class Intents:
    """Answered with compare-and-set: two controllers cannot both obey one."""

    def __init__(self, database: Database, bell: Bell) -> None:
        self._database = database
        self._bell = bell

    async def add(self, tx: Transaction, wish: Wish, at: datetime, expires_at: datetime) -> StoredIntent:
        """Keeps a wish and wakes whoever follows the line."""
        stored = StoredIntent(tx.number("intents"), wish, at, expires_at)
        await tx.execute(
            tx.insert(
                schema.intent,
                id=stored.id,
                kind=wish.kind,
                push=wish.push,
                push_state=wish.push_state,
                push_version=wish.push_version,
                arguments=dict(wish.arguments),
                by=wish.by,
                why=wish.why,
                at=at,
                expires_at=expires_at,
                state=stored.state.value,
                answer="",
                version=0,
            )
        )
        tx.wake()
        return stored

    async def answer(
        self, tx: Transaction, intent: StoredIntent, state: IntentState, answer: str, at: datetime
    ) -> None:
        """Ends a waiting intent; raises Lost when it was answered already."""
        table = schema.intent
        where = (
            schema.of(table, tx.line),
            table.c.id == intent.id,
            table.c.state == IntentState.WAITING.value,
            table.c.version == intent.version,
        )
        values = {"state": state.value, "answer": answer, "answered_at": at, "version": intent.version + 1}
        await tx.swap(update(table).where(*where).values(**values), f"intent {intent.id}")
        tx.wake()

    async def waiting(self, line: Line) -> list[StoredIntent]:
        """Not yet answered, oldest first; also those whose time is over, for they want an answer too."""
        table = schema.intent
        query = select(table).where(schema.of(table, line), table.c.state == IntentState.WAITING.value)
        return await self._rows(query.order_by(table.c.id))

    async def get(self, line: Line, number: int) -> StoredIntent | None:
        """By its number."""
        table = schema.intent
        found = await self._rows(select(table).where(schema.of(table, line), table.c.id == number))
        return found[0] if found else None

    async def recent(self, line: Line, *, limit: int = 50) -> list[StoredIntent]:
        """Newest first."""
        table = schema.intent
        query = select(table).where(schema.of(table, line)).order_by(table.c.id.desc()).limit(limit)
        return await self._rows(query)

    async def wait_answer(self, line: Line, number: int, timeout: float) -> StoredIntent | None:
        """The intent once it is answered; as it stands after `timeout` seconds; None where there is none."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        with self._bell.hearing(line) as waiter:
            while True:
                stored = await self.get(line, number)
                left = end - loop.time()
                if stored is None or stored.state is not IntentState.WAITING or left <= 0:
                    return stored
                await news(waiter, min(1.0, left))

    async def wait_news(self, line: Line, timeout: float) -> list[StoredIntent]:
        """Waiting intents as soon as there are any, or none after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        with self._bell.hearing(line) as waiter:
            while True:
                found = await self.waiting(line)
                left = end - loop.time()
                if found or left <= 0:
                    return found
                await news(waiter, min(1.0, left))

    async def _rows(self, query: Any) -> list[StoredIntent]:
        async with self._database.reading() as connection:
            return [_intent(row) for row in (await connection.execute(query)).mappings().all()]


def _intent(row: RowMapping) -> StoredIntent:
    wish = Wish(
        row["kind"],
        row["by"],
        row["why"],
        row["push"],
        row["push_state"],
        row["push_version"],
        MappingProxyType(row["arguments"]),
    )
    return StoredIntent(
        row["id"],
        wish,
        row["at"],
        row["expires_at"],
        IntentState(row["state"]),
        row["answer"],
        row["answered_at"],
        row["version"],
    )
