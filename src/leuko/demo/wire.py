"""A customer's side of HTTP, as small as it can be: a whole fleet's traffic has to fit beside the fleet."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import NoReturn

from leuko.demo.customers import Visit

KEPT_SECONDS = 1.0  # a connection idle for longer is not used again: the server may be closing it
KEPT_MOST = 16


class Unanswered(Exception):  # noqa: N818 - one of the ways a visit ends
    """No answer came; `kind` is refused, reset or timeout."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    release: str
    body: bytes


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    since: float


class ShopClient:
    """Asks one host, over connections that are kept as long as the host keeps them."""

    def __init__(self, address: str, timeout: float = 2.0) -> None:
        host, _, port = address.rpartition(":")
        self._host, self._port, self._timeout = host, int(port), timeout
        self._kept: list[_Connection] = []

    async def ask(self, visit: Visit) -> Answer:
        """The answer, whatever its status. Raises Unanswered."""
        connection: _Connection | None = None
        try:
            async with asyncio.timeout(self._timeout):
                connection = self._reuse() or await self._connect()
                answer, keep = await _exchange(connection, _encode(visit, self._host))
        except TimeoutError:
            self._drop(connection, "timeout")
        except (ConnectionRefusedError, OSError) as error:
            self._drop(connection, "refused" if isinstance(error, ConnectionRefusedError) else "reset")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError):
            self._drop(connection, "reset")
        except BaseException:
            if connection is not None:
                connection.writer.transport.abort()
            raise
        if keep and len(self._kept) < KEPT_MOST:
            connection.since = asyncio.get_running_loop().time()
            self._kept.append(connection)
        else:
            connection.writer.close()
        return answer

    def close(self) -> None:
        """Lets go of every kept connection."""
        while self._kept:
            self._kept.pop().writer.close()

    def _reuse(self) -> _Connection | None:
        now = asyncio.get_running_loop().time()
        while self._kept:
            connection = self._kept.pop()
            if now - connection.since < KEPT_SECONDS and not connection.reader.at_eof():
                return connection
            connection.writer.close()
        return None

    async def _connect(self) -> _Connection:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        return _Connection(reader, writer, 0.0)

    @staticmethod
    def _drop(connection: _Connection | None, kind: str) -> NoReturn:
        if connection is not None:
            connection.writer.transport.abort()
        raise Unanswered(kind)


def _encode(visit: Visit, host: str) -> bytes:
    body = visit.body.encode()
    cookie = f"customer={visit.customer}" + (f"; cart={visit.cart}" if visit.cart else "")
    head = f"{visit.method} {visit.target} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n"
    if visit.method == "POST":
        head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


async def _exchange(connection: _Connection, request: bytes) -> tuple[Answer, bool]:
    connection.writer.write(request)
    head = await connection.reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await connection.reader.readexactly(int(headers.get("content-length", "0")))
    keep = headers.get("connection", "").lower() != "close"
    return Answer(int(first.split(" ")[1]), headers.get("x-release", "-"), body), keep
