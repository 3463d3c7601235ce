"""As much of HTTP/1.1 as the shop needs: requests with a length, kept connections, and an orderly end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, unquote, urlsplit

LONGEST_HEAD = 16 * 1024
LONGEST_BODY = 64 * 1024
IDLE_SECONDS = 30
PHRASES = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def form(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(self.body.decode("utf-8", "replace")).items()}

    @property
    def cookies(self) -> dict[str, str]:
        try:
            jar = SimpleCookie(self.headers.get("cookie", ""))
        except CookieError:
            return {}
        return {name: morsel.value for name, morsel in jar.items()}

    @property
    def keeps_connection(self) -> bool:
        return self.headers.get("connection", "").lower() != "close"


@dataclass(frozen=True)
class Response:
    status: int
    body: str
    type: str = "text/html; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)

    def encode(self, *, keep: bool) -> bytes:
        body = self.body.encode()
        head = [
            f"HTTP/1.1 {self.status} {PHRASES.get(self.status, 'Status')}",
            f"Content-Type: {self.type}",
            f"Content-Length: {len(body)}",
            f"Connection: {'keep-alive' if keep else 'close'}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class WrongRequest(ValueError):
    """What came in is not HTTP, or more of it than the shop takes."""


Answer = Callable[[Request], Awaitable[Response]]


class Server:
    """Answers on a listening socket that was handed over. `leave` ends it without losing a request."""

    def __init__(self, listener: socket.socket, answer: Answer) -> None:
        self._listener = listener
        self._answer = answer
        self._open: dict[asyncio.Task, asyncio.StreamWriter] = {}
        self._busy: set[asyncio.Task] = set()
        self._leaving = False

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connection, sock=self._listener, limit=LONGEST_HEAD)

    async def leave(self, patience: float) -> None:
        """Takes no more connections; each open one gets its next answer with `Connection: close`."""
        self._leaving = True
        self._server.close()
        loop = asyncio.get_running_loop()
        end = loop.time() + patience
        await asyncio.sleep(0.05)  # connections already taken from the queue turn up in self._open
        while self._open and loop.time() < end:
            await asyncio.wait(self._open, timeout=end - loop.time())
        for task, writer in self._open.items():  # those that asked nothing in all that time
            if task not in self._busy:
                writer.close()
        if self._busy:
            await asyncio.wait(self._busy, timeout=patience)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._open[task] = writer
        try:
            while await self._exchange(reader, writer, task):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            pass  # the customer went away, or has been silent for long
        finally:
            self._open.pop(task, None)
            self._busy.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, task: asyncio.Task) -> bool:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), IDLE_SECONDS)
            self._busy.add(task)
            request = await _read(head, reader)
        except (WrongRequest, asyncio.LimitOverrunError):
            writer.write(Response(400, "not understood\n", "text/plain").encode(keep=False))
            await writer.drain()
            return False
        response = await self._answer(request)
        keep = request.keeps_connection and not self._leaving
        writer.write(response.encode(keep=keep))
        await writer.drain()
        self._busy.discard(task)
        return keep


async def _read(head: bytes, reader: asyncio.StreamReader) -> Request:
    first, *rest = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1.") or not parts[1].startswith("/"):
        raise WrongRequest(first[:80])
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest if line)}
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > LONGEST_BODY or "transfer-encoding" in headers:
        raise WrongRequest(f"content-length {length[:20]}")
    return Request(parts[0], parts[1], headers, await reader.readexactly(int(length)) if int(length) else b"")
