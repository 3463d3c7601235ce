"""The question of a push: one e-process over its phases, and the same question again at any later time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tests.builders import LINE
from tests.runtime.sampled import NEW, SampledRig, errors_of

from leuko.domain.push import Hold, Push, Resume, State
from leuko.domain.verdict import Decision
from leuko.runtime.questions import judged_by, of_push
from leuko.statistics.judge import judge
from leuko.statistics.question import Question
from leuko.store.findings import Judgement


@pytest.fixture
async def sampled(tmp_path):
    made = await SampledRig.make(tmp_path)
    yield made
    await made.rig.store.close()


async def question(sampled: SampledRig, push: Push, upto: datetime, at: datetime | None = None) -> Question:
    store = sampled.rig.store
    rows = await store.hosts.progress(LINE, push.number)
    found = await of_push(store, LINE, push, rows, await judged_by(store, LINE, push), upto, at=at)
    assert found is not None
    return found


async def judged(sampled: SampledRig, push: Push) -> list[Judgement]:
    found = []
    for phase in range(push.rules.phases):
        found += await sampled.rig.store.findings.history(LINE, push.number, phase)
    return found


async def asked_again(sampled: SampledRig, push: Push, one: Judgement) -> Question:
    return await question(sampled, push, datetime.fromtimestamp(one.verdict.until, UTC), one.at)


@pytest.mark.parametrize("bad", [0.0, 120.0])
async def test_a_push_that_ended_is_judged_again_as_it_was(sampled, bad) -> None:
    await sampled.history()
    sampled.rate = errors_of(bad)
    push, pusher = await sampled.rig.pending(NEW), await sampled.rig.controller()
    ended = await sampled.run(pusher, push.number)
    assert ended.state is (State.ROLLED_BACK if bad else State.LIVE), ended.sentence or ended.stop
    await sampled.history(20)  # what came after must not matter
    stored = await judged(sampled, ended)
    assert len(stored) > 1
    for one in stored:
        again = judge(await asked_again(sampled, ended, one))
        assert replace(again, until=one.verdict.until) == one.verdict


async def test_a_later_phase_carries_what_the_earlier_ones_left(sampled) -> None:
    await sampled.history()
    push, pusher = await sampled.rig.pending(NEW), await sampled.rig.controller()
    ended = await sampled.run(pusher, push.number)
    first = await sampled.rig.store.findings.latest(LINE, push.number, 0)
    last = await sampled.rig.store.findings.latest(LINE, push.number, 1)
    asked = [await asked_again(sampled, ended, one) for one in (first, last)]
    assert [one.carried for one in asked] == [0.0, first.verdict.evidence]
    assert first.verdict.evidence > 0
    assert sum(one.share for one in asked) < 1.0, "the switching between two watches has a share of its own"
    assert {one.budget for one in asked} == {0.005}, "of the push, not of a phase"


async def test_a_resume_gets_no_fresh_budget(sampled) -> None:
    await sampled.history()
    push, pusher = await sampled.rig.pending(NEW), await sampled.rig.controller()
    await sampled.run(pusher, push.number, State.WATCHING)
    for _ in range(3):
        await sampled.tick(push)
        await pusher.step()
    began = (await sampled.rig.get(push.number)).watch_began
    await sampled.rig.want(push.number, Hold("ann"))
    await sampled.tick(push)
    resumed = await sampled.rig.want(push.number, Resume("ann"))
    await sampled.tick(push)
    asked = await question(sampled, resumed, sampled.rig.clock.now())
    assert asked.evidence_from == began.timestamp()
    assert asked.watch_from == resumed.watch_began.timestamp() > asked.evidence_from


async def test_hosts_that_went_back_since_still_count_as_switched_then(sampled) -> None:
    await sampled.history()
    sampled.rate = errors_of(120.0)
    push, pusher = await sampled.rig.pending(NEW), await sampled.rig.controller()
    ended = await sampled.run(pusher, push.number)
    last = await sampled.rig.store.findings.latest(LINE, push.number)
    assert last.verdict.decision is Decision.FAIL
    then = await asked_again(sampled, ended, last)
    assert int(np.isfinite(then.switched_at).sum()) == 2
    later = await question(sampled, ended, ended.ended_at + timedelta(minutes=1))
    assert int(np.isfinite(later.switched_at).sum()) == 0


async def test_an_observing_push_goes_live_and_tells_what_it_saw(sampled) -> None:
    await sampled.history()
    sampled.rate = errors_of(120.0)
    rig = sampled.rig
    rig.configuration = rig.configuration.model_copy(
        update={"push": rig.configuration.push.model_copy(update={"observe": True})}
    )
    push, pusher = await rig.pending(NEW), await rig.controller()
    ended = await sampled.run(pusher, push.number)
    assert ended.state is State.LIVE
    assert {spared.decision for spared in ended.spared} == {Decision.FAIL}
    told = await rig.store.events.latest(LINE, kind="push.spared")
    assert [event.data["phase"] for event in told][::-1] == [one.phase for one in ended.spared]
    assert "would have rolled back: errors" in told[0].data["reason"]
    assert await rig.store.locks.recent(LINE) == [], "nothing is convicted"


async def test_an_observing_push_goes_on_in_spite_of_silence(sampled) -> None:
    await sampled.history()
    rig = sampled.rig
    rig.configuration = rig.configuration.model_copy(
        update={"push": rig.configuration.push.model_copy(update={"observe": True, "watch_timeout": 200.0})}
    )
    sampled.silent = True
    push, pusher = await rig.pending(NEW), await rig.controller()
    ended = await sampled.run(pusher, push.number, ticks=200)
    assert ended.state is State.LIVE
    assert ended.spared
