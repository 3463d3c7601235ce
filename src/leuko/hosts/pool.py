"""One connection a host, for as long as the controller runs, shared by everybody who needs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Literal

from leuko.cancellation import asked_to_end
from leuko.clock import Clock
from leuko.hosts.port import Address, Channel, Connection, Transport, Unreachable
from leuko.hosts.transport.refusals import RESET

Lane = Literal["orders", "readings", "abort"]
SETTLED = timedelta(seconds=10)
"""A connection that dies sooner counts as a failure, so that a host that flaps is asked ever more slowly."""


@dataclass(frozen=True, slots=True)
class HostState:
    """How a host is reached, for the page."""

    address: Address
    connected_since: datetime | None
    failing_since: datetime | None
    last_error: str
    """Also kept after the host is back, until the next error."""


@dataclass(slots=True)
class _Entry:
    address: Address
    orders: asyncio.Semaphore
    connection: Connection | None = None
    connecting: asyncio.Task[Connection] | None = None
    connected_since: datetime | None = None
    failing_since: datetime | None = None
    last_error: str = ""
    failures: int = 0
    next_try: datetime | None = None
    farewells: set[asyncio.Task[None]] = field(default_factory=set)


class HostPool:
    """Connections by address."""

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        random: Random,
        *,
        connecting: int = 64,
        sessions: int = 4,
        first_pause: float = 1.0,
        longest_pause: float = 30.0,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._random = random
        self._starts = asyncio.Semaphore(connecting)
        self._retries = asyncio.Semaphore(max(1, connecting // 2))
        """Hosts that failed before take half of the places at most: a dead rack delays nobody else."""
        self._sessions = sessions
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._entries: dict[Address, _Entry] = {}
        self._closed = False

    async def connection(self, address: Address) -> Connection:
        """The living connection, or a new one. Raises Unreachable, as often as it is called, for a dead host.

        Everybody who asks while a connection is being made waits for the same one. After a failure the next
        try waits for its turn (jittered exponential backoff), so callers may simply ask again.
        """
        self._refuse_when_closed(address)
        entry = self._entry(address)
        self._notice_loss(entry)
        if entry.connection is not None:
            return entry.connection
        if entry.connecting is None:
            entry.connecting = asyncio.create_task(self._connect(entry), name=f"connect {address.host}")
            entry.connecting.add_done_callback(_seen)
        try:
            return await asyncio.shield(entry.connecting)
        except asyncio.CancelledError:
            if not asked_to_end():  # then it was the connecting that `close` ended
                self._refuse_when_closed(address)
            raise

    @asynccontextmanager
    async def session(self, address: Address) -> AsyncIterator[Connection]:
        """A turn for an order: at most four at once on a connection. Readings and aborts never wait here."""
        async with self._entry(address).orders:
            yield await self.connection(address)

    async def start(self, address: Address, argv: Sequence[str], *, lane: Lane = "orders") -> Channel:
        """Starts a program. An order waits for a turn first, and keeps it until `wait` or `close` returns."""
        if lane != "orders":
            return await (await self.connection(address)).start(argv)
        turn = self._entry(address).orders
        await turn.acquire()
        try:
            channel = await (await self.connection(address)).start(argv)
        except BaseException:
            turn.release()
            raise
        return _Turn(channel, turn)

    def state(self) -> list[HostState]:
        """Every address asked for so far. Called on the event loop."""
        for entry in self._entries.values():
            self._notice_loss(entry)
        return [
            HostState(e.address, e.connected_since, e.failing_since, e.last_error)
            for e in self._entries.values()
        ]

    async def close(self) -> None:
        """Ends every connection; nothing can be started afterwards."""
        self._closed = True
        connecting = [e.connecting for e in self._entries.values() if e.connecting is not None]
        for task in connecting:
            task.cancel()
        await asyncio.gather(*connecting, return_exceptions=True)
        living = [e.connection for e in self._entries.values() if e.connection is not None]
        farewells = [task for e in self._entries.values() for task in e.farewells]
        await asyncio.gather(*(c.close() for c in living), *farewells, return_exceptions=True)
        self._entries.clear()

    def _entry(self, address: Address) -> _Entry:
        if address not in self._entries:
            self._entries[address] = _Entry(address, asyncio.Semaphore(self._sessions))
        return self._entries[address]

    def _refuse_when_closed(self, address: Address) -> None:
        if self._closed:
            raise Unreachable("the controller is shutting down", where=address.host, code="T022")

    def _notice_loss(self, entry: _Entry) -> None:
        lost = entry.connection
        if lost is None or lost.alive:
            return
        now = self._clock.now()
        lived = now - entry.connected_since if entry.connected_since else timedelta(0)
        entry.connection = None
        entry.connected_since = None
        entry.failing_since = now
        entry.last_error = "the connection was lost"
        entry.failures = 0 if lived > SETTLED else entry.failures
        if lived <= SETTLED:
            self._put_off(entry)
        task = asyncio.create_task(lost.close())
        entry.farewells.add(task)
        task.add_done_callback(entry.farewells.discard)

    async def _connect(self, entry: _Entry) -> Connection:
        try:
            await self._await_turn(entry)
            async with self._retries if entry.failures else nullcontext():
                made = await self._reach(entry.address)
        except Unreachable as error:
            self._note_failure(entry, error)
            raise
        finally:
            entry.connecting = None
        entry.connection = made
        entry.connected_since = self._clock.now()
        entry.failing_since = entry.next_try = None
        return made

    async def _reach(self, address: Address) -> Connection:
        """Tries once more, a little later, where sshd dropped one of too many logins at once."""
        try:
            async with self._starts:
                return await self._transport.connect(address)
        except Unreachable as error:
            if error.code != RESET:
                raise
        await self._clock.sleep(self._random.uniform(0.2, 1.0))
        async with self._starts:
            return await self._transport.connect(address)

    async def _await_turn(self, entry: _Entry) -> None:
        if entry.next_try is not None:
            await self._clock.sleep((entry.next_try - self._clock.now()).total_seconds())

    def _note_failure(self, entry: _Entry, error: Unreachable) -> None:
        now = self._clock.now()
        entry.failing_since = entry.failing_since or now
        entry.last_error = str(error)
        self._put_off(entry)

    def _put_off(self, entry: _Entry) -> None:
        pause = min(self._longest_pause, self._first_pause * 2.0**entry.failures)
        entry.failures = min(entry.failures + 1, 32)
        entry.next_try = self._clock.now() + timedelta(seconds=pause * self._random.uniform(0.5, 1.0))


class _Turn:
    """A channel that holds one of its host's turns until its program has ended or it is closed."""

    def __init__(self, channel: Channel, turn: asyncio.Semaphore) -> None:
        self._channel = channel
        self._turn: asyncio.Semaphore | None = turn

    def _give_back(self) -> None:
        if self._turn is not None:
            self._turn.release()
            self._turn = None

    async def write(self, data: bytes) -> None:
        await self._channel.write(data)

    async def end_input(self) -> None:
        await self._channel.end_input()

    def lines(self) -> AsyncIterator[bytes]:
        return self._channel.lines()

    async def wait(self) -> int | None:
        status = await self._channel.wait()
        self._give_back()
        return status

    async def errors(self) -> bytes:
        return await self._channel.errors()

    async def close(self) -> None:
        try:
            await self._channel.close()
        finally:
            self._give_back()


def _seen(task: asyncio.Task[Connection]) -> None:
    """Everybody who asked may have given up: then the failure is in `state`, and no warning is due."""
    if not task.cancelled():
        task.exception()
