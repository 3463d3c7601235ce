"""Which push waits, which may start, and what continuous delivery does by itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.builders import NOON, commit, release, revision
from tests.runtime.rig import Rig
from tests.runtime.yard import LINE, Yard

from leuko.config.model import Window
from leuko.domain.line import Line
from leuko.domain.lock import Lock, LockKind, Severity
from leuko.domain.plan import Plan
from leuko.domain.push import Admitted, NotAdmitted, Origin, RollBack, State
from leuko.domain.rollout import HostProgress, HostState
from leuko.runtime.admission import Overrides, admit
from leuko.store.hosts import KnownHost
from leuko.web.views.why import why

BAD = Lock("L1", LockKind.PUSH, Severity.HARD, "leuko", "bad", NOON, push=3, blocks=(revision("b"),))
HAND = Lock("L2", LockKind.PUSH, Severity.HARD, "ann", "fair", NOON)
WARN = replace(HAND, severity=Severity.WARN)
COMMITS = replace(HAND, kind=LockKind.COMMIT)
FIX = commit("f", "Mend\n\nLeuko-Fix: L1")
FREEZE = Window(start="0 0 * * *", lasts="1d", reason="freeze")


@pytest.mark.parametrize(
    ("commits", "held", "blocking", "windows", "overrides", "refused", "waits"),
    [
        ((commit("n"),), (), (), (), Overrides(), False, ""),
        ((commit("n"),), (HAND,), (), (), Overrides(), False, "push lock L2 by ann"),
        ((commit("n"),), (WARN, COMMITS), (), (), Overrides(), False, ""),
        ((commit("n"),), (HAND,), (), (), Overrides(blocks="now"), False, ""),
        ((commit("n"), commit("b")), (BAD,), (BAD,), (), Overrides(), True, ""),
        ((commit("n"), commit("b")), (), (BAD,), (), Overrides(), True, ""),
        ((FIX, commit("b")), (BAD,), (BAD,), (), Overrides(), False, ""),
        ((FIX, commit("b")), (BAD, HAND), (BAD,), (), Overrides(), False, "push lock L2"),
        ((commit("n"),), (), (), (FREEZE,), Overrides(), False, "freeze"),
        ((commit("n"),), (), (), (FREEZE,), Overrides(window=True), False, ""),
    ],
)
async def test_admission(tmp_path, commits, held, blocking, windows, overrides, refused, waits) -> None:
    rig = await Rig.make(tmp_path)
    push = rig.push(release("n"), State.PENDING, release("b").name)
    answer = admit(push, commits, held, blocking, windows, NOON, overrides)
    assert bool(answer.refused) is refused, answer
    assert (waits in answer.waits) if waits else not answer.waits, answer
    await rig.store.close()


@pytest.fixture
async def yard(tmp_path):
    made = await Yard.make(tmp_path)
    yield made
    await made.store.close()


async def test_pushes_of_two_lines_that_share_a_host_wait_for_each_other_and_why_says_so(yard) -> None:
    preview = Line("shop", "preview")
    other = replace(
        (await yard.live(await yard.release("one"))), line=preview, state=State.WATCHING, ended_at=None
    )
    async with yard.store.write(preview) as tx:
        await yard.store.hosts.save(tx, [KnownHost("www2", "www", "www2")])
        other = await yard.store.pushes.create(tx, other, plan=Plan(hosts=(), watches=(2,), tick=5.0))
        row = HostProgress("www2", "www", 0, HostState.SWITCHED, switched_at=NOON)
        await yard.store.hosts.save_progress(tx, other.number, [row])
    push = await yard.queue.propose(await yard.release("two"), Origin.PERSON, "ann")
    assert await yard.queue.admission(push) is None
    (reason,) = await told(yard, "push.waits")
    assert reason.startswith("push 1 of shop/preview is WATCHING on www2, too")
    said = (await why(yard.store, LINE, yard.clock.now(), f"push:{push.number}")).sentences
    assert any("pushes that share hosts are never watched at the same time" in one for one in said), said
    async with yard.store.write(preview) as tx:
        await yard.store.pushes.save(tx, replace(other, state=State.LIVE))
    assert isinstance(await yard.queue.admission(push), Admitted)


async def test_canaries_rotate_and_cover_each_role(tmp_path) -> None:
    roles = {"www": {"hosts": ["www1", "www2", "www3"]}, "chat": {"hosts": ["chat1", "chat2"]}}
    made = await Yard.make(tmp_path, push={"rotate": True}, fleet={"roles": roles})
    await made.live(await made.release("one"))
    seen = []
    for name in ("two", "three", "four"):
        push = await made.queue.propose(await made.release(name), Origin.PERSON, "ann")
        plan = await made.store.pushes.plan(LINE, push.number)
        seen.append({host.name for host in plan.phase(0)})
        assert {host.role for host in plan.phase(0)} == {"www", "chat"}
    assert set.union(*seen) == {"www1", "www2", "www3", "chat1", "chat2"}, "each has its turn"
    await made.store.close()


async def told(yard, kind: str) -> list[str]:
    return [event.data["reason"] for event in await yard.store.events.latest(LINE, kind=kind, limit=50)]


async def test_continuous_delivery_without_a_base_says_so_once(yard) -> None:
    one = await yard.release("one")
    for _ in range(3):
        assert await yard.queue.continuous(one) is None
    assert ["leuko push --first" in reason for reason in await told(yard, "push.waits")] == [True]


async def test_continuous_delivery_pushes_each_release_once(yard) -> None:
    await yard.live(await yard.release("one"))
    two = await yard.release("two")
    push = await yard.queue.continuous(two)
    assert push is not None
    assert push.origin is Origin.CONTINUOUS
    assert await yard.queue.continuous(two) is None
    await yard.become(push, State.LIVE)
    assert await yard.queue.continuous(two) is None


async def test_what_is_blocked_is_told_once_and_offered_again_when_forgotten(yard) -> None:
    one, two = await yard.release("one"), await yard.release("two")
    await yard.live(one)
    await yard.live(two)
    from leuko.domain.intent import IntentKind

    back = (await yard.ask(IntentKind.ROLLBACK)).answer["push"]
    await yard.become(await yard.store.pushes.get(LINE, back), State.ROLLED_BACK)
    three = await yard.release("three")
    for _ in range(3):
        assert await yard.queue.continuous(three) is None
    assert len(await told(yard, "push.blocked")) == 1
    await yard.ask(IntentKind.UNLOCK, lock="all")
    assert await yard.queue.continuous(three) is None, "the lock is gone, the block is not"
    await yard.ask(IntentKind.UNLOCK, lock="L1", forget=True)
    assert await yard.queue.continuous(three) is not None


async def test_a_push_that_waits_for_a_lock_goes_on_when_it_is_released(yard) -> None:
    await yard.live(await yard.release("one"))
    async with yard.store.write(LINE) as tx:
        lock = await yard.store.locks.take(tx, HAND)
    push = await yard.queue.continuous(await yard.release("two"))
    for _ in range(3):
        assert await yard.queue.admission(push) is None
    assert len(await told(yard, "push.waits")) == 1
    async with yard.store.write(LINE) as tx:
        await yard.store.locks.release(tx, lock.id, "ann", "done", yard.clock.now())
    assert await yard.queue.admission(push) == Admitted()


async def test_a_lock_that_expires_lets_the_push_go(yard) -> None:
    await yard.live(await yard.release("one"))
    async with yard.store.write(LINE) as tx:
        await yard.store.locks.take(tx, replace(HAND, expires_at=yard.clock.now() + timedelta(minutes=1)))
    push = await yard.queue.continuous(await yard.release("two"))
    assert await yard.queue.admission(push) is None
    yard.clock.move(61)
    assert await yard.queue.admission(push) == Admitted()


async def test_when_the_base_moved_a_push_is_made_anew_and_keeps_who_and_why(yard) -> None:
    await yard.live(await yard.release("one"))
    two, three = await yard.release("two"), await yard.release("three")
    running = await yard.become(await yard.queue.continuous(two), State.WATCHING)
    waiting = await yard.queue.propose(
        three, Origin.HOTFIX, "bob", "in need", overrides=Overrides("because", window=True)
    )
    await yard.become(running, State.LIVE)
    assert await yard.queue.admission(waiting) is None
    anew = await yard.store.pushes.pending(LINE)
    assert (anew.base, anew.origin, anew.by, anew.why) == (two.name, Origin.HOTFIX, "bob", "in need")
    plan = await yard.store.pushes.plan(LINE, anew.number)
    assert (plan.override_blocks, plan.override_window) == ("because", True)
    assert await yard.queue.admission(anew) == Admitted(), "and not once more"


async def test_when_what_it_would_carry_was_convicted_meanwhile_it_ends_and_nothing_breaks(yard) -> None:
    await yard.live(await yard.release("one"))
    two, three = await yard.release("two"), await yard.release("three")
    running = await yard.become(await yard.queue.continuous(two), State.WATCHING)
    waiting = await yard.queue.continuous(three)
    await yard.happens(running, RollBack("ann", "bad"))
    answer = await yard.queue.admission(waiting)
    assert isinstance(answer, NotAdmitted)
    assert "blocked" in answer.reason


async def test_without_any_good_base_left_a_push_ends_and_says_so(yard) -> None:
    one = await yard.release("one")
    await yard.live(one)
    waiting = await yard.queue.continuous(await yard.release("two"))
    async with yard.store.write(LINE) as tx:
        await yard.store.releases.convict(tx, one.name, "bad", yard.clock.now())
    assert isinstance(await yard.queue.admission(waiting), NotAdmitted)


async def test_two_that_ask_at_once_leave_one_push_waiting(yard) -> None:
    await yard.live(await yard.release("one"))
    two, three = await yard.release("two"), await yard.release("three")
    asked = (yard.queue.propose(one, Origin.PERSON, "ann") for one in (two, three))
    await asyncio.gather(*asked)
    pending = [push for push in await yard.store.pushes.recent(LINE) if push.state is State.PENDING]
    assert len(pending) == 1


async def test_what_an_approver_has_to_see_waits_for_one(tmp_path) -> None:
    yard = await Yard.make(tmp_path, push={"approver": True}, fleet={"root": "/srv/{name}"})
    await yard.live(await yard.release("one"))
    (yard.origin / "leuko.yml").write_text(
        "application: shop\nrepository: x\nverify: {tests: {all: 'true'}}\n"
        "fleet:\n  roles: {www: [www1]}\n  hooks:\n    reload: touch it\n"
    )
    changed = await yard.release("changes a hook")
    push = await yard.queue.continuous(changed)
    assert push is not None, await told(yard, "push.blocked")
    assert await yard.queue.admission(push) is None
    assert "fleet.hooks.reload" in (await told(yard, "push.waits"))[0]
    approved = await yard.queue.propose(changed, Origin.PERSON, "bob", overrides=Overrides(approved=True))
    assert await yard.queue.admission(approved) == Admitted()
    await yard.store.close()
