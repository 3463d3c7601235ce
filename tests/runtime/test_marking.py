"""People say whether the verdict was right; it alarms on itself when it is wrong too often."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.builders import LINE, release
from tests.runtime.yard import Yard

from leuko.domain.intent import Intent, IntentKind, IntentState
from leuko.domain.plan import Plan
from leuko.domain.push import Cause, Origin, Push, Rules, Spared, State, Stop
from leuko.domain.verdict import Decision
from leuko.notify.recording import RecordingNotifier
from leuko.runtime.marking import DETECTOR, look
from leuko.runtime.messenger import Messenger
from leuko.store.studies import PEAK

BAD = Stop(Cause.VERDICT, "errors tripled")
HAND = Stop(Cause.PERSON, "the page is white", "ann")

RULES = Rules(phases=2)
PLAN = Plan(hosts=(), watches=(12, 60), tick=5.0)


@pytest.fixture
async def yard(tmp_path):
    made = await Yard.make(tmp_path)
    yield made
    await made.store.close()


async def ended(yard: Yard, state: State, stop: Stop | None = None, **more) -> Push:
    """A push that ended so, as rows alone."""
    now = yard.clock.now()
    base = Push(
        0, LINE, release("n").name, "n" * 40, "base", rules=RULES, state=state, since=now, created_at=now
    )
    push = replace(base, stop=stop, ended_at=now, started_at=now, **more)
    async with yard.store.write(LINE) as tx:
        return await yard.store.pushes.create(tx, push, plan=PLAN)


async def mark(yard: Yard, push: Push, *, correct: bool) -> Intent:
    """As a client asks: the push is an argument, for the mark is about a push that has ended."""
    now = yard.clock.now()
    arguments = {"push": push.number, "correct": correct}
    wish = Intent(0, IntentKind.MARK, "ann", "because", now, now + timedelta(minutes=5), arguments=arguments)
    async with yard.store.write(LINE) as tx:
        kept = await yard.store.intents.add(tx, wish)
    await yard.obeying.step()
    await yard.obeying.settled()
    found = await yard.store.intents.get(LINE, kept.id)
    assert found is not None
    return found


async def test_a_rollback_is_marked_and_counted_beside_the_promise(yard) -> None:
    for _ in range(39):
        await ended(yard, State.LIVE)
    back = await ended(yard, State.ROLLED_BACK, BAD)
    await ended(yard, State.ROLLED_BACK, BAD)
    intent = await mark(yard, back, correct=False)
    assert intent.state is IntentState.ACCEPTED
    assert intent.answer["tally"].startswith(
        "false rollbacks: 1 of 40 healthy pushes (2.5 %), promised at most 0.5 %"
    )
    assert intent.answer["alarms"] == []
    again = await mark(yard, back, correct=True)
    assert again.answer["tally"].startswith("false rollbacks: 0 of 39 healthy pushes, ")
    told = await yard.store.events.latest(LINE, kind="mark")
    assert [event.data["correct"] for event in told] == [True, False]


async def test_only_what_the_verdict_stopped_can_be_marked(yard) -> None:
    for push in (await ended(yard, State.LIVE), await ended(yard, State.ROLLED_BACK, HAND)):
        refused = await mark(yard, push, correct=False)
        assert refused.state is IntentState.REFUSED
        assert "was not stopped by the verdict" in refused.answer["rule"]
    missing = await mark(yard, replace(await ended(yard, State.LIVE), number=999), correct=True)
    assert missing.answer["rule"] == "there is no such push"


async def test_what_would_have_been_rolled_back_counts_once_somebody_said_so(yard) -> None:
    spared = (Spared(0, Decision.FAIL, "errors tripled", yard.clock.now()),)
    observed = await ended(yard, State.LIVE, spared=spared)
    await ended(yard, State.LIVE)
    assert (await mark(yard, observed, correct=False)).answer["tally"].startswith("false rollbacks: 1 of 2 ")
    assert (await mark(yard, observed, correct=True)).answer["tally"].startswith("false rollbacks: 0 of 1 ")


async def test_the_detector_alarms_on_itself_once_and_tells_when_it_is_over(yard) -> None:
    messenger = Messenger(yard.ground, [RecordingNotifier(lambda text: text)], "http://console")
    wrong = [await ended(yard, State.ROLLED_BACK, BAD) for _ in range(3)]
    for push in wrong:
        answer = (await mark(yard, push, correct=False)).answer
    assert "rolled back 3 of 3 healthy pushes" in answer["alarms"][0]
    for _ in range(3):
        await look(yard.ground)
    (told,) = await yard.store.events.latest(LINE, kind=DETECTOR)
    message = await messenger.message(told)
    assert (message.event, "rolled back 2 of 2" in message.body) == ("detector", True)
    for push in wrong:
        await mark(yard, push, correct=True)
    over = (await yard.store.events.latest(LINE, kind=DETECTOR))[0]
    assert over.data["ok"] is True
    assert "again" in (await messenger.message(over)).title


async def test_evidence_of_accepted_pushes_is_audited_and_drills_are_not_counted(yard) -> None:
    for number in range(20):
        push = await ended(yard, State.LIVE)
        async with yard.store.write(LINE) as tx:
            await yard.store.studies.keep(
                tx, push.number, PEAK, 150.0 if number < 10 else 0.5, yard.clock.now()
            )
    await ended(yard, State.ROLLED_BACK, BAD, origin=Origin.DRILL)
    found = await look(yard.ground)
    assert (found.live, found.stopped) == (20, 0)
    assert found.crossed[0.01] == (10, 20)
    assert any("evidence of 100 to 1 or more was reached in 10 of 20" in alarm for alarm in found.alarms)
