"""Readings: what is written comes back in place, what is absent is NaN, what is damaged is set aside."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from leuko.domain.line import Line
from leuko.store.days import day_path, roster_digest
from leuko.store.errors import StoreNewer
from leuko.store.readings import Readings
from leuko.store.series import Reading
from leuko.store.shelf import FileShelf

LINE = Line("shop", "production")
OTHER = Line("shop", "preview")
START = datetime(2026, 11, 23, 12, 0, 0, 250000, tzinfo=UTC)
TICK = timedelta(seconds=5)
NAN = float("nan")


def reading(
    *values: float, of: tuple[float, ...] | None = None, resets: tuple[bool, ...] | None = None
) -> Reading:
    return Reading(
        np.array(values, dtype=np.float32),
        None if of is None else np.array(of, dtype=np.float32),
        None if resets is None else np.array(resets),
    )


@pytest.fixture
async def readings(tmp_path):
    made = Readings(FileShelf(tmp_path / "readings"))
    yield made
    await made.close()


def same(found, wanted) -> None:
    np.testing.assert_array_equal(found, np.array(wanted, dtype=np.float64))


async def test_days_are_files_and_ranges_run_across_them(readings, tmp_path):
    midnight = datetime(2026, 11, 24, tzinfo=UTC)
    for number in range(-2, 2):
        await readings.write(LINE, midnight + number * TICK, ("a",), {"g": reading(number)})
    names = sorted(path.name for path in (tmp_path / "readings").glob("*.sqlite"))
    assert names == ["2026-11-23.sqlite", "2026-11-24.sqlite"]
    series = await readings.read(LINE, ["g"], midnight - 5 * TICK, midnight + 5 * TICK)
    assert series.values["g"].tolist() == [[-2], [-1], [0], [1]]


async def test_another_process_reads_while_one_writes(readings, tmp_path):
    other = Readings(FileShelf(tmp_path / "readings"))
    for number in range(3):
        await readings.write(LINE, START + number * TICK, ("a",), {"g": reading(number)})
        assert len((await other.read(LINE, ["g"], START, START + 9 * TICK)).times) == number + 1
    await other.close()


async def test_a_damaged_day_is_set_aside_and_the_rest_goes_on(tmp_path):
    folder = tmp_path / "readings"
    readings = Readings(FileShelf(folder))
    for day in range(3):
        await readings.write(LINE, START + timedelta(days=day), ("a",), {"g": reading(day)})
    await readings.close()
    day_path(folder, (START + timedelta(days=1)).date()).write_bytes(b"garbage " * 4096)

    readings = Readings(FileShelf(folder))
    series = await readings.read(LINE, ["g"], START, START + timedelta(days=3))
    assert series.values["g"].tolist() == [[0], [2]]
    assert (
        "2026-11-24.sqlite was damaged and is set aside as 2026-11-24.sqlite.damaged-1" in series.missing[0]
    )
    assert readings.complaints == list(series.missing)
    assert (folder / "2026-11-24.sqlite.damaged-1").read_bytes().startswith(b"garbage")

    day_path(folder, START.date()).write_bytes(b"garbage " * 4096)
    await readings.close()
    readings = Readings(FileShelf(folder))
    assert await readings.write(LINE, START, ("a",), {"g": reading(7)}), "a new file is begun"
    assert len(readings.complaints) == 1
    await readings.tidy(START + timedelta(days=9))
    await readings.close()


async def test_pages_overwritten_in_the_middle_are_noticed(tmp_path):
    folder = tmp_path / "readings"
    readings = Readings(FileShelf(folder))
    roster = tuple(f"h{number}" for number in range(500))
    for number in range(50):
        await readings.write(
            LINE, START + number * TICK, roster, {"g": Reading(np.ones(500, dtype=np.float32))}
        )
    await readings.close()
    path = day_path(folder, START.date())
    data = bytearray(path.read_bytes())
    data[16384:] = b"\xff" * (len(data) - 16384)
    path.write_bytes(data)
    readings = Readings(FileShelf(folder))
    series = await readings.read(LINE, ["g"], START, START + timedelta(hours=1))
    assert len(series.missing) == 1
    assert np.isnan(series.values["g"]).all()
    assert await readings.write(LINE, START, ("a",), {"g": reading(1)})
    await readings.close()


async def test_a_format_of_a_newer_version_is_left_alone(tmp_path):
    import sqlite3

    folder = tmp_path / "readings"
    folder.mkdir()
    with sqlite3.connect(day_path(folder, START.date())) as connection:
        connection.execute("PRAGMA user_version=99")
    readings = Readings(FileShelf(folder))
    with pytest.raises(StoreNewer, match="format 99"):
        await readings.write(LINE, START, ("a",), {"g": reading(1)})
    assert not list(folder.glob("*damaged*"))
    await readings.close()


# -- minutes --------------------------------------------------------------------------------------------


async def fill(readings: Readings, start: datetime, minutes: int) -> None:
    for number in range(minutes * 12):
        minute, within = divmod(number, 12)
        load = reading(minute + within / 100, NAN if minute == 1 else within)
        ratio = reading(within, 1, of=(10, 0))
        await readings.write(LINE, start + number * TICK, ("a", "b"), {"load": load, "ratio": ratio})


async def test_minutes_are_the_same_before_and_after_the_raw_ticks_went(readings, tmp_path):
    start = START.replace(microsecond=0)
    await fill(readings, start, 3)
    before = await readings.minutes(LINE, ["load", "ratio", "none"], start, start + timedelta(minutes=4))
    assert before.hosts == ("a", "b")
    assert before.times.tolist() == [start.timestamp() + 60 * number for number in range(4)]
    load = before.gauges["load"]
    np.testing.assert_allclose(load.mean[:, 0], [0.055, 1.055, 2.055, NAN], rtol=1e-5)
    np.testing.assert_allclose(load.mean[:, 1], [5.5, NAN, 5.5, NAN], rtol=1e-5)
    np.testing.assert_allclose(load.max[:, 1], [11, NAN, 11, NAN])
    assert load.count.tolist() == [[12, 12], [12, 0], [12, 12], [0, 0]]
    ratio = before.gauges["ratio"]
    np.testing.assert_allclose(ratio.max[:, 0], [1.1, 1.1, 1.1, NAN], rtol=1e-5)
    np.testing.assert_allclose(ratio.max[:, 1], [NAN] * 4)
    np.testing.assert_allclose(ratio.denominators[0], [10, 0])
    assert before.gauges["none"].count.sum() == 0

    await readings.tidy(start + timedelta(hours=47))
    assert day_path(tmp_path / "readings", start.date()).exists(), "not two days old yet"
    await readings.tidy(start + timedelta(days=3))
    assert not day_path(tmp_path / "readings", start.date()).exists()
    after = await readings.minutes(LINE, ["load", "ratio", "none"], start, start + timedelta(minutes=4))
    for gauge, summary in before.gauges.items():
        np.testing.assert_allclose(after.gauges[gauge].mean, summary.mean, rtol=1e-6)
        np.testing.assert_allclose(after.gauges[gauge].max, summary.max, rtol=1e-6)
        np.testing.assert_array_equal(after.gauges[gauge].count, summary.count)
    np.testing.assert_allclose(after.gauges["ratio"].denominators, ratio.denominators)
    later = await readings.minutes(
        LINE, ["load"], start + timedelta(minutes=1), start + timedelta(minutes=2), ["b", "x", "a"]
    )
    assert later.gauges["load"].count.tolist() == [[0, 0, 12]]

    await readings.tidy(start + timedelta(days=30))
    assert len(list((tmp_path / "readings").iterdir())) == 1, "the minutes are kept for thirty days"
    await readings.tidy(start + timedelta(days=32))
    assert list((tmp_path / "readings").iterdir()) == []


async def test_a_tidying_that_was_killed_is_done_again(readings, tmp_path):
    start = START.replace(microsecond=0)
    await fill(readings, start, 1)
    folder = tmp_path / "readings"
    (folder / f"minutes-{start.date()}.sqlite.part").write_bytes(b"half")
    await readings.tidy(start + timedelta(days=4))
    assert [path.name for path in folder.iterdir()] == [f"minutes-{start.date()}.sqlite"]
    # killed between the rename and the removal of the raw day: what is whole is not made anew
    (folder / f"{start.date()}.sqlite").write_bytes(b"")
    await readings.tidy(start + timedelta(days=4))
    assert [path.name for path in folder.iterdir()] == [f"minutes-{start.date()}.sqlite"]
    minutes = await readings.minutes(LINE, ["load"], start, start + timedelta(minutes=1))
    assert minutes.gauges["load"].count.tolist() == [[12, 12]]


async def test_a_damaged_file_of_minutes_is_set_aside(readings, tmp_path):
    start = START.replace(microsecond=0)
    await fill(readings, start, 1)
    await readings.tidy(start + timedelta(days=4))
    path = tmp_path / "readings" / f"minutes-{start.date()}.sqlite"
    path.write_bytes(b"garbage " * 4096)
    minutes = await readings.minutes(LINE, ["load", "ratio"], start, start + timedelta(minutes=1), ["a"])
    assert "is damaged" in minutes.missing[0]
    assert np.isnan(minutes.gauges["load"].mean).all()
    assert not path.exists()
    assert len(readings.complaints) == 1


def test_a_roster_is_named_by_its_order():
    assert roster_digest(("a", "b")) != roster_digest(("b", "a"))
    assert roster_digest(("a,b",)) != roster_digest(("a", "b"))


async def test_a_thousand_hosts_and_twenty_gauges(readings):
    """Broad bounds, for machines that test are busy; the figures are printed."""
    loop = asyncio.get_running_loop()
    roster = tuple(f"www-{number}" for number in range(1000))
    values = np.random.default_rng(7).random((20, 1000), dtype=np.float32)
    tick = {f"gauge-{number}": Reading(row) for number, row in enumerate(values)}
    writes, reads = [], []
    for number in range(180):
        before = loop.time()
        await readings.write(LINE, START + 2 * number * TICK, roster, tick)
        writes.append(loop.time() - before)
    for _ in range(5):
        before = loop.time()
        series = await readings.read(LINE, None, START, START + timedelta(minutes=30))
        reads.append(loop.time() - before)
    same(series.values["gauge-3"][17], values[3].astype(np.float64))
    assert series.values["gauge-3"].shape == (180, 1000)
    print(
        f"20,000 values written in {1000 * np.median(writes):.1f} ms; 3.6 million read in {1000 * min(reads):.0f} ms"
    )
    assert np.median(writes) < 0.1
    assert min(reads) < 0.5
