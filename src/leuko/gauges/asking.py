"""What the controller asks for others: a question whose answer holds numbers of the whole or of many hosts.

Each question is put once a tick by a task of its own, never twice at the same time, and its answer counts for
that tick or for none. A source that fails is asked again ever more slowly, up to every SLOWEST seconds.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from leuko.cancellation import obey
from leuko.clock import Clock
from leuko.config.model import Gauge
from leuko.config.secrets import Secrets
from leuko.domain.errors import LeukoError
from leuko.domain.gauge import HOSTLESS
from leuko.gauges.answers import UnreadableError
from leuko.gauges.differences import Differences
from leuko.gauges.layout import hash_of, layout
from leuko.gauges.slots import Array, Slots
from leuko.gauges.source import Health

SLOWEST = 30.0
NAMED = 3
"""Hosts without a number that are named in one reason."""

Numbers = Mapping[str, tuple[float, float]]
"""Host, or HOSTLESS, -> value and denominator; NaN where there is none."""
Answer = Mapping[str, Numbers | str]
"""Gauge -> its numbers, or why there are none."""


class Question(Protocol):
    """One thing that is asked once a tick."""

    @property
    def source(self) -> str:
        """What is asked, for people: without user, password or secret."""
        ...

    @property
    def gauges(self) -> Mapping[str, frozenset[str]]:
        """Gauges that its answer gives, each with the hosts that should be in it."""
        ...

    async def ask(self) -> Answer:
        """The answer. Raises UnreadableError, LeukoError or OSError where there is none at all."""
        ...

    async def close(self) -> None:
        """Lets go of what it holds."""
        ...


@dataclass(slots=True)
class Asked:
    """A question, and how it went."""

    question: Question
    last_good: datetime | None = None
    reason: str = "not asked yet"
    missing: dict[str, str] = field(default_factory=dict)
    """Host -> what it has no number of."""
    failures: int = 0


class Askings:
    """The source of everything that is asked in such a way."""

    def __init__(
        self,
        questions: Sequence[Question],
        gauges: Mapping[str, Gauge],
        roster: Sequence[str],
        *,
        tick: float,
        clock: Clock,
        secrets: Secrets,
    ) -> None:
        asked = {name for question in questions for name in question.gauges}
        self._names = tuple(name for name in gauges if name in asked)
        self._gauges = {name: gauges[name] for name in self._names}
        self._tick = tick
        self._clock = clock
        self._secrets = secrets
        self._column = {name: index for index, name in enumerate(roster)}
        series, values, below = layout(self._names, tuple(self._gauges.values()))
        self._value = dict(zip(self._names, values, strict=True))
        self._below = dict(zip(self._names, below, strict=True))
        self.slots = Slots(series, len(roster))
        self.asked = tuple(Asked(question) for question in questions)
        self._grown = Differences()

    def readings(self, tick: int) -> Mapping[str, Array]:
        """The tick's arrays by series; the tick is closed."""
        return self.slots.close(tick)

    def health(self) -> tuple[Health, ...]:
        """One entry for each question, and one for each host that is missing in its answer."""
        found: list[Health] = []
        for one in self.asked:
            source, gauges = one.question.source, tuple(one.question.gauges)
            found.append(Health(HOSTLESS, source, one.last_good, one.reason, gauges))
            found += [Health(host, source, one.last_good, why, gauges) for host, why in one.missing.items()]
        return tuple(found)

    async def run(self) -> None:
        """Asks until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for one in self.asked:
                    tasks.create_task(self._keep(one), name=f"asking {one.question.source}")
        finally:
            await asyncio.gather(*(one.question.close() for one in self.asked), return_exceptions=True)

    async def _keep(self, one: Asked) -> None:
        # before the tick's time, each question at a moment of its own, so that answers come in time
        spread = hash_of(" ".join([one.question.source, *one.question.gauges])) % 997 / 997
        early = self._tick / 2 * (1 - 0.5 * spread)
        last = 0
        while True:
            now = self._clock.now().timestamp()
            tick = max(last + 1, math.floor((now + early + self._pause(one, spread)) / self._tick) + 1)
            await self._clock.sleep(tick * self._tick - early - now)
            last = tick
            await self.ask(one, tick)
            obey()

    def _pause(self, one: Asked, spread: float) -> float:
        """Seconds that a failing source is left in peace."""
        if one.failures < 2:
            return 0.0
        return min(SLOWEST, self._tick * 2.0 ** min(one.failures - 2, 10)) * (0.75 + 0.5 * spread)

    async def ask(self, one: Asked, tick: int) -> None:
        """Puts one question for a tick; a failure of any sort is absence with a reason."""
        try:
            answer = await one.question.ask()
        except (UnreadableError, LeukoError, OSError) as error:
            one.failures += 1
            one.reason = self._secrets.mask(
                str(error).splitlines()[0] if str(error) else type(error).__name__
            )
            one.missing = {}
        else:
            one.failures = 0
            self.take(one, tick, answer)

    def take(self, one: Asked, tick: int, answer: Answer) -> None:
        """Takes an answer as the readings of `tick`, counters as differences."""
        reasons: list[str] = []
        one.missing = {}
        for name, hosts in one.question.gauges.items():
            found = answer.get(name, "nothing in the answer")
            if isinstance(found, str):
                reasons.append(f"{name}: {self._secrets.mask(found)}")
                continue
            reasons += self._put(name, tick, {h: found[h] for h in hosts if h in found})
            if self._gauges[name].required:
                one.missing |= {host: f"{name}: no number for it" for host in hosts if host not in found}
        one.reason = "; ".join(reasons)
        if not reasons:
            one.last_good = datetime.fromtimestamp(tick * self._tick, UTC)

    def _put(self, name: str, tick: int, numbers: Numbers) -> list[str]:
        places = [place for place in (self._value[name], self._below[name]) if place >= 0]
        in_time, reasons = True, dict.fromkeys([""])
        for host, pair in numbers.items():
            values = [self._reading(name, host, place, tick, pair[i]) for i, place in enumerate(places)]
            reasons |= dict.fromkeys(reason for _, reason in values)
            whole = not any(math.isnan(value) for value, _ in values)
            for place, (value, _) in zip(places, values, strict=True):
                kept = value if whole else math.nan
                in_time = self.slots.put_one(tick, place, self._column[host], kept) and in_time
        if not in_time:
            reasons["answered after its tick had closed"] = None
        return [f"{name}: {reason}" for reason in reasons if reason]

    def _reading(self, name: str, host: str, place: int, tick: int, number: float) -> tuple[float, str]:
        gauge = self._gauges[name]
        key = (place, host)
        if not math.isfinite(number):
            self._grown.forget(key)
            return math.nan, ""
        if gauge.kind == "level" or not counts_up(gauge):
            return number, ""
        return self._grown.take(key, tick, number, spread=gauge.kind == "count")


def counts_up(gauge: Gauge) -> bool:
    """True where the source gives a counter that only ever grows."""
    source = gauge.http or gauge.prometheus or gauge.graphite or gauge.sql or gauge.command
    return source is not None and source.counter


def shown(address: str) -> str:
    """An address without user and password."""
    scheme, found, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}".partition("?")[0] if found else address
