"""The stream of events: one reader a line, however many follow.

The reader keeps the newest events, encoded once. Each client has a place of its own in the line: within the
kept ones it is served from memory, behind them from the table. A slow client is only further behind.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog

from leuko.cancellation import end
from leuko.domain.errors import LeukoError
from leuko.domain.line import Line
from leuko.store.events import Event
from leuko.store.store import Store

KEPT = 1000
HEARTBEAT = 10.0
RETRY = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Item:
    """An event as it goes out."""

    number: int
    message: bytes


def encoded(event: Event) -> Item:
    """One message of a text/event-stream. ASCII: some clients break lines at letters of Unicode, too."""
    body = json.dumps(
        {
            "number": event.number,
            "at": event.at.isoformat().replace("+00:00", "Z"),
            "kind": event.kind,
            "subject": event.subject,
            "data": dict(event.data),
        },
        separators=(",", ":"),
    )
    return Item(event.number, b"id: %d\ndata: %b\n\n" % (event.number, body.encode("ascii")))


class Feed:
    """Of one line."""

    def __init__(self, store: Store, line: Line) -> None:
        self._store = store
        self._line = line
        self._kept: deque[Item] = deque(maxlen=KEPT)
        self._newest = 0
        self._news = asyncio.Event()
        self._ready = asyncio.Event()
        self._reader = asyncio.create_task(self._read(), name=f"feed {line}")

    async def close(self) -> None:
        """Ends the reader."""
        await end(self._reader)

    async def messages(self, after: int | None, closing: asyncio.Event) -> AsyncIterator[bytes]:
        """Everything past `after` (None: from now on), then what comes, and heartbeats, until closing."""
        yield b"retry: 1000\n\n"
        while not closing.is_set() and not self._ready.is_set():
            await _first_of(self._ready, closing, HEARTBEAT)
            yield b": waiting for the store\n\n"
        place = self._newest if after is None else min(after, self._newest)
        while not closing.is_set():
            news = self._news  # taken before looking, so that nothing falls in between
            items = await self._past(place)
            if items:
                place = items[-1].number
                yield b"".join(item.message for item in items)
            elif not await _first_of(news, closing, HEARTBEAT):
                yield b": still here\n\n"

    async def _past(self, place: int) -> list[Item]:
        if place >= self._newest:
            return []
        if self._kept and place >= self._kept[0].number - 1:
            behind = self._newest - place  # numbers have no gaps
            return list(self._kept)[-behind:]
        try:
            return [encoded(event) for event in await self._store.events.after(self._line, place)]
        except LeukoError as error:
            log.warning("stream.replay", line=str(self._line), error=str(error))
            await asyncio.sleep(RETRY)
            return []

    async def _read(self) -> None:
        while True:
            try:
                self._newest = max(self._newest, await self._store.events.last_number(self._line))
                self._kept.clear()
                self._ready.set()
                self._wake()
                async for event in self._store.events.follow(self._line, self._newest):
                    self._kept.append(encoded(event))
                    self._newest = event.number
                    self._wake()
            except LeukoError as error:  # the store is away: clients keep their places
                log.warning("stream.read", line=str(self._line), error=str(error))
                await asyncio.sleep(RETRY)

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class Feeds:
    """Made when the first client of a line comes, and kept."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._feeds: dict[Line, Feed] = {}
        self.closing = asyncio.Event()
        self.clients = 0

    async def messages(self, line: Line, after: int | None) -> AsyncIterator[bytes]:
        """As `Feed.messages`."""
        feed = self._feeds.get(line) or self._feeds.setdefault(line, Feed(self._store, line))
        self.clients += 1
        try:
            async for message in feed.messages(after, self.closing):
                yield message
        finally:
            self.clients -= 1

    async def close(self) -> None:
        """Ends every stream at once."""
        self.closing.set()
        for feed in self._feeds.values():
            await feed.close()
        self._feeds.clear()


async def _first_of(one: asyncio.Event, other: asyncio.Event, seconds: float) -> bool:
    """Waits for either; False when neither came in time."""
    tasks = [asyncio.ensure_future(event.wait()) for event in (one, other)]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        for task in tasks:
            task.cancel()
