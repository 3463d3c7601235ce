"""Readings that the controller asks for over HTTP, every tick, without ever waiting for a slow one."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from leuko.cancellation import obey
from leuko.clock import Clock
from leuko.config.model import Gauge
from leuko.config.sources import PLACEHOLDER, HttpSource
from leuko.gauges.answers import UnreadableError, json_number, prometheus_number
from leuko.gauges.differences import Differences
from leuko.gauges.fetching import Fetcher
from leuko.gauges.layout import hash_of, layout
from leuko.gauges.slots import Array, Slots
from leuko.gauges.source import Health, Target

BODY = 2_000_000
"""Most bytes of an answer."""
IN_THREAD = 256_000
"""Answers above this are read in a thread."""


@dataclass(slots=True)
class Asked:
    """One address of one host, and the gauges that come from its answer."""

    target: Target
    column: int
    template: str
    timeout: float
    gauges: tuple[int, ...]
    last_good: datetime | None = None
    reason: str = "not asked yet"
    grown: Differences = field(default_factory=Differences)


class HttpReadings:
    """The source of HTTP gauges."""

    def __init__(
        self,
        targets: Sequence[Target],
        gauges: Mapping[str, Gauge],
        *,
        tick: float,
        clock: Clock,
        columns: int = 0,
    ) -> None:
        self._names = tuple(name for name, gauge in gauges.items() if gauge.http is not None)
        self._gauges = tuple(gauges[name] for name in self._names)
        self._tick = tick
        self._clock = clock
        series, self._value, self._below = layout(self._names, self._gauges)
        self.slots = Slots(series, columns or len(targets))
        self.asked = tuple(
            one for column, target in enumerate(targets) for one in self._of_host(target, column)
        )
        self._fetcher = Fetcher(BODY)

    def _of_host(self, target: Target, column: int) -> list[Asked]:
        by_url: dict[str, list[int]] = {}
        for index, gauge in enumerate(self._gauges):
            if gauge.http is not None and (not gauge.roles or target.role in gauge.roles):
                by_url.setdefault(gauge.http.url, []).append(index)
        return [
            Asked(target, column, url, max(self._http(i).timeout for i in indices), tuple(indices))
            for url, indices in by_url.items()
        ]

    def _http(self, index: int) -> HttpSource:
        source = self._gauges[index].http
        assert source is not None, "only HTTP gauges are asked here"
        return source

    def readings(self, tick: int) -> Mapping[str, Array]:
        """The tick's arrays by series; the tick is closed."""
        return self.slots.close(tick)

    def health(self) -> tuple[Health, ...]:
        """One entry for each address of each host."""
        return tuple(
            Health(
                one.target.name,
                one.template,
                one.last_good,
                one.reason,
                tuple(self._names[index] for index in one.gauges),
            )
            for one in self.asked
        )

    async def close(self) -> None:
        """Lets go of every connection."""
        await self._fetcher.close()

    async def run(self) -> None:
        """Asks until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for one in self.asked:
                    tasks.create_task(self._keep(one), name=f"asking {one.target.name}")
        finally:
            await self.close()

    async def _keep(self, one: Asked) -> None:
        # asked half a tick before its time, each host at a moment of its own, so that answers come in time
        early = self._tick / 2 * (1 - 0.5 * (hash_of(one.target.name) % 997) / 997)
        last = 0
        while True:
            now = self._clock.now().timestamp()
            tick = max(last + 1, math.floor((now + early) / self._tick) + 1)
            await self._clock.sleep(tick * self._tick - early - now)
            last = tick
            await self.ask(one, tick)
            obey()

    async def ask(self, one: Asked, tick: int) -> None:
        """Asks one address for the readings of a tick; a failure of any sort is absence with a reason."""
        try:
            status, body = await self._fetcher.fetch(address(one.template, one.target), timeout=one.timeout)
            if status != 200:
                raise UnreadableError(f"answered {status}")  # noqa: TRY301 - as every other failure
        except UnreadableError as error:
            one.reason = str(error)
        else:
            numbers = await self._read(one, body)
            self.take(one, tick, numbers)

    async def _read(self, one: Asked, body: bytes) -> dict[tuple[int, bool], float | str]:
        if len(body) > IN_THREAD:
            return await asyncio.to_thread(self.numbers, one.gauges, body)
        return self.numbers(one.gauges, body)

    def numbers(self, gauges: Sequence[int], body: bytes) -> dict[tuple[int, bool], float | str]:
        """An answer's numbers by gauge and whether it is the denominator; a text says why there is none."""
        text = body.decode("utf-8", "replace")
        found: dict[tuple[int, bool], float | str] = {}
        for index in gauges:
            source = self._http(index)
            wanted = [(False, source.json_path or source.metric)]
            if self._below[index] >= 0:
                wanted.append((True, source.of))
            for below, what in wanted:
                try:
                    number = json_number(body, what) if source.json_path else prometheus_number(text, what)
                except UnreadableError as error:
                    found[index, below] = f"{self._names[index]}: {error}"
                else:
                    found[index, below] = number
        return found

    def take(self, one: Asked, tick: int, numbers: Mapping[tuple[int, bool], float | str]) -> None:
        """Takes the numbers of one answer as the readings of `tick`, counters as differences."""
        reasons, in_time = [], True
        for (index, below), number in numbers.items():
            if isinstance(number, str):
                reasons.append(number)
                one.grown.forget((index, below))
                continue
            value, reason = self._reading(one, tick, (index, below), number)
            if reason:
                reasons.append(f"{self._names[index]}: {reason}")
            place = self._below[index] if below else self._value[index]
            in_time = self.slots.put_one(tick, place, one.column, value) and in_time
        if not in_time:
            reasons.append("answered after its tick had closed")
        one.reason = "; ".join(reasons)
        if not reasons:
            one.last_good = datetime.fromtimestamp(tick * self._tick, UTC)

    def _reading(self, one: Asked, tick: int, key: tuple[int, bool], number: float) -> tuple[float, str]:
        gauge = self._gauges[key[0]]
        if gauge.kind == "level" or not self._http(key[0]).counter:
            return number, ""
        return one.grown.take(key, tick, number, spread=gauge.kind == "count")


def address(template: str, target: Target) -> str:
    """With {address}, {name}, {node}, {port}, {role} and the host's variables. Raises UnreadableError."""
    known = {
        "role": target.role,
        **target.variables,
        "name": target.name,
        "node": target.name.replace(".", "_"),
        "address": target.address or target.name,
    }
    known.setdefault("port", str(target.port))

    def value(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise UnreadableError(f"{target.name} has no {{{match[1]}}} for {template}")
        return str(known[match[1]])

    return PLACEHOLDER.sub(value, template)
