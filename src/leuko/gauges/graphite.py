"""Readings out of Graphite's render API: all series of one server in one question."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from leuko.clock import Clock
from leuko.config.model import Gauge
from leuko.config.secrets import Secrets
from leuko.config.sources import GraphiteSource
from leuko.domain.gauge import HOSTLESS
from leuko.gauges.answers import UnreadableError
from leuko.gauges.asking import Answer, Numbers, shown
from leuko.gauges.fetching import Fetcher
from leuko.gauges.http import address
from leuko.gauges.roster import hosts_of
from leuko.gauges.source import Target

AT_ONCE = 200
"""Targets in one request."""


class _Series(msgspec.Struct):
    target: str
    points: list[tuple[float | None, float]] = msgspec.field(name="datapoints")


@dataclass(frozen=True, slots=True)
class Line:
    """One target of one gauge at one host."""

    gauge: str
    host: str
    below: bool
    target: str


class GraphiteQuestion:
    """Everything that is asked of one server with the same headers."""

    def __init__(
        self,
        gauges: Mapping[str, Gauge],
        targets: Sequence[Target],
        *,
        tick: float,
        clock: Clock,
        secrets: Secrets,
        fetcher: Fetcher,
    ) -> None:
        self._gauges = {name: _source(gauge) for name, gauge in gauges.items()}
        self._first = next(iter(self._gauges.values()))
        self._tick = tick
        self._clock = clock
        self._secrets = secrets
        self._fetcher = fetcher
        self._per_tick = {
            name: 1.0
            if gauge.kind == "level" or self._gauges[name].counter
            else tick / self._gauges[name].every
            for name, gauge in gauges.items()
        }
        self.gauges: Mapping[str, frozenset[str]] = {
            name: frozenset((HOSTLESS,)) if gauge.hostless else hosts_of(targets, gauge.roles)
            for name, gauge in gauges.items()
        }
        self._lines = tuple(self._asked(targets))
        self.source = f"graphite {shown(self._first.url)}"

    def _asked(self, targets: Sequence[Target]) -> Iterator[Line]:
        for name, source in self._gauges.items():
            for below, text in ((False, source.target), (True, source.of)):
                if text and HOSTLESS in self.gauges[name]:
                    yield Line(name, HOSTLESS, below, text)
                elif text:
                    yield from self._of_hosts(name, text, targets, below=below)

    def _of_hosts(self, name: str, text: str, targets: Sequence[Target], *, below: bool) -> Iterator[Line]:
        for target in targets:
            if target.name in self.gauges[name]:
                # a host whose variable is not known is absent: the others are asked all the same
                with suppress(UnreadableError):
                    yield Line(name, target.name, below, address(text, target))

    async def ask(self) -> Answer:
        """Asks for each gauge by itself: a target that the server cannot read spoils no other's answer."""
        answers = await asyncio.gather(*(self._of_gauge(name) for name in self._gauges))
        found = dict(zip(self._gauges, answers, strict=True))
        if all(isinstance(answer, UnreadableError) for answer in answers):
            raise UnreadableError(str(answers[0]))
        return {name: str(one) if isinstance(one, UnreadableError) else one for name, one in found.items()}

    async def _of_gauge(self, name: str) -> Numbers | UnreadableError:
        lines = [line for line in self._lines if line.gauge == name]
        try:
            chunks = [lines[i : i + AT_ONCE] for i in range(0, len(lines), AT_ONCE)]
            found: dict[Line, Sequence[_Series]] = {}
            for chunk in chunks:
                found |= await self._points(chunk)
            return self.read(name, lines, found)
        except UnreadableError as error:
            target = self._gauges[name].target[:200]
            return UnreadableError(f"gauges.{name}.graphite `{target}`: {error}")

    async def close(self) -> None:
        """The fetcher is shared; whoever made it closes it."""

    async def _points(self, lines: Sequence[Line]) -> Mapping[Line, Sequence[_Series]]:
        longest = max(source.every for source in self._gauges.values())
        form = [("target", f'alias({line.target},"{index}")') for index, line in enumerate(lines)]
        form += [("format", "json"), ("from", f"-{math.ceil(4 * longest + self._tick)}s"), ("until", "now")]
        status, body = await self._fetcher.fetch(
            f"{self._secrets.fill_in(self._first.url).rstrip('/')}/render",
            timeout=max(source.timeout for source in self._gauges.values()),
            form=form,
            headers={name: self._secrets.fill_in(value) for name, value in self._first.headers.items()},
        )
        if status != 200:
            said = body.decode("utf-8", "replace").strip().splitlines()[-1:]
            raise UnreadableError(f"answered {status}: {(said or [''])[0][:200]}")
        return await asyncio.to_thread(_series_of, lines, body)

    def read(self, name: str, lines: Sequence[Line], points: Mapping[Line, Sequence[_Series]]) -> Numbers:
        """Numbers of one gauge by host, from the newest value of each series that is new enough."""
        found: dict[str, list[float]] = {}
        for line in lines:
            found.setdefault(line.host, [math.nan, math.nan])[line.below] = self._number(line, points)
        numbers = {
            host: (pair[0], pair[1])
            for host, pair in found.items()
            if not math.isnan(pair[0]) and not (self._gauges[name].of and math.isnan(pair[1]))
        }
        if not numbers:
            raise UnreadableError("no series, or nothing new in it")
        return numbers

    def _number(self, line: Line, points: Mapping[Line, Sequence[_Series]]) -> float:
        series = points.get(line, ())
        if len(series) > 1:
            raise UnreadableError(f"gives {len(series)} series, not one: sumSeries() makes one of them")
        every = self._gauges[line.gauge].every
        oldest = self._clock.now().timestamp() - self._tick - 2 * every
        for value, at in reversed(series[0].points if series else ()):
            if value is not None:
                return value * self._per_tick[line.gauge] if at >= oldest else math.nan
        return math.nan


def _series_of(lines: Sequence[Line], body: bytes) -> Mapping[Line, Sequence[_Series]]:
    try:
        answer = msgspec.json.decode(body, type=list[_Series])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError(f"gave nothing that can be read: {str(error)[:200]}") from None
    asked = {str(index): line for index, line in enumerate(lines)}
    found: dict[Line, list[_Series]] = {}
    for one in answer:
        if (line := asked.get(one.target)) is not None:
            found.setdefault(line, []).append(one)
    return found


def _source(gauge: Gauge) -> GraphiteSource:
    assert gauge.graphite is not None, "only Graphite gauges are asked here"
    return gauge.graphite
