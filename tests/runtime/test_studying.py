"""What is learned around pushes, stored once, and used by the verdicts that come after."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.builders import LINE, release
from tests.runtime.sampled import NEW, SampledRig, errors_of

from leuko.domain.push import Push, State
from leuko.runtime.questions import judged_by, of_push
from leuko.runtime.studying import Studying
from leuko.statistics.judge import judge
from leuko.statistics.placebo import Placebo
from leuko.statistics.question import Question
from leuko.statistics.transient import ENOUGH, Curve
from leuko.store.studies import PLACEBO, SAID, SWITCH


@pytest.fixture
async def sampled(tmp_path):
    made = await SampledRig.make(tmp_path)
    yield made
    await made.rig.store.close()


@pytest.fixture
def studying(sampled):
    made = Studying(sampled.ground, pretend=4)
    yield made
    made.close()


async def watched(sampled: SampledRig, letter: str = "n") -> Push:
    push, pusher = await sampled.rig.pending(release(letter)), await sampled.rig.controller()
    return await sampled.run(pusher, push.number, State.WATCHING)


async def last_question(sampled: SampledRig, push: Push) -> Question:
    store = sampled.rig.store
    last = await store.findings.latest(LINE, push.number)
    rows, settings = await store.hosts.progress(LINE, push.number), await judged_by(store, LINE, push)
    until = datetime.fromtimestamp(last.verdict.until, UTC)
    found = await of_push(store, LINE, push, rows, settings, until, at=last.at)
    assert found is not None
    return found


@pytest.mark.timeout(120)
async def test_pretend_pushes_are_made_once_a_push_and_count_from_then_on(sampled, studying) -> None:
    await sampled.history(80)
    push = await watched(sampled)
    pusher = await sampled.rig.controller()
    await sampled.tick(push)
    await pusher.step()
    assert (await last_question(sampled, push)).placebo is None, "it was not known yet"
    await studying.step()
    first = await sampled.rig.store.studies.get(LINE, push.number, PLACEBO)
    found = first.read(Placebo)
    assert (found.pushes, set(found.per_gauge)) == (4, {"errors"})
    await studying.step()
    assert await sampled.rig.store.studies.get(LINE, push.number, PLACEBO) == first, "once"
    await sampled.tick(push)
    await pusher.step()
    asked = await last_question(sampled, push)
    assert asked.placebo == found
    stored = await sampled.rig.store.findings.latest(LINE, push.number)
    told = (await sampled.rig.store.studies.get(LINE, push.number, SAID)).value
    assert "of 4 pretend pushes on the history before it" in told[0]
    assert judge(asked).evidence == stored.verdict.evidence
    # the same history and seed give the same, on any machine and at any later time
    other = Studying(sampled.ground, pretend=4)
    try:
        assert await other._pretended(await other._history(push), push.number) == found
    finally:
        other.close()


async def test_too_short_a_history_is_kept_as_such(sampled, studying) -> None:
    await sampled.history(10)
    push = await watched(sampled)
    await studying.step()
    study = await sampled.rig.store.studies.get(LINE, push.number, PLACEBO)
    assert study.read(Placebo).pushes == 0
    assert studying._workers is None, "no process is begun for nothing"
    await sampled.tick(push)
    await (await sampled.rig.controller()).step()
    assert (await last_question(sampled, push)).placebo is None


async def test_the_switch_of_a_push_that_is_live_is_studied_and_that_of_a_bad_one_is_not(
    sampled, studying
) -> None:
    await sampled.history(40)
    pusher = await sampled.rig.controller()
    good = await sampled.run(pusher, (await sampled.rig.pending(NEW)).number)
    assert good.state is State.LIVE
    await studying.step()
    study = await sampled.rig.store.studies.get(LINE, good.number, SWITCH)
    assert set(study.read(dict[str, Curve])) <= {"requests", "errors"}, (
        "only busy counts have a warm-up to learn"
    )
    sampled.rate = errors_of(120.0)
    bad = await sampled.run(pusher, (await sampled.rig.pending(release("m"))).number)
    assert bad.state is State.ROLLED_BACK
    await studying.step()
    assert await sampled.rig.store.studies.get(LINE, bad.number, SWITCH) is None


async def test_enough_good_switches_teach_the_warm_up_of_pushes_that_begin_later(sampled) -> None:
    await sampled.history(40)
    store, clock = sampled.rig.store, sampled.rig.clock
    running = await watched(sampled)
    curve = Curve(5.0, (0.3, 0.2, None, 0.0))
    async with store.write(LINE) as tx:
        for number in range(-ENOUGH, 0):  # of pushes before all others
            await store.studies.keep(tx, number, SWITCH, {"load": curve}, clock.now())
    pusher = await sampled.rig.controller()
    await sampled.tick(running)
    await pusher.step()
    assert dict((await last_question(sampled, running)).transients) == {}, "it began before"
    await sampled.run(pusher, running.number)
    later = await watched(sampled, "m")
    await sampled.tick(later)
    await pusher.step()
    learned = (await last_question(sampled, later)).transients["load"]
    assert learned.pushes == ENOUGH
    assert learned.mean[:2] == pytest.approx((0.3, 0.2), abs=0.08)  # smoothed
