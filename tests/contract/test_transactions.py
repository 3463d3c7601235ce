"""Transitions on both databases: nothing lost, nothing half saved, nobody overtaken, whoever dies."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from leuko.clock import SystemClock
from leuko.domain.line import Line
from leuko.domain.plan import Plan
from leuko.domain.push import Push, Rules, State
from leuko.domain.rollout import HostProgress
from leuko.store.errors import Lost, StoreUnreachable
from leuko.store.installation import InstallationLock
from leuko.store.store import Store

NOW = datetime(2026, 11, 23, 12, 30, 15, 123456, tzinfo=UTC)
LINE = Line("shop", "production")
OTHER = Line("shop", "preview")
PUSH = Push(0, LINE, "r", "r" * 40, None, Rules(1), State.PENDING, NOW, NOW)
PLAN = Plan((), (), 5.0)


async def test_four_times_a_hundred_increments_are_four_hundred(opener):
    """With the library's defaults on SQLite this gave 123."""
    stores = [await opener(), await opener()]
    async with stores[0].write(LINE) as tx:
        await stores[0].pushes.create(tx, PUSH, plan=PLAN)

    async def increments(store: Store) -> int:
        lost = 0
        for _ in range(100):
            while True:
                push = await store.pushes.get(LINE, 1)
                try:
                    async with store.write(LINE) as tx:
                        await store.pushes.save(tx, replace(push, watch=push.watch + 1))
                        await tx.next_sequence()
                    break
                except Lost:
                    lost += 1
        return lost

    lost = await asyncio.gather(*(increments(stores[number % 2]) for number in range(4)))
    push = await stores[0].pushes.get(LINE, 1)
    assert (push.watch, push.version) == (400, 400)
    async with stores[0].write(LINE) as tx:
        assert await tx.next_sequence() == 401
    print("lost races:", sum(lost))


async def overtaken(store: Store, push: Push) -> None:
    async with store.write(LINE) as tx:
        tx.event("push.state", "push 1", {}, NOW)
        await tx.next_sequence()
        await store.hosts.save_progress(tx, 1, [HostProgress("h", "www", 0)])
        await store.pushes.save(tx, push)


async def test_a_lost_race_saves_nothing_of_its_transaction(store):
    async with store.write(LINE) as tx:
        push = await store.pushes.create(tx, PUSH, plan=PLAN)
        await store.pushes.save(tx, push)
    with pytest.raises(Lost) as lost:
        await overtaken(store, push)
    assert (lost.value.code, lost.value.where) == ("S010", "shop/production push 1")
    assert await store.events.after(LINE) == []
    assert await store.hosts.progress(LINE, 1) == []
    async with store.write(LINE) as tx:
        assert tx.event("x", "y", {}, NOW) == 1, "numbers of what was not saved are used again"
        assert await tx.next_sequence() == 1


async def test_a_cancelled_transaction_saves_nothing_and_blocks_nobody(store):
    inside = asyncio.Event()

    async def hanging() -> None:
        async with store.write(LINE) as tx:
            tx.event("never", "x", {}, NOW)
            await store.pushes.create(tx, PUSH, plan=PLAN)
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hanging())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(10), store.write(LINE) as tx:
        tx.event("after", "x", {}, NOW)
    assert [event.kind for event in await store.events.after(LINE)] == ["after"]
    assert await store.pushes.latest(LINE) is None


async def test_cancelling_at_any_moment_leaves_all_or_nothing(store):
    """Cancelled after 0, 1, 2, ... turns of the loop, and in the middle of what the database's thread does.

    Each time event and push agree, and the next transaction gets in, although somebody still holds the
    cancellation with all that its traceback keeps alive.
    """
    held = []

    async def one() -> None:
        async with store.write(LINE) as tx:
            push = await store.pushes.create(tx, PUSH, plan=PLAN)
            tx.event("made", push.name, {}, NOW)

    for pause in (0, 0.0001, 0.0005):
        for turns in range(0, 60, 3):
            task = asyncio.create_task(one())
            for _ in range(turns):
                await asyncio.sleep(pause)
            task.cancel()
            held += await asyncio.gather(task, return_exceptions=True)
            async with asyncio.timeout(10):
                await one()
    pushes = await store.pushes.recent(LINE, limit=1000)
    events = await store.events.after(LINE)
    assert [event.subject for event in events] == [push.name for push in reversed(pushes)]
    assert [event.number for event in events] == list(range(1, len(pushes) + 1))


CHILD = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from leuko.clock import SystemClock
from leuko.domain.line import Line
from leuko.domain.plan import Plan
from leuko.domain.push import Push, Rules, State
from leuko.store.store import Store
NOW = datetime(2026, 11, 23, tzinfo=UTC)
LINE = Line("shop", "production")

async def main():
    store = await Store.open(sys.argv[1], SystemClock(), readings=Path(sys.argv[2]))
    async with store.write(LINE) as tx:
        tx.event("saved", "x", {}, NOW)
    async with store.write(LINE) as tx:
        push = Push(0, LINE, "r", "r", None, Rules(1), State.PENDING, NOW, NOW)
        await store.pushes.create(tx, push, plan=Plan((), (), 5.0))
        tx.event("half", "x", {}, NOW)
        await tx.finish()  # everything is written; only the commit is missing
        print("inside", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_killed_in_a_transaction_none_of_it_is_there(address, opener, tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), address, str(tmp_path / "r")],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout.readline() == "inside\n"
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    store = await opener()
    async with asyncio.timeout(20):
        assert [event.kind for event in await store.events.after(LINE)] == ["saved"]
        assert await store.pushes.latest(LINE) is None
        async with store.write(LINE) as tx:
            assert tx.event("next", "x", {}, NOW) == 2


async def test_events_under_eight_writers_have_no_gaps_and_no_duplicates(opener):
    stores = [await opener(), await opener()]
    total = 8 * 25

    async def writes(number: int) -> None:
        store = stores[number % 2]
        for turn in range(25):
            try:
                async with store.write(LINE) as tx:
                    tx.event("turn", f"writer {number}", {"turn": turn}, NOW)
                    if turn % 5 == 4:
                        raise ValueError("changed my mind")
            except ValueError:
                async with store.write(LINE) as tx:
                    tx.event("turn", f"writer {number}", {"turn": turn}, NOW)

    async def follows(store: Store) -> list[int]:
        numbers = []
        async for event in store.events.follow(LINE):
            numbers.append(event.number)
            if len(numbers) == total:
                return numbers
        return numbers

    async with asyncio.timeout(60):
        following = [asyncio.create_task(follows(store)) for store in stores]
        await asyncio.gather(*(writes(number) for number in range(8)))
        for task in following:
            assert await task == list(range(1, total + 1))
    events = await stores[0].events.after(LINE)
    for number in range(8):
        turns = [event.data["turn"] for event in events if event.subject == f"writer {number}"]
        assert turns == list(range(25)), "a writer's own events are in its order"


async def test_lines_do_not_share_numbers(store):
    for line in (LINE, OTHER, LINE):
        async with store.write(line) as tx:
            tx.event("x", str(line), {}, NOW)
    assert [event.number for event in await store.events.after(LINE)] == [1, 2]
    assert [event.number for event in await store.events.after(OTHER)] == [1]


async def test_two_stores_follow_each_other_within_a_second(opener):
    first, second = await opener(), await opener()
    loop = asyncio.get_running_loop()

    async def next_after(store: Store, number: int) -> float:
        async for event in store.events.follow(LINE, number):
            assert event.number == number + 1
            return loop.time()
        raise AssertionError

    waits = []
    for number, (writer, reader) in enumerate([(first, second), (second, first)]):
        task = asyncio.create_task(next_after(reader, number))
        await asyncio.sleep(0)
        async with writer.write(LINE) as tx:
            tx.event("x", "y", {}, NOW)
        written = loop.time()
        waits.append(await asyncio.wait_for(task, 5) - written)
    print("followed within", [round(wait, 3) for wait in waits])
    assert max(waits) < 1.5


async def test_a_follower_in_the_same_process_hears_at_once(store):
    loop = asyncio.get_running_loop()
    heard: asyncio.Future[float] = loop.create_future()

    async def follow() -> None:
        async for _ in store.events.follow(LINE):
            heard.set_result(loop.time())
            return

    task = asyncio.create_task(follow())
    while not store._bell._waiting.get(LINE):
        await asyncio.sleep(0)
    async with store.write(LINE) as tx:
        tx.event("x", "y", {}, NOW)
    written = loop.time()
    assert await asyncio.wait_for(heard, 5) - written < 0.3
    await task
    async with asyncio.timeout(5):
        while store._bell._waiting:  # the loop closes the abandoned generator in one of its next turns
            await asyncio.sleep(0)


async def test_an_intent_is_answered_across_stores(opener):
    from leuko.domain.intent import Intent, IntentKind, IntentState

    web, runtime = await opener(), await opener()
    obeying = asyncio.create_task(runtime.intents.wait_news(LINE, 20))
    async with web.write(LINE) as tx:
        intent = await web.intents.add(tx, Intent(0, IntentKind.HOLD, "ann", "", NOW, NOW))
    answered = asyncio.create_task(web.intents.wait_answer(LINE, intent.id, 20))
    assert await obeying == [intent]
    async with runtime.write(LINE) as tx:
        await runtime.intents.answer(tx, intent.id, IntentState.ACCEPTED, {"push": 3}, NOW)
    assert (await answered).answer == {"push": 3}


async def test_two_thousand_hosts_are_saved_quickly(store):
    loop = asyncio.get_running_loop()
    rows = [
        HostProgress(f"www-{number:04}", "www", number % 3, output="x" * 100, at=NOW)
        for number in range(2000)
    ]
    times = []
    for _ in range(3):
        async with store.write(LINE) as tx:
            before = loop.time()
            await store.hosts.save_progress(tx, 1, rows)
            times.append(loop.time() - before)
    print("2000 rows:", [round(1000 * seconds) for seconds in times], "ms")
    assert min(times) < 0.5, "a broad bound: machines that test are busy"
    assert await store.hosts.progress(LINE, 1) == rows


async def writing_what_fails(store: Store, error: Exception) -> None:
    async with store.write(LINE) as tx:
        tx.event("never", "x", {}, NOW)
        raise error


async def test_errors_of_the_writer_stay_the_writers(store):
    for error in (OSError(28, "no space left"), TimeoutError(), ValueError("x")):
        with pytest.raises(type(error)) as raised:
            await writing_what_fails(store, error)
        assert raised.value is error
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), store.write(LINE):
            await asyncio.Event().wait()
    assert await store.events.after(LINE) == []


async def test_a_bug_is_not_taken_for_a_trouble_of_the_users(store):
    with pytest.raises(DBAPIError):
        async with store.write(LINE) as tx:
            await tx.execute(text("SELECT no_such_column FROM line"))


# -- leases ---------------------------------------------------------------------------------------------

CUT = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
)
TTL = timedelta(seconds=30)


async def test_two_controllers_compete_for_a_lease(opener):
    first, second = await opener(), await opener()
    clock = SystemClock()

    async def acquire(store: Store, holder: str):
        async with store.write(LINE) as tx:
            return await store.leases.acquire(tx, holder, TTL, clock.now(), host="h", pid=os.getpid())

    for _ in range(5):
        won = await asyncio.gather(acquire(first, "one"), acquire(second, "two"))
        assert sum(lease is not None for lease in won) == 1
        winner, store = next(
            (lease, store) for lease, store in zip(won, (first, second), strict=True) if lease
        )
        epoch = winner.epoch
        async with store.write(LINE) as tx:
            renewed = await store.leases.renew(tx, winner, TTL, clock.now())
            await store.leases.check(tx, renewed, clock.now())
            assert await store.leases.release(tx, renewed, clock.now())
        assert await first.leases.get(LINE) is None
    assert epoch == 5, "every change of holder counts"


async def test_a_lease_that_ran_out_goes_to_the_next_and_fences_the_first(opener):
    first, second = await opener(), await opener()
    clock = SystemClock()
    async with first.write(LINE) as tx:
        lease = await first.leases.acquire(tx, "one", timedelta(0), clock.now())
    async with first.write(LINE) as tx:
        same = await first.leases.renew(tx, lease, timedelta(0), clock.now())
        assert same.epoch == 1, "nobody took it: it goes on"
    async with second.write(LINE) as tx:
        taken = await second.leases.acquire(tx, "two", TTL, clock.now())
    assert (taken.epoch, (await first.leases.get(LINE)).holder) == (2, "two")
    for losing in (first.leases.renew, first.leases.check):
        arguments = (TTL, clock.now()) if losing == first.leases.renew else (clock.now(),)
        with pytest.raises(Lost):
            async with first.write(LINE) as tx:
                await losing(tx, lease, *arguments)
    async with first.write(LINE) as tx:
        assert not await first.leases.release(tx, lease, clock.now())
    async with second.write(LINE) as tx:
        again = await second.leases.acquire(tx, "two", TTL, clock.now())
    assert again.epoch == 2, "the same holder keeps its epoch"


async def test_the_lock_of_the_installation_proves_that_the_holder_is_dead(store, tmp_path):
    now = SystemClock().now()
    async with store.write(LINE) as tx:
        await store.leases.acquire(tx, "dead", TTL, now)
    alone = InstallationLock.take(tmp_path / "alone", "one")
    async with store.write(LINE) as tx:
        assert await store.leases.acquire(tx, "new", TTL, now) is None
        lease = await store.leases.acquire(tx, "new", TTL, now, alone=alone)
    assert (lease.holder, lease.epoch) == ("new", 2)
    alone.release()
    async with store.write(LINE) as tx:
        assert await store.leases.acquire(tx, "third", TTL, now, alone=alone) is None, (
            "let go of: proves nothing"
        )


# -- PostgreSQL alone -----------------------------------------------------------------------------------


async def cut_off(first: Store, second: Store) -> None:
    async with first.write(LINE) as tx:
        tx.event("never", "x", {}, NOW)
        async with second._database.reading() as connection:
            await connection.execute(text(CUT))
        await first.pushes.create(tx, PUSH, plan=PLAN)


@pytest.mark.needs("postgres")
@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
async def test_a_connection_cut_in_a_transaction_is_said_so(opener):
    first, second = await opener(), await opener()
    async with first.write(LINE) as tx:
        tx.event("kept", "x", {}, NOW)
    with pytest.raises(StoreUnreachable):
        await cut_off(first, second)
    assert [event.kind for event in await first.events.after(LINE)] == ["kept"]
    async with first.write(LINE) as tx:
        assert tx.event("next", "x", {}, NOW) == 2


@pytest.mark.needs("postgres")
@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
async def test_connections_cut_by_the_server_come_back(opener):
    first, second = await opener(), await opener()
    async with first.write(LINE) as tx:
        tx.event("before", "x", {}, NOW)
    async with second._database.reading() as connection:
        assert (await connection.execute(text(CUT))).scalar_one() >= 2
    async with asyncio.timeout(20):
        async with first.write(LINE) as tx:
            tx.event("after", "x", {}, NOW)
        async for event in second.events.follow(LINE, 1):
            assert event.kind == "after"
            break


@pytest.mark.needs("postgres")
async def test_a_server_that_is_gone_is_said_so(postgres, tmp_path):
    with pytest.raises(StoreUnreachable) as error:
        await Store.open(postgres.url("no_such_database"), SystemClock(), readings=tmp_path)
    assert "no_such_database" in str(error.value)
    assert error.value.way_out
    with pytest.raises(StoreUnreachable):
        await Store.open("postgresql://nobody@127.0.0.1:1/x", SystemClock(), readings=tmp_path)
