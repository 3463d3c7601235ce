"""Slow changes are kept the same way on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.contract.conftest import LINE, NOW, OTHER

from leuko.domain.trend import Leg, Outlook, Room, Shape, Slope, Suspect, Trend
from leuko.store.errors import Lost
from leuko.store.trends import Look

TREND = Trend(
    gauge="memory",
    subject="www3",
    role="www",
    aggregate=False,
    shape=Shape.GROWTH,
    slope=Slope(11.5, 9.0, 14.0),
    level=420.0,
    evidence=5.1,
    hours=72.0,
    hosts=1,
    room=Room(500.0, 160.0, 120.0, None),
    suspects=(Suspect(41, 0.7), Suspect(40, 0.2)),
    older=0.1,
    unit="MB",
    sentence="memory at www3 rises",
)


async def test_a_warning_is_found_worsened_and_ended(store):
    async with store.write(LINE) as tx:
        first = await store.trends.begin(tx, TREND, NOW)
    assert (first.id, first.push) == (1, 41)
    worse = replace(TREND, level=480.0)
    async with store.write(LINE) as tx:
        second = await store.trends.change(tx, first, worse, NOW + timedelta(hours=1))
    assert await store.trends.open(LINE) == [second]
    assert (second.trend, second.found_at) == (worse, NOW)
    async with store.write(LINE) as tx:
        over = await store.trends.end(tx, second, "it does not rise any more", NOW + timedelta(hours=2))
    assert await store.trends.open(LINE) == []
    assert await store.trends.recent(LINE) == [over]
    assert await store.trends.get(LINE, 1) == over
    assert await store.trends.recent(OTHER) == []


async def test_of_two_who_change_a_warning_the_second_has_lost(store):
    async with store.write(LINE) as tx:
        first = await store.trends.begin(tx, TREND, NOW)
    async with store.write(LINE) as tx:
        await store.trends.end(tx, first, "over", NOW)
    for again in (store.trends.change, store.trends.end):
        with pytest.raises(Lost):
            async with store.write(LINE) as tx:
                await again(tx, first, TREND if again == store.trends.change else "again", NOW)


async def test_one_warning_a_gauge_and_subject_is_open(store):
    async with store.write(LINE) as tx:
        first = await store.trends.begin(tx, TREND, NOW)
        await store.trends.begin(tx, replace(TREND, subject="www4"), NOW)
    with pytest.raises(Lost):
        async with store.write(LINE) as tx:
            await store.trends.begin(tx, TREND, NOW)
    async with store.write(LINE) as tx:
        await store.trends.end(tx, first, "over", NOW)
        again = await store.trends.begin(tx, TREND, NOW)
    assert [each.id for each in await store.trends.open(LINE)] == [2, again.id]


async def test_the_last_look_at_each_gauge_stays(store):
    outlook = Outlook(
        "memory", "www", "www", True, "MB", 420.0, Slope(1.0, 0.5, 1.5), 0.8,
        chain=(Leg(40, 490_000.5, 12.0, None), Leg(41, 490_012.5, 3.0, 2.5)), points=(1.0, None, 3.0),
    )  # fmt: skip
    old = Look("memory", NOW, NOW + timedelta(days=1), (outlook,))
    new = replace(old, at=NOW + timedelta(minutes=5), outlooks=(replace(outlook, needs=48.0),))
    async with store.write(LINE) as tx:
        await store.trends.save_look(tx, old)
        await store.trends.save_look(tx, replace(old, gauge="disk", outlooks=(), why="no readings"))
    async with store.write(LINE) as tx:
        await store.trends.save_look(tx, new)
    assert await store.trends.looks(LINE) == [replace(old, gauge="disk", outlooks=(), why="no readings"), new]
    async with store.write(LINE) as tx:
        await store.trends.keep_looks(tx, ["memory"])
    assert await store.trends.looks(LINE) == [new]
