"""Pushes of other lines on the same machines, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.contract.conftest import LINE, NOW, OTHER

from leuko.domain.line import Line
from leuko.domain.plan import Plan
from leuko.domain.push import Push, Rules, State
from leuko.domain.rollout import HostProgress, HostState
from leuko.store.errors import Lost
from leuko.store.hosts import KnownHost

PLAN = Plan(hosts=(), watches=(12,), tick=5.0)


async def pushed(
    store, line: Line, state: State, host: HostState = HostState.STAGED, address="10.0.0.1"
) -> Push:
    push = Push(0, line, "r", "r" * 40, "b", Rules(phases=1), state, NOW, NOW)
    async with store.write(line) as tx:
        made = await store.pushes.create(tx, push, plan=PLAN)
        await store.hosts.save(tx, [KnownHost("www1", "www", address)])
        await store.hosts.save_progress(tx, made.number, [HostProgress("www1", "www", 0, host)])
    return made


async def test_a_push_under_way_on_the_same_machine_is_a_neighbour(store) -> None:
    made = await pushed(store, OTHER, State.WATCHING)
    found = await store.neighbours.of(LINE, ["10.0.0.9", "10.0.0.1"])
    assert (found.line, found.push, found.host) == (OTHER, made.number, "www1")
    assert found.sentence.startswith("push 1 of shop/preview is WATCHING on www1, too")
    assert await store.neighbours.of(LINE, ["10.0.0.9"]) is None
    assert await store.neighbours.of(OTHER, ["10.0.0.1"]) is None, "it is its own"


@pytest.mark.parametrize(
    ("state", "host"),
    [
        (State.PENDING, HostState.WAITING),
        (State.LIVE, HostState.SWITCHED),
        (State.WATCHING, HostState.LEFT_OUT),
    ],
)
async def test_one_that_waits_has_ended_or_left_the_host_out_is_none(store, state, host) -> None:
    await pushed(store, OTHER, state, host)
    assert await store.neighbours.of(LINE, ["10.0.0.1"]) is None


async def test_a_host_without_an_address_is_reached_by_its_name(store) -> None:
    await pushed(store, OTHER, State.HELD, address="")
    assert (await store.neighbours.of(LINE, ["www1"])).push == 1


async def test_two_that_begin_at_once_do_not_both_begin(store) -> None:
    both = [await pushed(store, line, State.PENDING) for line in (LINE, OTHER)]

    async def begin(push: Push) -> bool:
        try:
            async with store.write(push.line) as tx:
                await store.neighbours.check(tx, ["10.0.0.1"])
                await store.pushes.save(tx, replace(push, state=State.STAGING))
        except Lost:
            return False
        return True

    assert sorted(await asyncio.gather(*map(begin, both))) == [False, True]
