"""Readings in PostgreSQL: a partition a day, so that what expires is dropped, never deleted row by row.

Any controller of the database reads what any other wrote. The readings' thread waits for the event loop,
which owns the connections.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from leuko.domain.line import Line
from leuko.store.columns import to_micros
from leuko.store.database import Database
from leuko.store.days import blobs, roster_digest
from leuko.store.errors import damaged
from leuko.store.minutes import Summary, unpacked
from leuko.store.series import Reading, Row, Ticks

T = TypeVar("T")
DAY = timedelta(days=1)
LOCK = 0x4C65756B6F72
"""Of the advisory lock under which tables are made: two controllers may meet a new day at once."""
TABLES = (
    "CREATE TABLE IF NOT EXISTS reading_roster (digest text PRIMARY KEY, hosts text NOT NULL)",
    (
        "CREATE TABLE IF NOT EXISTS reading_tick (application text, environment text, at bigint, roster text"
        " NOT NULL, PRIMARY KEY (application, environment, at)) PARTITION BY RANGE (at)"
    ),
    (
        "CREATE TABLE IF NOT EXISTS reading (application text, environment text, gauge text, at bigint,"
        " data bytea NOT NULL, denominators bytea, resets bytea,"
        " PRIMARY KEY (application, environment, gauge, at)) PARTITION BY RANGE (at)"
    ),
    (
        "CREATE TABLE IF NOT EXISTS reading_minute (day date, application text, environment text, gauge text,"
        " host text, mean bytea NOT NULL, max bytea NOT NULL, count bytea NOT NULL, denominators bytea,"
        " PRIMARY KEY (day, application, environment, gauge, host)) PARTITION BY LIST (day)"
    ),
    "CREATE TABLE IF NOT EXISTS reading_minute_day (day date PRIMARY KEY)",
)


class PartitionShelf:
    """The partitions of one database. Made on the event loop that its connections belong to."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._loop = asyncio.get_running_loop()
        self._made: set[date] = set()
        self._prepared = False

    @contextmanager
    def guarded(self, day: date, *, minutes: bool = False) -> Iterator[None]:  # noqa: ARG002 - of the port: every day is in the one database
        with self._translated():
            yield

    def _translated(self) -> AbstractContextManager[None]:
        return self._database.translated()

    def days(self, *, minutes: bool = False) -> list[date]:
        if minutes:
            found = self.fetch("SELECT to_char(day, 'YYYY-MM-DD') FROM reading_minute_day ORDER BY day")
            return [date.fromisoformat(row[0]) for row in found]
        found = self.fetch(
            "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid"
            " WHERE inhparent = to_regclass('reading_tick') ORDER BY 1"
        )
        return [datetime.strptime(row[0], "reading_tick_%Y%m%d").replace(tzinfo=UTC).date() for row in found]

    def has(self, day: date, *, minutes: bool = False) -> bool:
        if minutes:
            return bool(self.fetch("SELECT 1 FROM reading_minute_day WHERE day = :day", day=day))
        (row,) = self.fetch("SELECT to_regclass(:name) IS NOT NULL", name=_partition("reading_tick", day))
        return bool(row[0])

    def open(self, day: date) -> DayPartition:
        if day not in self._made:
            self.run(lambda connection: _make_day(connection, day))
            self._made.add(day)
        return DayPartition(self, day)

    def drop(self, day: date, *, minutes: bool = False) -> None:
        async def work(connection: AsyncConnection) -> None:
            names = ("reading_minute",) if minutes else ("reading_tick", "reading")
            for name in names:
                await connection.execute(text(f"DROP TABLE IF EXISTS {_partition(name, day)}"))
            if minutes:
                await connection.execute(
                    text("DELETE FROM reading_minute_day WHERE day = :day"), {"day": day}
                )

        self._made.discard(day)
        self.run(work)

    def set_aside(self, day: date, *, minutes: bool = False) -> str:
        what = " of minutes" if minutes else ""
        raise damaged(
            self._database.where, f"readings{what} of {day}: a server's tables are the server's to mend"
        )

    def load_minutes(self, day: date, line: Line, gauge: str) -> dict[str, Summary]:
        rows = self.fetch(
            "SELECT host, mean, max, count, denominators FROM reading_minute WHERE day = :day"
            " AND application = :application AND environment = :environment AND gauge = :gauge ORDER BY host",
            day=day, gauge=gauge, **_of(line),
        )  # fmt: skip
        return {host: unpacked(mean, most, count, below) for host, mean, most, count, below in rows}

    def begin_minutes(self, day: date) -> None:
        async def work(connection: AsyncConnection) -> None:
            name = _partition("reading_minute", day)
            await connection.execute(text(f"DROP TABLE IF EXISTS {name}"))
            await connection.execute(
                text(f"CREATE TABLE {name} PARTITION OF reading_minute FOR VALUES IN ('{day.isoformat()}')")
            )

        self.run(work)

    def save_minutes(self, day: date, line: Line, gauge: str, hosts: Sequence[str], whole: Summary) -> None:
        rows = [
            {
                "day": day, "gauge": gauge, "host": host, **_of(line),
                "mean": whole.mean[:, column].astype("<f4").tobytes(),
                "max": whole.max[:, column].astype("<f4").tobytes(),
                "count": whole.count[:, column].astype("<u4").tobytes(),
                "denominators": None
                if whole.denominators is None
                else whole.denominators[:, column].astype("<f4").tobytes(),
            }
            for column, host in enumerate(hosts)
            if whole.count[:, column].any()
        ]  # fmt: skip
        insert = text(
            "INSERT INTO reading_minute VALUES (:day, :application, :environment, :gauge, :host,"
            " :mean, :max, :count, :denominators) ON CONFLICT DO NOTHING"
        )
        if rows:
            self.run(lambda connection: connection.execute(insert, rows))

    def keep_minutes(self, day: date) -> None:
        insert = text("INSERT INTO reading_minute_day VALUES (:day) ON CONFLICT DO NOTHING")
        self.run(lambda connection: connection.execute(insert, {"day": day}))

    # -- from the readings' thread to the loop and back --------------------------------------------------

    def fetch(self, query: str, **values: Any) -> Sequence[Any]:
        """Rows of a query."""

        async def work(connection: AsyncConnection) -> Sequence[Any]:
            return (await connection.execute(text(query), values)).fetchall()

        return self.run(work)

    def run(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """One transaction."""

        async def whole() -> T:
            async with self._prepared_connection() as connection:
                return await work(connection)

        return asyncio.run_coroutine_threadsafe(whole(), self._loop).result()

    @asynccontextmanager
    async def _prepared_connection(self) -> AsyncIterator[AsyncConnection]:
        if not self._prepared:
            async with self._database.writing() as connection:
                await _locked(connection)
                for table in TABLES:
                    await connection.execute(text(table))
            self._prepared = True
        async with self._database.writing() as connection:
            yield connection


class DayPartition:
    """The raw readings of one UTC day, of all lines. Times are microseconds since 1970."""

    def __init__(self, shelf: PartitionShelf, day: date) -> None:
        self._shelf = shelf
        self._first, self._end = _span(day)
        self._rosters: dict[str, tuple[str, ...]] = {}
        self._written: set[str] = set()

    def write(self, line: Line, tick: int, roster: tuple[str, ...], values: Mapping[str, Reading]) -> bool:
        """Keeps a closed tick; False where it was kept before: a closed tick does not change."""
        rows = []
        for gauge, reading in values.items():
            data, denominators, resets = blobs(gauge, reading, len(roster))
            rows.append(
                {
                    "gauge": gauge, "at": tick, "data": data, "denominators": denominators, "resets": resets,
                    **_of(line),
                }
            )  # fmt: skip

        digest = roster_digest(roster)

        async def work(connection: AsyncConnection) -> bool:
            if digest not in self._written:
                await connection.execute(
                    text("INSERT INTO reading_roster VALUES (:digest, :hosts) ON CONFLICT DO NOTHING"),
                    {"digest": digest, "hosts": json.dumps(roster)},
                )
            added = await connection.execute(
                text(
                    "INSERT INTO reading_tick VALUES (:application, :environment, :at, :roster)"
                    " ON CONFLICT DO NOTHING"
                ),
                {"at": tick, "roster": digest, **_of(line)},
            )
            if added.rowcount and rows:
                await connection.execute(
                    text(
                        "INSERT INTO reading VALUES (:application, :environment, :gauge, :at,"
                        " :data, :denominators, :resets)"
                    ),
                    rows,
                )
            return bool(added.rowcount)

        added = self._shelf.run(work)
        self._written.add(digest)
        return added

    def ticks(self, line: Line, start: int, end: int) -> Ticks:
        """Ticks in [start, end) and their rosters."""
        found = self._shelf.fetch(
            "SELECT at, roster FROM reading_tick WHERE application = :application"
            " AND environment = :environment AND at >= :start AND at < :end ORDER BY at",
            **_of(line), **self._within(start, end),
        )  # fmt: skip
        wanted = list(dict.fromkeys(digest for _, digest in found))
        for digest in wanted:
            if digest not in self._rosters:
                query = "SELECT hosts FROM reading_roster WHERE digest = :digest"
                ((hosts,),) = self._shelf.fetch(query, digest=digest)
                self._rosters[digest] = tuple(json.loads(hosts))
        return Ticks([(at, digest) for at, digest in found], {name: self._rosters[name] for name in wanted})

    def rows(self, line: Line, gauge: str, start: int, end: int) -> list[Row]:
        """One gauge's rows in [start, end), ticks ascending."""
        found = self._shelf.fetch(
            "SELECT at, data, denominators, resets FROM reading WHERE application = :application"
            " AND environment = :environment AND gauge = :gauge AND at >= :start AND at < :end ORDER BY at",
            gauge=gauge, **_of(line), **self._within(start, end),
        )  # fmt: skip
        return [Row(*row) for row in found]

    def lines(self) -> list[Line]:
        """Lines that have readings of this day."""
        found = self._shelf.fetch(
            "SELECT DISTINCT application, environment FROM reading_tick"
            " WHERE at >= :start AND at < :end ORDER BY 1, 2",
            start=self._first, end=self._end,
        )  # fmt: skip
        return [Line(*row) for row in found]

    def gauges(self) -> list[str]:
        """Gauges that have readings of this day."""
        found = self._shelf.fetch(
            "SELECT DISTINCT gauge FROM reading WHERE at >= :start AND at < :end ORDER BY 1",
            start=self._first, end=self._end,
        )  # fmt: skip
        return [name for (name,) in found]

    def span(self, line: Line) -> tuple[int, int] | None:
        """The first and last tick of a line."""
        ((first, last),) = self._shelf.fetch(
            "SELECT min(at), max(at) FROM reading_tick WHERE application = :application"
            " AND environment = :environment AND at >= :start AND at < :end",
            start=self._first, end=self._end, **_of(line),
        )  # fmt: skip
        return None if first is None else (first, last)

    def close(self) -> None:
        """Nothing is open between two calls."""

    def _within(self, start: int, end: int) -> dict[str, int]:
        return {"start": max(start, self._first), "end": min(end, self._end)}


def _of(line: Line) -> dict[str, str]:
    return {"application": line.application, "environment": line.environment}


def _partition(table: str, day: date) -> str:
    return f"{table}_{day:%Y%m%d}"


def _span(day: date) -> tuple[int, int]:
    begin = datetime.combine(day, time(), UTC)
    return to_micros(begin), to_micros(begin + DAY)


async def _locked(connection: AsyncConnection) -> None:
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})


async def _make_day(connection: AsyncConnection, day: date) -> None:
    await _locked(connection)
    start, end = _span(day)
    for table in ("reading_tick", "reading"):
        await connection.execute(
            text(
                f"CREATE TABLE IF NOT EXISTS {_partition(table, day)} PARTITION OF {table}"
                f" FOR VALUES FROM ({start}) TO ({end})"
            )
        )
