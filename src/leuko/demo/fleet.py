"""Hosts on one machine: each a folder, a port, and a supervisor that owns the port as an init would."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from leuko.demo.places import shop_folder
from leuko.domain.errors import LeukoError

FIRST_PORT = 18080
_PORTS_TRIED = 2000
_START_SECONDS = 20.0
_STOP_SECONDS = 5.0


@dataclass(slots=True)
class EmbeddedHost:
    """One host. Its supervisor and whatever that starts end with the process that started the host."""

    name: str
    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    lifeline: int = field(default=-1, repr=False)

    @property
    def root(self) -> Path:
        """What `fleet.root` is on this host."""
        return self.folder / "srv"

    @property
    def home(self) -> Path:
        """Where the application lives: `releases/`, `shared/`, `current`."""
        return self.root / "shop" / "app"

    @property
    def variables(self) -> dict[str, str]:
        """Environment of the host's hooks."""
        return {"PORT": str(self.port), "PYTHON": sys.executable}

    @property
    def pid(self) -> int | None:
        """The supervisor's, while it runs."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None


class EmbeddedFleet:
    """Hosts that serve nothing (503) until a release is switched on and their supervisor reloaded."""

    def __init__(self, folder: Path, hosts: int = 8, first_port: int = FIRST_PORT, role: str = "www") -> None:
        self.folder = folder
        self.role = role
        self.hosts = tuple(EmbeddedHost(f"{role}{n + 1}", folder / f"{role}{n + 1}") for n in range(hosts))
        self._next_port = first_port
        self._last_port = first_port + _PORTS_TRIED

    def __getitem__(self, name: str) -> EmbeddedHost:
        return next(host for host in self.hosts if host.name == name)

    async def start(self) -> None:
        """Starts every host; what was started is stopped again when one cannot be."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for host in self.hosts:
                    tasks.create_task(self.start_host(host))
        except BaseExceptionGroup as several:
            await self.stop()
            raise several.exceptions[0] from None
        except BaseException:
            await self.stop()
            raise

    async def serving(self) -> None:
        """Waits until the application of every host answers; a host whose application does not is named."""
        deadline = time.monotonic() + _START_SECONDS
        waiting = list(self.hosts)
        while waiting := [host for host in waiting if not await _answers(host)]:
            if time.monotonic() > deadline:
                raise _not_up(waiting[0], f"its shop did not answer within {_START_SECONDS:g} s")
            await asyncio.sleep(0.05)

    async def start_host(self, host: EmbeddedHost) -> None:
        """Boots one host: on the port it had, or on the next one that is free."""
        _prepare(host)
        while host.pid is None:
            port = host.port or self._take_port()
            self._spawn(host, port)
            if await _is_up(host):
                host.port = port
            elif host.port:
                raise _not_up(host, f"port {port} is taken")

    def _take_port(self) -> int:
        if self._next_port >= self._last_port:
            raise LeukoError(
                "no free port found for the embedded fleet",
                where=f"127.0.0.1:{self._last_port - _PORTS_TRIED}-{self._last_port}",
                way_out="name another first port",
                code="D002",
            )
        self._next_port += 1
        return self._next_port - 1

    def _spawn(self, host: EmbeddedHost, port: int) -> None:
        theirs, ours = os.pipe()  # the supervisor ends when nobody holds our end: also after kill -9
        (host.home / "shared" / "var" / "shopd.pid").unlink(missing_ok=True)
        with (host.folder / "console.log").open("ab") as console:
            host.process = subprocess.Popen(
                [sys.executable, "-B", str(host.folder / "shopd"), str(host.home), str(port)],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, pass_fds=(theirs,),
                cwd=host.folder, start_new_session=True, env=_environment(host, theirs),
            )  # fmt: skip
        os.close(theirs)
        host.lifeline = ours

    async def stop(self) -> None:
        """Ends every host, each by its process id. Hosts that never ran are no matter."""
        for host in self.hosts:
            if host.pid is not None:
                os.kill(host.pid, signal.SIGTERM)
        await asyncio.gather(*(_gone(host) for host in self.hosts))

    async def kill_host(self, host: EmbeddedHost) -> None:
        """As if the power went: supervisor and application end at once. `start_host` boots it again."""
        if host.pid is not None:
            os.kill(host.pid, signal.SIGKILL)
        await _gone(host)

    def addresses(self) -> dict[str, str]:
        """Host name -> where its shop answers."""
        return {host.name: f"127.0.0.1:{host.port}" for host in self.hosts}

    def section(self) -> dict[str, object]:
        """The hosts as `fleet` of a configuration has them."""
        entries = [
            {"name": host.name, "address": "127.0.0.1", "root": str(host.root), "vars": host.variables}
            for host in self.hosts
        ]
        return {"transport": "local", "root": str(self.folder), "roles": {self.role: {"hosts": entries}}}


def _prepare(host: EmbeddedHost) -> None:
    for name in ("log", "var"):
        (host.home / "shared" / name).mkdir(parents=True, exist_ok=True)
    shutil.copy2(shop_folder() / "bin" / "shopd", host.folder / "shopd")


def _environment(host: EmbeddedHost, lifeline: int) -> Mapping[str, str]:
    """Little, as an init would give it."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}
    return {**kept, "PYTHON": host.variables["PYTHON"], "LIFELINE_FD": str(lifeline)}


async def _is_up(host: EmbeddedHost) -> bool:
    """True once it listens, False when the port belongs to somebody else."""
    process, pid_file = host.process, host.home / "shared" / "var" / "shopd.pid"
    assert process is not None
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None:
        if pid_file.is_file():
            return True
        if time.monotonic() > deadline:
            await _gone(host)
            raise _not_up(host, f"its supervisor was not up within {_START_SECONDS:g} s")
        await asyncio.sleep(0.01)
    status = process.returncode
    await _gone(host)
    if status == errno.EADDRINUSE:
        return False
    raise _not_up(host, f"its supervisor ended with status {status}")


async def _answers(host: EmbeddedHost) -> bool:
    """True where the shop itself says that it is well; while it starts, its supervisor says 503."""
    try:
        async with asyncio.timeout(2.0):
            reader, writer = await asyncio.open_connection("127.0.0.1", host.port)
            try:
                writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


def _not_up(host: EmbeddedHost, rule: str) -> LeukoError:
    console = host.folder / "console.log"
    return LeukoError(rule, where=host.name, way_out=f"its last words are in {console}", code="D003")


async def _gone(host: EmbeddedHost) -> None:
    """Waits for the end, and brings it about when it does not come."""
    if host.lifeline >= 0:
        os.close(host.lifeline)
        host.lifeline = -1
    process, host.process = host.process, None
    if process is None:
        return
    deadline = time.monotonic() + _STOP_SECONDS
    while process.poll() is None:
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await asyncio.sleep(0.01)
