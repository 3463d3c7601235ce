"""One transition of one line: what it changes and what it tells are saved together or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import CursorResult, Executable, Insert, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from leuko.domain.line import Line
from leuko.store import schema
from leuko.store.database import Database, to_its_end
from leuko.store.errors import Lost

CHANNEL = "leuko_events"


class Transaction:
    """Open inside `store.write(line)` only. It holds the line's counter row: no other writer gets in."""

    def __init__(self, line: Line, connection: AsyncConnection, database: Database) -> None:
        self.line = line
        self.embedded = database.embedded
        self._connection = connection
        self._database = database
        self._counters: dict[str, int] = {}
        self._read: dict[str, int] = {}
        self._events: list[dict[str, Any]] = []
        self._wakes = False

    async def begin(self, now: datetime) -> None:
        """Takes the line's row, and makes it for a line that is new."""
        columns = [schema.line.c[name] for name in schema.COUNTERS]
        wanted = select(*columns).where(schema.of(schema.line, self.line)).with_for_update()
        row = (await self.execute(wanted)).mappings().first()
        if row is None:
            new = self.upsert(schema.line).values(**schema.key(self.line), created_at=now)
            await self.execute(new.on_conflict_do_nothing())
            row = (await self.execute(wanted)).mappings().one()
        self._read = {name: int(row[name]) for name in schema.COUNTERS}
        self._counters = dict(self._read)

    def event(self, kind: str, subject: str, data: Mapping[str, Any], at: datetime) -> int:
        """Tells what happened; saved with this transaction. Returns the event's number."""
        number = self.number("events")
        row = {"number": number, "kind": kind, "subject": subject, "data": dict(data), "at": at}
        self._events.append({**schema.key(self.line), **row})
        self._wakes = True
        return number

    def wake(self) -> None:
        """Wakes those who follow this line after the commit, as an event does."""
        self._wakes = True

    async def next_sequence(self) -> int:
        """The next order's sequence number: it grows for ever, whatever dies."""
        return self.number("sequence")

    def number(self, counter: str) -> int:
        """The next number of one of the line's counters: saved with this transaction, so without gaps."""
        self._counters[counter] += 1
        return self._counters[counter]

    async def execute(
        self, statement: Executable, rows: Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Runs a statement; with `rows` once for each, as one batch."""
        with self._database.translated():
            return await to_its_end(self._connection.execute(statement, rows))

    async def swap(self, statement: Executable, what: str) -> None:
        """Runs an update that must change exactly one row: that is the compare-and-set."""
        result = await self.execute(statement)
        if result.rowcount != 1:
            raise Lost(
                "changed in the meantime, so nothing was saved",
                where=f"{self.line} {what}",
                way_out="look at what it is now, and decide again",
                code="S010",
            )

    def upsert(self, table: Any) -> sqlite.Insert | postgresql.Insert:
        """An insert that can say `on_conflict_...`."""
        return sqlite.insert(table) if self.embedded else postgresql.insert(table)

    def insert(self, table: Any, **values: Any) -> Insert:
        """An insert of one row of this line."""
        return insert(table).values(**schema.key(self.line), **values)

    async def database_now(self, now: datetime) -> datetime:
        """The one time that all controllers of a database share: the server's. On SQLite the caller's."""
        if self.embedded:
            return now
        return (await self.execute(text("SELECT clock_timestamp()"))).scalar_one()  # type: ignore[no-any-return] # a timestamptz is an aware datetime

    async def finish(self) -> bool:
        """Writes counters and events; the commit follows. True when there is something to wake others for."""
        changed = {name: value for name, value in self._counters.items() if value != self._read[name]}
        if changed:
            await self.execute(update(schema.line).where(schema.of(schema.line, self.line)).values(**changed))
        if self._events:
            await self.execute(insert(schema.event), self._events)
        if self._wakes and not self.embedded:
            notify = text("SELECT pg_notify(:channel, :line)")
            await self.execute(notify, [{"channel": CHANNEL, "line": str(self.line)}])
        return self._wakes
