"""Questions as the sampler puts them, one tick at a time, without its clock."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

from tests.gauges.conftest import StillClock, start_here

from leuko.config.model import Gauge
from leuko.config.secrets import Secrets
from leuko.domain.gauge import HOSTLESS
from leuko.gauges.asking import Askings
from leuko.gauges.fetching import Fetcher
from leuko.gauges.questions import questions_of
from leuko.gauges.source import Target

WWW = (Target("www1", "www", "/srv", address="10.0.0.1"), Target("www2", "www", "/srv", address="10.0.0.2"))


class Line:
    """The askings of some gauges, and the number of the tick that comes next."""

    def __init__(
        self, gauges, targets=WWW, *, tick=5.0, secrets=None, folder=None, clock=None, start=start_here
    ):
        self.gauges = {name: Gauge.model_validate(gauge) for name, gauge in gauges.items()}
        self.roster = (*(target.name for target in targets), HOSTLESS)
        self.fetcher = Fetcher()
        self.clock = clock or StillClock()
        known = secrets or Secrets()
        questions = questions_of(
            self.gauges,
            targets,
            tick=tick,
            clock=self.clock,
            start=start,
            secrets=known,
            folder=folder or Path("/"),
            fetcher=self.fetcher,
        )
        self.askings = Askings(
            questions, self.gauges, self.roster, tick=tick, clock=self.clock, secrets=known
        )
        self.tick = 1000

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        for one in self.askings.asked:
            await one.question.close()
        await self.fetcher.close()

    async def look(self):
        """Readings of the next tick by gauge: what is there, by host."""
        self.tick += 1
        await asyncio.gather(*(self.askings.ask(one, self.tick) for one in self.askings.asked))
        found = self.askings.readings(self.tick)
        return {
            name: {
                host: float(value)
                for host, value in zip(self.roster, array, strict=True)
                if not math.isnan(value)
            }
            for name, array in found.items()
        }

    @property
    def reason(self):
        return "; ".join(one.reason for one in self.askings.asked if one.reason)
