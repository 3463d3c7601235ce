"""The pool: one connection an address, turns for orders, backoff by a clock that the test moves."""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.sshd import sshd_fleet

from leuko.clock import SystemClock
from leuko.hosts.pool import HostPool
from leuko.hosts.port import Address, Connection, Unreachable
from leuko.hosts.transport import refusals
from leuko.hosts.transport.local import LocalTransport
from leuko.hosts.transport.native import NativeTransport

pytestmark = pytest.mark.timeout(60)
A, B = Address("a"), Address("b")


class MovedClock:
    """Stands still until somebody sleeps on it and it is moved to the next to wake."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)
        self.sleepers: list[tuple[datetime, int, asyncio.Event]] = []
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if seconds > 0:
            woken = asyncio.Event()
            heapq.heappush(self.sleepers, (self.time + timedelta(seconds=seconds), len(self.slept), woken))
            await woken.wait()

    async def move(self) -> None:
        """To the next sleeper's time, once there is one."""
        while not self.sleepers:
            await asyncio.sleep(0)
        self.time, _, woken = heapq.heappop(self.sleepers)
        woken.set()


class Gate:
    """A transport to this machine that is down, slow or up as the test says."""

    def __init__(self) -> None:
        self.down: dict[str, Unreachable] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.tries: list[str] = []
        self.now = self.most = 0
        self.made: list[Connection] = []

    async def connect(self, address: Address) -> Connection:
        self.tries.append(address.host)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.gate.wait()
            if address.host in self.down:
                raise self.down[address.host]
            self.made.append(await LocalTransport().connect(address))
            return self.made[-1]
        finally:
            self.now -= 1


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def pool(gate, clock):
    made = HostPool(gate, clock, random.Random(1))
    yield made
    await made.close()


async def test_everybody_shares_one_connection(pool, gate):
    gate.gate.clear()
    asked = [asyncio.create_task(pool.connection(A)) for _ in range(20)]
    await asyncio.sleep(0)
    gate.gate.set()
    found = await asyncio.gather(*asked)
    assert len(set(map(id, found))) == 1
    assert await pool.connection(A) is found[0]
    assert await pool.connection(B) is not found[0]
    assert gate.tries == ["a", "b"]


async def test_one_who_gives_up_takes_nothing_from_the_others(pool, gate):
    gate.gate.clear()
    first, second = (asyncio.create_task(pool.connection(A)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    gate.gate.set()
    assert (await second).alive
    with pytest.raises(asyncio.CancelledError):
        await first
    assert gate.tries == ["a"]


async def test_a_failure_tells_everybody_who_asked(pool, gate):
    gate.down["a"] = refusals.refused(A)
    found = await asyncio.gather(*(pool.connection(A) for _ in range(3)), return_exceptions=True)
    assert [error.code for error in found] == ["T001"] * 3
    assert gate.tries == ["a"]


async def test_tries_come_ever_more_slowly_with_jitter_and_a_bound(pool, gate, clock):
    gate.down["a"] = refusals.refused(A)
    pauses = []
    for attempt in range(9):
        before = clock.now()
        asked = asyncio.create_task(pool.connection(A))
        if attempt:
            await clock.move()
            pauses.append((clock.now() - before).total_seconds())
        with pytest.raises(Unreachable):
            await asked
    for pause, whole in zip(pauses, [1, 2, 4, 8, 16, 30, 30, 30], strict=True):
        assert whole / 2 <= pause <= whole
    assert len({pause / whole for pause, whole in zip(pauses, [1, 2, 4, 8, 16, 30, 30, 30], strict=True)}) > 5
    gate.down.clear()
    asked = asyncio.create_task(pool.connection(A))
    await clock.move()
    await asked
    clock.time += timedelta(seconds=11)
    await gate.made[-1].close()
    assert (await pool.connection(A)).alive  # after a good one the first try comes at once


async def test_a_host_that_flaps_is_asked_ever_more_slowly(pool, gate, clock):
    pauses = []
    for _ in range(4):
        before = clock.now()
        asked = asyncio.create_task(pool.connection(A))
        if gate.made:
            await clock.move()
            pauses.append((clock.now() - before).total_seconds())
        await asked
        await gate.made[-1].close()
    assert 0.5 <= pauses[0] <= 1 <= pauses[1] <= 2 <= pauses[2] <= 4


async def test_a_dropped_login_is_tried_once_more(pool, gate, clock):
    gate.down["a"] = refusals.reset(A)
    asked = asyncio.create_task(pool.connection(A))
    while not clock.sleepers:
        await asyncio.sleep(0)
    gate.down.clear()
    await clock.move()
    assert (await asked).alive
    assert gate.tries == ["a", "a"]
    assert 0.2 <= clock.slept[0] <= 1.0


async def test_state_tells_since_when(pool, gate, clock):
    assert pool.state() == []
    gate.down["a"] = refusals.refused(A)
    with pytest.raises(Unreachable):
        await pool.connection(A)
    failing_since = clock.now()
    (state,) = pool.state()
    assert (state.address, state.connected_since, state.failing_since) == (A, None, failing_since)
    assert "T001" in state.last_error
    asked = asyncio.create_task(pool.connection(A))
    await clock.move()
    with pytest.raises(Unreachable):
        await asked
    assert pool.state()[0].failing_since == failing_since
    gate.down.clear()
    asked = asyncio.create_task(pool.connection(A))
    await clock.move()
    await asked
    (state,) = pool.state()
    assert (state.connected_since, state.failing_since) == (clock.now(), None)
    await gate.made[-1].close()
    clock.time += timedelta(seconds=5)
    (state,) = pool.state()
    assert (state.connected_since, state.failing_since) == (None, clock.now())
    assert "lost" in state.last_error


async def test_orders_take_turns_and_readings_and_aborts_do_not_wait(pool):
    orders = [await pool.start(A, ["cat"]) for _ in range(4)]
    fifth = asyncio.create_task(pool.start(A, ["echo", "fifth"]))
    done, _ = await asyncio.wait({fifth}, timeout=0.1)
    assert not done
    for lane in ("readings", "abort"):
        channel = await asyncio.wait_for(pool.start(A, ["true"], lane=lane), 5)
        assert await channel.wait() == 0
        await channel.close()
    elsewhere = await asyncio.wait_for(pool.start(B, ["true"]), 5)
    await elsewhere.close()
    await orders[0].end_input()
    assert await orders[0].wait() == 0
    channel = await asyncio.wait_for(fifth, 5)
    await channel.wait()
    await channel.close()
    for order in orders:
        await order.close()
        await order.close()
    async with pool.session(A) as connection:  # every turn was given back exactly once
        assert connection.alive
        assert pool._entries[A].orders._value == 3


async def test_turns_are_given_back_by_failures_and_cancellation(pool, gate):
    gate.down["a"] = refusals.refused(A)
    with pytest.raises(Unreachable):
        await pool.start(A, ["true"])
    gate.down.clear()
    gate.gate.clear()
    waiting = [asyncio.create_task(pool.start(B, ["true"])) for _ in range(6)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert pool._entries[A].orders._value == pool._entries[B].orders._value == 4


async def test_no_more_than_so_many_connect_at_once(gate, clock):
    pool = HostPool(gate, clock, random.Random(1), connecting=3)
    gate.gate.clear()
    asked = [asyncio.create_task(pool.connection(Address(f"h{n}"))) for n in range(10)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert gate.now == 3
    gate.gate.set()
    await asyncio.gather(*asked)
    assert gate.most == 3
    await pool.close()


async def test_hosts_that_failed_before_leave_places_for_others(gate, clock):
    pool = HostPool(gate, clock, random.Random(1), connecting=4)
    dead = [Address(f"dead{n}") for n in range(9)]
    gate.down = {address.host: refusals.refused(address) for address in dead}
    await asyncio.gather(*(pool.connection(address) for address in dead), return_exceptions=True)
    gate.gate.clear()
    gate.tries.clear()
    again = [asyncio.create_task(pool.connection(address)) for address in dead]
    for _ in dead:
        await clock.move()
    well = asyncio.create_task(pool.connection(A))
    while "a" not in gate.tries:
        await asyncio.sleep(0)
    assert gate.now == 3
    gate.gate.set()
    assert (await well).alive
    await asyncio.gather(*again, return_exceptions=True)
    await pool.close()


async def test_closing_ends_everything_and_refuses_more(gate, clock):
    pool = HostPool(gate, clock, random.Random(1))
    living = await pool.connection(A)
    gate.gate.clear()
    asked = asyncio.create_task(pool.connection(B))
    await asyncio.sleep(0)
    await pool.close()
    assert not living.alive
    for attempt in (asked, pool.connection(A)):
        with pytest.raises(Unreachable) as caught:
            await attempt
        assert caught.value.code == "T022"
    await pool.close()


async def test_who_is_told_to_end_while_the_pool_closes_ends(gate, clock):
    """Unreachable in place of the cancellation would be taken for a host's bad day, and its loop would go on."""
    pool = HostPool(gate, clock, random.Random(1))
    gate.gate.clear()
    told, other = (asyncio.create_task(pool.connection(A)) for _ in range(2))
    await asyncio.sleep(0)
    closing = asyncio.create_task(pool.close())
    told.cancel()
    await asyncio.wait({told, other, closing})
    assert told.cancelled()
    assert isinstance(other.exception(), Unreachable)


@pytest.mark.needs("sshd")
async def test_forty_hosts_at_once_and_a_frozen_one_delays_nobody():
    with sshd_fleet(40, network="127.9.2") as fleet:
        pool = HostPool(NativeTransport(config_files=()), SystemClock(), random.Random(1))
        await asyncio.gather(*(pool.connection(address) for address in fleet.addresses))
        assert all(state.connected_since for state in pool.state())
        fleet.hosts[7].freeze()

        async def ask(address: Address) -> float | str:
            asked = time.monotonic()
            try:
                channel = await pool.start(address, ["true"])
                status = await channel.wait()
                await channel.close()
            except Unreachable as error:
                return error.code
            return time.monotonic() - asked if status == 0 else "unknown"

        answers = dict(zip(fleet.addresses, await asyncio.gather(*map(ask, fleet.addresses)), strict=True))
        frozen = answers.pop(fleet.addresses[7])
        assert frozen in {"T013", "unknown"}
        assert all(isinstance(answer, float) and answer < 3 for answer in answers.values()), answers
        assert [s.address for s in pool.state() if s.failing_since] == [fleet.addresses[7]]
        fleet.hosts[7].thaw()
        assert (await pool.connection(fleet.addresses[7])).alive
        await pool.close()


@pytest.mark.needs("sshd")
async def test_a_host_that_drops_logins_is_reached_by_the_second_try():
    """Ten at once as ten users' addresses; sshd's default takes ten that are not logged in yet."""
    with sshd_fleet(1, network="127.9.3", settings=["MaxStartups 1:100:1"]) as fleet:
        pool = HostPool(NativeTransport(config_files=()), SystemClock(), random.Random(4))
        (address,) = fleet.addresses
        reader, writer = await asyncio.open_connection(address.host, address.port)
        await reader.readline()  # holds the only place
        asked = asyncio.create_task(pool.connection(address))
        await asyncio.sleep(0.1)
        writer.close()
        assert (await asked).alive
        assert "Maximum" in Path(fleet.hosts[0].folder / "log").read_text() or "drop" in fleet.hosts[0].log()
        await pool.close()
