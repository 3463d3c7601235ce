"""Loops end when they are told to, whatever else happens in that moment."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from leuko.cancellation import end
from leuko.clock import SystemClock
from leuko.runtime.supervision import Loop
from leuko.store.bell import news


async def nothing() -> None:
    """A step that finds no work."""


async def waiting(ear: asyncio.Event) -> None:
    """For ever, as the loops do."""
    while True:
        await news(ear, 60.0)


@pytest.mark.parametrize("what", ["loop", "news"])
async def test_a_cancellation_that_comes_with_a_ring_is_obeyed(what):
    """`asyncio.wait_for` of Python 3.11 loses it: a controller then never ended."""
    ear = asyncio.Event()
    loop = Loop("idle", nothing, 60.0, SystemClock(), ear)
    task = asyncio.create_task(loop.run() if what == "loop" else waiting(ear))
    for _ in range(5):
        await asyncio.sleep(0)
    ear.set()
    await asyncio.sleep(0)  # the ring has reached the waiter, which has not run yet
    task.cancel()
    await asyncio.wait({task}, timeout=1.0)
    ended = task.cancelled()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert ended


async def test_a_loop_ends_though_its_step_turned_the_cancellation_into_an_error():
    """As a connection that is closed at the same time does, or a library that knows no better."""
    begun = asyncio.Event()

    async def step() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            raise OSError("the connection was lost") from error

    task = asyncio.create_task(Loop("losing", step, 0.01, SystemClock()).run())
    await begun.wait()
    task.cancel()
    await asyncio.wait({task}, timeout=5.0)
    ended = task.cancelled()
    task.cancel()
    await asyncio.wait({task}, timeout=5.0)
    assert ended


async def test_who_ends_a_task_can_be_ended_meanwhile():
    """`with suppress(CancelledError): await task` takes a cancellation of the caller for the task's."""
    slow = asyncio.Event()

    async def ends_slowly() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await slow.wait()

    async def ending() -> str:
        await end(inner)
        return "went on"

    inner = asyncio.create_task(ends_slowly())
    outer = asyncio.create_task(ending())
    for _ in range(3):
        await asyncio.sleep(0)
    outer.cancel()
    slow.set()
    await asyncio.wait({outer, inner})
    assert outer.cancelled()


async def test_a_loop_outlives_steps_whose_tasks_fail():
    """A TaskGroup that failed leaves a count of cancellations, which is no wish that the loop should end."""
    steps = asyncio.Event()
    seen = 0

    async def fails() -> None:
        raise ValueError

    async def step() -> None:
        nonlocal seen
        seen += 1
        if seen == 3:
            steps.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fails())

    task = asyncio.create_task(Loop("fails", step, 0.001, SystemClock()).run())
    try:
        async with asyncio.timeout(20):
            await asyncio.wait({task, asyncio.create_task(steps.wait())}, return_when=asyncio.FIRST_COMPLETED)
        assert not task.done()
        assert steps.is_set()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
