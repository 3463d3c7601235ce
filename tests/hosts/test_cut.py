"""A real server whose connection is cut while an order is under way."""

from __future__ import annotations

import asyncio
import os
from random import Random

import pytest
from tests.hosts.conftest import make_world, until
from tests.sshd import sshd_fleet

from leuko.clock import SystemClock
from leuko.domain.order import Result
from leuko.hosts.lanes import PooledHost
from leuko.hosts.pool import HostPool
from leuko.hosts.transport.native import NativeTransport

pytestmark = pytest.mark.needs("sshd")


@pytest.fixture(scope="module")
def server():
    with sshd_fleet(1) as fleet:
        yield fleet.hosts[0]


@pytest.fixture
async def pooled(server, tmp_path):
    """A world reached through the pool."""
    pool = HostPool(NativeTransport(config_files=()), SystemClock(), Random(1), first_pause=0.01)
    world = make_world(tmp_path)
    world.source = PooledHost(pool, server.address)
    yield world
    await pool.close()


async def test_a_switch_goes_on_and_its_outcome_is_found_out(pooled, server):
    release = await pooled.build({"a": "1"})
    await pooled.ready(release)
    hook = 'echo run >>"$LEUKO_ROOT/log"; while [ ! -e "$LEUKO_ROOT/go" ]; do sleep 0.01; done; echo went on'
    task = asyncio.create_task(pooled.give("switch", target=release, hooks={"reload": hook}))
    await until((pooled.root / "log").exists)
    server.cut()
    await asyncio.sleep(0.2)  # the cut is to be noticed before the hook ends
    (pooled.root / "go").touch()
    outcome = await task
    assert outcome.done, outcome
    assert outcome.facts["replayed"] == "1"
    assert outcome.output == "went on\n"
    assert (pooled.root / "log").read_text() == "run\n"
    assert pooled.leftovers() == []


async def test_a_copy_is_begun_again(pooled, server):
    release = await pooled.build({"a": os.urandom(3_000_000)})
    cuts = []

    def progress(done, size):
        if not cuts and done > size // 3:
            cuts.append(done)
            server.cut()

    order = pooled.order("stage", target=release)
    payload = await pooled.payload(release)
    outcome = await pooled.performer.perform(pooled.source, pooled.reach, order, payload, progress=progress)
    assert cuts
    assert outcome.done, outcome
    assert (await pooled.give("verify", target=release)).done
    assert pooled.leftovers() == []


async def test_a_server_that_is_gone_leaves_it_unknown_and_one_that_was_never_there_unreachable(
    pooled, server
):
    release = await pooled.build({"a": "1"})
    await pooled.ready(release)
    task = asyncio.create_task(
        pooled.give("switch", target=release, hooks={"reload": 'touch "$LEUKO_ROOT/began"; sleep 0.5'})
    )
    await until((pooled.root / "began").exists)
    server.stop()
    try:
        outcome = await task
        assert outcome.result is Result.UNKNOWN, outcome
        assert outcome.reason
        never = await pooled.give("switch", target=release)
        assert never.result is Result.UNREACHABLE
    finally:
        server.start()
    assert (await pooled.give("switch", target=release)).done


async def test_an_abort_gets_through_while_orders_fill_the_lane(pooled):
    release = await pooled.build({"a": "1"})
    await pooled.ready(release)
    slow = pooled.order("switch", target=release, hooks={"reload": 'touch "$LEUKO_ROOT/began"; sleep 1000'})
    tasks = [asyncio.create_task(pooled.perform(slow))]
    await until((pooled.root / "began").exists)
    tasks += [asyncio.create_task(pooled.give("prune", keep=(release,))) for _ in range(6)]
    lane = PooledHost(pooled.source.pool, pooled.source.address, "abort")
    aborted = await pooled.performer.abort(
        lane, pooled.reach, "app", slow.id, fence=pooled.fence, why="abort"
    )
    assert aborted.done, aborted
    outcomes = await asyncio.gather(*tasks)
    assert outcomes[0].reason == "killed: abort"
    assert all(outcome.result in (Result.DONE, Result.REFUSED) for outcome in outcomes[1:]), outcomes
