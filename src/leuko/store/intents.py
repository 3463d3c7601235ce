"""What people want of the line, written by the web and the command line, answered by the runtime."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import RowMapping, delete, select, update

from leuko.domain.intent import Intent, IntentKind, IntentState
from leuko.domain.line import Line
from leuko.store import schema
from leuko.store.bell import Bell, news
from leuko.store.database import Database
from leuko.store.transaction import Transaction


class Intents:
    """Answered with compare-and-set: two controllers cannot both obey one."""

    def __init__(self, database: Database, bell: Bell) -> None:
        self._database = database
        self._bell = bell

    async def add(self, tx: Transaction, intent: Intent) -> Intent:
        """Keeps an intent, gives it its number (whatever it says) and wakes whoever follows the line."""
        intent = replace(intent, id=tx.number("intents"))
        await tx.execute(
            tx.insert(
                schema.intent,
                id=intent.id,
                kind=intent.kind.value,
                push=intent.push,
                seen_state=intent.seen_state,
                seen_version=intent.seen_version,
                arguments=dict(intent.arguments),
                by=intent.by,
                why=intent.why,
                at=intent.at,
                expires_at=intent.expires_at,
                state=intent.state.value,
                answer=dict(intent.answer),
                answered_at=intent.answered_at,
            )
        )
        tx.wake()
        return intent

    async def answer(
        self, tx: Transaction, number: int, state: IntentState, answer: Mapping[str, Any], at: datetime
    ) -> None:
        """Ends a waiting intent; raises Lost when it was answered already."""
        table = schema.intent
        where = (
            schema.of(table, tx.line),
            table.c.id == number,
            table.c.state == IntentState.WAITING.value,
        )
        values = {"state": state.value, "answer": dict(answer), "answered_at": at}
        await tx.swap(update(table).where(*where).values(**values), f"intent {number}")
        tx.wake()

    async def forget(self, tx: Transaction, kind: IntentKind, before: datetime) -> None:
        """Drops those of a kind that were answered before then: what they said was for that moment."""
        table = schema.intent
        old = (table.c.kind == kind.value, table.c.answered_at < before)
        await tx.execute(delete(table).where(schema.of(table, tx.line), *old))

    async def waiting(self, line: Line) -> list[Intent]:
        """Not yet answered, oldest first; also those whose time is over, for they want an answer too."""
        table = schema.intent
        query = select(table).where(schema.of(table, line), table.c.state == IntentState.WAITING.value)
        return await self._rows(query.order_by(table.c.id))

    async def get(self, line: Line, number: int) -> Intent | None:
        """By its number."""
        table = schema.intent
        found = await self._rows(select(table).where(schema.of(table, line), table.c.id == number))
        return found[0] if found else None

    async def recent(self, line: Line, *, limit: int = 50) -> list[Intent]:
        """Newest first."""
        table = schema.intent
        query = select(table).where(schema.of(table, line)).order_by(table.c.id.desc()).limit(limit)
        return await self._rows(query)

    async def wait_answer(self, line: Line, number: int, timeout: float) -> Intent | None:
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

    async def wait_news(self, line: Line, timeout: float) -> list[Intent]:
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

    async def _rows(self, query: Any) -> list[Intent]:
        async with self._database.reading() as connection:
            return [_intent(row) for row in (await connection.execute(query)).mappings().all()]


def _intent(row: RowMapping) -> Intent:
    return Intent(
        id=row["id"],
        kind=IntentKind(row["kind"]),
        by=row["by"],
        why=row["why"],
        at=row["at"],
        expires_at=row["expires_at"],
        push=row["push"],
        seen_state=row["seen_state"],
        seen_version=row["seen_version"],
        arguments=MappingProxyType(row["arguments"]),
        state=IntentState(row["state"]),
        answer=MappingProxyType(row["answer"]),
        answered_at=row["answered_at"],
    )
