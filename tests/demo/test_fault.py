"""One fault drawn at random, under a busy CPU, after a commit that changes nothing: the main job as a bet."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from leuko.clock import SystemClock
from leuko.demo.repository import FAULTS, NOTHING
from leuko.demo.story import Demo, begin, running_demo
from leuko.demo.telling import Teller

HOSTS = 6
WATCHES = (25, 5)
"""Ticks of a second; one fault shows twenty seconds after its start."""

NAMED = {
    "errors": ("error",),
    "slow": ("latency",),
    "crash-at-start": ("reload", "SHOP_CURRENCY"),
    "crash-later": ("crash", "error", "requests"),
    "leak": ("memory",),
    "silence": ("requests", "orders", "latency", "health"),
}
"""What the reason must name one of."""


def burn(seconds: float) -> None:
    """Half of one core, in slices."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        busy = time.monotonic() + 0.05
        while time.monotonic() < busy:
            pass
        time.sleep(0.05)


@asynccontextmanager
async def busy_demo(folder: Path) -> AsyncIterator[Demo]:
    burner = multiprocessing.get_context("spawn").Process(target=burn, args=(600.0,), daemon=True)
    burner.start()
    clock = SystemClock()
    try:
        async with running_demo(folder, clock, Teller(clock.now()), HOSTS, watches=WATCHES) as demo:
            await begin(demo)
            yield demo
    finally:
        burner.terminate()
        burner.join(10)


async def nothing_changes(demo: Demo) -> None:
    push = await demo.ending(await demo.commit(NOTHING))
    assert (push.state, push.reason) == ("LIVE", push.reason), push.reason
    states = {state for state, _, _ in push.states}
    assert not states & {"HELD", "ROLLING_BACK"}, push


async def it_is_caught(demo: Demo, fault: str) -> None:
    push = await demo.ending(await demo.commit(fault))
    print(f"{fault}: {push.state} after {push.detection()} s, {push.stages()}: {push.reason}")
    assert push.state in {"ROLLED_BACK", "HELD"}, push
    assert any(word in push.reason for word in NAMED[fault]), push.reason


def drawn() -> str:
    """`LEUKO_FAULT` chooses the fault, `LEUKO_SEED` the draw."""
    seed = os.environ.get("LEUKO_SEED") or str(random.randrange(10**6))
    fault = os.environ.get("LEUKO_FAULT") or random.Random(seed).choice(list(FAULTS))
    print(f"LEUKO_SEED={seed} draws {fault}")
    return fault


@pytest.mark.timeout(400)
async def test_nothing_goes_live_and_a_fault_drawn_at_random_does_not(tmp_path):
    async with busy_demo(tmp_path) as demo:
        await nothing_changes(demo)
        await it_is_caught(demo, drawn())


async def goes_on(demo: Demo, caught: str) -> None:
    """Out of the way: the push that is held, the locks, and the commit itself."""
    if any(push.state == "HELD" for push in demo.pushes().values()):
        argv = [
            sys.executable,
            "-m",
            "leuko.cli.main",
            "abort",
            "--state",
            str(demo.shop.state),
            "--why",
            "next",
        ]
        process = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.DEVNULL)
        await process.wait()
        await demo.until("the abort", lambda: list(demo.pushes().values())[-1].ended)
    status = await demo.shop.get("/status")
    if status["commit_lock"] or status["push_lock"]:
        await demo.shop.intend("unlock", why="the next one", lock="all", forget=True)
    await demo.repository.revert(caught, push=False)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_every_fault_is_caught_and_nothing_goes_live_in_between(tmp_path):
    async with busy_demo(tmp_path) as demo:
        for number, fault in enumerate(FAULTS):
            if number % 2 == 0:
                await nothing_changes(demo)
                await demo.repository.revert(await demo.repository.head(), push=False)
            await it_is_caught(demo, fault)
            await goes_on(demo, await demo.repository.head())
