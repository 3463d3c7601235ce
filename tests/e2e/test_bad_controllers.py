"""Two controllers, a controller whose disk is full, and a secret that nobody may find."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.conftest import postgres  # noqa: F401 - a fixture
from tests.e2e.playing import RELOAD, Playing, Site, go_live, playing

from leuko.clock import SystemClock
from leuko.domain.errors import LeukoError
from leuko.domain.line import Line
from leuko.store.store import Store

pytestmark = pytest.mark.timeout(420)

LINE = Line("site", "production")


async def test_a_second_controller_on_one_state_is_refused_and_told_who_acts(site):
    async with site.play(live=False):
        with pytest.raises(LeukoError) as refused:
            async with playing(site.file, site.state):
                raise AssertionError("two act")
        assert f"pid {os.getpid()}" in str(refused.value)
        assert refused.value.way_out


class Serving:
    """A controller as a process."""

    def __init__(self, site: Site, state: Path, database: str) -> None:
        argv = [sys.executable, "-m", "leuko.cli.main", "serve", "--config", str(site.file)]
        argv += ["--state", str(state), "--listen", "127.0.0.1:0", "--database", database]
        self.log = state.with_suffix(".log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.mark.needs("postgres")
@pytest.mark.slow
async def test_two_controllers_on_one_database_take_turns(site, tmp_path, postgres):  # noqa: F811 - the fixture
    name = f"e2e_{os.urandom(6).hex()}"
    postgres.run("createdb", "-h", str(postgres.folder), name)
    url = postgres.url(name)
    first = site.create()
    site.install()
    one = Serving(site, tmp_path / "one", url)
    two = None
    store = await Store.open(url, SystemClock(), readings=tmp_path / "readings")
    try:
        line = Playing(store, LINE)
        lease = await line.until(lambda: store.leases.get(LINE), "the first acts")
        two = Serving(site, tmp_path / "two", url)
        await line.until(lambda: says(two, "another controller acts"), "the second waits")
        await go_live(line, first)
        assert (await store.leases.get(LINE)).epoch == lease.epoch
        site.commit("two")
        await line.switched(2)
        one.kill()
        live = await line.live(2)
        assert (await store.leases.get(LINE)).epoch > lease.epoch
        assert (await store.leases.get(LINE)).pid == two.process.pid
        assert site.currents() == {live.release}
    finally:
        await store.close()
        for serving in (one, two):
            if serving is not None:
                serving.kill()


async def says(serving: Serving, words: str) -> bool:
    assert serving.process.poll() is None, serving.log.read_text()
    return words in serving.log.read_text()


# -- a full disk --------------------------------------------------------------------------------------------


@pytest.fixture
def small_state(site: Site) -> Iterator[Path]:
    """The state directory on a disk of 12 MB."""
    site.state.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(site.state)]
    done = subprocess.run(mount, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"cannot mount: {done.stderr.decode()}")
    yield site.state
    subprocess.run(["umount", "-l", str(site.state)], check=True)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return filler


@pytest.mark.needs("root")
async def test_a_full_controller_disk_is_said_and_nothing_is_lost(site, small_state):
    async with site.play() as line:
        before = await line.store.events.last_number(LINE)
        base = site.currents()
        filler = fill(small_state)
        assert shutil.disk_usage(small_state).free < 4096
        site.commit("two")
        with pytest.raises(LeukoError) as full:
            await saving_fails(line)
        assert "full" in str(full.value) or "space" in str(full.value)
        assert full.value.way_out
        assert line.acting is not None
        assert not line.acting.done(), "it must not end: it goes on when there is room"
        filler.unlink()
        live = await line.live(2)
        assert site.currents() == {live.release} != base
        numbers = [event.number for event in await line.store.events.after(LINE, 0, limit=5000)]
        assert numbers == list(range(1, numbers[-1] + 1))
        assert numbers[-1] > before


async def saving_fails(line: Playing) -> None:
    """What a client that asks for something meanwhile is told."""
    for _ in range(2000):
        async with line.store.write(LINE) as tx:
            tx.event("note", "x", {"text": "x" * 4000}, SystemClock().now())


# -- secrets ------------------------------------------------------------------------------------------------

SECRET = "s3cret-Planted-8d1f"


async def test_a_planted_secret_is_found_nowhere(site, tmp_path, monkeypatch):
    """Hooks get it by a file; no store, log, journal, event, plan or list of processes ever holds it."""
    monkeypatch.setenv("SITE_PASSWORD", SECRET)
    hook = (
        f'{RELOAD}; . "$LEUKO_SECRETS"; test "$PASSWORD" = "$(cat {tmp_path}/expected)"; '
        'echo "the password is $PASSWORD"; cat "$LEUKO_SECRETS"; sleep 0.3'
    )
    (tmp_path / "expected").write_text(SECRET)
    seen: list[str] = []
    site.own = {
        "fleet": {"hooks": {"reload": f"set -e; {hook}"}},
        "verify": {"tests": {"env": "env; test -f version"}},
    }
    watching = asyncio.create_task(watch_processes(seen))
    async with site.play(secrets={"PASSWORD": {"env": "SITE_PASSWORD"}}) as line:
        site.commit("two")
        live = await line.live(2)
        watching.cancel()
        assert site.currents() == {live.release}
        rows = await line.rows(2)
        assert "the password is" in rows["web1"].output
        assert SECRET not in rows["web1"].output
        assert SECRET not in await line.told()
    assert seen == []
    assert found_in(site.state) == []
    for name in site.names:
        assert found_in(site.home(name)) == []


async def watch_processes(seen: list[str]) -> None:
    """Everybody on a machine may read every process's arguments."""
    while True:
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if SECRET.encode() in entry.read_bytes():
                    seen.append(str(entry))
        await asyncio.sleep(0.02)


def found_in(folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files
    return [str(path) for path in files if SECRET.encode() in path.read_bytes()]
