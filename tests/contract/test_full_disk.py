"""A full disk is said so, loses nothing that was saved, and is over as soon as there is room."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from leuko.clock import SystemClock
from leuko.domain.line import Line
from leuko.store.errors import StoreFull
from leuko.store.readings import Readings
from leuko.store.series import Reading
from leuko.store.shelf import FileShelf
from leuko.store.store import Store

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LINE = Line("shop", "production")

pytestmark = pytest.mark.needs("root")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount: {mounted.stderr.decode()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(disk: Path, leave: int = 0) -> None:
    with (disk / "filler").open("wb") as filler:
        left = shutil.disk_usage(disk).free - leave
        while left > 0:
            filler.write(b"x" * min(left, 4096))
            filler.flush()
            left -= 4096


@pytest.mark.parametrize("leave", [0, 4096, 40960])
async def test_the_store_on_a_full_disk(disk, leave):
    store = await Store.open(disk / "leuko.db", SystemClock())
    saved = 0

    async def write(kilobytes: int) -> None:
        nonlocal saved
        async with store.write(LINE) as tx:
            tx.event("filled", "x", {"text": "x" * 1024 * kilobytes}, NOW)
        saved += 1

    async def write_on() -> None:
        for _ in range(200):
            await write(20)

    await write(1)
    fill(disk, leave)
    with pytest.raises(StoreFull) as error:
        await write_on()
    assert error.value.code == "S001"
    assert error.value.way_out
    assert [event.number for event in await store.events.after(LINE)] == list(range(1, saved + 1))
    (disk / "filler").unlink()
    await write(20)
    assert await store.events.last_number(LINE) == saved
    await store.close()
    again = await Store.open(disk / "leuko.db", SystemClock())
    assert await again.events.last_number(LINE) == saved
    await again.close()


async def test_a_new_store_on_a_full_disk(disk):
    fill(disk)
    with pytest.raises(StoreFull):
        await Store.open(disk / "leuko.db", SystemClock())
    (disk / "filler").unlink()
    await (await Store.open(disk / "leuko.db", SystemClock())).close()


async def test_readings_on_a_full_disk(disk):
    readings = Readings(FileShelf(disk / "readings"))
    roster = tuple(f"h{number}" for number in range(1000))
    tick = {"g": Reading(np.ones(1000, dtype=np.float32))}
    await readings.write(LINE, NOW, roster, tick)
    fill(disk, 40960)
    kept = 1

    async def write(number: int) -> None:
        nonlocal kept
        await readings.write(LINE, NOW + timedelta(seconds=number), roster, tick)
        kept += 1

    async def write_on() -> None:
        for number in range(1, 2000):
            await write(number)

    with pytest.raises(StoreFull):
        await write_on()
    full_at = kept
    with pytest.raises(StoreFull):
        await readings.write(LINE, NOW + timedelta(days=1), roster, tick)
    series = await readings.read(LINE, ["g"], NOW, NOW + timedelta(hours=1))
    assert len(series.times) == full_at
    assert readings.complaints == []
    (disk / "filler").unlink()
    await write(full_at)
    await readings.write(LINE, NOW + timedelta(days=1), roster, tick)
    series = await readings.read(LINE, ["g"], NOW, NOW + timedelta(days=2))
    assert len(series.times) == full_at + 2
    assert (series.values["g"] == 1).all()
    await readings.close()
