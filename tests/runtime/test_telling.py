"""What is told, to whom, and how often: sources, messages, loops."""

from __future__ import annotations

import asyncio

import pytest
from tests.builders import LINE, NOON, HandClock, change, configuration

from leuko.domain.gauge import Gauge, Kind, Limit
from leuko.gauges.source import Health
from leuko.notify.recording import RecordingNotifier
from leuko.runtime.ground import Bell, Ground
from leuko.runtime.messenger import STALE, Messenger
from leuko.runtime.questions import overridden
from leuko.runtime.sources import LOOKS, Sources
from leuko.runtime.supervision import Loop, LoopLag
from leuko.store.events import Event
from leuko.store.overrides import Override
from leuko.store.store import Store

BAD = (Health("www1", "host", None, "no route"), Health("www2", "host", NOON, "no route"))
GOOD = (Health("www1", "host", NOON, ""), Health("www2", "host", NOON, ""))


@pytest.fixture
async def ground(tmp_path):
    clock = HandClock()
    store = await Store.open(tmp_path / "leuko.sqlite", clock)
    yield Ground(LINE, store, clock, tmp_path, configuration())
    await store.close()


async def events(ground):
    return [event.data for event in await ground.store.events.latest(LINE, kind="source", limit=50)][::-1]


async def test_a_source_is_told_once_when_it_fails_and_once_when_it_is_back(ground) -> None:
    sources = Sources(ground)
    for found in (GOOD, BAD, GOOD):
        await sources.look(found)
    assert await events(ground) == [], "one look is not a failure"
    for _ in range(LOOKS + 3):
        await sources.look(BAD)
    (told,) = await events(ground)
    assert (told["source"], told["ok"], told["hosts"]) == ("host", False, ["www1", "www2"])
    assert told["reason"] == "www1: no route; and 1 more host"
    # another process finds what was told, and tells the end of it
    after = Sources(ground)
    for _ in range(LOOKS + 3):
        await after.look(GOOD)
    assert [one["ok"] for one in await events(ground)] == [False, True]


async def test_people_are_told_of_rollbacks_and_of_red_builds_by_name(ground) -> None:
    recording = RecordingNotifier(lambda text: text)
    messenger = Messenger(ground, [recording], "http://console")
    async with ground.write() as tx:
        await ground.store.changes.add(tx, change("a"), concerns=True, at=NOON)
    red = {"to": "failed", "revision": "a" * 40, "reason": "goods failed"}
    message = await messenger.message(Event(LINE, 1, "build", "build 1", red, NOON))
    assert message is not None
    assert "by Ann Author: goods failed" in message.body
    moved = {"from": "WATCHING", "to": "ROLLED_BACK", "push": 7, "reason": "errors rose", "revision": "a"}
    message = await messenger.message(Event(LINE, 2, "push", "push 7", moved, NOON))
    assert message is not None
    assert message.url == "http://console/shop/production/pushes/7"
    assert await messenger.message(Event(LINE, 3, "push", "push 7", moved | {"to": "STAGING"}, NOON)) is None


async def rolled_back(ground, push: int) -> None:
    facts = {"from": "WATCHING", "to": "ROLLED_BACK", "push": push, "reason": "errors rose", "revision": "a"}
    async with ground.write() as tx:
        tx.event("push", f"push {push}", facts, ground.clock.now())


async def told_upto(ground) -> int:
    told = await ground.store.events.latest(LINE, kind="told", limit=1)
    return int(told[0].data["event"])


async def telling(ground, until: int) -> list[str]:
    """What one controller's life tells: it ends once so many messages went out, and that is noted."""
    recording = RecordingNotifier()
    running = asyncio.create_task(Messenger(ground, [recording]).run())
    async with asyncio.timeout(30):
        newest = (await ground.store.events.latest(LINE, kind="push", limit=1))[0].number
        while len(recording.messages) < until or await told_upto(ground) < newest:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return [message.title for message in recording.messages]


async def test_what_happened_while_no_controller_ran_is_told_by_the_next_one_and_nothing_twice(
    ground,
) -> None:
    await rolled_back(ground, 1)
    await Messenger(ground, [RecordingNotifier()]).begin()  # the very first start: the past is no news
    await rolled_back(ground, 2)
    (first,) = await telling(ground, 1)
    assert "push 2" in first
    await rolled_back(ground, 3)
    ground.clock.move(60)
    await rolled_back(ground, 4)
    assert ["push 3" in one or "push 4" in one for one in await telling(ground, 2)] == [True, True]
    await rolled_back(ground, 5)
    ground.clock.move(STALE.total_seconds() + 1)
    await rolled_back(ground, 6)
    (last,) = await telling(ground, 1)
    assert "push 6" in last, "what is hours old is no news to anybody"


def test_limits_set_by_people_take_the_place_of_those_of_the_same_scope() -> None:
    gauge = Gauge("errors", Kind.COUNT, limits=(Limit(above=5), Limit(above=50, scope="aggregate")))
    mine = Override("errors", Limit(above=9), "ann", "sale", NOON)
    other = Override("latency", Limit(above=1), "ann", "sale", NOON)
    limits = overridden(gauge, [mine, other]).limits
    assert set(limits) == {Limit(above=9), Limit(above=50, scope="aggregate")}
    assert overridden(gauge, [other]) is gauge


async def test_a_loop_outlives_its_step_and_says_why_it_failed() -> None:
    clock, seen = HandClock(), []

    async def step() -> None:
        seen.append(clock.now())
        if len(seen) < 3:
            raise ValueError("no")

    loop = Loop("test", step, 1.0, clock)
    await loop.once()
    await loop.once()
    assert (loop.failures, loop.last_error) == (2, "ValueError: no")
    await loop.once()
    assert (loop.failures, loop.last_error) == (0, "")


def test_a_late_loop_says_so() -> None:
    lag = LoopLag()
    assert not lag.held_up()
    lag.seconds = 1.5
    assert lag.held_up()


async def test_a_ring_while_busy_is_not_lost() -> None:
    bell = Bell()
    ear = bell.ear()
    bell.ring()
    await asyncio.wait_for(ear.wait(), 1)
    bell.forget(ear)
    ear.clear()
    bell.ring()
    assert not ear.is_set()
