"""A whole controller loses its lease to another: it stops acting, waits, and acts again when it is free."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from random import Random

import pytest
from tests.builders import LINE, configuration
from tests.runtime.yard import git

from leuko.clock import SystemClock
from leuko.hosts.pool import HostPool
from leuko.hosts.transport.local import LocalTransport
from leuko.runtime.controller import Controller, Doors
from leuko.runtime.ground import Ground
from leuko.store.store import Store
from leuko.verify.account import choose


async def epochs(store: Store, wanted: int) -> list[int]:
    """Waits until the controller has begun to act this often."""
    seen: list[int] = []
    async with asyncio.timeout(60):
        async for event in store.events.follow(LINE, 0):
            if event.kind == "controller":
                seen.append(event.data["epoch"])
            if len(seen) == wanted:
                break
    return seen


@pytest.mark.timeout(180)
async def test_a_lost_lease_ends_the_loops_and_is_taken_again(tmp_path) -> None:
    clock, origin = SystemClock(), tmp_path / "origin"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    git(origin, "commit", "-q", "--allow-empty", "-m", "begin")
    store = await Store.open(tmp_path / "leuko.sqlite", clock)
    settings = configuration(
        repository=str(origin), fleet={"root": f"{tmp_path}/hosts/{{name}}"}, continuous=False
    )
    pool = HostPool(LocalTransport(), clock, Random(1))
    ground = Ground(LINE, store, clock, tmp_path, settings)
    controller = Controller(ground, Doors(pool, store.readings, choose("")))
    running = asyncio.create_task(controller.run())
    try:
        assert await epochs(store, 1) == [1]
        later = clock.now() + timedelta(hours=1)
        async with store.write(LINE) as tx:
            stolen = await store.leases.acquire(tx, "another", timedelta(hours=1), later)
        assert stolen is not None
        ground.doubt.set()
        async with asyncio.timeout(60):
            while ground.lease is not None:
                await asyncio.sleep(0)
        assert not running.done(), "it waits for the lease again"
        async with store.write(LINE) as tx:
            await store.leases.release(tx, stolen, later)
        async with store.write(LINE) as tx:  # as if its time were over
            await store.leases.acquire(tx, "gone", timedelta(seconds=-7200), later)
        assert (await epochs(store, 2))[-1] > stolen.epoch
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await controller.close()
        await pool.close()
        await store.close()
