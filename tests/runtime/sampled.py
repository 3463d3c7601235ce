"""A rig whose judge is the real one: readings are written a tick at a time, and the push is stepped between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from tests.builders import LINE, NOON, HandClock, configuration, release
from tests.runtime.rig import Rig

from leuko.config.model import Configuration
from leuko.domain.push import Push, State
from leuko.domain.rollout import HostState
from leuko.runtime.gauging import Judge
from leuko.runtime.ground import Ground
from leuko.runtime.pusher import Pusher
from leuko.store.series import Reading

HOSTS = tuple(f"www{number}" for number in range(1, 7))
NEW = release("n")


def errors_of(bad: float = 0.0, good: float = 12.0) -> Callable[[bool], float]:
    """Errors a tick: of hosts that run the new release where it is bad, and of others."""
    return lambda switched: bad if switched and bad else good


class PassingClock(HandClock):
    """A millisecond goes by at every look: no two things happen at one time."""

    def now(self) -> datetime:
        self.move(0.001)
        return self.at


@dataclass
class SampledRig:
    """`rate` says how many errors a tick a host has, by whether it runs the new release."""

    rig: Rig
    rate: Callable[[bool], float] = field(default_factory=errors_of)
    silent: bool = False
    closed: datetime = NOON
    """Closing time of the newest tick."""
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    @classmethod
    async def make(cls, folder: Path, settings: Configuration | None = None) -> SampledRig:
        settings = settings or configuration(
            HOSTS, push={"phases": [{"hosts": 2, "watch": 12}, {"hosts": "100%", "watch": 6}]}
        )
        made = cls(await Rig.make(folder, settings))
        made.rig.clock = PassingClock()
        made.rig.judge = Judge(made.ground, made.rig.store.readings)  # type: ignore[assignment] # the real one
        made.rig.watches = (12, 6)
        return made

    @property
    def ground(self) -> Ground:
        rig = self.rig
        return Ground(LINE, rig.store, rig.clock, rig.state, rig.configuration)

    async def history(self, ticks: int = 60) -> None:
        """So many ticks in which all is well."""
        for _ in range(ticks):
            await self.tick(None)

    async def tick(self, push: Push | None) -> None:
        """One closed tick, with what each host runs now."""
        self.closed += timedelta(seconds=5)
        self.rig.clock.at = max(self.rig.clock.at, self.closed + timedelta(seconds=2))
        rows = await self.rig.store.hosts.progress(LINE, push.number) if push else []
        on = {row.host for row in rows if row.state is HostState.SWITCHED}
        values = [self.random.poisson(self.rate(name in on)) for name in HOSTS]
        if self.silent:
            values = [
                float("nan") if name in on else value for name, value in zip(HOSTS, values, strict=True)
            ]
        await self.rig.store.readings.write(
            LINE, self.closed, HOSTS, {"errors": Reading(np.array(values, dtype=np.float32))}
        )

    async def run(self, pusher: Pusher, number: int, *until: State, ticks: int = 80) -> Push:
        """Until the push has ended, is held, or is in one of these states."""
        for _ in range(ticks):
            await pusher.step()
            await pusher.flights()
            push = await self.rig.get(number)
            if push.state.ended or push.state in (State.HELD, *until):
                return push
            await self.tick(push)
        raise AssertionError(f"still {push.state} after {ticks} ticks")


__all__ = ["HOSTS", "NEW", "SampledRig", "errors_of"]
