"""Every intent ends accepted or refused with its reason, and none keeps another waiting."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.runtime.yard import LINE, Yard, git

from leuko.domain.build import BuildState
from leuko.domain.intent import IntentKind, IntentState
from leuko.domain.lock import LockKind
from leuko.domain.push import Cause, Hold, Judged, Origin, State
from leuko.domain.release import Release
from leuko.domain.rollout import HostState
from leuko.domain.verdict import Decision
from leuko.runtime.watcher import Watcher
from leuko.web.gathering import gather

K = IntentKind


@pytest.fixture
async def yard(tmp_path):
    made = await Yard.make(tmp_path)
    yield made
    await made.obeying.close()
    await made.store.close()


def refused(intent, code: str) -> None:
    assert (intent.state, intent.answer.get("code")) == (IntentState.REFUSED, code), intent.answer


async def running(yard, state: State = State.WATCHING):
    await yard.live(await yard.release("one"))
    push = await yard.queue.propose(await yard.release("two"), Origin.PERSON, "ann", "")
    return await yard.become(push, state)


async def test_what_cannot_be_meant_is_refused_with_a_way_out(yard) -> None:
    for kind in (K.ABORT, K.HOLD, K.RESUME, K.PROMOTE):
        refused(await yard.ask(kind), "P002")
        refused(await yard.ask(kind, push=99), "P002")
    refused(await yard.ask(K.ROLLBACK), "P004")
    refused(await yard.ask(K.HOTFIX, commit="abc"), "P004")
    refused(await yard.ask(K.RETRY), "P008")
    refused(await yard.ask(K.RETRY, push=99), "P008")
    refused(await yard.ask(K.PUSH), "P009")
    refused(await yard.ask(K.UNLOCK, lock="L9"), "L001")


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (K.LOCK, {"kind": "nonsense"}),
        (K.LOCK, {"severity": 7}),
        (K.LOCK, {"expires_in": "soon"}),
        (K.LOCK, {"expires_in": 1e300}),
        (K.LOCK, {"expires_in": -5}),
    ],
)
async def test_garbage_is_refused_and_those_behind_it_are_obeyed(yard, kind, arguments) -> None:
    number = await yard.put(kind, push=None, **arguments) if kind is K.LOCK else None
    if number is None:
        intent = await yard.ask(kind, argument=1)
        assert intent.state is IntentState.REFUSED
        return
    lock = await yard.ask(K.LOCK)
    assert lock.state is IntentState.ACCEPTED
    refused(await yard.store.intents.get(LINE, number), "P014")


async def test_an_intent_whose_time_is_over_is_told_so(yard) -> None:
    number = await yard.put(K.POKE)
    yard.clock.move(600)
    await yard.obeying.step()
    intent = await yard.store.intents.get(LINE, number)
    assert intent is not None
    assert intent.state is IntentState.EXPIRED
    assert not yard.poked


async def test_an_abort_does_not_wait_for_what_is_slow(yard) -> None:
    push = await running(yard)
    yard.adopting = asyncio.Event()
    slow = await yard.put(K.ADOPT)
    await yard.obeying.step()
    abort = await yard.put(K.ABORT)
    await yard.obeying.step()
    done = await yard.store.intents.get(LINE, abort)
    assert done is not None
    assert done.state is IntentState.ACCEPTED
    assert (await yard.store.pushes.get(LINE, push.number)).state is State.ROLLING_BACK
    assert (await yard.store.intents.get(LINE, slow)).state is IntentState.WAITING
    yard.adopting.set()
    await yard.obeying.settled()
    assert (await yard.store.intents.get(LINE, slow)).state is IntentState.ACCEPTED


@pytest.mark.parametrize("kind", [K.PROMOTE, K.RESUME])
async def test_letting_go_on_by_an_old_picture_is_refused(yard, kind) -> None:
    push = await running(yard)
    held = await yard.happens(push, Hold("bob", "look"))
    stale = {"push": push.number, "seen_state": "WATCHING", "seen_version": push.version}
    refused(await yard.ask(kind, **stale), "P013")
    older = {"push": push.number, "seen_state": "HELD", "seen_version": push.version}
    refused(await yard.ask(kind, **older), "P013")
    fresh = {"push": push.number, "seen_state": "HELD", "seen_version": held.version}
    assert (await yard.ask(kind, **fresh)).state is IntentState.ACCEPTED


async def test_stopping_by_an_old_picture_is_obeyed(yard) -> None:
    push = await running(yard)
    await yard.happens(push, Hold("bob", "look"))
    old = {"push": push.number, "seen_state": "WATCHING", "seen_version": push.version}
    assert (await yard.ask(K.ABORT, **old)).answer["state"] == "ROLLING_BACK"


async def test_a_push_begins_queues_and_is_superseded(yard) -> None:
    first = await yard.release("one")
    refused(await yard.ask(K.PUSH, revision=first.revision), "P010")
    answer = (await yard.ask(K.PUSH, revision=first.revision, first=True)).answer
    assert answer["state"] == "PENDING"
    second = await yard.release("two")
    newer = (await yard.ask(K.PUSH, revision=second.revision, first=True)).answer
    old = await yard.store.pushes.get(LINE, answer["push"])
    assert (old.state, old.stop.cause) == (State.CANCELLED, Cause.SUPERSEDED)
    assert (await yard.store.pushes.pending(LINE)).number == newer["push"]


async def test_a_push_of_what_is_not_verified_yet_follows_once_it_is(yard) -> None:
    await yard.live(await yard.release("one"))
    revision = await yard.commit("two")
    intent = await yard.ask(K.PUSH, revision=revision)
    assert intent.answer["state"] == "verifying"
    assert not await yard.obeying.requests.to_follow_up()
    part = await yard.archives.build(
        yard.origin, yard.ground.configuration.release, revision, component="app"
    )
    from leuko.domain.release import Release

    async with yard.store.write(LINE) as tx:
        await yard.store.releases.add(tx, Release(revision, (part,), yard.clock.now()))
    assert [found.id for found, _ in await yard.obeying.requests.to_follow_up()] == [intent.id]
    async with yard.store.write(LINE) as tx:
        tx.event("push.refused", revision, {"intent": intent.id, "reason": "no"}, yard.clock.now())
    assert not await yard.obeying.requests.to_follow_up(), (
        "what was refused is not asked for again every second"
    )


async def test_verify_and_a_red_build(yard) -> None:
    await yard.live(await yard.release("one"))
    revision = await yard.commit("two")
    number = (await yard.ask(K.VERIFY, revision=revision)).answer["build"]
    build = await yard.store.builds.get(LINE, number)
    async with yard.store.write(LINE) as tx:
        build = await yard.store.builds.save(tx, build.to(BuildState.RUNNING, yard.clock.now()))
        await yard.store.builds.save(tx, build.to(BuildState.FAILED, yard.clock.now(), "goods failed"))
    refused(await yard.ask(K.PUSH, revision=revision), "P006")


async def test_a_build_that_passed_a_moment_ago_is_followed_up_and_not_refused(yard) -> None:
    await yard.live(await yard.release("one"))
    revision = await yard.commit("two")
    number = (await yard.ask(K.VERIFY, revision=revision)).answer["build"]
    build = await yard.store.builds.get(LINE, number)
    async with yard.store.write(LINE) as tx:
        build = await yard.store.builds.save(tx, build.to(BuildState.RUNNING, yard.clock.now()))
        await yard.store.builds.save(tx, build.to(BuildState.PASSED, yard.clock.now()))
    asked = await yard.ask(K.PUSH, revision=revision)
    assert asked.answer == {"revision": revision, "state": "verifying", "build": number}


async def test_a_build_that_a_dead_controller_left_running_waits_again(yard) -> None:
    number = (await yard.ask(K.VERIFY, revision=await yard.commit("two"))).answer["build"]
    build = await yard.store.builds.get(LINE, number)
    async with yard.store.write(LINE) as tx:
        await yard.store.builds.save(tx, build.to(BuildState.RUNNING, yard.clock.now()))
    await yard.builder.recover()
    assert (await yard.store.builds.get(LINE, number)).state is BuildState.WAITING


async def test_a_plan_changes_nothing(yard) -> None:
    await yard.live(await yard.release("one"))
    second = await yard.release("two")
    plan = await yard.ask(K.PLAN, revision=second.revision)
    assert [host["name"] for host in plan.answer["plan"]["hosts"]] == ["www1", "www2", "www3"]
    assert await yard.store.pushes.pending(LINE) is None
    refused(await yard.ask(K.PLAN, revision=await yard.commit("three")), "P007")


async def test_a_push_of_what_is_being_pushed_already_is_that_push(yard) -> None:
    push = await running(yard)
    for named in (push.revision, push.revision[:10]):
        answer = await yard.ask(K.PUSH, revision=named)
        assert (answer.answer.get("push"), answer.answer.get("state")) == (push.number, "WATCHING")
    assert await yard.store.pushes.pending(LINE) is None
    anew = (await yard.ask(K.PUSH, revision=push.revision, override_blocks="it must")).answer["push"]
    assert anew != push.number
    third = await yard.release("three")
    waits = (await yard.ask(K.PUSH, revision=third.revision)).answer["push"]
    assert (await yard.ask(K.PUSH, revision=third.revision)).answer["push"] == waits


async def test_what_was_adopted_goes_back_with_the_hooks_of_now(yard) -> None:
    """It has none of its own, and those of the day it was adopted on may have been wrong."""
    adopted = await yard.queue.propose(await yard.release("one"), Origin.ADOPTED, "ann", first=True)
    await yard.become(adopted, State.LIVE)
    fleet = yard.ground.configuration.fleet
    hooks = fleet.hooks.model_copy(update={"reload": "mended"})
    yard.ground.configuration = yard.ground.configuration.model_copy(
        update={"fleet": fleet.model_copy(update={"hooks": hooks})}
    )
    draft = await yard.obeying.planner.draft(await yard.release("two"), Origin.PERSON, "ann", "")
    assert draft.push.base == adopted.release
    assert draft.base_configuration.fleet.hooks.reload == "mended"


async def test_a_hotfix_is_live_plus_that_commit(yard) -> None:
    await yard.live(await yard.release("one"))
    await yard.commit("in between")
    fix = await yard.commit_to("other", "fix")
    hotfix = await yard.ask(K.HOTFIX, commit=fix)
    assert hotfix.answer["state"] == "verifying"
    assert hotfix.answer["revision"] != fix
    assert hotfix.answer["warning"] == "", "it is on the branch"


@pytest.mark.parametrize("how", ["merged", "picked"])
async def test_a_hotfix_is_warned_of_until_the_branch_has_it(yard, how) -> None:
    await yard.live(await yard.release("one"))
    fix = await yard.aside("mend", "Mend the till")
    answer = (await yard.ask(K.HOTFIX, commit=fix)).answer
    assert answer["warning"] == (
        f"{fix[:12]} is not on main yet: until it is, the next push of main takes it away again"
    )
    part = await yard.archives.build(
        yard.origin, yard.ground.configuration.release, answer["revision"], component="app"
    )
    built = Release(answer["revision"], (part,), yard.clock.now())
    async with yard.store.write(LINE) as tx:
        await yard.store.releases.add(tx, built)
    push = await yard.queue.propose(built, Origin.HOTFIX, "ann", "")
    await yard.become(push, State.LIVE)

    async def warned() -> dict[str, str]:
        await Watcher(yard.ground, yard.mirror, yard.mirror.history).step()
        await yard.obeying.hotfixes.look()
        return dict((await gather(yard.store, LINE, yard.clock.now())).hotfixes)

    assert await warned() == {answer["revision"]: "Mend the till"}
    await yard.commit("in between")
    assert await warned() == {answer["revision"]: "Mend the till"}
    git(yard.origin, *(("merge", "-q", "--no-edit", fix) if how == "merged" else ("cherry-pick", fix)))
    assert await warned() == {}


async def test_a_retry_goes_from_the_start(yard) -> None:
    push = await running(yard)
    refused(await yard.ask(K.RETRY, push=push.number), "P008")
    await yard.ask(K.ABORT)
    aborted = await yard.store.pushes.active(LINE)
    await yard.become(aborted, State.ROLLED_BACK)
    answer = (await yard.ask(K.RETRY)).answer
    assert answer["of"] == push.number
    assert answer["push"] != push.number


async def test_what_a_retry_made_live_is_not_retried_again_unless_it_is_named(yard) -> None:
    push = await running(yard)
    await yard.become(push, State.ROLLED_BACK)
    again = await yard.ask(K.RETRY)
    await yard.become(await yard.store.pushes.get(LINE, again.answer["push"]), State.LIVE)
    second = await yard.ask(K.RETRY)
    refused(second, "P008")
    assert f"live with push {again.answer['push']}" in second.answer["rule"]
    assert (await yard.ask(K.RETRY, push=push.number)).state is IntentState.ACCEPTED


async def test_a_retry_of_what_the_verdict_rolled_back_watches_its_canaries_twice_as_long(yard) -> None:
    push = await running(yard)
    before = await yard.store.pushes.plan(LINE, push.number)
    push = await yard.store.pushes.get(LINE, push.number)
    failed = await yard.happens(push, Judged(0, push.watch, Decision.FAIL, "errors tripled"))
    await yard.become(failed, State.ROLLED_BACK)
    answer = (await yard.ask(K.RETRY)).answer
    plan = await yard.store.pushes.plan(LINE, answer["push"])
    assert plan.watches == (2 * before.watches[0], *before.watches[1:])
    assert any("watched twice as long" in warning for warning in plan.warnings)
    again = await yard.store.pushes.get(LINE, answer["push"])
    assert again.rules.watch_timeout == 2 * push.rules.watch_timeout
    # somebody who pushes it by name gets the usual watch
    pushed = (await yard.ask(K.PUSH, revision=push.revision, override_blocks="again")).answer
    assert (await yard.store.pushes.plan(LINE, pushed["push"])).watches == before.watches


async def test_a_rollback_of_what_is_live_means_what_is_live_also_while_a_push_waits(yard) -> None:
    one, two, three = [await yard.release(name) for name in ("one", "two", "three")]
    await yard.live(one)
    await yard.live(two)
    waiting = await yard.queue.propose(three, Origin.CONTINUOUS, "leuko")
    answer = (await yard.ask(K.ROLLBACK)).answer
    assert answer["state"] == "ROLLING_BACK"
    back = await yard.store.pushes.get(LINE, answer["push"])
    assert (back.release, back.base, back.origin) == (two.name, one.name, Origin.ROLLBACK)
    assert (await yard.store.pushes.get(LINE, waiting.number)).state is State.PENDING
    locks = await yard.store.locks.held(LINE, None, yard.clock.now())
    assert {lock.kind for lock in locks} == {LockKind.PUSH, LockKind.COMMIT}
    assert {lock.pins for lock in locks} == {one.name, ""}
    assert (await yard.store.releases.get(LINE, two.name)).convicted


async def test_a_rollback_past_several_lives_convicts_all_of_them(yard) -> None:
    releases = [await yard.release(name) for name in ("one", "two", "three", "four")]
    for each in releases:
        await yard.live(each)
    answer = (await yard.ask(K.ROLLBACK, revision=releases[1].revision[:8])).answer
    back = await yard.store.pushes.get(LINE, answer["push"])
    assert back.base == releases[1].name
    convicted = [(await yard.store.releases.get(LINE, each.name)).convicted for each in releases]
    assert convicted == [False, False, True, True]
    assert (await yard.store.pushes.live(LINE)).release == releases[1].name
    refused(await yard.ask(K.ROLLBACK, revision=releases[0].revision), "P003")


async def test_a_rollback_to_what_was_convicted_once_makes_it_the_base(yard) -> None:
    one, two = [await yard.release(name) for name in ("one", "two")]
    await yard.live(one)
    async with yard.store.write(LINE) as tx:
        await yard.store.releases.convict(tx, one.name, "long ago", yard.clock.now())
    await yard.live(two)
    refused(await yard.ask(K.ROLLBACK), "P005")
    await yard.ask(K.ROLLBACK, revision=one.revision)
    assert (await yard.store.pushes.live(LINE)).release == one.name


async def test_a_host_that_the_live_push_never_reached_is_not_restored(yard) -> None:
    one, two = [await yard.release(name) for name in ("one", "two")]
    await yard.live(one)
    live = await yard.live(two)
    rows = await yard.store.hosts.progress(LINE, live.number)
    from dataclasses import replace

    async with yard.store.write(LINE) as tx:
        await yard.store.hosts.save_progress(tx, live.number, [replace(rows[0], state=HostState.LEFT_OUT)])
    number = (await yard.ask(K.ROLLBACK)).answer["push"]
    states = {row.host: row.state for row in await yard.store.hosts.progress(LINE, number)}
    assert states == {
        "www1": HostState.LEFT_OUT,
        "www2": HostState.SWITCHED,
        "www3": HostState.SWITCHED,
    }


async def test_locks_are_taken_let_go_and_forgotten(yard) -> None:
    lock = (await yard.ask(K.LOCK, "freeze", kind="push", expires_in=60)).answer["lock"]
    assert (await yard.store.locks.get(LINE, lock)).expires_at == yard.clock.now() + timedelta(seconds=60)
    assert (await yard.ask(K.UNLOCK, lock=lock)).state is IntentState.ACCEPTED
    refused(await yard.ask(K.UNLOCK, lock=lock), "L001")


async def test_forgetting_one_lock_of_a_rollback_forgets_both_also_afterwards(yard) -> None:
    one, two = [await yard.release(name) for name in ("one", "two")]
    await yard.live(one)
    await yard.live(two)
    await yard.ask(K.ROLLBACK)
    held = await yard.store.locks.held(LINE, LockKind.PUSH, yard.clock.now())
    await yard.ask(K.UNLOCK, lock=held[0].id)
    assert len(await yard.store.locks.blocking(LINE)) == 2, "a block outlives its lock"
    assert (await yard.ask(K.UNLOCK, lock=held[0].id, forget=True)).state is IntentState.ACCEPTED
    assert not await yard.store.locks.blocking(LINE)


async def test_a_poke_is_handed_on(yard) -> None:
    assert (await yard.ask(K.POKE)).state is IntentState.ACCEPTED
    assert yard.poked
