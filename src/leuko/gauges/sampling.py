"""The permanent sampling of one line: every tick, every host, every gauge."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import floor
from pathlib import Path

from leuko.clock import Clock
from leuko.config.model import Gauge
from leuko.config.secrets import Secrets
from leuko.domain.gauge import HOSTLESS
from leuko.gauges.asking import Askings
from leuko.gauges.fetching import Fetcher
from leuko.gauges.hosts import HostReadings
from leuko.gauges.http import HttpReadings
from leuko.gauges.kinds import Kinds
from leuko.gauges.layout import grace
from leuko.gauges.questions import questions_of
from leuko.gauges.source import Health, OnTick, Source, Start, Target

CATCH_UP = 10
"""Ticks that a controller which was held up still closes one by one; more are left as a gap."""


@dataclass(frozen=True, slots=True)
class Lag:
    """How far behind the sampler is, in seconds, and what it dropped for coming too late."""

    closing: float
    readings: float
    late: int
    skipped: int


class Sampler:
    """Collects the readings of a line's hosts and hands each closed tick to `on_tick`.

    Ticks are whole multiples of `tick` seconds on the controller's clock. The hosts' clocks play no part.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        gauges: Mapping[str, Gauge],
        *,
        tick: float,
        clock: Clock,
        start: Start,
        on_tick: OnTick,
        secrets: Secrets | None = None,
        folder: Path | None = None,
    ) -> None:
        hostless = any(gauge.hostless for gauge in gauges.values())
        self.roster = (*(target.name for target in targets), *((HOSTLESS,) if hostless else ()))
        self.tick = tick
        self.grace = grace(tick)
        self._clock = clock
        self._on_tick = on_tick
        known = secrets or Secrets()
        width = len(self.roster)
        self._hosts = HostReadings(targets, gauges, tick=tick, clock=clock, start=start, columns=width)
        self._http = HttpReadings(targets, gauges, tick=tick, clock=clock, columns=width)
        self._fetcher = Fetcher()
        questions = questions_of(
            gauges,
            targets,
            tick=tick,
            clock=clock,
            start=start,
            secrets=known,
            folder=folder or Path(),
            fetcher=self._fetcher,
        )
        self._askings = Askings(questions, gauges, self.roster, tick=tick, clock=clock, secrets=known)
        self._sources: tuple[Source, ...] = (self._hosts, self._http, self._askings)
        self._closed: int | None = None
        self._closing = 0.0
        self._skipped = 0

    async def run(self) -> None:
        """Samples until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hosts.run(), name="readers of hosts")
                tasks.create_task(self._http.run(), name="askers over HTTP")
                tasks.create_task(self._askings.run(), name="askers of servers and programs")
                tasks.create_task(self._close_for_ever(), name="closing of ticks")
        finally:
            await self._fetcher.close()

    async def _close_for_ever(self) -> None:
        while True:
            now = self._clock.now().timestamp()
            wait = self.close_due(now)
            await self._clock.sleep(min(wait, self.tick))

    def close_due(self, now: float) -> float:
        """Closes every tick whose time has come; seconds until the next one."""
        due = floor((now - self.grace) / self.tick + 1e-9)
        if self._closed is None:
            self._closed = due
        if due - self._closed > CATCH_UP:
            self._skipped += due - self._closed - 1
            self._closed = due - 1
        while self._closed < due:
            self._closed += 1
            self._closing = now - self._closed * self.tick - self.grace
            self.close(self._closed)
        return max(0.001, (self._closed + 1) * self.tick + self.grace - now)

    def close(self, tick: int) -> None:
        """Closes one tick and hands its readings over."""
        values = {name: array for source in self._sources for name, array in source.readings(tick).items()}
        self._on_tick(datetime.fromtimestamp(tick * self.tick, UTC), self.roster, values)

    def sources(self) -> tuple[Health, ...]:
        """When each source of each host last gave readings, and what is wrong with it now; empty: nothing."""
        return tuple(health for source in self._sources for health in source.health())

    @property
    def kinds(self) -> Mapping[str, Kinds]:
        """Kinds of lines by gauge, of those that have templates."""
        return self._hosts.kinds

    @property
    def lag(self) -> Lag:
        """How far behind the sampler is."""
        late = self._hosts.slots.late + self._http.slots.late + self._askings.slots.late
        return Lag(self._closing, self._hosts.lag, late, self._skipped)
