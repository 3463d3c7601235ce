"""Readings on both databases: files a day, or partitions a day."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from leuko.domain.line import Line
from leuko.store.readings import Readings
from leuko.store.series import Reading
from leuko.store.store import Store

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
def readings(store: Store) -> Readings:
    return store.readings


def same(found, wanted) -> None:
    np.testing.assert_array_equal(found, np.array(wanted, dtype=np.float64))


async def fill(readings: Readings, start: datetime, minutes: int) -> None:
    for number in range(minutes * 12):
        minute, within = divmod(number, 12)
        load = reading(minute + within / 100, NAN if minute == 1 else within)
        ratio = reading(within, 1, of=(10, 0))
        await readings.write(LINE, start + number * TICK, ("a", "b"), {"load": load, "ratio": ratio})


async def test_values_ratios_and_resets_come_back(readings):
    roster = ("a", "b", "c")
    first = {
        "load": reading(1, NAN, 3),
        "errors": reading(1, 2, 0, of=(10, 20, NAN)),
        "hits": reading(5, 5, 5, resets=(False, True, False)),
    }
    assert await readings.write(LINE, START, roster, first)
    assert await readings.write(LINE, START + TICK, roster, {"load": reading(4, 5, 6)})
    series = await readings.read(LINE, ["load", "errors", "hits", "unknown"], START, START + 2 * TICK)
    assert series.hosts == roster
    assert series.times.tolist() == [START.timestamp(), (START + TICK).timestamp()]
    same(series.values["load"], [[1, NAN, 3], [4, 5, 6]])
    same(series.values["errors"], [[1, 2, 0], [NAN] * 3])
    same(series.denominators["errors"], [[10, 20, NAN], [NAN] * 3])
    same(series.values["unknown"], [[NAN] * 3] * 2)
    assert series.resets["hits"].tolist() == [[False, True, False], [False] * 3]
    assert list(series.denominators) == ["errors"]
    assert list(series.resets) == ["hits"]
    assert set((await readings.read(LINE, None, START, START + TICK)).values) == {"load", "errors", "hits"}


async def test_the_range_is_half_open_and_of_one_line(readings):
    for number in range(4):
        await readings.write(LINE, START + number * TICK, ("a",), {"g": reading(number)})
    await readings.write(OTHER, START, ("x",), {"g": reading(9)})
    series = await readings.read(LINE, ["g"], START + TICK, START + 3 * TICK)
    assert series.values["g"].tolist() == [[1], [2]]
    assert (await readings.read(OTHER, ["g"], START, START + 9 * TICK)).hosts == ("x",)
    nothing = await readings.read(LINE, ["g"], START + 9 * TICK, START)
    assert (nothing.values["g"].shape, nothing.hosts) == ((0, 0), ())
    asked = await readings.read(LINE, ["g"], START - 9 * TICK, START, ["a", "b"])
    assert asked.values["g"].shape == (0, 2)
    assert await readings.span(LINE) == (START, START + 3 * TICK)
    assert await readings.span(Line("no", "such")) is None


async def test_rosters_that_differ_are_put_in_place(readings):
    rosters = [("a", "b"), ("b", "a", "c"), ("c",), ("b", "a", "c"), ()]
    for number, roster in enumerate(rosters):
        values = [10 * number + "abc".index(host) for host in roster]
        await readings.write(LINE, START + number * TICK, roster, {"g": reading(*values)})
    series = await readings.read(LINE, ["g"], START, START + 9 * TICK)
    assert series.hosts == ("b", "a", "c"), "those of the newest roster first"
    same(series.values["g"], [[1, 0, NAN], [11, 10, 12], [NAN, NAN, 22], [31, 30, 32], [NAN] * 3])
    series = await readings.read(LINE, ["g"], START, START + 9 * TICK, ["c", "gone", "a"])
    same(series.values["g"][:2], [[NAN, NAN, 0], [12, NAN, 10]])


async def test_a_closed_tick_does_not_change(readings):
    assert await readings.write(LINE, START, ("a",), {"g": reading(1)})
    assert not await readings.write(LINE, START, ("a",), {"g": reading(2), "late": reading(3)})
    series = await readings.read(LINE, None, START, START + TICK)
    assert {gauge: table.tolist() for gauge, table in series.values.items()} == {"g": [[1]]}


async def test_a_tick_of_the_wrong_width_keeps_nothing(readings):
    with pytest.raises(ValueError, match="bad has"):
        await readings.write(LINE, START, ("a", "b"), {"good": reading(1, 2), "bad": reading(1)})
    assert await readings.span(LINE) is None
    assert await readings.write(LINE, START, ("a", "b"), {"good": reading(1, 2)})
    same((await readings.read(LINE, ["good"], START, START + TICK)).values["good"], [[1, 2]])


async def test_ticks_are_written_while_old_days_are_tidied(readings):
    start = START.replace(microsecond=0)
    await fill(readings, start, 2)
    later = start + timedelta(days=4)
    tidying = asyncio.create_task(readings.tidy(later))
    for number in range(20):
        assert await readings.write(LINE, later + number * TICK, ("a",), {"g": reading(number)})
    await tidying
    assert await readings.span(LINE) == (later, later + 19 * TICK)


async def test_days_are_joined_and_another_controller_reads_them(readings, opener):
    midnight = datetime(2026, 11, 24, tzinfo=UTC)
    other = (await opener()).readings
    for number in range(-2, 2):
        await readings.write(LINE, midnight + number * TICK, ("a",), {"g": reading(number)})
        assert (await other.span(LINE)) == (midnight - 2 * TICK, midnight + number * TICK)
    series = await other.read(LINE, ["g"], midnight - 5 * TICK, midnight + 5 * TICK)
    assert series.values["g"].tolist() == [[-2], [-1], [0], [1]]


async def test_two_controllers_that_meet_a_new_day_make_it_once(opener):
    both = [(await opener()).readings, (await opener()).readings]
    kept = await asyncio.gather(
        *(readings.write(LINE, START, ("a",), {"g": reading(1)}) for readings in both)
    )
    assert sorted(kept) == [False, True]


async def test_minutes_stay_when_the_raw_ticks_go_and_go_after_thirty_days(readings):
    start = START.replace(microsecond=0)
    await fill(readings, start, 3)
    before = await readings.minutes(LINE, ["load", "ratio", "none"], start, start + timedelta(minutes=4))
    assert before.gauges["load"].count.tolist() == [[12, 12], [12, 0], [12, 12], [0, 0]]
    np.testing.assert_allclose(before.gauges["load"].mean[:, 0], [0.055, 1.055, 2.055, NAN], rtol=1e-5)

    await readings.tidy(start + timedelta(hours=47))
    assert await readings.span(LINE) is not None, "not two days old yet"
    await readings.tidy(start + timedelta(days=3))
    assert await readings.span(LINE) is None
    after = await readings.minutes(LINE, ["load", "ratio", "none"], start, start + timedelta(minutes=4))
    for gauge, summary in before.gauges.items():
        np.testing.assert_allclose(after.gauges[gauge].mean, summary.mean, rtol=1e-6)
        np.testing.assert_array_equal(after.gauges[gauge].count, summary.count)
    np.testing.assert_allclose(
        after.gauges["ratio"].denominators, before.gauges["ratio"].denominators, rtol=1e-6
    )
    await readings.tidy(start + timedelta(days=32))
    gone = await readings.minutes(LINE, ["load"], start, start + timedelta(minutes=4))
    assert gone.gauges["load"].count.sum() == 0


async def test_a_tidying_that_was_killed_is_done_again(readings):
    start = START.replace(microsecond=0)
    await fill(readings, start, 1)
    killed = asyncio.create_task(readings.tidy(start + timedelta(days=4)))
    await asyncio.sleep(0)
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    await readings.tidy(start + timedelta(days=4))
    await readings.tidy(start + timedelta(days=4))
    minutes = await readings.minutes(LINE, ["load"], start, start + timedelta(minutes=1))
    assert minutes.gauges["load"].count.tolist() == [[12, 12]]
