"""Readings that hosts give themselves: one reader on each, started again when its connection goes away."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from leuko.cancellation import obey
from leuko.clock import Clock
from leuko.config.model import Gauge
from leuko.domain.errors import LeukoError
from leuko.domain.template import UNSEEN
from leuko.gauges.kinds import Kinds
from leuko.gauges.layout import LONGEST_SPAN, grace, hash_of, layout
from leuko.gauges.reader import LINES, REASONS, EndOfTick, Reading, Told, asked_of_host, parse, reader_argv
from leuko.gauges.slots import Array, Slots
from leuko.gauges.source import Health, Start, Target

STARTING = 64
"""Readers that are started at the same time."""
ASTRAY = 3
"""Ticks in a row that must seem off before the numbering is set anew."""
SLOWEST_RETRY = 30.0
HUNG = 30.0
"""Seconds without a line (and six ticks at least) after which a reader is let go and started again."""


@dataclass(slots=True)
class Reader:
    """What is known of one host's reader."""

    target: Target
    column: int
    gauges: tuple[int, ...]
    """Places, in the sampler's order, of the gauges that this host gives."""
    values: Array
    shift: int | None = None
    astray: int = 0
    last_good: datetime | None = None
    reason: str = "not started yet"
    flags: dict[int, str] = field(default_factory=dict)
    told: dict[int, list[str]] = field(default_factory=dict)
    """Lines that came in this tick, by gauge."""
    lag: float = 0.0
    garbage: int = 0
    failures: int = 0


class HostReadings:
    """The source of host and log gauges."""

    def __init__(
        self,
        targets: Sequence[Target],
        gauges: Mapping[str, Gauge],
        *,
        tick: float,
        clock: Clock,
        start: Start,
        columns: int = 0,
    ) -> None:
        self._names = tuple(name for name, gauge in gauges.items() if asked_of_host(gauge))
        self._gauges = tuple(gauges[name] for name in self._names)
        self._tick = tick
        self._clock = clock
        self._start = start
        series, self._value, self._below = layout(self._names, self._gauges)
        unseen = [i for i, gauge in enumerate(self._gauges) if gauge.log is not None and gauge.log.templates]
        self._unseen = {i: len(series) + place for place, i in enumerate(unseen)}
        self.kinds = {self._names[i]: Kinds(self._names[i]) for i in unseen}
        self.slots = Slots((*series, *(self._names[i] + UNSEEN for i in unseen)), columns or len(targets))
        self.readers = tuple(self._reader(target, column) for column, target in enumerate(targets))
        self._starting = asyncio.Semaphore(STARTING)

    def _reader(self, target: Target, column: int) -> Reader:
        asked = tuple(
            i for i, gauge in enumerate(self._gauges) if not gauge.roles or target.role in gauge.roles
        )
        values = np.full(len(self.slots.series), np.nan, dtype=np.float32)
        return Reader(target, column, asked, values)

    def readings(self, tick: int) -> Mapping[str, Array]:
        """The tick's arrays by series; the tick is closed."""
        return self.slots.close(tick)

    def health(self) -> tuple[Health, ...]:
        """One entry for each host that is asked for anything."""
        return tuple(
            Health(
                reader.target.name,
                "host",
                reader.last_good,
                self._reason(reader),
                tuple(self._names[index] for index in reader.gauges),
            )
            for reader in self.readers
            if reader.gauges
        )

    def _reason(self, reader: Reader) -> str:
        if reader.reason:
            return reader.reason
        quiet = (self._clock.now() - reader.last_good).total_seconds() if reader.last_good else 0.0
        if quiet > 3 * self._tick + 2:
            return f"no reading for {quiet:.0f} s"
        said = [f"{self._names[i]}: {REASONS.get(flag, flag)}" for i, flag in sorted(reader.flags.items())]
        return "; ".join(said)

    @property
    def lag(self) -> float:
        """Seconds after its tick at which the slowest of the last readings came."""
        return max((reader.lag for reader in self.readers if not reader.reason), default=0.0)

    async def run(self) -> None:
        """Keeps a reader on every host until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for reader in self.readers:
                if reader.gauges:
                    tasks.create_task(self._keep(reader), name=f"reader of {reader.target.name}")

    async def _keep(self, reader: Reader) -> None:
        while True:
            try:
                reader.reason = await self.read_once(reader)
            except (LeukoError, OSError) as error:
                reader.reason = str(error).splitlines()[0]
            obey()
            reader.shift = None
            await self._clock.sleep(self.backoff(reader))

    def backoff(self, reader: Reader) -> float:
        """Seconds until the next try: doubling, and different on each host, for they often fail together."""
        reader.failures += 1
        spread = 0.75 + 0.5 * ((hash_of(reader.target.name) * reader.failures) % 997) / 997
        return min(SLOWEST_RETRY, 0.5 * 2.0 ** min(reader.failures - 1, 10)) * spread

    async def read_once(self, reader: Reader) -> str:
        """Starts the reader and reads it until it ends; says why it ended."""
        gauges = [self._gauges[i] for i in reader.gauges]
        async with self._starting:
            now = self._clock.now().timestamp()
            delay = self._tick - now % self._tick
            argv = reader_argv(gauges, root=reader.target.root, tick=self._tick, delay=delay)
            program = await self._start(reader.target.name, argv)
        try:
            patience = max(HUNG, 6 * self._tick)
            async with asyncio.timeout(patience) as limit:
                async for line in program.lines():
                    self.accept(reader, line, self._clock.now())
                    limit.reschedule(asyncio.get_running_loop().time() + patience)
            code = await program.wait()
            if code is None:
                return "the connection went away"
            said = (await program.errors()).decode(errors="replace").strip().splitlines()
            return f"the reader on the host ended with status {code}" + (f": {said[-1]}" if said else "")
        except TimeoutError:
            return f"the reader on the host said nothing for {patience:.0f} s"
        finally:
            with suppress(LeukoError, OSError):
                await program.close()

    def accept(self, reader: Reader, line: bytes, at: datetime) -> None:
        """Takes one line of a reader that arrived at `at`."""
        said = parse(line)
        if said is None:
            reader.garbage += 1
        elif isinstance(said, Reading):
            self._note(reader, said)
        elif isinstance(said, Told):
            self._hear(reader, said)
        else:
            self._commit(reader, said, at)

    def _note(self, reader: Reader, said: Reading) -> None:
        if not 0 <= said.gauge < len(reader.gauges):
            reader.garbage += 1
            return
        gauge = reader.gauges[said.gauge]
        reader.values[self._value[gauge]] = said.value
        if self._below[gauge] >= 0:
            reader.values[self._below[gauge]] = said.denominator
        if said.flag:
            reader.flags[gauge] = said.flag
        else:
            reader.flags.pop(gauge, None)

    def _hear(self, reader: Reader, said: Told) -> None:
        if not 0 <= said.gauge < len(reader.gauges) or reader.gauges[said.gauge] not in self._unseen:
            reader.garbage += 1
            return
        lines = reader.told.setdefault(reader.gauges[said.gauge], [])
        if len(lines) < LINES:
            lines.append(said.text)

    def _count_unseen(self, reader: Reader, values: Array, tick: int) -> None:
        told, reader.told = reader.told, {}
        at = datetime.fromtimestamp(tick * self._tick, UTC)
        for gauge, place in self._unseen.items():
            if gauge in reader.gauges and not math.isnan(values[self._value[gauge]]):
                kinds = self.kinds[self._names[gauge]]
                values[place] = kinds.take(reader.target.name, told.get(gauge, ()), tick, at)

    def _commit(self, reader: Reader, end: EndOfTick, at: datetime) -> None:
        values, reader.values = reader.values, np.full_like(reader.values, np.nan)
        tick = self._number(reader, end.index, at.timestamp())
        self._count_unseen(reader, values, tick)
        if end.span > 1:
            for gauge in reader.gauges:
                spread = end.span if end.span <= LONGEST_SPAN else math.nan
                if self._gauges[gauge].kind == "count":
                    values[self._value[gauge]] /= spread
                if gauge in self._unseen:
                    values[self._unseen[gauge]] /= spread
        reader.reason = ""
        reader.failures = 0
        if self.slots.put(tick, reader.column, values):
            reader.last_good = datetime.fromtimestamp(tick * self._tick, UTC)
        else:
            reader.reason = f"its readings come {reader.lag:.1f} s after their tick, too late to count"

    def _number(self, reader: Reader, index: int, arrived: float) -> int:
        """The tick that a reader's own count stands for: by the controller's clock, steady against jitter."""
        latest = grace(self._tick)
        # the tick that a reading may still belong to with a tenth of the grace to spare
        nearest = math.ceil((arrived - 0.9 * latest) / self._tick)
        if reader.shift is None:
            reader.shift = nearest - index
        tick = index + reader.shift
        reader.lag = arrived - tick * self._tick
        astray = not latest - 1.3 * self._tick < reader.lag < latest
        reader.astray = reader.astray + 1 if astray else 0
        if reader.astray >= ASTRAY or abs(reader.lag) > 10 * self._tick:
            reader.shift, reader.astray = nearest - index, 0
            tick = nearest
        return tick
