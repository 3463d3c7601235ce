"""Between readings and verdict: the sampling of a line, and the questions of its pushes to the judge."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from leuko.config.components import ONLY
from leuko.config.fleet import component_root
from leuko.config.model import Configuration
from leuko.domain.errors import LeukoError
from leuko.domain.fleet import Host
from leuko.domain.push import Push, State
from leuko.domain.rollout import HostProgress
from leuko.domain.verdict import Verdict
from leuko.gauges.sampling import Sampler
from leuko.gauges.source import OF, Start, Target
from leuko.runtime.ground import Ground
from leuko.runtime.orders import components_of
from leuko.runtime.questions import of_push, portable
from leuko.runtime.sources import Sources
from leuko.runtime.supervision import Loop
from leuko.runtime.templates import KEEP_SECONDS, Templates
from leuko.runtime.workers import dismiss
from leuko.statistics.judge import judge
from leuko.statistics.memory import Memory
from leuko.statistics.question import Question
from leuko.store.readings import Readings
from leuko.store.series import Reading

LOOK_SECONDS = 2.0
BIG = 5_000_000
"""Readings in one question above which it is judged in a process of its own: the event loop stays free."""
JUST_NOW = timedelta(seconds=1)
"""A tick is stored a moment after it closed, by a clock that may have been set back a little."""


class Sampling:
    """Samples for ever; a tick that could not be stored is said and lost, the next one tries again."""

    def __init__(self, ground: Ground, readings: Readings, start: Start) -> None:
        self._ground = ground
        self._readings = readings
        self._start = start
        self._sources = Sources(ground)
        self._templates = Templates(ground)
        self._closed: asyncio.Queue[tuple[datetime, tuple[str, ...], Mapping[str, NDArray[np.float32]]]] = (
            asyncio.Queue(maxsize=1000)
        )
        self.sampler: Sampler | None = None
        self.dropped = 0
        self.trouble = ""

    async def run(self) -> None:
        """Until cancelled; begins anew with the gauges and hosts as they are then."""
        ground = self._ground
        configuration = await self._with_live_gauges()
        self.sampler = Sampler(
            targets_of(configuration, ground.hosts),
            configuration.gauges,
            tick=ground.configuration.tick,
            clock=ground.clock,
            start=self._start,
            on_tick=self._on_tick,
            secrets=ground.secrets,
            folder=ground.folder,
        )
        await self._templates.learn(self.sampler.kinds)
        sampled = asyncio.create_task(self._sample(self.sampler))
        changed = asyncio.create_task(self._until_changed(configuration, ground.hosts))
        try:
            done, _ = await asyncio.wait({sampled, changed}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            sampled.cancel()
            changed.cancel()
            await asyncio.gather(sampled, changed, return_exceptions=True)
        await self._templates.keep(self.sampler.kinds)

    async def _sample(self, sampler: Sampler) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sampler.run(), name="sampler")
            tasks.create_task(self._keep(), name="keeping of readings")
            tasks.create_task(self._tell_sources(sampler), name="telling of sources")
            tasks.create_task(self._keep_templates(sampler), name="keeping of templates")

    async def _until_changed(self, configuration: Configuration, hosts: tuple[Host, ...]) -> None:
        """Returns when a push or the inventory brought other gauges or hosts: sampling begins anew then."""
        ear = self._ground.bell.ear()
        try:
            while True:
                ear.clear()
                await ear.wait()
                now = await self._with_live_gauges()
                if now.gauges != configuration.gauges or self._ground.hosts != hosts:
                    return
        finally:
            self._ground.bell.forget(ear)

    async def _tell_sources(self, sampler: Sampler) -> None:
        async def look() -> None:
            await self._sources.look(sampler.sources())

        loop = Loop("tell of sources", look, max(LOOK_SECONDS, sampler.tick), self._ground.clock)
        await loop.run()

    async def _keep_templates(self, sampler: Sampler) -> None:
        async def keep() -> None:
            await self._templates.keep(sampler.kinds)

        if sampler.kinds:
            loop = Loop("keep templates", keep, max(KEEP_SECONDS, sampler.tick), self._ground.clock)
            await loop.run()

    async def _with_live_gauges(self) -> Configuration:
        """The installation's gauges and those of what is live or being pushed."""
        ground = self._ground
        push = await ground.store.pushes.active(ground.line) or await ground.store.pushes.live(ground.line)
        if push is None:
            return ground.configuration
        frozen = await ground.configuration_of(push)
        return ground.configuration.model_copy(
            update={"gauges": {**ground.configuration.gauges, **frozen.gauges}}
        )

    def _on_tick(
        self, at: datetime, roster: tuple[str, ...], values: Mapping[str, NDArray[np.float32]]
    ) -> None:
        try:
            self._closed.put_nowait((at, roster, values))
        except asyncio.QueueFull:
            self.dropped += 1

    async def _keep(self) -> None:
        while True:
            at, roster, values = await self._closed.get()
            try:
                await self._readings.write(self._ground.line, at, roster, _kept(values))
                self.trouble = ""
            except LeukoError as error:
                self.trouble = str(error)
                self.dropped += 1
            self._ground.bell.ring()


def targets_of(configuration: Configuration, hosts: Sequence[Host]) -> list[Target]:
    """The hosts as the sampler sees them."""
    return [
        Target(
            host.name,
            host.role,
            component_root(configuration, host, _component(configuration, host.role)),
            host.address,
            variables=host.variables,
        )
        for host in hosts
    ]


def _component(configuration: Configuration, role: str) -> str:
    """Whose folder a host's relative paths are below: its first component's."""
    return (*components_of(configuration, role), ONLY)[0]


def _kept(values: Mapping[str, NDArray[np.float32]]) -> dict[str, Reading]:
    return {
        name: Reading(array, values.get(name + OF)) for name, array in values.items() if not name.endswith(OF)
    }


@dataclass
class Judge:
    """Puts the question of a push's watch, once a closed tick."""

    ground: Ground
    readings: Readings
    last: tuple[int, int, float] | None = None
    _workers: ProcessPoolExecutor | None = None
    _memory: Memory = field(default_factory=Memory)
    """Of what the watched push's history taught; a look in a process of its own has none."""

    async def look(
        self, push: Push, rows: Sequence[HostProgress], configuration: Configuration
    ) -> Verdict | None:
        """The verdict over the ticks closed so far; None where no tick closed since the last look."""
        if push.watch_began is None and push.state is not State.SWITCHING:
            return None
        span = await self.readings.span(self.ground.line)
        if span is None or (push.number, push.watch, span[1].timestamp()) == self.last:
            return None  # history is read once a tick, not at every answer of a host
        ground = self.ground
        upto = ground.clock.now() + JUST_NOW
        question = await of_push(ground.store, ground.line, push, rows, configuration, upto)
        if question is None:
            return None
        seen = (push.number, push.watch, float(question.times[-1]))
        if seen == self.last:
            return None
        if self.last is None or self.last[0] != push.number:
            self._memory = Memory()
        self.last = seen
        verdict = await self._judged(question)
        return replace(verdict, until=float(question.times[-1]))

    async def _judged(self, question: Question) -> Verdict:
        if len(question.times) * len(question.hosts) * len(question.gauges) < BIG:
            return await asyncio.to_thread(judge, question, self._memory)
        if self._workers is None:
            self._workers = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        try:
            return await asyncio.get_running_loop().run_in_executor(self._workers, judge, portable(question))
        except BrokenProcessPool:
            self.last = self._workers = None  # it was killed: the same question is put again
            raise

    def close(self) -> None:
        """Ends the worker, if there ever was one."""
        dismiss(self._workers)
        self._workers = None
