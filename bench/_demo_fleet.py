"""Real readings of a fleet on which nothing changes: the demo's eight shops under its customers.

A/A: pretended pushes at random times, on random hosts. Their windows overlap, so they tell less than as many
independent ones would.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from _judged import rate, speed

from leuko.cli.installation import DATABASE
from leuko.clock import SystemClock
from leuko.config.loading import load
from leuko.demo.story import TICK_SECONDS, begin, running_demo
from leuko.demo.telling import Teller
from leuko.domain.gauge import Gauge
from leuko.domain.line import Line
from leuko.runtime.questions import gauges_of, series_of
from leuko.statistics.path import path
from leuko.statistics.question import Question, Series
from leuko.store.series import Series as Stored
from leuko.store.store import Store

LINE = Line("shop", "production")
CANARIES, WATCH, HISTORY = 2, 12, 120
FAULTS: Mapping[str, Mapping[str, float]] = {
    "nothing": {},
    "latency x2": {"latency": 2.0},
    "latency x10": {"latency": 10.0},
    "requests to half": {"requests": 0.5, "orders": 0.5},
}


async def _readings(seconds: float) -> tuple[Stored, tuple[Gauge, ...]]:
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as folder:
        async with running_demo(Path(folder), clock, Teller(clock.now(), quiet=True)) as demo:
            await begin(demo)
            await clock.sleep(seconds)
        state = Path(folder) / "leuko" / "state"
        store = await Store.open(state / DATABASE, clock, readings=state / "readings")
        try:
            span = await store.readings.span(LINE)
            assert span is not None
            read = await store.readings.read(LINE, None, span[0], span[1] + timedelta(seconds=1))
        finally:
            await store.close()
        configuration = load(Path(folder) / "leuko" / "leuko.yml").configuration
        return read, gauges_of(configuration, ())


def _pretended(
    read: Stored, gauges: tuple[Gauge, ...], fault: Mapping[str, float], random: np.random.Generator
) -> Question:
    """A push that never was: at a random tick, on two random hosts, its fault planted in real readings."""
    at = int(random.integers(HISTORY, len(read.times) - WATCH))
    canary = np.zeros(len(read.hosts), dtype=np.bool_)
    canary[random.choice(len(read.hosts), CANARIES, replace=False)] = True
    part = slice(at - HISTORY, at + WATCH)
    series = {}
    for name, one in series_of(read, gauges).items():
        values = np.array(one.values[part], dtype=np.float64)
        sick = values[HISTORY:, canary] * fault.get(name, 1.0)
        whole = name in fault and name != "latency"  # half a request is one or none
        values[HISTORY:, canary] = np.floor(sick + random.random(sick.shape)) if whole else sick
        series[name] = Series(values, None if one.denominators is None else one.denominators[part])
    return Question(
        gauges=gauges,
        hosts=read.hosts,
        roles=("www",) * len(read.hosts),
        pushed_roles=frozenset({"www"}),
        tick=TICK_SECONDS,
        times=read.times[part],
        series=series,
        switched_at=np.where(canary, read.times[at - 1], np.nan),
        watched=canary,
        watch_from=float(read.times[at - 1]),
        wanted=WATCH,
    )


def nothing_changes(seconds: float, pretend: int) -> Mapping[str, Any]:
    """Runs the demo's fleet for so long without a push, and judges pretended ones on what it read."""
    read, gauges = asyncio.run(_readings(seconds))
    told: dict[str, Any] = {}
    for fault, sizes in FAULTS.items():
        random = np.random.default_rng(1)
        times = []
        for _ in range(pretend):
            index = path(_pretended(read, gauges, sizes, random)).fails_at
            times.append(float("nan") if index is None else (index + 1) * TICK_SECONDS)
        told[fault] = rate(times) | {"half": speed(times)["half"]}
    return {"hosts": len(read.hosts), "ticks": len(read.times), "gauges": len(gauges), "pushes": told}
