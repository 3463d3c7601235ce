"""Every gauge tried for a few seconds: what it gives, and what is wrong with it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leuko.clock import Clock
from leuko.config.model import Gauge
from leuko.config.secrets import Secrets
from leuko.config.sources import SOURCES
from leuko.domain.gauge import HOSTLESS
from leuko.gauges.roster import hosts_of
from leuko.gauges.sampling import Sampler
from leuko.gauges.source import OF, Start, Target

TICK = 1.0
LONGEST = 8.0
"""Seconds until the trial ends; sooner where every gauge has given a reading everywhere."""


@dataclass(frozen=True, slots=True)
class Given:
    """What one gauge gave."""

    gauge: str
    source: str
    """Its key in the configuration: prometheus, log, ..."""
    hosts: int
    """Of how many hosts it should be; 1 for one of the whole."""
    given: int
    """Of how many it was."""
    example: float | None
    """Its last reading at the first of them, a ratio divided; a count is of one second."""
    reason: str


@dataclass(slots=True)
class _Seen:
    wanted: Mapping[str, frozenset[str]]
    readings: dict[str, dict[str, float]] = field(default_factory=dict)
    whole: asyncio.Event = field(default_factory=asyncio.Event)

    def on_tick(
        self, _at: datetime, roster: tuple[str, ...], values: Mapping[str, NDArray[np.float32]]
    ) -> None:
        for name, wanted in self.wanted.items():
            below = values.get(name + OF)
            for index, host in enumerate(roster):
                number = float(values[name][index])
                if below is not None:
                    number = number / float(below[index]) if below[index] else number
                if host in wanted and np.isfinite(number):
                    self.readings.setdefault(name, {})[host] = number
        if all(wanted <= set(self.readings.get(name, {})) for name, wanted in self.wanted.items()):
            self.whole.set()


async def trial(
    targets: Sequence[Target],
    gauges: Mapping[str, Gauge],
    *,
    clock: Clock,
    start: Start,
    secrets: Secrets,
    folder: Path,
) -> tuple[Given, ...]:
    """Samples every second until each gauge was read everywhere, at most for LONGEST."""
    wanted = {
        name: frozenset((HOSTLESS,)) if gauge.hostless else hosts_of(targets, gauge.roles)
        for name, gauge in gauges.items()
    }
    seen = _Seen(wanted)
    sampler = Sampler(
        targets,
        gauges,
        tick=TICK,
        clock=clock,
        start=start,
        on_tick=seen.on_tick,
        secrets=secrets,
        folder=folder,
    )
    running = asyncio.create_task(sampler.run())
    waiting = asyncio.create_task(seen.whole.wait())
    try:
        await asyncio.wait({running, waiting}, timeout=LONGEST, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        troubles = _troubles(sampler)
    finally:
        running.cancel()
        waiting.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)
    return tuple(_given(name, gauges[name], seen, troubles.get(name, "")) for name in gauges)


def _troubles(sampler: Sampler) -> dict[str, str]:
    found: dict[str, str] = {}
    for health in sampler.sources():
        if health.reason:
            where = "" if health.host == HOSTLESS else f"{health.host}: "
            for name in health.gauges:
                found.setdefault(name, where + health.reason)
    return found


def _given(name: str, gauge: Gauge, seen: _Seen, trouble: str) -> Given:
    readings = seen.readings.get(name, {})
    wanted = seen.wanted[name]
    source = next(key for key in SOURCES if getattr(gauge, key) is not None)
    reason = trouble if len(readings) < len(wanted) else ""
    if not reason and len(readings) < len(wanted):
        missing = sorted(wanted - set(readings))
        reason = f"no reading of {missing[0]}" if missing[0] != HOSTLESS else "no reading"
    example = readings[min(readings)] if readings else None
    return Given(name, source, len(wanted), len(readings), example, reason)
