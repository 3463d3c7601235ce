"""Slow failures: the warnings that are open, and what the last look said of each gauge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from leuko.domain.line import Line
from leuko.domain.trend import Leg, Outlook, Room, Slope, Suspect
from leuko.store.store import Store
from leuko.store.trends import Look, Warned

ENDED = 20
HOUR = 3600.0


class LeftView(msgspec.Struct, frozen=True):
    """How long a capacity lasts, in hours; `latest` None: perhaps for ever."""

    capacity: float
    hours: float
    earliest: float
    latest: float | None


class SuspectView(msgspec.Struct, frozen=True):
    """A push that could have caused it, and its share of the blame."""

    push: int
    share: float


class TrendView(msgspec.Struct, frozen=True):
    """One warning. Slopes are a day's change, with the range that chance leaves open."""

    id: int
    gauge: str
    subject: str
    role: str
    aggregate: bool
    shape: str
    unit: str
    level: float
    a_day: float
    low: float
    high: float
    evidence: float
    hours: float
    hosts: int
    left: LeftView | None
    suspects: list[SuspectView]
    older: float
    found_at: datetime
    changed_at: datetime
    ended_at: datetime | None
    ended_why: str
    sentence: str


class LegView(msgspec.Struct, frozen=True):
    """One release of the chain; `a_day` None: it ran too short for a slope."""

    push: int
    began: datetime
    hours: float
    a_day: float | None


class OutlookView(msgspec.Struct, frozen=True):
    """One gauge at one subject at the last look. `needs`: hours of readings that are still missing."""

    subject: str
    role: str
    aggregate: bool
    unit: str
    level: float | None
    a_day: float | None
    low: float | None
    high: float | None
    evidence: float
    needs: float
    left: LeftView | None
    chain: list[LegView]
    points: list[float | None]
    hours: float
    warned: bool
    suspects: list[SuspectView]
    sentence: str


class GaugeTrends(msgspec.Struct, frozen=True):
    """One gauge that is watched. `until`: when looks end, unless a warning is open."""

    gauge: str
    at: datetime
    until: datetime | None
    subjects: list[OutlookView]


class TrendsPage(msgspec.Struct, frozen=True):
    """Everything about slow failures."""

    event: int
    open: list[TrendView]
    gauges: list[GaugeTrends]
    ended: list[TrendView]


async def trends(store: Store, line: Line) -> TrendsPage:
    """From stored rows alone."""
    event = await store.events.last_number(line)
    recent = await store.trends.recent(line, limit=ENDED)
    return TrendsPage(
        event=event,
        open=[trend_view(each) for each in await store.trends.open(line)],
        gauges=[_gauge(look) for look in await store.trends.looks(line)],
        ended=[trend_view(each) for each in recent if each.ended_at is not None],
    )


def trend_view(warned: Warned) -> TrendView:
    """One warning."""
    trend = warned.trend
    return TrendView(
        id=warned.id,
        gauge=trend.gauge,
        subject=trend.subject,
        role=trend.role,
        aggregate=trend.aggregate,
        shape=trend.shape.value,
        unit=trend.unit,
        level=trend.level,
        a_day=trend.slope.day,
        low=trend.slope.low,
        high=trend.slope.high,
        evidence=trend.evidence,
        hours=trend.hours,
        hosts=trend.hosts,
        left=_left(trend.room),
        suspects=_suspects(trend.suspects),
        older=trend.older,
        found_at=warned.found_at,
        changed_at=warned.changed_at,
        ended_at=warned.ended_at,
        ended_why=warned.ended_why,
        sentence=trend.sentence,
    )


def _gauge(look: Look) -> GaugeTrends:
    # what warns leads, then what lacks readings
    outlooks = sorted(look.outlooks, key=lambda each: (not each.warned, -each.needs, not each.aggregate))
    return GaugeTrends(look.gauge, look.at, look.until, [_outlook(each) for each in outlooks])


def _outlook(outlook: Outlook) -> OutlookView:
    slope: Slope | None = outlook.slope
    return OutlookView(
        subject=outlook.subject,
        role=outlook.role,
        aggregate=outlook.aggregate,
        unit=outlook.unit,
        level=outlook.level,
        a_day=slope.day if slope else None,
        low=slope.low if slope else None,
        high=slope.high if slope else None,
        evidence=outlook.evidence,
        needs=outlook.needs,
        left=_left(outlook.room),
        chain=[_leg(each) for each in outlook.chain],
        points=list(outlook.points),
        hours=outlook.hours,
        warned=outlook.warned,
        suspects=_suspects(outlook.suspects),
        sentence=outlook.sentence,
    )


def _leg(leg: Leg) -> LegView:
    return LegView(leg.push, datetime.fromtimestamp(leg.began * HOUR, UTC), leg.hours, leg.day)


def _left(room: Room | None) -> LeftView | None:
    return LeftView(room.capacity, room.hours, room.earliest, room.latest) if room else None


def _suspects(found: Sequence[Suspect]) -> list[SuspectView]:
    return [SuspectView(each.push, each.share) for each in found]
