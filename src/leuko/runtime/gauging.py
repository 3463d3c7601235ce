"""Between readings and verdict: the sampling of a line, and the questions of its pushes to the judge."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from leuko.config.components import ONLY
from leuko.config.fleet import component_root
from leuko.config.model import Configuration, GaugeLimit
from leuko.config.model import Gauge as GaugeSection
from leuko.domain.errors import LeukoError
from leuko.domain.fleet import Host
from leuko.domain.gauge import Direction, Gauge, Kind, Limit
from leuko.domain.push import Push, State
from leuko.domain.rollout import HostProgress, HostState
from leuko.domain.verdict import Verdict
from leuko.gauges.sampling import Sampler
from leuko.gauges.source import OF, Start, Target
from leuko.runtime.ground import Ground
from leuko.runtime.orders import components_of
from leuko.runtime.planning import stored_plan
from leuko.runtime.sources import Sources
from leuko.runtime.supervision import Loop
from leuko.statistics.judge import judge
from leuko.statistics.question import Question, Series
from leuko.store.overrides import Override
from leuko.store.readings import Readings
from leuko.store.series import Reading
from leuko.store.series import Series as ReadSeries

LOOK_SECONDS = 2.0
BIG = 5_000_000
"""Readings in one question above which it is judged in a process of its own: the event loop stays free."""
HISTORY = timedelta(minutes=30)
BUDGET = 0.005
"""Part of healthy pushes that may be rolled back by chance: shared out over the phases of a push."""
SETTLED = 3
"""Ticks after a rollback until a host's readings are the base's again."""
LONGEST_WATCH = 3
"""A watch that could not see enough may last this many times its length."""


def gauge_of(name: str, section: GaugeSection) -> Gauge:
    """The domain's gauge."""
    return Gauge(
        name=name,
        kind=Kind(section.kind),
        direction=Direction(section.direction),
        unit=section.unit,
        roles=section.roles,
        required=section.required,
        limits=tuple(_limit(limit) for limit in section.limits),
        must_see=section.must_see,
    )


def _limit(section: GaugeLimit) -> Limit:
    return Limit(section.above, section.below, section.scope, section.role, section.readings)


def overridden(gauge: Gauge, overrides: Sequence[Override]) -> Gauge:
    """The gauge with the limits that people set on the page in place of those of the same scope and role."""
    own = [override.limit for override in overrides if override.gauge == gauge.name]
    if not own:
        return gauge
    places = {(limit.scope, limit.role) for limit in own}
    kept = [limit for limit in gauge.limits if (limit.scope, limit.role) not in places]
    return replace(gauge, limits=(*kept, *own))


class Sampling:
    """Samples for ever; a tick that could not be stored is said and lost, the next one tries again."""

    def __init__(self, ground: Ground, readings: Readings, start: Start) -> None:
        self._ground = ground
        self._readings = readings
        self._start = start
        self._sources = Sources(ground)
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
        targets = [
            Target(
                host.name,
                host.role,
                component_root(configuration, host, _component(configuration, host.role)),
                host.address,
                variables=host.variables,
            )
            for host in ground.hosts
        ]
        self.sampler = Sampler(
            targets,
            configuration.gauges,
            tick=ground.configuration.tick,
            clock=ground.clock,
            start=self._start,
            on_tick=self._on_tick,
        )
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

    async def _sample(self, sampler: Sampler) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sampler.run(), name="sampler")
            tasks.create_task(self._keep(), name="keeping of readings")
            tasks.create_task(self._tell_sources(sampler), name="telling of sources")

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

    async def _with_live_gauges(self) -> Configuration:
        """The installation's gauges and those of what is live or being pushed."""
        ground = self._ground
        push = await ground.store.pushes.active(ground.line) or await ground.store.pushes.live(ground.line)
        if push is None:
            return ground.configuration
        own, _ = await ground.store.pushes.configurations(ground.line, push.number)
        frozen = await ground.frozen(own)
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

    async def look(
        self, push: Push, rows: Sequence[HostProgress], configuration: Configuration
    ) -> Verdict | None:
        """The verdict over the ticks closed so far; None where no tick closed since the last look."""
        if push.watch_began is None and push.state is not State.SWITCHING:
            return None
        span = await self.readings.span(self.ground.line)
        if span is None or (push.number, push.watch, span[1].timestamp()) == self.last:
            return None  # history is read once a tick, not at every answer of a host
        question = await self._question(push, rows, configuration)
        if question is None:
            return None
        seen = (push.number, push.watch, float(question.times[-1]))
        if seen == self.last:
            return None
        self.last = seen
        return await self._judged(question)

    async def _judged(self, question: Question) -> Verdict:
        if len(question.times) * len(question.hosts) * len(question.gauges) < BIG:
            return await asyncio.to_thread(judge, question)
        if self._workers is None:
            self._workers = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        try:
            return await asyncio.get_running_loop().run_in_executor(self._workers, judge, question)
        except BrokenProcessPool:
            self.last = self._workers = None  # it was killed: the same question is put again
            raise

    def close(self) -> None:
        """Ends the worker, if there ever was one."""
        if self._workers is not None:
            self._workers.shutdown(wait=False, cancel_futures=True)
            self._workers = None

    async def _leave_out_spoiled(self, push: Push, read: ReadSeries) -> None:
        """History must be of what was good: readings under a release that was taken back are left out.

        So is everything before the end of the first push of all, when nothing ran yet.
        """
        store, line = self.ground.store, self.ground.line
        for earlier in await store.pushes.recent(line, limit=50, before=push.number):
            if earlier.ended_at is None or earlier.started_at is None:
                continue
            until = read.times <= earlier.ended_at.timestamp() + SETTLED * self.ground.configuration.tick
            if not until.any():
                return
            if earlier.state is State.LIVE and _since_begin(earlier):
                _blank(read, until, np.ones(len(read.hosts), dtype=bool))
            elif earlier.state in (State.ROLLED_BACK, State.STUCK):
                rows = await store.hosts.progress(line, earlier.number)
                touched = {row.host for row in rows if row.switched_at is not None}
                during = until & (read.times >= earlier.started_at.timestamp())
                _blank(read, during, np.array([name in touched for name in read.hosts], dtype=bool))

    async def _question(
        self, push: Push, rows: Sequence[HostProgress], configuration: Configuration
    ) -> Question | None:
        ground = self.ground
        overrides = await ground.store.overrides.all(ground.line)
        gauges = tuple(
            overridden(gauge_of(name, section), overrides) for name, section in configuration.gauges.items()
        )
        began = push.watch_began or push.since
        first = min((row.switched_at for row in rows if row.switched_at), default=began)
        now = ground.clock.now()
        read = await self.readings.read(
            ground.line, [gauge.name for gauge in gauges], first - HISTORY, now + timedelta(seconds=1)
        )
        if not len(read.times):
            return None
        await self._leave_out_spoiled(push, read)
        plan = await stored_plan(ground, push.number)
        by_host = {row.host: row for row in rows}
        roles = {host.name: host.role for host in ground.hosts}
        switched = [_switched_at(by_host.get(name)) for name in read.hosts]
        held_back = np.array([_held_back(by_host.get(name)) for name in read.hosts], dtype=bool)
        if push.base is None:
            _blank_before_first(read, switched)
        phase = [row.phase <= push.phase if (row := by_host.get(name)) else False for name in read.hosts]
        wanted = plan.watches[min(push.phase, len(plan.watches) - 1)]
        shape = (len(read.times), len(read.hosts))
        absent = np.full(shape, np.nan)
        return Question(
            gauges=gauges,
            hosts=read.hosts,
            roles=tuple(roles.get(name, "") for name in read.hosts),
            pushed_roles=frozenset(row.role for row in rows if row.phase == push.phase),
            tick=configuration.tick,
            times=read.times,
            series={
                gauge.name: Series(
                    read.values.get(gauge.name, absent),
                    read.denominators.get(gauge.name, absent) if gauge.kind is Kind.RATIO else None,
                )
                for gauge in gauges
            },
            switched_at=np.array(switched, dtype=np.float64),
            watched=np.array(phase, dtype=bool) & ~held_back,
            watch_from=began.timestamp(),
            wanted=wanted,
            longest=wanted * LONGEST_WATCH,
            held_back=held_back,
            first=push.base is None,
            budget=BUDGET / push.rules.phases,
        )


def _blank(read: ReadSeries, ticks: NDArray[np.bool_], hosts: NDArray[np.bool_]) -> None:
    for values in (*read.values.values(), *read.denominators.values()):
        values[np.ix_(ticks, hosts)] = np.nan


def _blank_before_first(read: ReadSeries, switched: Sequence[float]) -> None:
    """Where nothing of the application ran yet, readings are of something else: no control, no history."""
    for index, since in enumerate(switched):
        nothing_ran = read.times <= since if np.isfinite(since) else np.ones(len(read.times), dtype=bool)
        _blank(read, nothing_ran, np.arange(len(read.hosts)) == index)


def _since_begin(push: Push) -> bool:
    """A real first push: before its end nothing ran. An adopted release ran before it was adopted."""
    return push.base is None and push.started_at != push.ended_at


def _switched_at(row: HostProgress | None) -> float:
    """NaN: it runs the base, or nobody can say what."""
    if row is None or row.state is not HostState.SWITCHED or row.switched_at is None:
        return float("nan")
    return row.switched_at.timestamp()


def _held_back(row: HostProgress | None) -> bool:
    return row is not None and row.phase < 0
