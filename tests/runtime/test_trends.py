"""The loop that watches trends: from stored readings to warnings, events and, where it may, a way back."""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tests.builders import LINE, HandClock, configuration, release
from tests.runtime.rig import Rig

from leuko.config.trends import GaugeTrend
from leuko.domain.gauge import Kind
from leuko.domain.intent import IntentKind
from leuko.domain.push import State
from leuko.domain.rollout import HostProgress, HostState
from leuko.domain.trend import Shape
from leuko.notify.recording import RecordingNotifier
from leuko.runtime.ground import Ground
from leuko.runtime.messenger import Messenger
from leuko.runtime.trend_cells import in_cells, last_cell
from leuko.runtime.trends import TrendWatch, watched_of
from leuko.statistics.trends_question import CELLS, WINDOW, Over
from leuko.store.minutes import DAY_MINUTES, Summary
from leuko.store.series import Reading
from leuko.store.shelf import FileShelf

START = datetime(2026, 3, 2, tzinfo=UTC)
HOSTS = ("www1", "www2", "www3")


def settings(**trends):
    gauges = {
        "disk": {"kind": "level", "required": False, "host": {"figure": "disk"}},
        "memory": {
            "kind": "level",
            "required": False,
            "host": {"figure": "memory"},
            "trend": {"over": "time"},
        },
        "errors": {"kind": "count", "log": {"file": "log/error.log", "match": "ERROR"}},
    }
    return configuration(HOSTS, gauges=gauges, tick="10m", trends=trends)


class Days:
    """A line with some days of readings, a live push, and a watch on it."""

    def __init__(self, rig, ground):
        self.rig, self.ground = rig, ground
        self.known = {}
        self.watch = TrendWatch(ground, rig.store.readings)

    @classmethod
    async def make(cls, tmp_path, **trends):
        rig = await Rig.make(tmp_path, settings(**trends))
        rig.clock.at = START
        return cls(rig, Ground(LINE, rig.store, rig.clock, tmp_path, rig.configuration))

    async def push_lands(self, at):
        """A push of another release became live."""
        new = release("n")
        push = await self.rig.pending(new)
        live = replace(push, state=State.LIVE, started_at=at, ended_at=at + timedelta(minutes=6))
        async with self.rig.store.write(LINE) as tx:
            live = await self.rig.store.pushes.save(tx, live)
            rows = [HostProgress(name, "www", 0, HostState.SWITCHED, switched_at=at) for name in HOSTS]
            await self.rig.store.hosts.save_progress(tx, push.number, rows)
        return live.number

    async def readings(self, begin, end, course):
        """`course(hours since START, host) -> value` of disk and memory, as minutes of whole days are kept."""
        shelf = FileShelf(self.rig.state / "readings")
        minutes = int((end - START).total_seconds() // 60)
        first = int((begin - START).total_seconds() // 60)
        for name in ("disk", "memory"):
            known = self.known.setdefault(name, np.full((60 * DAY_MINUTES, 3), np.nan))
            for minute in range(first, minutes, 10):
                known[minute : minute + 10] = [course(name, minute / 60, host) for host in range(3)]
        for number in range(first // DAY_MINUTES, -(-minutes // DAY_MINUTES)):
            day = (START + timedelta(days=number)).date()
            shelf.begin_minutes(day)
            for name, known in self.known.items():
                part = known[number * DAY_MINUTES : (number + 1) * DAY_MINUTES]
                whole = Summary(part, part, (~np.isnan(part)).astype(np.int64))
                shelf.save_minutes(day, LINE, name, HOSTS, whole)
            shelf.keep_minutes(day)

    async def look(self, at):
        self.rig.clock.at = at
        await self.watch.step()
        return await self.rig.store.trends.open(LINE)

    async def told(self):
        events = await self.rig.store.events.latest(LINE, kind="trend")
        return [event.data["to"] for event in reversed(events)]


@pytest.fixture
async def days(tmp_path):
    made = []

    async def make(**trends):
        made.append(await Days.make(tmp_path, **trends))
        return made[-1]

    yield make
    for each in made:
        each.watch.close()
        await each.rig.store.close()


NOISE = np.random.default_rng(8).normal(size=(40 * 24 * CELLS, 3))


def calm(name, hours, host):
    wave = 3.0 * np.sin(hours / 24 * 2 * np.pi)
    base = 40.0 if name == "disk" else 3e8
    return base * (1 + 0.01 * wave + 0.004 * NOISE[int(hours * CELLS), host])


def all_fill(name, hours, host):
    return calm(name, hours, host) + (max(0.0, hours - 50) * 0.5 if name == "disk" else 0.0)


async def test_a_disk_that_fills_is_found_worsens_and_ends(days):
    it = await days()

    def filling(name, hours, host):
        more = max(0.0, hours - 50) * 0.5 if name == "disk" and host == 1 else 0.0
        return calm(name, hours, host) + more

    pushed = await it.push_lands(START + timedelta(hours=50))
    await it.readings(START, START + timedelta(hours=100), filling)
    (warned,) = await it.look(START + timedelta(hours=100, minutes=2))
    assert (warned.trend.gauge, warned.trend.subject, warned.push) == ("disk", "www2", pushed)
    assert warned.trend.room is not None
    assert 60 < warned.trend.room.hours < 90
    assert "; 100 % is reached in" in warned.trend.sentence
    assert await it.told() == ["found"]
    # the same hour again says nothing new, and neither does a fresh process
    await it.look(START + timedelta(hours=100, minutes=20))
    it.watch = TrendWatch(it.ground, it.rig.store.readings)
    await it.look(START + timedelta(hours=100, minutes=40))
    assert await it.told() == ["found"]
    # a day and a half later more than half of the time is gone
    await it.readings(START + timedelta(hours=100), START + timedelta(hours=138), filling)
    (worse,) = await it.look(START + timedelta(hours=138, minutes=2))
    assert worse.id == warned.id
    assert worse.trend.suspects == warned.trend.suspects
    assert await it.told() == ["found", "worse"]
    # somebody cleans up: once three days say so, it is over
    await it.readings(START + timedelta(hours=138), START + timedelta(hours=225), calm)
    assert await it.look(START + timedelta(hours=225, minutes=2)) == []
    (over,) = await it.rig.store.trends.recent(LINE)
    assert over.ended_why == "it does not go on"
    assert (await it.told())[-1] == "ended"


async def test_too_little_is_said_and_looked_at_again(days):
    it = await days()
    await it.push_lands(START + timedelta(hours=1))
    await it.readings(START, START + timedelta(hours=30), calm)
    assert await it.look(START + timedelta(hours=30, minutes=2)) == []
    looks = {each.gauge: each for each in await it.rig.store.trends.looks(LINE)}
    assert set(looks) == {"disk", "memory"}
    assert [each.needs for each in looks["disk"].outlooks] == [42.0] * 3
    assert looks["disk"].outlooks[0].sentence == "too little to say: needs 42 h more of readings"
    # the watch of 24 h is over, but nothing could be answered yet: it goes on
    await it.readings(START + timedelta(hours=30), START + timedelta(hours=80), calm)
    await it.look(START + timedelta(hours=80, minutes=2))
    looks = {each.gauge: each for each in await it.rig.store.trends.looks(LINE)}
    assert not any(each.needs for each in looks["disk"].outlooks)
    # now it is answered, and the watch is over
    at = looks["disk"].at
    await it.look(START + timedelta(hours=90, minutes=2))
    assert {each.gauge: each.at for each in await it.rig.store.trends.looks(LINE)}["disk"] == at


async def test_a_slope_that_is_sure_is_looked_at_until_it_matters(days):
    """Slow enough to wait for when the push lands; its push is out of sight when it cannot wait any more."""
    it = await days()

    def slowly(name, hours, host):
        return calm(name, hours, host) + (max(0.0, hours - 50) * 0.15 if name == "disk" else 0.0)

    pushed = await it.push_lands(START + timedelta(hours=50))
    await it.readings(START, START + timedelta(hours=320), slowly)
    for hour in range(120, 310, 45):
        opened = await it.look(START + timedelta(hours=hour, minutes=2))
        if opened:
            break
    (warned,) = opened
    assert hour > 50 + WINDOW
    assert (warned.trend.shape, warned.push) == (Shape.GROWTH, pushed)


async def test_no_readings_are_neither_health_nor_a_finding(days):
    it = await days()
    await it.push_lands(START + timedelta(hours=50))
    await it.readings(START, START + timedelta(hours=100), all_fill)
    (found,) = await it.look(START + timedelta(hours=100, minutes=2))
    assert (found.trend.aggregate, found.trend.hosts) == (True, 3), (
        "all hosts of a small role are one finding"
    )
    (still,) = await it.look(START + timedelta(hours=112, minutes=2))
    assert still.id == found.id
    disk = next(each for each in await it.rig.store.trends.looks(LINE) if each.gauge == "disk")
    assert disk.outlooks[0].sentence == "no readings lately: nothing can be said"


async def test_what_is_not_watched_any_more_ends(days):
    it = await days()
    await it.push_lands(START + timedelta(hours=50))
    await it.readings(START, START + timedelta(hours=100), all_fill)
    assert len(await it.look(START + timedelta(hours=100, minutes=2))) == 1
    gauges = dict(it.ground.configuration.gauges)
    gauges["disk"] = gauges["disk"].model_copy(update={"trend": GaugeTrend(watched=False)})
    it.ground.configuration = it.ground.configuration.model_copy(update={"gauges": gauges})
    assert await it.look(START + timedelta(hours=101, minutes=2)) == []
    (over,) = await it.rig.store.trends.recent(LINE)
    assert over.ended_why == "it is not watched any more"
    assert {each.gauge for each in await it.rig.store.trends.looks(LINE)} == {"memory"}


async def test_raw_ticks_are_read_as_they_come(days):
    """From the sampler's own ticks: what is kept in memory is what a fresh process reads."""
    it = await days()
    await it.push_lands(START + timedelta(minutes=5))
    for minute in range(0, 240, 20):
        values = {name: Reading(np.full(3, 5.0 + minute, dtype=np.float32)) for name in ("disk", "memory")}
        await it.rig.store.readings.write(LINE, START + timedelta(minutes=minute, seconds=30), HOSTS, values)
        await it.look(START + timedelta(minutes=minute, seconds=90))
    await it.look(START + timedelta(minutes=241))
    grown = it.watch._cells._tables["disk"]
    it.watch = TrendWatch(it.ground, it.rig.store.readings)
    await it.look(START + timedelta(minutes=242))
    fresh = it.watch._cells._tables["disk"]
    assert fresh.end == grown.end
    np.testing.assert_array_equal(fresh.values, grown.values)
    assert fresh.values[-24::2, 0].tolist() == [5.0 + minute for minute in range(0, 240, 20)]
    # a clock that is set back reads what it may know then, and no more
    await it.look(START + timedelta(minutes=61))
    assert it.watch._cells._tables["disk"].end == fresh.end - 18


@pytest.mark.parametrize(
    ("allowed", "later", "wished"), [(True, False, 1), (False, False, 0), (True, True, 0)]
)
async def test_it_rolls_back_only_where_it_may_and_nothing_lies_on_top(days, allowed, later, wished):
    it = await days(roll_back=allowed)
    pushed = await it.push_lands(START + timedelta(hours=50))
    if later:
        await it.rig.pending(release("m"))
    await it.readings(START, START + timedelta(hours=100), all_fill)
    for minutes in (2, 12, 62):
        await it.look(START + timedelta(hours=100, minutes=minutes))
    intents = await it.rig.store.intents.recent(LINE)
    assert len(intents) == wished
    for intent in intents:
        assert (intent.kind, intent.push, intent.by) == (IntentKind.ROLLBACK, pushed, "leuko")
        assert intent.arguments == {"revision": release("b").revision[:12]}


async def test_people_are_told(days):
    it = await days()
    messenger = Messenger(it.ground, [RecordingNotifier(lambda text: text)], "http://console")
    await it.push_lands(START + timedelta(hours=50))
    await it.readings(START, START + timedelta(hours=100), all_fill)
    await it.look(START + timedelta(hours=100, minutes=2))
    (event,) = await it.rig.store.events.latest(LINE, kind="trend")
    message = await messenger.message(event)
    assert message is not None
    assert (message.event, message.url) == ("trend", "http://console/shop/production/trends")
    assert message.title == "shop/production: slow failure: disk at www"


async def test_a_large_fleet_is_looked_at_in_a_process_that_may_die(days, monkeypatch):
    monkeypatch.setattr("leuko.runtime.trends.BIG", 1)
    it = await days()
    await it.push_lands(START + timedelta(hours=50))
    await it.readings(START, START + timedelta(hours=100), all_fill)
    assert len(await it.look(START + timedelta(hours=100, minutes=2))) == 1
    (worker,) = it.watch._workers._processes.values()
    worker.kill()
    worker.join()
    with pytest.raises(BrokenProcessPool):
        await it.look(START + timedelta(hours=101, minutes=2))
    # the same round again, by a new one
    assert len(await it.look(START + timedelta(hours=101, minutes=3))) == 1


def test_which_gauges_are_watched_and_how():
    level = {"kind": "level"}
    found = watched_of(
        configuration(
            gauges={
                "memory": {**level, "host": {"figure": "memory"}},
                "disk": {**level, "host": {"figure": "disk"}},
                "spare": {**level, "host": {"figure": "disk"}, "trend": False},
                "load": {**level, "host": {"figure": "load"}},
                "queue": {
                    **level,
                    "http": {"url": "http://x/", "json_path": "q"},
                    "trend": {"capacity": 500},
                },
                "rss": {**level, "http": {"url": "http://x/", "json_path": "r"}, "trend": {"over": "errors"}},
            }
        )
    )
    assert set(found) == {"memory", "disk", "queue", "rss"}
    assert (found["memory"].over, found["memory"].capacity, found["memory"].unit) == (Over.UPTIME, None, "B")
    assert (found["disk"].over, found["disk"].capacity) == (Over.TIME, 100.0)
    assert (found["queue"].capacity, found["rss"].over) == (500.0, Over.UPTIME)


def test_cells_weigh_readings_and_part_ratios():
    minutes = Summary(
        np.array([[1.0], [3.0], [np.nan], *[[2.0]] * 7]),
        np.zeros((10, 1)),
        np.array([[1], [3], [0], *[[2]] * 7]),
        np.array([[10.0], [10.0], [np.nan], *[[10.0]] * 7]),
    )
    mean = (1 + 9 + 28) / 18
    assert in_cells(minutes, Kind.LEVEL, 5.0)[0, 0] == pytest.approx(mean)
    assert in_cells(minutes, Kind.COUNT, 5.0)[0, 0] == pytest.approx(12 * mean)
    assert in_cells(minutes, Kind.RATIO, 5.0)[0, 0] == pytest.approx(38 / 180)
    nothing = Summary(np.full((10, 2), np.nan), np.full((10, 2), np.nan), np.zeros((10, 2), dtype=np.int64))
    assert np.isnan(in_cells(nothing, Kind.LEVEL, 5.0)).all()


def test_a_cell_is_closed_a_minute_after_its_end():
    clock = HandClock()
    clock.at = START + timedelta(minutes=10, seconds=59)
    before = last_cell(clock.now())
    clock.at = START + timedelta(minutes=11)
    assert last_cell(clock.now()) == before + 1
    assert WINDOW % 24 == 0
