"""Only the newest controller is obeyed, whatever arrives when."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest
from tests.hosts.conftest import until

from leuko.domain.order import Fence, Result
from leuko.hosts.perform import Orders


@pytest.fixture
async def two(here):
    """A world with two releases, the first of which is current."""
    here.first, here.second = await here.build({"app": "1"}), await here.build({"app": "2"})
    await here.ready(here.first, here.second)
    assert (await here.give("switch", target=here.first)).done
    return here


@pytest.mark.parametrize(
    ("fence", "says"),
    [
        (Fence("test", 0, 99), "a newer controller (epoch 1) commands this host; this order is of epoch 0"),
        (Fence("test", 1, 1), "order 1 came after order 3 of the same controller"),
        (Fence("other", 2, 1), "this host belongs to the installation test, not to other"),
    ],
)
@pytest.mark.parametrize("kind", ["switch", "restore", "stop", "prune"])
async def test_an_older_order_is_refused(two, kind, fence, says):
    outcome = await two.give(kind, target=two.second, base=two.second, fence=fence)
    assert outcome.result is Result.REFUSED
    assert says in outcome.reason
    assert two.current == two.first
    assert two.leftovers() == []


async def test_a_stage_of_an_older_epoch_is_refused_but_needs_no_sequence(two):
    third = await two.build({"app": "3"})
    assert (await two.stage(third, fence=Fence("test", 0, 99))).result is Result.REFUSED
    assert (await two.stage(third, fence=Fence("test", 1, 1))).done
    assert (await two.probe()).sequence == 3


async def test_a_missing_fence_is_an_error_not_a_zero(two):
    (two.root / ".leuko/epoch").unlink()
    outcome = await two.give("switch", target=two.second)
    assert outcome.result is Result.REFUSED
    assert "its fence (.leuko/epoch) is missing although it was set up: `leuko adopt web1`" in outcome.reason
    adopted = await two.give("adopt")
    assert adopted.done, adopted
    assert adopted.facts["release"] == two.first
    assert (await two.give("switch", target=two.second)).done


@pytest.mark.parametrize("content", ["", "garbage", "test x 1", "test 1 99999999999999999999999"])
async def test_a_damaged_fence_is_an_error(two, content):
    (two.root / ".leuko/epoch").write_text(content)
    outcome = await two.give("switch", target=two.second)
    assert outcome.result is Result.REFUSED
    assert "damaged" in outcome.reason


async def test_adopt_takes_a_host_over_from_another_installation(two):
    assert (await two.give("adopt", fence=Fence("new-home", 1, 1))).done
    assert (await two.give("switch", target=two.second, fence=Fence("new-home", 1, 2))).done
    assert (await two.give("switch", target=two.first, fence=Fence("test", 9, 9))).result is Result.REFUSED
    assert two.current == two.second


async def test_the_fence_is_compared_again_at_the_rename(two):
    """A hook in which the world moved on: the link is not touched."""
    hook = 'printf "test 1 77\\n" >"$LEUKO_ROOT/.leuko/epoch"'
    outcome = await two.give("switch", target=two.second, hooks={"before_switch": hook})
    assert outcome.result is Result.REFUSED
    assert two.current == two.first
    assert two.leftovers() == []


async def test_a_newer_epoch_kills_what_an_older_one_began(two):
    slow = two.order(
        "switch", target=two.second, hooks={"before_switch": 'touch "$LEUKO_ROOT/began"; sleep 1000'}
    )
    task = asyncio.create_task(two.perform(slow))
    await until((two.root / "began").exists)
    newer = await two.give("restore", base=two.first, fence=Fence("test", 2, 1))
    assert newer.done, newer
    killed = await task
    assert killed.result is Result.FAILED
    assert "of a newer controller (epoch 2)" in killed.reason
    assert two.current == two.first
    assert two.leftovers() == []


async def test_a_restore_kills_the_switch_that_it_takes_back(two):
    slow = two.order("switch", target=two.second, hooks={"reload": 'touch "$LEUKO_ROOT/began"; sleep 1000'})
    task = asyncio.create_task(two.perform(slow))
    await until((two.root / "began").exists)
    restored = await two.give("restore", base=two.first)
    assert restored.done, restored
    assert (await task).result is Result.FAILED
    assert two.current == two.first


async def test_a_switch_waits_for_the_order_before_it(two):
    go = two.root / "go"
    slow = two.order(
        "switch",
        target=two.second,
        hooks={"reload": 'touch "$LEUKO_ROOT/began"; while [ ! -e "$LEUKO_ROOT/go" ]; do sleep 0.01; done'},
    )
    task = asyncio.create_task(two.perform(slow))
    await until((two.root / "began").exists)
    waiting = asyncio.create_task(two.give("prune", keep=(two.first, two.second)))
    await asyncio.sleep(0.3)  # nothing to wait for: it must not have happened
    assert not waiting.done()
    go.touch()
    assert (await task).done
    assert (await waiting).done


async def test_the_same_order_given_twice_at_once_is_carried_out_once(two):
    hook = 'echo run >>"$LEUKO_ROOT/log"; sleep 0.3'
    order = two.order("switch", target=two.second, hooks={"reload": hook})
    outcomes = await asyncio.gather(*(two.perform(order) for _ in range(5)))
    assert all(outcome.done for outcome in outcomes)
    assert (two.root / "log").read_text() == "run\n"


async def test_an_order_can_be_killed_from_another_channel(two):
    slow = two.order(
        "switch",
        target=two.second,
        hooks={"before_switch": 'touch "$LEUKO_ROOT/began"; trap "" TERM; while :; do sleep 1; done'},
    )
    task = asyncio.create_task(two.perform(slow))
    await until((two.root / "began").exists)
    assert (await two.probe()).under_way == (slow.id,)
    stale = await Orders().abort(two.source, two.reach, "app", slow.id, fence=Fence("test", 0, 1), why="old")
    assert stale.result is Result.REFUSED
    aborted = await Orders().abort(
        two.source, two.reach, "app", slow.id, fence=two.fence, why="alice said so"
    )
    assert aborted.done, aborted
    outcome = await task
    assert outcome.result is Result.FAILED
    assert outcome.reason == "killed: alice said so"
    assert (await two.perform(slow)).reason == "killed: alice said so"
    assert two.current == two.first
    again = await Orders().abort(two.source, two.reach, "app", slow.id, fence=two.fence, why="again")
    assert again.done
    assert "had ended already" in again.reason
    assert two.leftovers() == []


async def test_two_controllers_interleaved_leave_the_newest_orders_word(two):
    """Sixty orders of two epochs and many sequences, six at a time: the link is what the last fence says."""
    seed = random.randrange(1 << 30)
    print("seed", seed)
    draw = random.Random(seed)
    fences = [Fence("test", 5 + number % 2, 10 + number) for number in range(60)]
    draw.shuffle(fences)
    turn = asyncio.Semaphore(6)

    async def one(fence):
        target = two.first if fence.sequence % 3 else two.second
        async with turn:
            order = replace(
                two.order("switch", target=target, fence=fence), id=f"o.{fence.epoch}.{fence.sequence}"
            )
            return fence, target, await two.perform(order)

    results = await asyncio.gather(*(one(fence) for fence in fences))
    facts = await two.probe()
    last = (facts.epoch, facts.sequence)
    assert last == (6, 69)
    target = next(target for fence, target, _ in results if (fence.epoch, fence.sequence) == last)
    assert two.current == target
    journal = [line.split() for line in two.journal.splitlines()]
    begun = [line[2] for line in journal if line[1] == "begin" and line[2].startswith("o.")]
    keys = [tuple(int(part) for part in name.split(".")[1:]) for name in begun]
    assert keys == sorted(keys), "an order began after a newer one"
    done = sum(outcome.done for *_, outcome in results)
    assert done >= 1
    assert all(outcome.result in (Result.DONE, Result.REFUSED, Result.FAILED) for *_, outcome in results)
    print(f"{done} of 60 done, {sum(outcome.result is Result.REFUSED for *_, outcome in results)} refused")
    assert two.leftovers() == []
