"""Loops end when they are told to, whatever else happens in that moment."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

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
