"""Before a push: what its watch will be able to see, and whether a limit is broken already."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite

import numpy as np

from leuko.config.model import Configuration
from leuko.config.quantities import portion
from leuko.domain.gauge import Gauge, Kind
from leuko.domain.plan import Foreseen, Plan
from leuko.domain.push import Push
from leuko.runtime.ground import Ground
from leuko.runtime.questions import HISTORY, JUST_CLOSED, gauges_of, leave_out_spoiled, roles_of, series_of
from leuko.statistics.limits import Broken
from leuko.statistics.question import Question
from leuko.statistics.sentences import number
from leuko.statistics.sight import Sight, sight
from leuko.statistics.standing import standing

YOUNG = 30
"""Ticks of history with which what can be seen is seen: a push waits for no more."""
FRESH = 12
"""Ticks after which the newest reading says nothing of now any more."""


@dataclass(frozen=True, slots=True)
class Foresight:
    """Of one line; reads only."""

    ground: Ground

    async def sight(self, plan: Plan, configuration: Configuration) -> tuple[Foreseen, ...]:
        """What the canaries' watch can show, by gauge and role, from history alone."""
        question = await self.before(plan, configuration, HISTORY)
        if question is None:
            return ()
        gauges = {gauge.name: gauge for gauge in question.gauges}
        found = await asyncio.to_thread(sight, question)
        return tuple(_foreseen(one, gauges[one.gauge], question.tick) for one in found)

    async def too_young(self, plan: Plan, configuration: Configuration, push: Push) -> datetime | None:
        """Until when a push waits at most for history, where its canaries' watch could not pass without more.

        The minute after the very first push is such a time. None: it sees enough, more history would not
        come soon, or it has waited long enough; it starts then, and its verdict says what it could not see.
        """
        latest = push.created_at + timedelta(seconds=YOUNG * configuration.tick)
        if self._now >= latest:
            return None
        question = await self.before(plan, configuration, HISTORY, number=push.number)
        if question is None or len(question.times) >= YOUNG:
            return None
        required = {gauge.name for gauge in question.gauges if gauge.required}
        found = await asyncio.to_thread(sight, question)
        seen = {one.role for one in found if one.gauge in required and one.covers}
        return latest if question.pushed_roles - seen else None

    async def broken(self, plan: Plan, configuration: Configuration) -> tuple[str, ...]:
        """Limits that the newest readings of the pushed roles break, a clause each."""
        gauges = await self._gauges(configuration)
        most = max((limit.readings for gauge in gauges for limit in gauge.limits), default=0)
        if not most:
            return ()
        span = timedelta(seconds=(most + FRESH) * configuration.tick)
        question = await self.before(plan, configuration, span, gauges=gauges)
        if question is None or question.times[-1] < (self._now - span).timestamp():
            return ()
        return tuple(dict.fromkeys(map(_said, standing(question, {host.role for host in plan.hosts}))))

    @property
    def _now(self) -> datetime:
        return self.ground.clock.now()

    async def _gauges(self, configuration: Configuration) -> tuple[Gauge, ...]:
        return gauges_of(configuration, await self.ground.store.overrides.all(self.ground.line))

    async def before(
        self,
        plan: Plan,
        configuration: Configuration,
        span: timedelta,
        *,
        gauges: Iterable[Gauge] | None = None,
        at: datetime | None = None,
        number: int | None = None,
    ) -> Question | None:
        """The question that the canaries' watch begins with; None without any reading.

        `number` is the push's, where it has one: only what was before it is history to it.
        """
        store, line, now = self.ground.store, self.ground.line, at or self._now
        gauges = tuple(gauges) if gauges is not None else await self._gauges(configuration)
        names = [gauge.name for gauge in gauges]
        read = await store.readings.read(line, names, now - span, now + JUST_CLOSED)
        if not len(read.times) or not names:
            return None
        read = await leave_out_spoiled(store, line, number, read, configuration.tick)
        if not len(read.times):
            return None
        canaries = {host.name for host in plan.phase(0)}
        roles = roles_of(plan)
        return Question(
            gauges=gauges,
            hosts=read.hosts,
            roles=tuple(roles.get(name, "") for name in read.hosts),
            pushed_roles=frozenset(host.role for host in plan.phase(0)),
            tick=configuration.tick,
            times=read.times,
            series=series_of(read, gauges),
            switched_at=np.full(len(read.hosts), np.nan),
            watched=np.array([name in canaries for name in read.hosts], dtype=bool),
            watch_from=float(read.times[-1]),
            wanted=plan.watches[0],
            budget=portion(configuration.push.false_rollbacks),
        )


def _foreseen(one: Sight, gauge: Gauge, tick: float) -> Foreseen:
    return Foreseen(
        one.gauge,
        one.role,
        _finite(one.rise),
        _finite(one.fall),
        _finite(one.longer),
        _finite(one.more),
        _finite(one.traffic),
        one.sentence,
        _reach(one.reach, gauge, tick),
    )


def _reach(value: float, gauge: Gauge, tick: float) -> str:
    """The rate that would show: `value` is of one denominator, or of one tick of one host."""
    if not isfinite(value) or gauge.kind is Kind.LEVEL:
        return ""
    if gauge.kind is Kind.RATIO:
        return f"{100 * value:.2g} % of them"
    if gauge.per:
        return f"{number(100 * value)} in 100 {gauge.per}"
    return f"{number(value * 60 / tick)} a minute on each host"


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def _said(found: Broken) -> str:
    return f"{found.gauge} on {found.subject} breaks its limit {found.limit} with {number(found.value)}"
