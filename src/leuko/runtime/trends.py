"""After a release is live: looks at trends every few minutes, from stored readings, and tells what it finds.

A look is pure (`statistics.trends`) and runs beside the event loop. What it finds is a stored warning, begun,
worsened and ended with compare-and-set; people are told by events. Whole looks are made once an hour closed,
for their cells are hours; in between only what fills up at this moment is looked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from multiprocessing import get_context

from leuko.config.model import Configuration
from leuko.config.model import Gauge as GaugeSection
from leuko.config.quantities import portion
from leuko.config.trends import GaugeTrend
from leuko.domain.gauge import HOSTLESS, Direction, Kind
from leuko.domain.intent import Intent, IntentKind
from leuko.domain.push import Origin, Push, State
from leuko.domain.trend import Outlook, Shape, Trend
from leuko.runtime.ground import Ground
from leuko.runtime.trend_cells import Cells, last_cell
from leuko.runtime.trend_chain import Chain, Turn, landings, restarts
from leuko.runtime.workers import dismiss
from leuko.statistics.trends import Answer, fills, look
from leuko.statistics.trends_question import CELLS, WINDOW, Bar, History, Over, Watched
from leuko.statistics.trends_sentences import told
from leuko.statistics.trends_subjects import count
from leuko.store.readings import Readings
from leuko.store.transaction import Transaction
from leuko.store.trends import Look, Warned

LOOK_SECONDS = 30.0
"""How often it is asked whether a cell of readings has closed since the last look."""
BIG = 200
"""Hosts above which a look is made in a process of its own: the event loop stays free."""
LONGEST = timedelta(hours=WINDOW)
"""Looks that wait for enough readings are given up this long after the push."""
STEEPER = 1.25
"""A warning is worse, and told again, when its slope grew by this, or half of the time left is gone."""
SURE = 0.8
"""Part of the blame that a push must have to be rolled back by itself."""
RELIABLE = 0.5
"""Above this share for what is older than all in sight, the suspects of an earlier look stand."""
EXPIRES = timedelta(minutes=5)


def watched_of(configuration: Configuration) -> dict[str, Watched]:
    """The gauges whose slow changes are watched, and what about each would matter."""
    found = {}
    for name, section in configuration.gauges.items():
        trend = section.trend or _by_itself(section)
        if not trend.watched:
            continue
        found[name] = Watched(
            gauge=name,
            unit=section.unit or _unit(section),
            direction=Direction(section.direction),
            over=_over(section, trend),
            capacity=trend.capacity if trend.capacity is not None else _capacity(section),
            notable=portion(trend.notable or configuration.trends.notable),
        )
    return found


def _by_itself(section: GaugeSection) -> GaugeTrend:
    """Memory and disk of hosts are watched without a word."""
    return GaugeTrend(watched=section.host is not None and section.host.figure in ("memory", "disk"))


def _unit(section: GaugeSection) -> str:
    figure = section.host.figure if section.host else ""
    return {"memory": "B", "disk": "%"}.get(figure, "")


def _capacity(section: GaugeSection) -> float | None:
    return 100.0 if section.host is not None and section.host.figure == "disk" else None


def _over(section: GaugeSection, trend: GaugeTrend) -> Over:
    if not trend.over:
        memory = section.host is not None and section.host.figure == "memory"
        return Over.UPTIME if memory else Over.TIME
    return Over.TIME if trend.over == "time" else Over.UPTIME


@dataclass(slots=True)
class TrendWatch:
    """Of one line."""

    ground: Ground
    readings: Readings
    _cells: Cells = field(init=False)
    _chain: Chain = field(init=False)
    _workers: ProcessPoolExecutor | None = None
    _cell: int = -1
    _hours: dict[str, int] = field(default_factory=dict)
    """Up to which hour each gauge was looked at as a whole."""

    def __post_init__(self) -> None:
        ground = self.ground
        self._cells = Cells(ground.line, self.readings, ground.configuration.tick)
        self._chain = Chain(ground)

    async def step(self) -> None:
        """One round over all gauges; nothing where no cell has closed since the last one."""
        now = self.ground.clock.now()
        cell = last_cell(now)
        if cell == self._cell:
            return
        await self._round(now)
        self._cell = cell

    async def _round(self, now: datetime) -> None:
        store, line = self.ground.store, self.ground.line
        live = await store.pushes.live(line)
        configuration = await self._configuration(live)
        watched = watched_of(configuration)
        opened = await store.trends.open(line)
        looks = {each.gauge: each for each in await store.trends.looks(line)}
        await self._forget(watched, opened, looks, now)
        turns = await self._chain.since(now - LONGEST)
        bar = self._bar(watched, configuration)
        for name, what in watched.items():
            mine = [each for each in opened if each.trend.gauge == name]
            until = self._until(live, looks.get(name), now)
            if mine or (until is not None and now < until):
                await self._look(what, configuration, turns, bar, mine, looks.get(name), until, live, now)
        self._cells.keep(set(watched))

    def close(self) -> None:
        """Ends the worker, if there ever was one."""
        dismiss(self._workers)
        self._workers = None

    # -- what is looked at, and how long -----------------------------------------------------------------

    async def _configuration(self, live: Push | None) -> Configuration:
        """The installation's gauges and those of what is live; how they are watched says the installation."""
        if live is None:
            return self.ground.configuration
        own, _ = await self.ground.store.pushes.configurations(self.ground.line, live.number)
        frozen = await self.ground.frozen(own)
        gauges = {**frozen.gauges, **self.ground.configuration.gauges}
        return self.ground.configuration.model_copy(update={"gauges": gauges})

    def _until(self, live: Push | None, last: Look | None, now: datetime) -> datetime | None:
        """At least `trends.watch` after the push became live; longer while readings do not suffice for an
        answer, or the answer is a slope that does not matter yet."""
        if live is None or live.ended_at is None:
            return None
        until = live.ended_at + timedelta(seconds=self.ground.configuration.trends.watch)
        if now < until:
            return until
        if last is not None and any(each.suspects or each.older for each in last.outlooks):
            return now + timedelta(hours=1)
        unanswered = last is None or any(each.needs for each in last.outlooks) or not last.outlooks
        return max(until, live.ended_at + LONGEST) if unanswered else until

    def _bar(self, watched: Mapping[str, Watched], configuration: Configuration) -> Bar:
        trends = configuration.trends
        subjects = 0
        for name in watched:
            roles = tuple(role for _, role in self._places(configuration.gauges[name]))
            subjects += count(roles)
        return Bar.of(trends.false_warnings, subjects, trends.horizon / 3600.0)

    def _places(self, section: GaugeSection) -> list[tuple[str, str]]:
        """(host, role) that the gauge is read on."""
        if section.hostless:
            return [(HOSTLESS, "")]
        return [
            (host.name, host.role)
            for host in self.ground.hosts
            if not section.roles or host.role in section.roles
        ]

    # -- one gauge ---------------------------------------------------------------------------------------

    async def _look(
        self,
        watched: Watched,
        configuration: Configuration,
        turns: tuple[Turn, ...],
        bar: Bar,
        opened: Sequence[Warned],
        last: Look | None,
        until: datetime | None,
        live: Push | None,
        now: datetime,
    ) -> None:
        section = configuration.gauges[watched.gauge]
        history = await self._history(watched, section, configuration, turns, now)
        hour = history.start + len(history.cells) // CELLS
        whole = self._hours.get(watched.gauge) != hour
        answer = await self._answered(history, bar, whole=whole)
        known = {(each.subject, each.aggregate): each for each in last.outlooks} if last else {}
        async with self.ground.write() as tx:
            for trend in answer.trends:
                await self._settle(tx, _with_known(trend, known), opened, now)
            await self._end(tx, answer, opened, now)
            if whole:
                outlooks = tuple(_remembering(each, known) for each in answer.outlooks)
                await self.ground.store.trends.save_look(tx, Look(watched.gauge, now, until, outlooks))
        self._hours[watched.gauge] = hour
        await self._take_back(answer.trends, live, now)

    async def _history(
        self,
        watched: Watched,
        section: GaugeSection,
        configuration: Configuration,
        turns: tuple[Turn, ...],
        now: datetime,
    ) -> History:
        places = self._places(section)
        hosts = tuple(name for name, _ in places)
        table = await self._cells.upto(watched.gauge, Kind(section.kind), hosts, now)
        along = section.trend.over if section.trend else ""
        mileage = None
        if along in configuration.gauges:
            kind = Kind(configuration.gauges[along].kind)
            mileage = (await self._cells.upto(along, kind, hosts, now)).values
        first = table.end - len(table.values)
        skip = -first % CELLS  # a window begins with a whole hour
        return History(
            watched,
            hosts,
            tuple(role for _, role in places),
            (first + skip) // CELLS,
            table.values[skip:].astype(float),
            restarts(turns, hosts),
            landings(turns),
            None if mileage is None else mileage[skip:].astype(float),
        )

    async def _answered(self, history: History, bar: Bar, *, whole: bool) -> Answer:
        if not whole:
            found = await asyncio.to_thread(fills, history, bar) if history.watched.capacity else ()
            return Answer(found, (), frozenset())
        if len(history.hosts) < BIG:
            return await asyncio.to_thread(look, history, bar)
        if self._workers is None:
            self._workers = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        try:
            return await asyncio.get_running_loop().run_in_executor(self._workers, look, history, bar)
        except BrokenProcessPool:
            self._workers = None  # it was killed: the next round asks again
            raise

    # -- what follows --------------------------------------------------------------------------------------

    async def _settle(self, tx: Transaction, trend: Trend, opened: Sequence[Warned], now: datetime) -> None:
        """A finding becomes a warning, or the newest figures of the one that is open."""
        trends = self.ground.store.trends
        before = next((each for each in opened if _same(each.trend, trend)), None)
        if before is None:
            if any(_covers(each.trend, trend) for each in opened):
                return
            made = await trends.begin(tx, trend, now)
            tx.event("trend", f"trend {made.id}", _facts(made, "found"), now)
            return
        # who was suspected while it was in sight stays so
        kept = replace(trend, suspects=before.trend.suspects, older=before.trend.older)
        after = kept if trend.older > before.trend.older else trend
        after = replace(after, sentence=told(after))
        if after == before.trend:
            return
        saved = await trends.change(tx, before, after, now)
        if is_worse(before.trend, after):
            tx.event("trend", f"trend {saved.id}", _facts(saved, "worse"), now)

    async def _end(self, tx: Transaction, answer: Answer, opened: Sequence[Warned], now: datetime) -> None:
        for each in opened:
            trend = each.trend
            if any(_same(trend, found) for found in answer.trends):
                continue
            wider = next((found for found in answer.trends if _covers(found, trend)), None)
            if wider is not None:
                await self._over(tx, each, f"all {wider.hosts} hosts of {wider.subject} do so", now)
            elif (trend.subject, trend.aggregate, trend.shape) in answer.cleared:
                await self._over(tx, each, "it does not go on", now)

    async def _over(self, tx: Transaction, warned: Warned, why: str, now: datetime) -> None:
        over = await self.ground.store.trends.end(tx, warned, why, now)
        tx.event("trend", f"trend {over.id}", _facts(over, "ended"), now)

    async def _forget(
        self,
        watched: Mapping[str, Watched],
        opened: list[Warned],
        looks: Mapping[str, Look],
        now: datetime,
    ) -> None:
        """Warnings about gauges that are not watched any more, or hosts that left, end."""
        places = {host.name for host in self.ground.hosts} | {host.role for host in self.ground.hosts}
        places |= {HOSTLESS, ""}
        gone = [
            each for each in opened if each.trend.gauge not in watched or each.trend.subject not in places
        ]
        if not gone and set(looks) <= set(watched):
            return
        async with self.ground.write() as tx:
            await self.ground.store.trends.keep_looks(tx, list(watched))
            for each in gone:
                there = each.trend.gauge in watched
                what = f"{each.trend.subject} left the fleet" if there else "it is not watched any more"
                await self._over(tx, each, what, now)
                opened.remove(each)

    async def _take_back(self, found: Sequence[Trend], live: Push | None, now: datetime) -> None:
        """Only where it is configured, certain and urgent, and nothing lies on top: as a person would."""
        store, line = self.ground.store, self.ground.line
        if not self.ground.configuration.trends.roll_back or live is None or live.base is None:
            return
        trend = next((each for each in found if is_certain(each, live)), None)
        if trend is None or live.origin is Origin.ROLLBACK:
            return
        asked = [each for each in await store.intents.recent(line) if each.kind is IntentKind.ROLLBACK]
        if any(each.push == live.number for each in asked):
            return
        async with self.ground.write() as tx:
            newest = await store.pushes.latest(line)
            if newest is None or newest.number != live.number or not await store.pushes.idle(tx):
                return
            wish = Intent(
                id=0,
                kind=IntentKind.ROLLBACK,
                by="leuko",
                why=f"slow failure: {trend.sentence}",
                at=now,
                expires_at=now + EXPIRES,
                push=live.number,
                # the revision that it goes back to: a push that begins meanwhile is not what is meant
                arguments={"revision": live.base.partition("-")[0]},
            )
            await store.intents.add(tx, wish)


def is_worse(before: Trend, after: Trend) -> bool:
    """True where people should be told again."""
    if after.shape is Shape.FILL and before.shape is not Shape.FILL:
        return True
    if before.room is not None and after.room is not None:
        return after.room.hours < 0.5 * before.room.hours
    return abs(after.slope.day) > STEEPER * abs(before.slope.day)


def is_certain(trend: Trend, live: Push) -> bool:
    """True where the live push is as good as surely to blame for something that will be used up."""
    first = trend.suspects[0] if trend.suspects else None
    urgent = trend.room is not None and live.state is State.LIVE
    return urgent and first is not None and first.push == live.number and first.share >= SURE


def _same(one: Trend, other: Trend) -> bool:
    return (one.gauge, one.subject, one.aggregate) == (other.gauge, other.subject, other.aggregate)


def _covers(wide: Trend, narrow: Trend) -> bool:
    """True where one is about the whole role of the other."""
    return wide.aggregate and not narrow.aggregate and (wide.gauge, wide.role) == (narrow.gauge, narrow.role)


def _with_known(trend: Trend, known: Mapping[tuple[str, bool], Outlook]) -> Trend:
    """Suspects of the look that first was sure, where they are out of sight by now."""
    before = known.get((trend.subject, trend.aggregate))
    if before is None and trend.aggregate:  # a small role that does it together was looked at host by host
        before = next((each for each in known.values() if each.role == trend.role and each.suspects), None)
    if before is None or not before.suspects or trend.older < RELIABLE or before.older >= trend.older:
        return trend
    kept = replace(trend, suspects=before.suspects, older=before.older)
    return replace(kept, sentence=told(kept))


def _remembering(outlook: Outlook, known: Mapping[tuple[str, bool], Outlook]) -> Outlook:
    before = known.get((outlook.subject, outlook.aggregate))
    lost = outlook.suspects == () or outlook.older >= RELIABLE
    rising = outlook.suspects or outlook.older  # sure of something: what was known of it is still about it
    if before is None or not before.suspects or not lost or not rising or before.older >= outlook.older:
        return outlook
    return replace(outlook, suspects=before.suspects, older=before.older)


def _facts(warned: Warned, to: str) -> dict[str, object]:
    trend = warned.trend
    return {
        "trend": warned.id,
        "to": to,
        "gauge": trend.gauge,
        "subject": trend.subject,
        "shape": trend.shape.value,
        "push": warned.push,
        "reason": warned.ended_why or trend.sentence,
    }
