"""What the pusher does when hosts, people and clocks do not do as they should."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.builders import LINE, configuration, release
from tests.runtime.rig import Rig

from leuko.domain.order import OrderKind
from leuko.domain.push import Abort, Cause, Hold, Promote, Resume, RollBack, State
from leuko.domain.verdict import Decision
from leuko.store.errors import Lost

NEW, BASE = release("n"), release("b")
HOSTS = tuple(f"www{number}" for number in range(1, 9))


async def rig_of(folder: Path, *hosts: str, **more) -> Rig:
    settings = configuration(hosts or ("www1", "www2", "www3"), **more)
    return await Rig.make(folder, settings)


@pytest.mark.parametrize("event", [Abort("ann", "enough"), RollBack("ann", "bad")])
async def test_a_copy_that_hangs_is_aborted_on_its_host_when_the_push_is_stopped(tmp_path, event) -> None:
    rig = await rig_of(tmp_path)
    push, pusher = await rig.pending(NEW), await rig.controller()
    rig.fleet.hangs = {("www2", OrderKind.STAGE)}
    await rig.until(pusher, push.number, State.STAGING)
    await rig.steps(pusher, push.number)
    after = await rig.want(push.number, event)
    assert after.state is State.CANCELLED
    await rig.steps(pusher, push.number)
    assert {host for host, _ in rig.fleet.aborted} == {"www2"}
    await pusher.flights()
    assert set(rig.serving().values()) == {BASE.name}
    # the next push is not kept waiting by what was left of this one
    rig.fleet.hangs = set()
    second = await rig.pending(release("m"))
    assert (await rig.settle(pusher, second.number)).state is State.LIVE


@pytest.mark.parametrize("event", [Abort("ann", "enough"), RollBack("ann", "bad")])
async def test_a_switch_that_hangs_is_aborted_and_restored(tmp_path, event) -> None:
    rig = await rig_of(tmp_path)
    push, pusher = await rig.pending(NEW), await rig.controller()
    rig.fleet.hangs = {("www1", OrderKind.SWITCH)}
    await rig.until(pusher, push.number, State.SWITCHING)
    await rig.steps(pusher, push.number)
    assert (await rig.want(push.number, event)).state is State.ROLLING_BACK
    ended = await rig.settle(pusher, push.number)
    assert ended.state is State.ROLLED_BACK
    assert [host for host, _ in rig.fleet.aborted] == ["www1"], "once, not at every step"
    assert set(rig.serving().values()) == {BASE.name}
    locks = await rig.store.locks.recent(LINE)
    assert len(locks) == (2 if isinstance(event, RollBack) else 0)


async def test_stopping_while_watched_held_or_completing_restores_everything(tmp_path) -> None:
    for number, state in enumerate((State.WATCHING, State.HELD, State.COMPLETING)):
        rig = await rig_of(tmp_path / str(number), push={"hold_back": 1})
        push, pusher = await rig.pending(NEW), await rig.controller()
        if state is State.WATCHING:
            rig.judge.verdicts = [Decision.CONTINUE] * 50
        if state is State.HELD:
            rig.judge.verdicts = [Decision.HOLD] * 50
        if state is State.COMPLETING:
            rig.fleet.hangs = {("www3", OrderKind.SWITCH)}
        await rig.until(pusher, push.number, state)
        await rig.steps(pusher, push.number)
        await rig.want(push.number, Abort("ann"))
        ended = await rig.settle(pusher, push.number)
        assert ended.state is State.ROLLED_BACK, state
        assert ended.stop is not None
        assert ended.stop.cause is Cause.ABORTED
        assert set(rig.serving().values()) == {BASE.name}, state
        assert not await rig.store.locks.recent(LINE)
        await rig.store.close()


async def test_one_host_that_hangs_delays_no_other_on_the_way_back(tmp_path) -> None:
    rig = await rig_of(tmp_path, *HOSTS, fleet={"min_healthy": "75%"})
    rig.judge.verdicts = [Decision.PASS] + [Decision.CONTINUE] * 200
    push, pusher = await rig.pending(NEW), await rig.controller()
    while set(rig.serving().values()) != {NEW.name}:
        await rig.steps(pusher, push.number)
    rig.fleet.hangs = {("www1", OrderKind.RESTORE)}
    rig.fleet.deaf = True
    rig.fleet.unreachable = {"www2"}
    await rig.want(push.number, RollBack("ann", "bad"))
    for _ in range(20):
        await rig.steps(pusher, push.number)
    stuck = {name for name, current in rig.serving().items() if current != BASE.name}
    assert stuck == {"www1", "www2"}
    rig.fleet.let_go("www1")
    rig.fleet.unreachable = set()
    assert (await rig.settle(pusher, push.number)).state is State.ROLLED_BACK


async def test_at_once_takes_every_host_back_in_one_step(tmp_path) -> None:
    rig = await rig_of(tmp_path, *HOSTS, fleet={"min_healthy": "75%"})
    rig.judge.verdicts = [Decision.PASS] + [Decision.CONTINUE] * 200
    push, pusher = await rig.pending(NEW), await rig.controller()
    while set(rig.serving().values()) != {NEW.name}:
        await rig.steps(pusher, push.number)
    await rig.want(push.number, RollBack("ann", "bad", at_once=True))
    await pusher.step()
    await pusher.flights()
    assert set(rig.serving().values()) == {BASE.name}


async def test_hosts_out_of_service_never_exceed_what_min_healthy_lets(tmp_path) -> None:
    rig = await rig_of(tmp_path, *HOSTS, fleet={"min_healthy": "75%"})
    rig.judge.verdicts = [Decision.PASS, Decision.FAIL]
    push, pusher = await rig.pending(NEW), await rig.controller()
    assert (await rig.settle(pusher, push.number, 200)).state is State.ROLLED_BACK
    assert 1 <= rig.fleet.most_out <= 2


async def test_failures_within_the_budget_are_restored_and_left_behind(tmp_path) -> None:
    rig = await rig_of(tmp_path, *HOSTS, push={"budget": {"failed": 1}})
    rig.fleet.fails = {("www5", OrderKind.SWITCH)}
    push, pusher = await rig.pending(NEW), await rig.controller()
    assert (await rig.settle(pusher, push.number, 200)).state is State.LIVE
    assert {name for name, current in rig.serving().items() if current == BASE.name} == {"www5"}
    assert (await rig.states(push.number))["www5"] == "restored"


async def test_one_failure_more_than_the_budget_takes_all_back(tmp_path) -> None:
    rig = await rig_of(tmp_path, *HOSTS, push={"budget": {"failed": 1}})
    rig.fleet.fails = {("www5", OrderKind.SWITCH), ("www6", OrderKind.SWITCH)}
    push, pusher = await rig.pending(NEW), await rig.controller()
    ended = await rig.settle(pusher, push.number, 200)
    assert ended.state is State.ROLLED_BACK
    assert ended.stop is not None
    assert "switch failed on" in ended.stop.reason
    assert set(rig.serving().values()) == {BASE.name}


async def test_an_outcome_that_is_not_known_is_asked_about_again(tmp_path) -> None:
    rig = await rig_of(tmp_path)
    rig.fleet.unknown_once = {("www1", OrderKind.SWITCH), ("www2", OrderKind.STAGE)}
    push, pusher = await rig.pending(NEW), await rig.controller()
    assert (await rig.settle(pusher, push.number)).state is State.LIVE
    assert all(times == 1 for host in rig.fleet.hosts.values() for times in host.times.values())


async def test_hosts_that_cannot_be_reached_are_left_out_within_the_budget(tmp_path) -> None:
    rig = await rig_of(tmp_path, *HOSTS, push={"budget": {"unreachable": 1}})
    rig.fleet.unreachable = {"www7"}
    push, pusher = await rig.pending(NEW), await rig.controller()
    assert (await rig.settle(pusher, push.number, 200)).state is State.LIVE
    assert (await rig.states(push.number))["www7"] == "left out"


async def test_too_many_that_cannot_be_reached_cancel_the_push(tmp_path) -> None:
    rig = await rig_of(tmp_path, *HOSTS, push={"budget": {"unreachable": 1}})
    rig.fleet.unreachable = {"www7", "www8"}
    push, pusher = await rig.pending(NEW), await rig.controller()
    ended = await rig.settle(pusher, push.number, 200)
    assert ended.state is State.CANCELLED
    assert ended.stop is not None
    assert ended.stop.cause is Cause.STAGING_FAILED
    assert set(rig.serving().values()) == {BASE.name}


@pytest.mark.parametrize("event", [Resume("ann"), Promote("ann")])
async def test_a_push_held_for_want_of_hosts_goes_on_when_a_person_says_so(tmp_path, event) -> None:
    rig = await rig_of(tmp_path, *HOSTS, push={"budget": {"unreachable": 1}})
    push, pusher = await rig.pending(NEW), await rig.controller()
    rig.judge.verdicts = [Decision.CONTINUE]
    await rig.until(pusher, push.number, State.WATCHING)
    rig.fleet.unreachable = {"www7", "www8"}
    held = await rig.settle(pusher, push.number, 200)
    assert held.state is State.HELD
    assert "cannot be reached" in held.held_why
    if isinstance(event, Resume):
        rig.fleet.unreachable = set()
        from leuko.domain.rollout import HostState, again

        rows = await rig.store.hosts.progress(LINE, push.number)
        async with rig.store.write(LINE) as tx:
            left = [again(row) for row in rows if row.state is HostState.LEFT_OUT]
            await rig.store.hosts.save_progress(tx, push.number, left)
    await rig.want(push.number, event)
    assert (await rig.settle(pusher, push.number, 200)).state is State.LIVE
    serving = rig.serving()
    wanted = NEW.name if isinstance(event, Resume) else BASE.name
    assert {serving["www7"], serving["www8"]} == {wanted}


async def test_a_first_push_that_fails_is_stopped_and_its_link_removed(tmp_path) -> None:
    rig = await rig_of(tmp_path)
    rig.judge.verdicts = [Decision.FAIL]
    push = await rig.pending(NEW, first=True)
    for host in rig.fleet.hosts.values():
        host.current = ""
    pusher = await rig.controller()
    assert (await rig.settle(pusher, push.number)).state is State.ROLLED_BACK
    assert set(rig.serving().values()) == {""}
    assert ("www1", OrderKind.STOP) in rig.fleet.given


async def test_held_back_hosts_come_last(tmp_path) -> None:
    rig = await rig_of(tmp_path, push={"hold_back": 1})
    push, pusher = await rig.pending(NEW), await rig.controller()
    assert (await rig.settle(pusher, push.number)).state is State.LIVE
    switched = [host for host, kind in rig.fleet.given if kind is OrderKind.SWITCH]
    assert switched[-1] == "www3"


async def test_after_another_took_the_lease_nothing_is_written_and_nothing_sent(tmp_path) -> None:
    rig = await rig_of(tmp_path)
    push, old = await rig.pending(NEW), await rig.controller()
    await rig.until(old, push.number, State.SWITCHING)
    new = await rig.controller()
    given, version = len(rig.fleet.given), (await rig.get(push.number)).version
    for _ in range(3):
        await old.step()
        await old.flights()
    assert len(rig.fleet.given) == given
    assert (await rig.get(push.number)).version == version
    with pytest.raises(Lost):
        async with old._ground.write():
            raise AssertionError("a write of one that lost its lease")
    assert old._ground.doubt.is_set()
    await old.close()
    assert (await rig.settle(new, push.number)).state is State.LIVE


async def test_a_stuck_push_is_tried_on_while_another_waits(tmp_path) -> None:
    rig = await rig_of(tmp_path)
    rig.judge.verdicts = [Decision.PASS] + [Decision.CONTINUE] * 200
    push, pusher = await rig.pending(NEW), await rig.controller()
    while set(rig.serving().values()) != {NEW.name}:
        await rig.steps(pusher, push.number)
    rig.fleet.unreachable = {"www2"}
    await rig.want(push.number, RollBack("ann", "bad"))
    stuck = await rig.settle(pusher, push.number, 200)
    assert stuck.state is State.STUCK

    async def never(_push):
        return None

    pusher._admission = never
    waiting = await rig.pending(release("m"))
    rig.fleet.unreachable = set()
    for _ in range(10):
        await pusher.step()
        await pusher.flights()
        rig.clock.move(5)
    assert (await rig.get(push.number)).state is State.ROLLED_BACK
    assert (await rig.get(waiting.number)).state is State.PENDING
    assert set(rig.serving().values()) == {BASE.name}


async def test_looking_does_not_spend_the_version_that_a_promote_names(tmp_path) -> None:
    rig = await rig_of(tmp_path)
    rig.judge.verdicts = [Decision.CONTINUE] * 30
    push, pusher = await rig.pending(NEW), await rig.controller()
    seen = await rig.until(pusher, push.number, State.WATCHING)
    assert (await rig.steps(pusher, push.number, seconds=5)).version == seen.version


async def test_answers_that_could_not_be_saved_are_counted_next_time(tmp_path) -> None:
    rig = await rig_of(tmp_path)
    push, pusher = await rig.pending(NEW), await rig.controller()
    await rig.until(pusher, push.number, State.SWITCHING)
    await pusher.step()
    await pusher.flights()
    save = rig.store.hosts.save_progress

    async def fails(*_arguments):
        raise Lost("somebody was faster", code="S010")

    rig.store.hosts.save_progress = fails  # the seam: a save that loses its race
    await pusher.step()
    rig.store.hosts.save_progress = save
    given = len(rig.fleet.given)
    await pusher.step()
    await pusher.flights()
    assert (await rig.states(push.number))["www1"] == "switched"
    assert len(rig.fleet.given) == given, "nothing was asked a second time"


async def test_while_the_loop_is_late_nothing_new_begins_but_going_back_does(tmp_path) -> None:
    rig = await rig_of(tmp_path)
    push, pusher = await rig.pending(NEW), await rig.controller()
    pusher._held_up = lambda: True
    await rig.steps(pusher, push.number)
    assert (await rig.get(push.number)).state is State.PENDING
    pusher._held_up = lambda: False
    rig.judge.verdicts = [Decision.CONTINUE] * 50
    await rig.until(pusher, push.number, State.WATCHING)
    pusher._held_up = lambda: True
    await rig.want(push.number, RollBack("ann"))
    assert (await rig.settle(pusher, push.number)).state is State.ROLLED_BACK


async def test_a_late_answer_about_an_order_that_was_given_up_changes_nothing(tmp_path) -> None:
    rig = await rig_of(tmp_path)
    push, pusher = await rig.pending(NEW), await rig.controller()
    rig.fleet.hangs = {("www1", OrderKind.SWITCH)}
    await rig.until(pusher, push.number, State.SWITCHING)
    await rig.steps(pusher, push.number)
    rows = {row.host: row for row in await rig.store.hosts.progress(LINE, push.number)}
    async with rig.store.write(LINE) as tx:
        other = replace(rows["www1"], order="p1-switch-www1-9")
        await rig.store.hosts.save_progress(tx, push.number, [other])
    rig.fleet.let_go("www1")
    await pusher.flights()
    rig.clock.at += timedelta(seconds=1)
    await pusher.step()
    assert (await rig.states(push.number))["www1"] == "switching"


async def test_a_hold_lets_what_is_under_way_end_and_sends_nothing_more(tmp_path) -> None:
    rig = await rig_of(tmp_path)
    push, pusher = await rig.pending(NEW), await rig.controller()
    rig.fleet.hangs = {("www1", OrderKind.SWITCH)}
    await rig.until(pusher, push.number, State.SWITCHING)
    await rig.steps(pusher, push.number)
    await rig.want(push.number, Hold("ann", "lunch"))
    rig.fleet.let_go("www1")
    await pusher.flights()
    await rig.steps(pusher, push.number)
    assert (await rig.states(push.number)) == {"www1": "switched", "www2": "staged", "www3": "staged"}
    assert not rig.fleet.aborted
    await rig.want(push.number, Resume("ann"))
    assert (await rig.settle(pusher, push.number)).state is State.LIVE
