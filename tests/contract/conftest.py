"""Every contract of the store is tested on both databases: an SQLite file, and a real PostgreSQL of our own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from leuko.clock import SystemClock
from leuko.domain.line import Line
from leuko.store.store import Store

NOW = datetime(2026, 11, 23, 12, 30, 15, 123456, tzinfo=UTC)
LINE = Line("shop", "production")
OTHER = Line("shop", "preview")


@dataclass(frozen=True)
class Cluster:
    """A throw-away PostgreSQL on a unix socket."""

    programs: Path
    folder: Path
    account: str | None

    def run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self.programs / program, *arguments],
            check=True,
            capture_output=True,
            timeout=60,
            user=self.account,
            cwd="/",
        )

    @property
    def owner(self) -> str:
        return self.account or pwd.getpwuid(os.getuid()).pw_name

    def url(self, database: str) -> str:
        return f"postgresql://{self.owner}@/{database}?host={self.folder}"

    def pid(self) -> int:
        return int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0])


def _programs() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    folders += [Path(folder) for folder in os.get_exec_path()]
    wanted = ("initdb", "pg_ctl", "createdb", "postgres")
    return next((folder for folder in folders if all((folder / name).exists() for name in wanted)), None)


def _account() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL on this machine")
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    cluster = Cluster(programs, folder, _account())
    if cluster.account:
        shutil.chown(folder, cluster.account)
    data = str(folder / "data")
    try:
        cluster.run("initdb", "-D", data, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off -c synchronous_commit=off -c max_connections=100"
        cluster.run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield cluster
        finally:
            cluster.run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgres"))])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database of this test's own, still empty."""
    if request.param == "sqlite":
        return str(tmp_path / "state" / "leuko.db")
    cluster: Cluster = request.getfixturevalue("postgres")
    name = f"test_{os.urandom(6).hex()}"
    cluster.run("createdb", "-h", str(cluster.folder), name)
    return cluster.url(name)


Opener = Callable[[], Awaitable[Store]]


@pytest.fixture
async def opener(address: str, tmp_path: Path) -> AsyncIterator[Opener]:
    """Opens one more store on the test's database, as another process would; all are closed at the end."""
    opened: list[Store] = []

    async def opening() -> Store:
        store = await Store.open(address, SystemClock(), readings=tmp_path / "readings")
        opened.append(store)
        return store

    yield opening
    for store in opened:
        await store.close()


@pytest.fixture
async def store(opener: Opener) -> Store:
    return await opener()
