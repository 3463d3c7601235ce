"""Before a push: what it will be able to see, and limits that are broken before anything was pushed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest
from tests.builders import LINE
from tests.runtime.yard import Yard

from leuko.domain.intent import IntentKind
from leuko.domain.plan import Foreseen, sight_advice, sight_sentence
from leuko.domain.push import Admitted, Origin, Push
from leuko.runtime.admission import Overrides
from leuko.runtime.foresight import YOUNG
from leuko.store.series import Reading

HOSTS = ("www1", "www2", "www3")
LIMITED = {"errors": {"limits": [{"above": 600, "readings": 2}]}}


@pytest.fixture
async def yard(tmp_path):
    made = await Yard.make(tmp_path, gauges=LIMITED)
    yield made
    await made.store.close()


async def read(yard: Yard, *ticks: Sequence[float]) -> None:
    """Errors of the three hosts, a tick after another."""
    for values in ticks:
        yard.clock.move(5)
        reading = Reading(np.array(values, dtype=np.float32))
        await yard.store.readings.write(LINE, yard.clock.now(), HOSTS, {"errors": reading})


async def quiet(yard: Yard, ticks: int = 60, mean: float = 20.0) -> None:
    random = np.random.default_rng(3)
    await read(yard, *random.poisson(mean, size=(ticks, 3)))


async def proposed(yard: Yard, origin: Origin = Origin.PERSON, **more) -> Push:
    return await yard.queue.propose(await yard.release(), origin, "ann", **more)


async def why_it_waits(yard: Yard, push: Push) -> str:
    if isinstance(await yard.queue.admission(push), Admitted):
        return ""
    told = await yard.store.events.latest(LINE, kind="push.waits", subject=push.name, limit=1)
    return str(told[0].data["reason"])


async def test_a_plan_says_what_its_watch_can_show(yard) -> None:
    await yard.live(await yard.release())
    await quiet(yard)
    push = await proposed(yard)
    plan = await yard.store.pushes.plan(LINE, push.number)
    (seen,) = plan.sight
    assert (seen.gauge, seen.role) == ("errors", "www")
    assert 1.0 < seen.rise < 10.0
    assert seen.longer < seen.rise, "a watch twice as long shows more"
    assert plan.foresight.startswith("this push can show errors: ")
    planned = await yard.ask(IntentKind.PLAN, revision=push.revision)
    assert planned.answer["plan"]["sight"][0]["sentence"] == seen.sentence


async def test_with_fewer_events_only_more_can_be_seen(yard) -> None:
    await yard.live(await yard.release())
    await quiet(yard, mean=20.0)
    often = (await yard.store.pushes.plan(LINE, (await proposed(yard)).number)).sight[0]
    yard.clock.move(3600)
    await quiet(yard, mean=0.2)
    rarely = (await yard.store.pushes.plan(LINE, (await proposed(yard)).number)).sight[0]
    assert rarely.rise is None or rarely.rise > often.rise


async def test_without_readings_that_is_said(yard) -> None:
    await yard.live(await yard.release())
    plan = await yard.store.pushes.plan(LINE, (await proposed(yard)).number)
    assert plan.sight == ()
    assert any("no readings yet" in warning for warning in plan.warnings)


async def test_a_push_waits_while_a_limit_is_broken_before_it(yard) -> None:
    await yard.live(await yard.release())
    await quiet(yard)
    await read(yard, (20, 20, 20), (20, 20, 80), (20, 20, 80))
    push = await proposed(yard)
    plan = await yard.store.pushes.plan(LINE, push.number)
    assert any("errors on www3 breaks its limit >600" in warning for warning in plan.warnings)
    reason = await why_it_waits(yard, push)
    assert reason.startswith(
        "errors on www3 breaks its limit >600 with 960 already, before anything was pushed"
    )
    assert "--override-limits" in reason
    await read(yard, (20, 20, 20))
    assert await why_it_waits(yard, push) == "", "it begins by itself once the limit holds again"


async def test_a_limit_that_was_broken_long_ago_or_is_not_read_any_more_stops_nothing(yard) -> None:
    await yard.live(await yard.release())
    await quiet(yard)
    await read(yard, (80, 20, 20), (80, 20, 20), (20, 20, 20))
    push = await proposed(yard)
    assert await why_it_waits(yard, push) == ""
    await read(yard, (80, 20, 20), (80, 20, 20))
    assert await why_it_waits(yard, push)
    yard.clock.move(timedelta(hours=1).total_seconds())
    assert await why_it_waits(yard, push) == "", "nobody knows how it is now"


async def test_a_push_soon_after_the_first_waits_until_its_watch_would_show_something(yard) -> None:
    await yard.live(await yard.release())
    await quiet(yard, 5)
    push = await proposed(yard)
    latest = push.created_at + timedelta(seconds=YOUNG * 5)
    reason = await why_it_waits(yard, push)
    assert reason.startswith("there is too little history yet for its watch to show anything")
    assert f"at {latest:%H:%M:%S} UTC at the latest" in reason
    await quiet(yard, 20)
    assert await why_it_waits(yard, push) == "", "it begins by itself once there is enough"


async def test_a_push_waits_for_no_history_that_would_help_no_more(yard) -> None:
    """It starts, and its verdict says what it could not see: nobody waits for ever in silence."""
    await yard.live(await yard.release())
    await read(yard, *((0, 0, 0) for _ in range(5)))
    push = await proposed(yard)
    assert "too little history" in await why_it_waits(yard, push)
    yard.clock.move(YOUNG * 5)
    assert await why_it_waits(yard, push) == ""
    await read(yard, *((0, 0, 0) for _ in range(YOUNG)))
    assert await why_it_waits(yard, await proposed(yard)) == "", "a gauge that is always 0 stays blind"


@pytest.mark.parametrize(
    ("origin", "overrides"),
    [(Origin.HOTFIX, Overrides()), (Origin.PERSON, Overrides(observe=True))],
)
async def test_what_mends_and_what_is_only_observed_waits_for_no_history(yard, origin, overrides) -> None:
    await yard.live(await yard.release())
    await quiet(yard, 5)
    assert await why_it_waits(yard, await proposed(yard, origin, overrides=overrides)) == ""


@pytest.mark.parametrize(
    ("origin", "overrides"),
    [
        (Origin.PERSON, Overrides(limits="it is the batch job")),
        (Origin.PERSON, Overrides(observe=True)),
        (Origin.HOTFIX, Overrides()),
    ],
)
async def test_a_person_a_hotfix_and_an_observing_push_start_all_the_same(yard, origin, overrides) -> None:
    await yard.live(await yard.release())
    await quiet(yard)
    await read(yard, (80, 80, 80), (80, 80, 80))
    push = await proposed(yard, origin, overrides=overrides)
    assert await why_it_waits(yard, push) == ""
    plan = await yard.store.pushes.plan(LINE, push.number)
    assert plan.override_limits == overrides.limits, "the reason is kept"


async def test_a_hand_on_a_limit_counts_before_a_push_too(yard) -> None:
    await yard.live(await yard.release())
    await quiet(yard)
    push = await proposed(yard)
    assert await why_it_waits(yard, push) == ""
    await yard.ask(IntentKind.LIMIT, "for now", gauge="errors", above=60.0, readings=1)
    assert "breaks its limit >60" in await why_it_waits(yard, push)


def seen(rise: float | None, fall: float | None = None, **more) -> Foreseen:
    return Foreseen(
        "errors", "www", rise, fall, more.get("longer"), more.get("canary"), None, "", more.get("reach", "")
    )


@pytest.mark.parametrize(
    ("found", "phrase"),
    [
        (seen(1.28), "errors: +28 %"),
        (seen(3.14), "errors: 3.1 times"),
        (seen(None, 1e9), "errors: only a stop"),
        (seen(None, 2.04), "errors: a fall to 1/2.0"),
        (seen(None), "errors: nothing"),
        (seen(145.0, reach="12 a minute on each host"), "errors: 12 a minute on each host"),
        (seen(2.5, reach="12 a minute on each host"), "errors: 2.5 times"),
    ],
)
def test_what_can_be_seen_is_said_as_people_say_it(found, phrase) -> None:
    assert found.phrase == phrase
    assert sight_sentence([found]) == f"this push can show {phrase}"


def test_only_what_would_show_more_is_said_to() -> None:
    assert seen(2.0, longer=1.5, canary=1.99).better == "+50 % with twice the watch"
    assert seen(2.0, longer=1.9).better == "", "a tenth is not worth a longer watch"
    assert seen(None, 2.04, longer=1.8).better == "a fall to 1/1.8 with twice the watch"
    assert seen(None, 1e9, longer=3.0).better == "a fall to 1/3.0 with twice the watch"
    rare = seen(145.0, longer=116.0, reach="12 a minute on each host")
    assert rare.better == "80 % of that rate with twice the watch"
    assert seen(None, longer=3.0).better == "3.0 times with twice the watch"


def test_nothing_is_said_in_factors_that_nobody_believes() -> None:
    assert seen(None, canary=136.0, reach="12 a minute on each host").better == ""
    assert seen(None, longer=772.0).better == ""
    assert seen(900.0, longer=772.0).better == ""
    assert seen(772.0).phrase == "errors: nothing"
    traffic = [dataclasses.replace(seen(8.0), traffic=times).better for times in (1.1, 2.2, 7.4, 772.0)]
    assert traffic == [
        "",
        "a doubling with about twice the traffic",
        "a doubling with about 7 times the traffic",
        "",
    ]


def test_the_gauges_that_see_least_are_advised_on_in_three_lines() -> None:
    found = [dataclasses.replace(seen(rise, longer=1.1), gauge=f"g{rise}") for rise in (1.3, 5.0, 2.0, 3.0)]
    assert sight_advice(found) == tuple(
        f"g{rise} would show +10 % with twice the watch" for rise in (5.0, 3.0, 2.0)
    )
    other = dataclasses.replace(found[0], role="db")
    assert sight_advice([found[0], other])[1] == "g1.3 (db) would show +10 % with twice the watch"


async def test_a_rare_event_is_foreseen_as_a_rate_a_minute(yard) -> None:
    await yard.live(await yard.release())
    await read(yard, *[(0, 0, 0)] * 60)
    (found,) = (await yard.store.pushes.plan(LINE, (await proposed(yard)).number)).sight
    rate = float(found.reach.partition(" a minute on each host")[0])
    assert found.phrase == f"errors: {found.reach}"
    seconds = 2 * 5  # the canaries' watch: two ticks of five seconds on one host
    assert 1 <= rate * seconds / 60 < 100, "a handful of events in the whole watch"
