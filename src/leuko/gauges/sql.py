"""Readings out of databases. Everything that is asked of one database goes over one connection, in turn."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from leuko.config.model import Gauge
from leuko.config.secrets import REFERENCE, Secrets
from leuko.config.sources import SqlSource
from leuko.domain.gauge import HOSTLESS
from leuko.gauges.answers import UnreadableError
from leuko.gauges.asking import Answer, Numbers, shown
from leuko.gauges.roster import Roster, hosts_of
from leuko.gauges.source import Target

ROWS = 10_000
"""Most rows of an answer."""
CONNECT = 5.0
MARGIN = 0.5
"""Seconds beside a query's own time in which its database may say that it was over."""
STEPS = 10_000
"""Of SQLite's machine, between two looks at the clock."""
_DRIVERS = {
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "mysql": "mysql+aiomysql",
    "mariadb": "mariadb+aiomysql",
    "sqlite": "sqlite+aiosqlite",
}
_EXTRAS = {"asyncpg": "postgresql", "aiomysql": "mysql"}

Rows = Sequence[Sequence[Any]]
T = TypeVar("T")


class SqlQuestion:
    """All gauges of one database."""

    def __init__(self, gauges: Mapping[str, Gauge], targets: Sequence[Target], *, secrets: Secrets) -> None:
        self._asked = {name: _source(gauge) for name, gauge in gauges.items()}
        self._kinds = {name: gauge.kind for name, gauge in gauges.items()}
        self._address = next(iter(self._asked.values())).address
        self._roster = Roster(targets)
        self._secrets = secrets
        self._engine: AsyncEngine | None = None
        self._connection: AsyncConnection | None = None
        self._left: set[asyncio.Task[Any]] = set()
        """What a driver still does that nobody waits for any more."""
        self.gauges: Mapping[str, frozenset[str]] = {
            name: frozenset((HOSTLESS,)) if gauge.hostless else hosts_of(targets, gauge.roles)
            for name, gauge in gauges.items()
        }
        known = self._address if REFERENCE.search(self._address) else shown(self._address)
        self.source = f"sql {known}"

    async def ask(self) -> Answer:
        """Asks each query in a read-only transaction of its own; the same query only once."""
        rows: dict[str, tuple[tuple[str, ...], Rows] | str] = {}
        answer: dict[str, Numbers | str] = {}
        for name, source in self._asked.items():
            if source.query not in rows:
                rows[source.query] = await self._rows(source)
            found = rows[source.query]
            try:
                if isinstance(found, str):
                    raise UnreadableError(found)  # noqa: TRY301 - said as every other failure of this gauge
                answer[name] = self._numbers(name, *found)
            except UnreadableError as error:
                answer[name] = f"gauges.{name}.sql.query `{source.query[:200]}`: {error}"
        return answer

    async def close(self, *, broken: bool = False) -> None:
        """Ends the connection."""
        connection, self._connection = self._connection, None
        self._engine = None
        if connection is not None:
            with suppress(Exception):  # it is let go, whatever its driver says of it
                await self._within(MARGIN, _let_go(connection, broken=broken))

    # --- asking ----------------------------------------------------------------------------------------

    async def _rows(self, source: SqlSource) -> tuple[tuple[str, ...], Rows] | str:
        """Columns and rows; a text where this query failed and the connection goes on."""
        connection = await self._connected()
        try:
            return await self._within(source.timeout + MARGIN, _selected(connection, source))
        except TimeoutError:
            await self.close(broken=True)
            raise UnreadableError(f"no answer within {source.timeout:g} s") from None
        except Exception as error:  # noqa: BLE001 - drivers raise what they like; each is absence with a reason
            said = _said(error)
            if connection.invalidated or connection.closed or not await self._still_there(connection):
                await self.close(broken=True)
                raise UnreadableError(said) from None
            return said
        except BaseException:
            await self.close(broken=True)
            raise

    async def _connected(self) -> AsyncConnection:
        if self._connection is not None:
            return self._connection
        try:
            self._engine = create_async_engine(
                _url(self._secrets.fill_in(self._address)),
                poolclass=NullPool,
                isolation_level="AUTOCOMMIT",
                hide_parameters=True,
            )
            self._connection = await self._within(CONNECT, _connection(self._engine))
        except ModuleNotFoundError as error:
            extra = _EXTRAS.get(error.name or "", "")
            raise UnreadableError(f"the driver is not installed: pip install 'leuko[{extra}]'") from None
        except TimeoutError:
            await self.close(broken=True)
            raise UnreadableError(f"no connection within {CONNECT:g} s") from None
        except UnreadableError:
            raise
        except Exception as error:  # noqa: BLE001 - drivers raise what they like; each is absence with a reason
            await self.close(broken=True)
            raise UnreadableError(_said(error)) from None
        return self._connection

    async def _within(self, seconds: float, work: Coroutine[Any, Any, T]) -> T:
        """The result, or TimeoutError after `seconds`, whatever the driver does then.

        A driver that is cancelled tidies up first, which a server that hangs can hold up for ever.
        """
        task = asyncio.create_task(work)
        self._left.add(task)
        task.add_done_callback(self._forget)
        try:
            done, _ = await asyncio.wait({task}, timeout=seconds)
        finally:
            if not task.done():
                task.cancel()
        if not done:
            raise TimeoutError
        return task.result()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._left.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited was told, or has gone

    async def _still_there(self, connection: AsyncConnection) -> bool:
        try:
            await self._within(MARGIN, connection.exec_driver_sql("SELECT 1"))
        except Exception:  # noqa: BLE001 - as above: whatever it raises, it is not there
            return False
        return True

    # --- reading ---------------------------------------------------------------------------------------

    def _numbers(self, name: str, columns: tuple[str, ...], rows: Rows) -> Numbers:
        by, wanted = self._asked[name].by, 2 if self._kinds[name] == "ratio" else 1
        if not by:
            if len(columns) != wanted:
                raise UnreadableError(f"gives {len(columns)} columns, not {wanted}")
            if len(rows) != 1:
                raise UnreadableError(f"gives {len(rows) or 'no'} rows, not one")
            return {HOSTLESS: _pair(rows[0])}
        if by not in columns:
            raise UnreadableError(f'gives no column "{by}"; it has {", ".join(columns)}')
        at = columns.index(by)
        if len(columns) != wanted + 1:
            raise UnreadableError(
                f"gives {len(columns)} columns, not {wanted + 1}: {by} and {wanted} beside it"
            )
        found: dict[str, tuple[float, float]] = {}
        for row in rows:
            host = self._roster.find(str(row[at]))
            if host in found:
                raise UnreadableError(f"gives several rows for {host}: GROUP BY {by} makes one of them")
            if host is not None:
                found[host] = _pair([value for index, value in enumerate(row) if index != at])
        if not found:
            raise UnreadableError(f"none of its {len(rows)} rows is of a host of ours")
        return found


async def _connection(engine: AsyncEngine) -> AsyncConnection:
    return await engine.connect()


async def _let_go(connection: AsyncConnection, *, broken: bool) -> None:
    """One that broke is not asked to say goodbye. SQLite has nobody to say it to, only a thread to end."""
    if broken and connection.dialect.name != "sqlite":
        await connection.invalidate()
    await connection.close()


async def _selected(connection: AsyncConnection, source: SqlSource) -> tuple[tuple[str, ...], Rows]:
    """Columns and rows of a query, in a transaction that may only read and that the database ends in time."""
    if connection.dialect.name == "sqlite":
        await _end_in_time(connection, source.timeout)
    begin, end = _transaction(connection, source.timeout)
    for order in begin:
        await connection.exec_driver_sql(order)
    try:
        # a colon in it is the database's own, never a parameter
        async with connection.stream(text(source.query.strip().rstrip(";").replace(":", "\\:"))) as result:
            columns = tuple(str(key) for key in result.keys())  # noqa: SIM118 - of a result, not a mapping
            rows = await result.fetchmany(ROWS + 1)
    finally:
        if not connection.invalidated:
            await connection.exec_driver_sql(end)
    if len(rows) > ROWS:
        raise ValueError(f"gives more than {ROWS} rows")
    return columns, [tuple(row) for row in rows]


async def _end_in_time(connection: AsyncConnection, seconds: float) -> None:
    """SQLite knows no timeout, but asks between its steps whether to go on."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    raw = await connection.get_raw_connection()
    assert raw.driver_connection is not None, "it was connected a moment ago"
    await raw.driver_connection.set_progress_handler(lambda: loop.time() > end, STEPS)


def _transaction(connection: AsyncConnection, seconds: float) -> tuple[tuple[str, ...], str]:
    milliseconds = max(1, round(seconds * 1000))
    if connection.dialect.name == "postgresql":
        return ("BEGIN READ ONLY", f"SET LOCAL statement_timeout = {milliseconds}"), "ROLLBACK"
    if connection.dialect.name == "sqlite":
        return ("PRAGMA query_only = ON", "BEGIN"), "ROLLBACK"
    longest = (
        f"SET SESSION max_statement_time = {seconds:.3f}"
        if getattr(connection.dialect, "is_mariadb", False)
        else f"SET SESSION max_execution_time = {milliseconds}"
    )
    return (longest, "START TRANSACTION READ ONLY"), "ROLLBACK"


def _url(address: str) -> URL:
    try:
        url = make_url(address)
    except ArgumentError:
        raise UnreadableError("is not the address of a database") from None
    driver = _DRIVERS.get(url.get_backend_name())
    if driver is None:
        raise UnreadableError(f"{url.get_backend_name()} is not a database that Leuko reads")
    url = url.set(drivername=driver)
    if url.get_backend_name() == "sqlite":
        if not Path(url.database or "").is_file():
            raise UnreadableError(f"there is no file {url.database}")
        # never made where it is not there, never written to
        return url.set(database=f"file:{url.database}", query={"mode": "ro", "uri": "true"})
    if url.get_backend_name() == "postgresql":
        return url
    return url.update_query_dict({"connect_timeout": f"{math.ceil(CONNECT)}"}, append=False)


def _pair(values: Sequence[Any]) -> tuple[float, float]:
    numbers = [_number(value) for value in values]
    return numbers[0], numbers[1] if len(numbers) > 1 else math.nan


def _number(value: Any) -> float:
    """NULL is absence."""
    if value is None:
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UnreadableError(f'gives "{str(value)[:50]}", which is no number') from None


def _said(error: Exception) -> str:
    """What the database said, without the statement around it."""
    original = getattr(error, "orig", None) or error
    lines = [line.strip() for line in str(original).splitlines() if line.strip()]
    return (lines[0] if lines else type(original).__name__)[:300]


def _source(gauge: Gauge) -> SqlSource:
    assert gauge.sql is not None, "only gauges of databases are asked here"
    return gauge.sql
