"""A line under observation: the real judge over readings that a simulated fleet gives, by a clock of hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from tests.builders import LINE, NOON, HandClock, configuration, release
from tests.runtime.fleet import ModelFleet
from tests.runtime.rig import GivenJudge, Rig

from leuko.config.model import Configuration
from leuko.domain.push import Push, State
from leuko.runtime.gauging import Judge
from leuko.runtime.ground import Ground
from leuko.runtime.pusher import Pusher
from leuko.store.series import Reading
from leuko.store.store import Store

TICK = 5
HOSTS = ("www1", "www2", "www3", "www4", "www5", "www6")
GAUGES = {
    "errors": {"kind": "count", "log": {"file": "log/error.log", "match": "ERROR"}},
    "load": {"kind": "level", "host": {"figure": "load"}, "required": False, "limits": [{"above": 8}]},
}


def settings() -> Configuration:
    return configuration(
        HOSTS, gauges=GAUGES, push={"phases": [{"hosts": 1, "watch": 12}, {"hosts": "100%", "watch": 12}]}
    )


class CreepingClock(HandClock):
    """No two moments are the same, as on a real clock."""

    def now(self) -> datetime:
        self.at += timedelta(microseconds=1)
        return self.at


@dataclass
class Ward(Rig):
    """Readings of every tick are written two seconds after it, as the sampler does."""

    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))
    worse: Mapping[str, float] = field(default_factory=dict)
    """Gauge -> factor on hosts that run the newest release."""
    newest: str = ""

    @classmethod
    async def under(cls, folder: Path) -> Ward:
        clock = CreepingClock(NOON)
        store = await Store.open(folder / "leuko.sqlite", clock)
        made = settings()
        ward = cls(store, clock, made, ModelFleet(), folder, GivenJudge(clock), watches=(12, 12))
        async with store.write(LINE) as tx:
            await store.lines.serve(tx, made.model_dump_json())
        await ward.live(release("b"))
        await ward.pass_time(900)
        return ward

    async def pass_time(self, seconds: int, pusher: Pusher | None = None, number: int = 0) -> None:
        """Second by second; ends early with the push."""
        for _ in range(seconds):
            self.clock.move(1)
            at = (self.clock.at - timedelta(seconds=2)).replace(microsecond=0)
            if int(at.timestamp()) % TICK == 0:
                await self.read(at)
            if pusher is not None:
                await pusher.step()
                await pusher.flights()
                if (await self.get(number)).state.ended:
                    return

    async def read(self, at: datetime) -> None:
        """One tick of all hosts."""
        runs = {name: host.current for name, host in self.fleet.hosts.items()}
        new = np.array([bool(self.newest) and runs.get(host) == self.newest for host in HOSTS])

        def factor(gauge: str) -> np.ndarray:
            return np.where(new, self.worse.get(gauge, 1.0), 1.0)

        errors = self.random.poisson(0.4 * factor("errors"))
        load = 2.0 * factor("load") * np.exp(0.1 * self.random.standard_normal(len(HOSTS)))
        values = {
            "errors": Reading(errors.astype(np.float32)),
            "load": Reading(load.astype(np.float32)),
        }
        await self.store.readings.write(LINE, at, HOSTS, values)

    async def push_one(self, letter: str, **worse: float) -> Push:
        """A push from start to end, judged by the real judge."""
        self.worse = worse
        new = release(letter)
        self.newest = new.name
        push = await self.pending(new)
        pusher = await self.controller()
        ground = Ground(LINE, self.store, self.clock, self.state, self.configuration)
        pusher._watch = Judge(ground, self.store.readings)
        await self.pass_time(600, pusher, push.number)
        await pusher.close()
        ended = await self.get(push.number)
        assert ended.state in (State.LIVE, State.ROLLED_BACK), ended.state
        return ended
