"""Wakes those who wait for news of a line: at once here, by NOTIFY elsewhere, by the clock at worst."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from leuko.domain.line import Line
from leuko.store.transaction import CHANNEL

POLL = 1.0
"""Seconds after which a waiter looks by itself: the net below lost notifications."""

log = structlog.get_logger(__name__)


class Bell:
    """One a store."""

    def __init__(self) -> None:
        self._waiting: dict[Line, set[asyncio.Event]] = {}

    def ring(self, line: Line) -> None:
        """There is news of this line."""
        for waiter in self._waiting.get(line, ()):
            waiter.set()

    def ring_all(self) -> None:
        """There may be news of any line."""
        for line in self._waiting:
            self.ring(line)

    @contextmanager
    def hearing(self, line: Line) -> Iterator[asyncio.Event]:
        """An event that is set at each ring; take it before looking, so that no ring falls in between."""
        waiter = asyncio.Event()
        self._waiting.setdefault(line, set()).add(waiter)
        try:
            yield waiter
        finally:
            self._waiting[line].discard(waiter)
            if not self._waiting[line]:
                del self._waiting[line]


async def news(waiter: asyncio.Event, seconds: float = POLL) -> None:
    """Returns at the next ring, or after `seconds`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await waiter.wait()
    waiter.clear()


async def listen(engine: AsyncEngine, bell: Bell, where: str) -> None:
    """Rings for what other controllers of a PostgreSQL wrote. Runs until cancelled; reconnects for ever."""
    while True:
        try:
            await _listen_once(engine, bell)
        except Exception as error:  # noqa: BLE001 - the driver's own errors have no base of ours; said, and tried again
            log.warning("store.listen", where=where, error=str(error).partition("\n")[0])
        await asyncio.sleep(POLL)  # followers poll meanwhile


async def _listen_once(engine: AsyncEngine, bell: Bell) -> None:
    gone = asyncio.Event()

    def heard(_connection: Any, _pid: int, _channel: str, payload: str) -> None:
        application, _, environment = payload.partition("/")
        bell.ring(Line(application, environment))

    async with engine.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        raw.add_termination_listener(lambda _connection: gone.set())
        await raw.add_listener(CHANNEL, heard)
        bell.ring_all()
        try:
            await gone.wait()
        finally:
            await connection.invalidate()  # a connection that listens does not go back to the pool
