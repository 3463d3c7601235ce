"""Connections and transactions, the same on SQLite (WAL) and PostgreSQL.

SQLite: one connection writes, with BEGIN IMMEDIATE, so that nothing read in a transaction can be overtaken
by somebody else's write (the library's default begins late and silently loses updates). Reads have
connections of their own and see the last commit. PostgreSQL: what serialises is the line's row, FOR UPDATE.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from leuko.store.errors import FromOutside, translated, unreachable
from leuko.store.files import make_private

BUSY_MS = 15_000
READERS = 4
PATIENCE = 60.0
"""Seconds that a transaction waits for its turn: longer than any other transaction may take."""


T = TypeVar("T")


async def to_its_end(step: Coroutine[Any, Any, T]) -> T:
    """Awaits one step of a database; a cancellation is obeyed after the step, not in the middle of it.

    A connection that is torn away while its thread works keeps its transaction, and with it the write lock of
    an SQLite file, until the garbage collector finds it.
    """
    task = asyncio.ensure_future(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                continue  # asked once more: the step is short, and the first cancellation is raised after it
        if not task.cancelled():
            task.exception()  # it is known; what is raised is the cancellation
        raise


class Database:
    """The engines of one store."""

    def __init__(self, write: AsyncEngine, read: AsyncEngine, path: Path | None, where: str) -> None:
        self._write = write
        self._read = read
        self.path = path
        self.where = where

    @property
    def embedded(self) -> bool:
        """True on SQLite."""
        return self.path is not None

    @property
    def engine(self) -> AsyncEngine:
        """For a connection of one's own, as listening needs."""
        return self._read

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes; all of it is saved when the block ends, nothing when it raises."""
        try:
            with self.translated():
                async with _begun(self._write) as connection:
                    try:
                        yield connection
                    except OSError as error:
                        raise FromOutside(error) from error
        except FromOutside as outside:
            raise outside.error from outside.error.__cause__

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A short transaction that sees one state of the store and cannot write."""
        with self.translated():
            async with _begun(self._read) as connection:
                yield connection

    def translated(self) -> AbstractContextManager[None]:
        """For what talks to the database inside."""
        return translated(self.where, self.path)

    async def close(self) -> None:
        """Ends all connections."""
        await self._write.dispose()
        if self._read is not self._write:
            await self._read.dispose()


@asynccontextmanager
async def _begun(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction on a connection of its own, begun and ended whole."""
    connection = engine.connect()
    try:
        await to_its_end(_begin(connection))
        yield connection
        await to_its_end(connection.commit())
    finally:
        if connection.sync_connection is not None:  # else it never connected
            await to_its_end(connection.close())  # what was not saved is rolled back by that


async def _begin(connection: AsyncConnection) -> None:
    await connection.start()
    await connection.begin()


def connect(address: str | Path) -> Database:
    """The database at a path (SQLite) or URL. Connects at its first use."""
    url = _url(address)
    if url.get_backend_name() == "postgresql":
        return _postgresql(url)
    path = Path(url.database or "").absolute()
    with translated(str(path), path):
        make_private(path)
    url = url.set(database=str(path))
    return Database(_sqlite(url, write=True), _sqlite(url, write=False), path, str(path))


def _url(address: str | Path) -> URL:
    text = str(address)
    if "://" not in text:
        return URL.create("sqlite+aiosqlite", database=text)
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except ArgumentError as error:
        raise unreachable("store", f"an address should look like postgresql://host/name: {error}") from error
    if backend in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+asyncpg")
    if backend == "sqlite" and url.database:
        return url.set(drivername="sqlite+aiosqlite")
    raise unreachable("store", f"{backend} is not a database Leuko knows: a path, or postgresql://")


def _sqlite(url: URL, *, write: bool) -> AsyncEngine:
    engine = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=1 if write else READERS,
        max_overflow=0,
        pool_timeout=PATIENCE,
        connect_args={"timeout": BUSY_MS / 1000},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        try:
            _prepare(connection, write=write)
        except BaseException:
            connection.close()  # the pool would forget it, and its thread would never end
            raise

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _prepare(connection: Any, *, write: bool) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself
    cursor = connection.cursor()
    # FULL: a sequence number that went out to a host must not be forgotten by a power cut
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_MS}", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    if not write:
        cursor.execute("PRAGMA query_only=ON")
    cursor.close()


def _postgresql(url: URL) -> Database:
    engine = create_async_engine(
        url,
        pool_size=8,
        max_overflow=8,
        pool_timeout=PATIENCE,
        pool_pre_ping=True,
        connect_args={
            "timeout": 10,
            "server_settings": {
                "application_name": "leuko",
                # a controller that was suspended in a transaction must not hold a line for ever
                "idle_in_transaction_session_timeout": "30000",
                "lock_timeout": "30000",
            },
        },
    )
    return Database(engine, engine, None, url.render_as_string(hide_password=True))
