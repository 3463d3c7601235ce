"""Programs on this machine instead of on a host, a log to write to, and a clock that stands still."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.gauges import servers

from leuko.config.model import Gauge


class LocalProgram:
    """Obeys the port's `Program` with a plain subprocess."""

    def __init__(self, process):
        self.process = process

    async def lines(self):
        async for line in self.process.stdout:
            yield line.rstrip(b"\n")

    async def wait(self):
        return await self.process.wait()

    async def errors(self):
        return (await self.process.stderr.read())[-8192:]

    async def close(self):
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


async def start_here(host, argv):
    pipe = asyncio.subprocess.PIPE
    return LocalProgram(
        await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
    )


class StillClock:
    def __init__(self, at=1_000_000.0):
        self.at = at

    def now(self):
        return datetime.fromtimestamp(self.at, UTC)

    async def sleep(self, seconds):
        self.at += seconds
        await asyncio.sleep(0)


@pytest.fixture
def still_clock():
    return StillClock()


def log_gauge(kind, match, *, of="", value="", file="app.log"):
    return Gauge(kind=kind, log={"file": file, "match": match, "of": of, "value": value})


def host_gauge(figure, pid_file=""):
    return Gauge(kind="level", host={"figure": figure, "pid_file": pid_file})


@contextmanager
def own_folder(name):
    """Short, as sockets must be, and open to servers that do not run as root."""
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def prometheus():
    with own_folder("prometheus") as folder, servers.prometheus(folder) as server:
        yield server


@pytest.fixture(scope="session")
def graphite():
    with own_folder("graphite") as folder, servers.graphite(folder) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb():
    with own_folder("mariadb") as folder, servers.mariadb(folder) as server:
        yield server
