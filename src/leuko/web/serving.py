"""Serves the application on a TCP address and on a unix socket, in one loop, until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn
from litestar import Litestar
from uvicorn.protocols.http.h11_impl import H11Protocol

from leuko.cancellation import end
from leuko.domain.errors import LeukoError, Refused
from leuko.web.callers import PEER

GRACE = 1
"""Seconds that open requests get; streams have ended by then."""
_CREDENTIALS = struct.Struct("3i")


class _Protocol(H11Protocol):
    """Names the peer of a unix socket by its uid, as the kernel tells it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in the class above
        super().connection_made(transport)
        sock: socket.socket | None = transport.get_extra_info("socket")
        if sock is not None and sock.family == socket.AF_UNIX:
            raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            pid, uid, _ = _CREDENTIALS.unpack(raw)
            self.client = (f"{PEER}{uid}", pid)


class _Server(uvicorn.Server):
    """Leaves signals to whoever put the process together."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Serving:
    """A running server. Ended with `stop`."""

    def __init__(self, server: _Server, task: asyncio.Task[None], app: Litestar, path: Path | None) -> None:
        self._server = server
        self._task = task
        self._app = app
        self._path = path
        self.host = ""
        self.port = 0

    @classmethod
    async def start(
        cls, app: Litestar, *, host: str = "127.0.0.1", port: int = 8420, path: Path | None = None
    ) -> Serving:
        """Listens on `host:port` (0 picks a free one) and, with `path`, on a unix socket there.

        `app.state["closing"]` is the event at which its streams end.
        """
        sockets = [_tcp(host, port)]
        try:
            if path is not None:
                sockets.append(await _unix(path))
        except BaseException:
            sockets[0].close()
            raise
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            loop="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            proxy_headers=False,  # nobody may say who he is by a header
            server_header=False,
            timeout_graceful_shutdown=GRACE,
            timeout_keep_alive=30,
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=sockets), name="web")
        serving = cls(server, task, app, path)
        serving.host, serving.port = sockets[0].getsockname()[:2]
        while not server.started:
            if task.done():
                await task
                raise LeukoError("the web server ended before it had begun", where=f"{host}:{port}")
            await asyncio.sleep(0.01)
        return serving

    @property
    def address(self) -> str:
        """`http://127.0.0.1:8420`."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    async def wait(self) -> None:
        """Returns when it has ended; raises what it died of."""
        await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Streams end, requests finish, at most about a second is waited for what does not."""
        self._app.state["closing"].set()
        self._server.should_exit = True
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE + 0.7):
                await asyncio.shield(self._task)
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        if not self._task.done():
            await end(self._task)
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _tcp(host: str, port: int) -> socket.socket:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, OverflowError) as error:
        raise LeukoError(
            f"cannot listen there: {error}", where=f"{host}:{port}", way_out="serve.listen", code="W030"
        ) from error
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(512)  # the place is ours from here on
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        taken = error.errno == errno.EADDRINUSE
        raise LeukoError(
            "another program listens there already" if taken else f"cannot listen there: {error.strerror}",
            where=f"{host}:{port}",
            way_out="give another address, or port 0 for any that is free",
            code="W030",
        ) from error
    return sock


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name for the socket that fits into the kernel's 107 bytes, however deep its folder lies."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


async def _unix(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(path) as name:
            await _remove_dead(path, name)
            sock.bind(name)
        path.chmod(0o600)
        sock.listen(512)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise LeukoError(
            f"cannot listen there: {error.strerror or error}",
            where=str(path),
            way_out="its folder must exist and be yours to write in; `--state` names another one",
            code="W031",
        ) from error
    except BaseException:
        sock.close()
        raise
    return sock


async def _remove_dead(path: Path, name: str) -> None:
    """Takes away a socket that a killed server left; refuses when one answers there."""
    try:
        async with asyncio.timeout(2):
            _, writer = await asyncio.open_unix_connection(name)
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
        return
    writer.close()
    raise Refused(
        "another Leuko serves here already",
        where=str(path),
        way_out="use it (`leuko status`), or stop it first",
        code="W031",
    )
