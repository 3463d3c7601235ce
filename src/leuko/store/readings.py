"""Readings: a day a file or a partition, apart from the records, written and read in a thread of their own.

Raw ticks are kept for two days, then a minute's mean, maximum and count for thirty; what is too old goes by
removing its day. A damaged day is set aside and said so: the rest goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import TypeVar

import structlog

from leuko.domain.line import Line
from leuko.store import minutes as minute_files
from leuko.store.columns import from_micros, to_micros
from leuko.store.errors import StoreDamaged
from leuko.store.minutes import DAY_MINUTES, Minutes, Summary
from leuko.store.series import MICRO, Frame, Reading, Row, Series, Ticks
from leuko.store.shelf import Day, Shelf

RAW = timedelta(hours=48)
KEPT = timedelta(days=30)
HOUR = 3600 * MICRO
OPEN_DAYS = 4

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Readings:
    """Of all lines. `complaints` holds what could not be read or kept since the start, a sentence each."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="leuko-readings")
        self._open: dict[date, Day] = {}
        self._closed = False
        self._tidying = asyncio.Lock()
        self.complaints: list[str] = []

    async def write(
        self, line: Line, tick: datetime, roster: tuple[str, ...], values: Mapping[str, Reading]
    ) -> bool:
        """Keeps a closed tick, in one transaction; False where it was kept before.

        Raises StoreFull when there is no room; the next tick tries again.
        """
        at = to_micros(tick)
        day = _day(at)
        return await self._run(self._mended, day, lambda found: found.write(line, at, roster, values))

    async def read(
        self,
        line: Line,
        gauges: Sequence[str] | None,
        start: datetime,
        end: datetime,
        hosts: Sequence[str] | None = None,
    ) -> Series:
        """Raw ticks in [start, end) of these gauges and hosts; of all where None."""
        return await self._run(self._read, line, gauges, to_micros(start), to_micros(end), hosts)

    async def span(self, line: Line) -> tuple[datetime, datetime] | None:
        """Times of the first and the last raw tick; None where there is none."""
        return await self._run(self._span, line)

    async def minutes(
        self,
        line: Line,
        gauges: Sequence[str],
        start: datetime,
        end: datetime,
        hosts: Sequence[str] | None = None,
    ) -> Minutes:
        """The minutes that begin in [start, end), from raw ticks where there still are such."""
        return await self._run(self._minutes, line, gauges, to_micros(start), to_micros(end), hosts)

    async def tidy(self, now: datetime, *, raw: timedelta = RAW, kept: timedelta = KEPT) -> None:
        """Turns old raw days into minutes and removes what is too old. Ticks are written in between."""
        async with self._tidying:  # the loops of several lines ask for it
            for day in await self._run(self._shelf.days):
                if _end(day) + raw <= now:
                    await self._shrink(day)
            for day in await self._run(partial(self._shelf.days, minutes=True)):
                if _end(day) + kept <= now:
                    await self._run(partial(self._shelf.drop, day, minutes=True))

    async def close(self) -> None:
        """Closes the files. Again is no harm."""
        if not self._closed:
            self._closed = True
            await self._run(self._close)
            self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    # -- below: in the thread --------------------------------------------------------------------------

    def _close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def _use(self, day: date, work: Callable[[Day], T]) -> T:
        with self._shelf.guarded(day):
            if day not in self._open:
                while len(self._open) >= OPEN_DAYS:
                    self._open.pop(min(self._open)).close()
                self._open[day] = self._shelf.open(day)
            return work(self._open[day])

    def _mended(self, day: date, work: Callable[[Day], T]) -> T:
        """As `_use`; a damaged day is set aside, and the work done with a new one."""
        try:
            return self._use(day, work)
        except StoreDamaged as error:
            self._set_aside(day, error)
            return self._use(day, work)

    def _set_aside(self, day: date, error: StoreDamaged) -> str:
        self._let_go(day)
        return self._complain(self._shelf.set_aside(day), day, error)

    def _let_go(self, day: date) -> None:
        found = self._open.pop(day, None)
        if found is not None:
            found.close()

    def _complain(self, done: str, day: date, error: StoreDamaged) -> str:
        sentence = f"{done}: {error.rule}"
        log.error("readings.damaged", day=day.isoformat(), done=done, error=error.rule)
        self.complaints.append(sentence)
        return sentence

    def _read(
        self, line: Line, gauges: Sequence[str] | None, start: int, end: int, hosts: Sequence[str] | None
    ) -> Series:
        ticks, names = Ticks(), dict.fromkeys(gauges or ())
        for day in self._stored(start, end):
            try:
                found = self._use(day, lambda found: found.ticks(line, start, end))
                if gauges is None:
                    names |= dict.fromkeys(self._use(day, lambda found: found.gauges()))
            except StoreDamaged as error:
                ticks.missing.append(self._set_aside(day, error))
                continue
            ticks.rows += found.rows
            ticks.rosters |= found.rosters
        frame = Frame(ticks, tuple(names), hosts)
        for gauge in names:
            frame.fill(gauge, self._rows(line, gauge, start, end, ticks.missing))
        return frame.series()

    def _rows(self, line: Line, gauge: str, start: int, end: int, missing: list[str]) -> list[Row]:
        rows: list[Row] = []
        for day in self._stored(start, end):
            try:
                rows += self._use(day, lambda found: found.rows(line, gauge, start, end))
            except StoreDamaged as error:
                missing.append(self._set_aside(day, error))
        return rows

    def _stored(self, start: int, end: int) -> list[date]:
        return [day for day in _days(start, end) if self._shelf.has(day)]

    def _span(self, line: Line) -> tuple[datetime, datetime] | None:
        found = []
        for day in self._shelf.days():
            try:
                found.append(self._use(day, lambda kept: kept.span(line)))
            except StoreDamaged as error:
                self._set_aside(day, error)
        spans = [span for span in found if span is not None]
        return (from_micros(spans[0][0]), from_micros(spans[-1][1])) if spans else None

    # -- minutes ---------------------------------------------------------------------------------------

    async def _shrink(self, day: date) -> None:
        try:
            if not await self._run(partial(self._shelf.has, day, minutes=True)):
                await self._run(self._shelf.begin_minutes, day)
                for line, gauge in await self._run(self._contents, day):
                    await self._run(self._shrink_gauge, day, line, gauge)
                await self._run(self._shelf.keep_minutes, day)
        except StoreDamaged as error:
            await self._run(self._set_aside, day, error)
            return
        await self._run(self._drop, day)

    def _contents(self, day: date) -> list[tuple[Line, str]]:
        return self._use(
            day, lambda found: [(line, gauge) for line in found.lines() for gauge in found.gauges()]
        )

    def _shrink_gauge(self, day: date, line: Line, gauge: str) -> None:
        start = to_micros(_begin(day))
        hosts = self._use(day, lambda found: found.ticks(line, start, start + 24 * HOUR).everyone())
        summary = self._raw_minutes(line, gauge, day, (start, start + 24 * HOUR), hosts)
        with self._shelf.guarded(day, minutes=True):
            self._shelf.save_minutes(day, line, gauge, hosts, summary)

    def _raw_minutes(
        self, line: Line, gauge: str, day: date, wanted: tuple[int, int], hosts: Sequence[str]
    ) -> Summary:
        """A whole day, hour by hour: at once it would be 140 MB. Hours that are not wanted stay empty."""
        whole = minute_files.empty(DAY_MINUTES, len(hosts))
        start = to_micros(_begin(day))
        for hour, begin in enumerate(range(start, start + 24 * HOUR, HOUR)):
            end = begin + HOUR
            if begin < wanted[1] and end > wanted[0]:
                series = self._read_day(day, line, gauge, (begin, end), hosts)
                part = minute_files.summarise(series, gauge, begin // (60 * MICRO), 60)
                whole = minute_files.put(whole, hour * 60, part)
        return whole

    def _read_day(
        self, day: date, line: Line, gauge: str, span: tuple[int, int], hosts: Sequence[str]
    ) -> Series:
        frame = Frame(self._use(day, lambda found: found.ticks(line, *span)), (gauge,), hosts)
        frame.fill(gauge, self._use(day, lambda found: found.rows(line, gauge, *span)))
        return frame.series()

    def _drop(self, day: date) -> None:
        self._let_go(day)
        self._shelf.drop(day)

    def _minutes(
        self, line: Line, gauges: Sequence[str], start: int, end: int, hosts: Sequence[str] | None
    ) -> Minutes:
        minute = 60 * MICRO
        first, count = -(-start // minute), max(0, -(-end // minute) - -(-start // minute))
        pieces: dict[str, list[tuple[int, dict[str, Summary]]]] = {gauge: [] for gauge in gauges}
        missing: list[str] = []
        wanted = (first * minute, (first + count) * minute)
        for day in _days(*wanted):
            for gauge in gauges:
                try:
                    pieces[gauge].append(
                        (to_micros(_begin(day)) // minute, self._day_minutes(day, line, gauge, wanted))
                    )
                except StoreDamaged as error:
                    missing.append(error.rule)
        order = tuple(
            hosts
            if hosts is not None
            else dict.fromkeys(host for days in pieces.values() for _, part in days for host in part)
        )
        times = minute_files.beginnings(first, count)
        table = {gauge: minute_files.place(days, order, first, count) for gauge, days in pieces.items()}
        return Minutes(times, order, table, tuple(missing))

    def _day_minutes(self, day: date, line: Line, gauge: str, wanted: tuple[int, int]) -> dict[str, Summary]:
        """Host -> its whole day."""
        if self._shelf.has(day, minutes=True):
            try:
                with self._shelf.guarded(day, minutes=True):
                    return self._shelf.load_minutes(day, line, gauge)
            except StoreDamaged as error:
                self._complain(self._shelf.set_aside(day, minutes=True), day, error)
                raise
        if not self._shelf.has(day):
            return {}
        try:
            hosts = self._use(day, lambda found: found.ticks(line, *wanted).everyone())
            summary = self._raw_minutes(line, gauge, day, wanted, hosts)
        except StoreDamaged as error:
            self._set_aside(day, error)
            raise
        return {host: minute_files.column(summary, index) for index, host in enumerate(hosts)}


def _begin(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _end(day: date) -> datetime:
    return _begin(day) + timedelta(days=1)


def _day(micros: int) -> date:
    return from_micros(micros).date()


def _days(start: int, end: int) -> Iterator[date]:
    if end <= start:
        return
    day, last = _day(start), _day(end - 1)
    while day <= last:
        yield day
        day += timedelta(days=1)
