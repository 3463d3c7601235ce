"""One gauge at one subject: the three ways in which it can go wrong slowly, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from leuko.domain.trend import Leg, Outlook, Room, Shape, Slope, Suspect, Trend
from leuko.statistics.question import Values
from leuko.statistics.trends_chain import Stretch, between_restarts, change, joined, uptimes, whole_days
from leuko.statistics.trends_kendall import FEWEST, NOTHING, Guard, Habit, guard, habit, theil_sen
from leuko.statistics.trends_question import CELLS, LEAST, WINDOW, Bar, History, Over, hourly
from leuko.statistics.trends_room import FAST_CELLS, filling, room
from leuko.statistics.trends_screen import PRESENT, SILENT, level_of, matters
from leuko.statistics.trends_season import DAY, day_slopes, goes_on, is_step, middle, wave, without_wave
from leuko.statistics.trends_sentences import quiet, short_of, told
from leuko.statistics.trends_subjects import Subject
from leuko.statistics.trends_suspects import blame

POINTS = 84
LEGS = 8
LEG_HOURS = 4
OWN_PART = 0.3
"""Part of a host's slope that must be its own, beside its peers', for it to be named alone."""
HALF = 0.5
"""A warning ends where evidence or size are below this part of what a new one needs."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A tested slope, and whether it is a finding, or clearly none."""

    shape: Shape
    slope: Slope
    evidence: float
    hours: float
    inflation: float
    found: bool
    clear: bool
    evident: bool
    """Sure and going on, whether or not it matters."""


class Inquiry:
    """Everything that is asked about one subject; each part is worked out once."""

    def __init__(self, history: History, bar: Bar, subject: Subject) -> None:
        self._history = history
        self._watched = history.watched
        self._bar = bar
        self._subject = subject
        self._own = subject.own
        self._level = float(level_of(subject.values[:, None])[0])

    # -- what is said ----------------------------------------------------------------------------------

    def trend(self, only: Shape | None = None) -> Trend | None:
        """The finding: the most urgent of the three, or of one shape `only`."""
        looked = self._seen if only is not Shape.FILL else [each for each in [self._fill()] if each]
        seen = next((each for each in looked if each.found and only in (None, each.shape)), None)
        if seen is None:
            return None
        suspects, older = self._blame(seen)
        subject, watched = self._subject, self._watched
        level, left = self._level, self._room(seen.slope)
        if seen.shape is Shape.FILL:  # a day's middle says nothing of a thing of hours
            cells = self._history.cells[:, subject.columns[0]]
            level = float(cells[~np.isnan(cells)][-1])
            left = room(np.array([level]), seen.slope, watched.capacity)
        found = Trend(
            gauge=watched.gauge,
            subject=subject.name,
            role=subject.role,
            aggregate=subject.aggregate,
            shape=seen.shape,
            slope=seen.slope,
            level=level,
            evidence=round(seen.evidence, 2),
            hours=seen.hours,
            hosts=subject.hosts,
            room=left,
            suspects=suspects,
            older=older,
            unit=watched.unit,
        )
        return replace(found, sentence=told(found))

    def outlook(self) -> Outlook:
        """What is said whether or not there is a finding."""
        subject, watched = self._subject, self._watched
        best = max(self._seen, key=lambda each: each.evidence, default=None)
        slope = best.slope if best else None
        found = any(each.found for each in self._seen)
        suspects, older = self._blamed
        sentence = short_of(self.needs) if self.needs else quiet(slope, watched.unit)
        return Outlook(
            gauge=watched.gauge,
            subject=subject.name,
            role=subject.role,
            aggregate=subject.aggregate,
            unit=watched.unit,
            level=self._level if np.isfinite(self._level) else None,
            slope=slope,
            evidence=round(best.evidence, 2) if best else 0.0,
            needs=self.needs,
            room=self._room(slope) if slope and found else None,
            chain=self._chain(),
            points=self._points(),
            hours=float(len(self._own)),
            warned=found,
            suspects=suspects,
            older=older,
            sentence="" if found else sentence,
        )

    def cleared(self) -> set[Shape]:
        """Shapes that were looked for with enough readings and are clearly not there."""
        return {each.shape for each in self._seen if each.clear} - {
            each.shape for each in self._seen if not each.clear
        }

    @property
    def evident(self) -> bool:
        """True where some slope is sure, whether or not it matters yet."""
        return any(each.evident for each in self._seen)

    @cached_property
    def silent(self) -> bool:
        """True where the last hours have no reading."""
        return bool(np.isnan(self._own[-SILENT:]).all())

    @cached_property
    def needs(self) -> float:
        """Hours of readings that are missing for the answer."""
        there = ~np.isnan(self._own)
        if not there.any():
            return float(LEAST)
        since = len(there) - int(there.argmax())
        gaps = PRESENT * LEAST - float(there[-LEAST:].sum())
        return max(0.0, float(LEAST - since), float(np.ceil(gaps)))

    # -- the three ways ----------------------------------------------------------------------------------

    @cached_property
    def _seen(self) -> list[Seen]:
        """The most urgent first."""
        if self.silent:
            return []
        seen = [self._fill()]
        if not self.needs:
            seen += [self._growth(LEAST), self._growth(WINDOW), self._leak()]
        return [each for each in seen if each is not None]

    def _growth(self, hours: int) -> Seen | None:
        values = self._own[-hours:]
        there = ~np.isnan(values)
        if len(values) < hours or there.mean() < PRESENT:
            return None
        rest = self._without_wave(values, float(day_slopes(values[:, None])[0]))
        if self._watched.over is Over.UPTIME:
            rest = self._joined(rest)
        found = guard(rest, self._axis[-hours:], len(rest) / DAY, self._habit)
        real = goes_on(values, found.slope) and not is_step(rest)
        return self._judged(Shape.GROWTH, found, found.evidence, float(hours), real=real)

    def _leak(self) -> Seen | None:
        values = self._own
        stretches = self._stretches(len(values))
        known = stretches[-1].begin if stretches else 0
        known = known if known >= 2 * DAY else 0
        rest = self._without_wave(values, float(day_slopes(values[: known or None, None])[0]), known)
        if self._history.mileage is not None:
            rest = values  # what comes back each day are the requests themselves
        found = change(rest, stretches, self._axis, self._habit)
        if found is None:
            return None
        lasted = float(found.stretch.hours)
        newest = rest[found.stretch.begin : found.stretch.end]
        steeper = found.new.slope - found.before
        real = not is_step(newest) and abs(steeper) >= HALF * abs(found.new.slope)
        return self._judged(Shape.LEAK, found.new, found.evidence, lasted, real=real)

    def _fill(self) -> Seen | None:
        capacity = self._watched.capacity
        if capacity is None or self._subject.aggregate:
            return None
        cells = self._history.cells[:, self._subject.columns[0]]
        found = filling(cells, capacity, cells)
        slope = _daily(found or NOTHING)
        hours = FAST_CELLS / CELLS
        return Seen(Shape.FILL, slope, 0.0, hours, 1.0, found is not None, found is None, found is not None)

    def _judged(self, shape: Shape, found: Guard, evidence: float, hours: float, *, real: bool) -> Seen:
        slope = _daily(found)
        sure = abs(evidence) >= self._bar.evidence and np.sign(evidence) == np.sign(found.slope)
        close = abs(evidence) >= HALF * self._bar.evidence
        evident = bool(sure and real)
        passed = evident and self._matters(found.slope, 1.0)
        clear = not (close and self._matters(found.slope, HALF))
        return Seen(shape, slope, abs(evidence), hours, found.inflation, passed, clear, evident)

    def _matters(self, slope: float, part: float) -> bool:
        whole = slope + self._peers_slope()
        if self._watched.capacity is not None and abs(slope) < OWN_PART * abs(whole):
            return False
        size = whole if self._watched.capacity is not None else slope
        level = np.array([self._level])
        return bool(matters(self._watched, np.array([size]), level, self._bar.horizon, part)[0])

    def _peers_slope(self) -> float:
        """What the role does in common, an hour; 0 where the subject is not beside others."""
        if self._subject.own is self._subject.values:
            return 0.0
        common = self._subject.values - self._subject.own
        slope = float(day_slopes(common[-LEAST:, None])[0])
        return slope if np.isfinite(slope) else 0.0

    @cached_property
    def _habit(self) -> Habit:
        """How the gauge wanders, as all readings in sight show."""
        return habit(self._without_wave(self._own, float(day_slopes(self._own[:, None])[0])))

    # -- the chain ---------------------------------------------------------------------------------------

    @cached_property
    def _axis(self) -> Values:
        """Where each hour lies: time, or the requests served so far in hours of average traffic."""
        mileage = self._history.mileage
        steps = np.ones(len(self._own))
        if mileage is not None:
            served = middle(hourly(mileage[:, self._subject.columns]), axis=1)
            average = float(np.nanmean(served)) if not np.isnan(served).all() else 0.0
            if average > 0:
                steps = np.where(np.isnan(served), 1.0, served / average)
        return np.asarray(np.cumsum(steps) - steps[0])

    @cached_property
    def _restarts(self) -> list[float]:
        """Of a role: the pushes; of a host: its own."""
        if self._subject.aggregate:
            return [each.at for each in self._history.landings]
        found = self._history.restarts.get(self._subject.name)
        return [] if found is None else [float(at) for at in found]

    def _stretches(self, hours: int) -> list[Stretch]:
        if self._watched.over is Over.TIME:
            return whole_days(hours)
        return between_restarts(self._restarts, self._history.start, hours)

    def _joined(self, rest: Values) -> Values:
        offset = len(self._own) - len(rest)
        start = self._history.start + offset
        uptime = uptimes(self._restarts, start, len(rest))
        return joined(rest, uptime, between_restarts(self._restarts, start, len(rest)))

    def _without_wave(self, values: Values, slope: float, known: int = 0) -> Values:
        """Less the wave, which is learned from the first `known` hours (0: from all)."""
        first = self._history.start + len(self._own) - len(values)
        slope = slope if np.isfinite(slope) else 0.0
        pattern = wave(values[: known or None], slope, first % DAY)
        return without_wave(values, pattern, first % DAY)

    @cached_property
    def _blamed(self) -> tuple[tuple[Suspect, ...], float]:
        """By all that is in sight, not only by the readings that the slope was seen in."""
        ranked = sorted(self._seen, key=lambda each: not each.found)
        seen = next((each for each in ranked if each.found or each.evident), None)
        return self._blame(seen) if seen else ((), 0.0)

    def _blame(self, seen: Seen) -> tuple[tuple[Suspect, ...], float]:
        hours = len(self._own)
        if seen.shape is Shape.FILL:
            since = self._history.start + hours - seen.hours - DAY
            late = [each for each in self._history.landings if each.at >= since]
            return blame(self._own, late, self._history.start, 1.0)
        uptime = None
        if seen.shape is Shape.LEAK and self._watched.over is Over.UPTIME:
            uptime = uptimes(self._restarts, self._history.start, hours)
        rest = self._without_wave(self._own, float(day_slopes(self._own[:, None])[0]))
        return blame(rest, self._history.landings, self._history.start, seen.inflation, uptime)

    def _room(self, slope: Slope) -> Room | None:
        common = self._peers_slope() * DAY
        whole = Slope(slope.day + common, slope.low + common, slope.high + common)
        return room(self._subject.values, whole, self._watched.capacity)

    def _chain(self) -> tuple[Leg, ...]:
        """The newest releases that ran for some hours, and the slope under each."""
        start, hours = self._history.start, len(self._own)
        landings = [each for each in self._history.landings if each.at - start < hours]
        rest = self._without_wave(self._own, 0.0)
        legs = []
        for index, each in enumerate(landings):
            end = landings[index + 1].at if index + 1 < len(landings) else float(start + hours)
            low, high = max(0, int(np.ceil(each.at - start))), int(end - start)
            part = rest[low:high]
            known = high - low >= LEG_HOURS and int((~np.isnan(part)).sum()) >= FEWEST // 2
            day = theil_sen(part, np.arange(len(part), dtype=np.float64)) * DAY if known else None
            legs.append(Leg(each.push, each.at, round(end - each.at, 2), day))
        return tuple(legs[-LEGS:])

    def _points(self) -> tuple[float | None, ...]:
        values = self._subject.values
        if not len(values):
            return ()
        starts = np.arange(min(POINTS, len(values))) * len(values) // min(POINTS, len(values))
        there = ~np.isnan(values)
        count = np.add.reduceat(there.astype(np.float64), starts)
        total = np.add.reduceat(np.where(there, values, 0.0), starts)
        return tuple(float(f"{t / c:.5g}") if c else None for t, c in zip(total, count, strict=True))


def _daily(found: Guard) -> Slope:
    return Slope(found.slope * DAY, found.low * DAY, found.high * DAY)
