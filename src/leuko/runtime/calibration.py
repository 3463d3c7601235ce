"""The verdict on this fleet's own quiet history: how often it would be wrong, what it could show."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from leuko.domain.gauge import Gauge
from leuko.domain.limits import about
from leuko.domain.line import Line
from leuko.runtime.quiet import HOUR, Usual, quiet_question, usual
from leuko.runtime.replaying import Progress, silent
from leuko.statistics.placebo import Placebo, placebo
from leuko.statistics.proportion import interval
from leuko.statistics.sight import Sight, sight
from leuko.store.store import Store

PRETEND = 600
RAW = timedelta(hours=48)
MONTH = timedelta(days=30)
NOISY = math.log(10)
"""A gauge that alone passes the budget's threshold by this in quiet hours is too noisy to act on."""
MOST_CHUNKS = 24


@dataclass(frozen=True, slots=True)
class LimitRate:
    """How often a limit alone would have fired with nothing pushed."""

    limit: str
    part: float


@dataclass(frozen=True, slots=True)
class GaugeFigures:
    """What is known of one gauge. `rise` and `fall` are the smallest visible factors; None: none."""

    gauge: str
    role: str
    rise: float | None
    fall: float | None
    said: str
    largest: float
    """The largest evidence it alone gave in a quiet window, as a factor."""
    noisy: bool
    limits: tuple[LimitRate, ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What pretend pushes came to."""

    pushes: int
    """Pretend ones."""
    rolled_back: int
    budget: float
    rate: float
    low: float
    high: float
    """95 % interval of the rate (Clopper and Pearson's)."""
    a_month: float | None
    """Real pushes a month, from those of the last 30 days; None without any."""
    hours: float
    """Of quiet history that was looked at."""
    watch: float
    """Seconds."""
    gate: float
    """The evidence that a real push must pass on this fleet, as a factor."""
    gauges: tuple[GaugeFigures, ...]
    sentences: tuple[str, ...] = ()


async def calibrate(
    store: Store,
    line: Line,
    *,
    pretend: int = PRETEND,
    hours: float = RAW.total_seconds() / 3600,
    progress: Progress = silent,
) -> Calibration:
    """Judges pushes that never were, hour by hour of the raw history: never more than an hour in memory."""
    by = await usual(store, line)
    span = await store.readings.span(line)
    chunks = _hours(*span, hours) if span else []
    found: list[Placebo] = []
    seen: tuple[Sight, ...] = ()
    quiet = 0.0
    for index, end in enumerate(chunks):
        progress(index, len(chunks))
        asked = await quiet_question(store, line, end, by=by)
        if asked is None:
            continue
        quiet += len(asked.times) * asked.tick / 3600
        each = max(20, -(-pretend // len(chunks)))
        found.append(await asyncio.to_thread(placebo, asked, each, index))
        if not seen:
            seen = await asyncio.to_thread(sight, asked)
    a_month = await _a_month(store, line, span[1]) if span else None
    return summary(found, seen, by.gauges, a_month, quiet, _terms(by))


@dataclass(frozen=True, slots=True)
class Terms:
    """What pushes are judged under."""

    budget: float
    watch: float
    own: str = "this fleet's"


def _terms(by: Usual) -> Terms:
    return Terms(by.budget, by.wanted * by.configuration.tick)


def _hours(first: datetime, last: datetime, hours: float) -> list[datetime]:
    """Ends of hours with raw readings, evenly through what is kept, the newest first."""
    first = max(first, last - timedelta(hours=hours))
    count = max(1, math.ceil((last - first) / HOUR))
    step = max(1, math.ceil(count / MOST_CHUNKS))
    return [last + timedelta(seconds=1) - index * HOUR for index in range(0, count, step)]


async def _a_month(store: Store, line: Line, now: datetime) -> float | None:
    """Real pushes of the last 30 days, scaled up where the first was less long ago."""
    recent = [
        push
        for push in await store.pushes.recent(line, limit=1000)
        if push.started_at is not None and push.started_at > now - MONTH
    ]
    if not recent:
        return None
    since = now - min(push.started_at for push in recent if push.started_at)
    return len(recent) * (MONTH / max(since, timedelta(days=1)))


def summary(
    found: Sequence[Placebo],
    seen: Sequence[Sight],
    gauges: Sequence[Gauge],
    a_month: float | None,
    hours: float,
    terms: Terms,
) -> Calibration:
    """The figures of all chunks together."""
    pushes = sum(one.pushes for one in found)
    wrong = sum(one.rolled_back for one in found)
    low, high = interval(wrong, pushes)
    gate = max((one.threshold for one in found), default=-math.log(terms.budget))
    rows = tuple(_figures(gauge, found, seen, terms.budget) for gauge in gauges)
    made = Calibration(
        pushes, wrong, terms.budget, wrong / pushes if pushes else math.nan, low, high, a_month, hours,
        terms.watch, _factor(gate), tuple(row for group in rows for row in group),
    )  # fmt: skip
    return replace(made, sentences=sentences(made, terms))


def _figures(
    gauge: Gauge, found: Sequence[Placebo], seen: Sequence[Sight], budget: float
) -> list[GaugeFigures]:
    largest = max((one.per_gauge.get(gauge.name, (0.0, 0.0))[0] for one in found), default=0.0)
    weights = np.array([one.pushes for one in found], dtype=np.float64)
    rates = [one.limits.get(gauge.name, ()) for one in found]
    limits = tuple(
        LimitRate(
            f"{limit} {about(limit)}", float(np.dot(weights, [rate[index] for rate in rates]) / weights.sum())
        )
        for index, limit in enumerate(gauge.limits)
        if weights.sum() and all(len(rate) > index for rate in rates)
    )
    noisy = largest > -math.log(budget) + NOISY
    own = [one for one in seen if one.gauge == gauge.name]
    return [
        GaugeFigures(
            gauge.name, one.role, _finite(one.rise), _finite(one.fall), one.said or one.basis,
            _factor(largest), noisy, limits,
        )
        for one in own
    ] or [
        GaugeFigures(
            gauge.name, "", None, None, "nothing could be compared", _factor(largest), noisy, limits
        )
    ]  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _factor(log: float) -> float:
    return float(f"{math.exp(min(log, 60.0)):.6g}")


def sentences(found: Calibration, terms: Terms) -> tuple[str, ...]:
    """What it means, for people."""
    if not found.pushes:
        return (
            f"There is too little quiet history to pretend pushes on: {60 * found.hours:.0f} minutes of it.",
        )
    share, low, high = (f"{100 * part:.2f}" for part in (found.rate, found.low, found.high))
    long = f"{found.hours:.1f} quiet hours" if found.hours >= 2 else f"{60 * found.hours:.0f} quiet minutes"
    quiet = f"{long} of {terms.own} own readings"
    first = (
        f"{found.rolled_back} of {found.pushes} pretend pushes on {quiet} would have been rolled back: "
        f"{share} % (95 % interval {low} to {high} %; promised at most {100 * found.budget:g} %)."
    )
    said = [first]
    if found.a_month is not None:
        least, most = found.a_month * found.low, found.a_month * found.high
        said.append(
            f"At {found.a_month:.0f} pushes a month that is {found.a_month * found.rate:.2f} false rollbacks "
            f"a month (between {least:.2f} and {most:.2f})."
        )
    noisy = ", ".join(dict.fromkeys(row.gauge for row in found.gauges if row.noisy))
    if noisy:
        said.append(f"Too noisy to act on: {noisy}. Give them a limit instead, or leave them out.")
    loud = [(row.gauge, one) for row in found.gauges for one in row.limits if one.part > found.budget]
    for gauge, one in dict.fromkeys(loud):
        part = f"{100 * one.part:.1f} %"
        said.append(f"The limit {gauge} {one.limit} would have fired in {part} of quiet windows.")
    return tuple(said)
