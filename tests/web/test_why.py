"""The sentences, as a table: facts in, what a tired engineer reads out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.web import builders as b

from leuko.domain.build import Build, BuildState, StepResult
from leuko.domain.change import Change
from leuko.domain.lock import Lock, LockKind, Severity
from leuko.domain.push import Cause, Push, Rules, State, Stop
from leuko.domain.rollout import HostProgress, HostState
from leuko.domain.verdict import Decision, Verdict
from leuko.store.changes import ChangeState, Landed
from leuko.store.findings import Judgement
from leuko.store.hosts import KnownHost
from leuko.store.leases import Lease
from leuko.web.facts import BuildFacts, Facts, PushFacts, SourceTrouble, Wait
from leuko.web.why import why_now
from leuko.web.why_push import why_host, why_push

NOW = b.START
AGO = NOW - timedelta(minutes=3)
LEASE = Lease(b.LINE, "test:1", "ops1", 7, 1, NOW + timedelta(seconds=10), AGO)
CALM = Facts(b.LINE, NOW, lease=LEASE)
LIVE = Push(1, b.LINE, "r-1", b.revision("a"), None, Rules(2), State.LIVE, AGO, AGO, ended_at=AGO)
PUSH = Push(12, b.LINE, "r-12", b.revision("c"), "r-1", Rules(2), State.WATCHING, AGO, AGO, started_at=AGO)
LOCK = Lock("L3", LockKind.PUSH, Severity.HARD, "amara", "inventory", AGO)


def landed(state: ChangeState, build: int | None = None) -> Landed:
    change = Change(b.revision("c"), "t", None, AGO, (b.commit("c", "Fix it", "amara"),))
    return Landed(3, change, AGO, True, state, build)


def build(state: BuildState, *steps: StepResult, **more) -> dict[int, BuildFacts]:
    return {
        7: BuildFacts(Build(7, b.revision("c"), "t", state, AGO, more.pop("reason", "")), steps, AGO, **more)
    }


def active(state: State, *rows: HostProgress, judgement: Judgement | None = None, **values) -> PushFacts:
    return PushFacts(replace(PUSH, state=state, **values), None, rows, judgement)


OK = StepResult("unit", "test", 0, 4.0, "o")
RED = StepResult("pytest", "test", 1, 12.0, "o")
JUDGED = Judgement(12, 0, NOW, Verdict(Decision.CONTINUE, "nothing is worse so far", (), 5, 12))

CASES = {
    "no controller ever": (replace(CALM, lease=None), "Start one with `leuko serve`"),
    "controller gone": (
        replace(CALM, lease=replace(LEASE, expires_at=AGO)),
        "No controller is running since 11:57:00 UTC (3 min ago), when that of ops1 was last heard of",
    ),
    "no change seen": (CALM, "No change has been seen on the branch yet."),
    "verifying": (
        replace(
            CALM, changes=(landed(ChangeState.VERIFYING, 7),), builds=build(BuildState.RUNNING, OK, OK, of=3)
        ),
        "is being verified since 11:57:00 UTC (3 min ago): 2 of 3 commands done",
    ),
    "red": (
        replace(
            CALM,
            changes=(landed(ChangeState.RED, 7),),
            builds=build(BuildState.FAILED, OK, RED, tail=("E   assert 1 == 2", "1 failed")),
        ),
        "`pytest` ended with 1 after 12 s. Its last lines: E assert 1 == 2 / 1 failed",
    ),
    "broken": (
        replace(
            CALM,
            changes=(landed(ChangeState.BROKEN, 7),),
            builds=build(BuildState.BROKEN, reason="the disk is full"),
        ),
        "could not be verified, and the tests are not to blame. the disk is full. `leuko push cccccccccccc`",
    ),
    "first push needed": (replace(CALM, changes=(landed(ChangeState.GREEN),)), "`leuko push --first`"),
    "push lock": (
        replace(CALM, live=LIVE, pushes=(LIVE,), changes=(landed(ChangeState.GREEN),), locks=(LOCK,)),
        "is green and waits: push lock L3 of amara: inventory.",
    ),
    "lock with a way through": (
        replace(CALM, locks=(LOCK,)),
        "A fix gets through with the line `Leuko-Fix: L3` at the end of its commit message",
    ),
    "expiring warning": (
        replace(CALM, locks=(replace(LOCK, severity=Severity.WARN, expires_at=NOW + timedelta(hours=1)),)),
        (
            "Pushes go on, with a warning from push lock L3 of amara since 11:57:00 UTC (3 min ago): inventory. "
            "It ends by itself at 13:00:00 UTC (in 1 h)."
        ),
    ),
    "window": (
        replace(
            CALM,
            live=LIVE,
            pushes=(LIVE,),
            pending=replace(PUSH, state=State.PENDING),
            waits={"push 12": Wait("no push starts between 12:00 and 13:00", AGO, NOW + timedelta(hours=1))},
        ),
        "Push 12 of cccccccccccc waits: no push starts between 12:00 and 13:00 (until 13:00:00 UTC (in 1 h)).",
    ),
    "waiting for hosts": (
        replace(
            CALM,
            active=active(
                State.STAGING,
                HostProgress("www1", "www", 0, HostState.STAGED),
                HostProgress("www2", "www", 0, attempts=2, detail="ssh: no route", not_before=NOW),
            ),
        ),
        "It waits for www2: ssh: no route. Try 3 follows.",
    ),
    "watching": (
        replace(CALM, active=active(State.WATCHING, judgement=JUDGED)),
        "5 of 12 ticks with data. Nothing is worse so far.",
    ),
    "watching, blind still": (
        replace(CALM, active=active(State.WATCHING)),
        "no readings have been judged yet",
    ),
    "held": (
        replace(
            CALM,
            active=active(
                State.HELD,
                held_from=State.WATCHING,
                held_why="the phone rings",
                held_by="amara",
                deadline=NOW + timedelta(minutes=57),
            ),
        ),
        "is held by amara since 11:57:00 UTC (3 min ago) while watching: the phone rings. `leuko resume`",
    ),
    "held, then": (
        replace(
            CALM, active=active(State.HELD, held_from=State.WATCHING, deadline=NOW + timedelta(minutes=57))
        ),
        "goes back by itself at 12:57:00 UTC (in 57 min)",
    ),
    "stuck": (
        replace(
            CALM,
            stuck=(
                active(State.STUCK, HostProgress("www1", "www", 0, HostState.RESTORING, detail="no route")),
            ),
        ),
        "Push 12 is STUCK: www1 may still run cccccccccccc and could not be confirmed restored: no route.",
    ),
    "source": (
        replace(CALM, troubles=(SourceTrouble("shop-log", "the file is not there", AGO, ("www1",)),)),
        "Source shop-log gives no data on www1 since 11:57:00 UTC (3 min ago): the file is not there.",
    ),
    "unreachable": (
        replace(
            CALM,
            hosts=(
                KnownHost("www1", "www", reachable=False, since=AGO),
                KnownHost("www2", "www", reachable=True),
            ),
        ),
        "1 of 2 hosts cannot be reached: www1, the first since 11:57:00 UTC (3 min ago).",
    ),
    "hotfix that is live": (
        replace(CALM, live=LIVE, pushes=(LIVE,), hotfixes={LIVE.revision: "Mend the till"}),
        (
            'A hotfix is live that the branch has not got: aaaaaaaaaaaa "Mend the till" (push 1). '
            "The next push of the branch takes it away again, so land it there, too."
        ),
    ),
    "hotfix on its way": (
        replace(CALM, active=active(State.STAGING), hotfixes={PUSH.revision: "Mend the till"}),
        "A hotfix is on its way that the branch has not got: cccccccccccc",
    ),
    "calm": (
        replace(
            CALM,
            live=LIVE,
            pushes=(replace(LIVE, revision=b.revision("c")),),
            changes=(landed(ChangeState.GREEN),),
        ),
        "Nothing waits: aaaaaaaaaaaa is live everywhere with push 1",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_why_now(name):
    facts, expected = CASES[name]
    said = "\n".join(why_now(facts))
    assert expected in said, said
    assert "None" not in said
    assert "  " not in said
    assert ".." not in said.replace("...", "")


ENDS = {
    Cause.VERDICT: "The watch of phase 1 found it bad",
    Cause.PERSON: "amara rolled it back: too slow.",
    Cause.ABORTED: "amara aborted it: too slow. The release is not convicted.",
    Cause.SUPERSEDED: "Too slow.",
    Cause.HELD_TOO_LONG: "Held too long: too slow.",
}


@pytest.mark.parametrize("cause", ENDS)
def test_why_push(cause):
    state = State.CANCELLED if cause is Cause.SUPERSEDED else State.ROLLED_BACK
    push = replace(PUSH, state=state, stop=Stop(cause, "too slow", "amara"), ended_at=NOW)
    rows = (
        HostProgress("www1", "www", 0, HostState.RESTORED, switched_at=AGO),
        HostProgress("www2", "www", 1),
    )
    plan = b.plan((b.commit("c", "Fix it", "amara"),))
    judgement = Judgement(12, 0, NOW, b.bad_verdict())
    locks = (replace(LOCK, push=12, owner="leuko"),) if cause.convicts else ()
    said = "\n".join(why_push(PushFacts(push, plan, rows, judgement, locks), CALM))
    assert ENDS[cause] in said
    assert "reached 1 of 2 hosts (www1); the other 1 never ran it" in said
    assert '"Fix it" by amara' in said
    assert ("Leuko-Fix: L3" in said) is cause.convicts
    assert ("leuko retry" in said) is (cause in (Cause.ABORTED, Cause.HELD_TOO_LONG))


@pytest.mark.parametrize("cause", [Cause.VERDICT, Cause.ABORTED])
def test_there_is_nothing_to_do_about_a_push_after_which_another_became_live(cause):
    push = replace(PUSH, state=State.ROLLED_BACK, stop=Stop(cause, "too slow", "amara"), ended_at=NOW)
    before, after = (why_push(PushFacts(push), replace(CALM, live=replace(LIVE, number=n))) for n in (11, 13))
    assert before[-1].startswith("Next: ")
    assert not any(sentence.startswith("Next: ") for sentence in after)


NAME = f"{b.revision('c')[:12]}-0123abcd"


@pytest.mark.parametrize(
    ("running", "said"),
    [
        (b.revision("c"), (f"www1 (www) runs {NAME}.",)),
        (b.revision("c")[:7], (f"www1 (www) runs {NAME}.",)),
        ("", (f"www1 (www) runs {NAME}.",)),
        (
            b.revision("a"),
            (
                f"www1 (www) runs {b.revision('a')}.",
                f"It should run {NAME}.",
                f"Its link points at {NAME}, but its processes run {b.revision('a')}.",
            ),
        ),
    ],
)
def test_a_host_may_tell_its_revision_in_place_of_the_release(running, said):
    host = KnownHost("www1", "www", desired=NAME, current=NAME, running=running, reachable=True)
    assert why_host(CALM, host) == said
