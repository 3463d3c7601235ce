"""What is said of slow changes: the number, its range, how long is left, and who may have done it."""

from __future__ import annotations

from leuko.domain.gauge import HOSTLESS
from leuko.domain.trend import Room, Shape, Slope, Suspect, Trend
from leuko.statistics.sentences import number

_SIZES = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3))
MANY = 3
"""Suspects that are named with their shares."""
FLAT = 0.25
"""Below this share the best of many is no better than the others."""
LONG = 60 * 24.0
"""Hours beyond which a time left is not worth a figure."""


def amount(value: float, unit: str) -> str:
    """`4.1 GB`, `12 %`, `0.35 ms`."""
    if unit in ("B", "bytes"):
        for name, size in _SIZES:
            if abs(value) >= size:
                return f"{number(value / size)} {name}"
        return f"{number(value)} B"
    return f"{number(value)} {unit}".strip()


def between(low: float, high: float, unit: str) -> str:
    """A range, the smaller end first."""
    low, high = sorted((low, high))
    return f"{amount(low, unit)} to {amount(high, unit)}"


def spell(hours: float) -> str:
    """`40 min`, `7 h`, `3 d 4 h`, `11 d`."""
    if hours < 1:
        return f"{hours * 60:.0f} min"
    whole = round(hours)
    if whole < 48:
        return f"{whole} h"
    days, rest = divmod(whole, 24)
    return f"{days} d {rest} h" if rest and days < 10 else f"{round(hours / 24)} d"


def left(room: Room, unit: str) -> str:
    """`100 % is reached in 3 d 2 h (2 d 18 h to 4 d)`."""
    capacity = amount(room.capacity, unit)
    if room.hours <= 0:
        return f"{capacity} is reached"
    if room.latest is None:
        tail = f"{spell(room.earliest)} at the earliest"
    elif room.latest > LONG:
        tail = f"{spell(room.earliest)} to over 60 d"
    else:
        tail = f"{spell(room.earliest)} to {spell(room.latest)}"
    return f"{capacity} is reached in {spell(room.hours)} ({tail})"


def blamed(suspects: tuple[Suspect, ...], older: float) -> str:
    """Who may have done it, best first."""
    if not suspects:
        return "It began before the first push in sight, or without one." if older > 0 else ""
    old = f"; or older than all in sight ({older:.0%})" if older >= 0.05 else ""
    if len(suspects) > MANY and suspects[0].share < FLAT:
        numbers = [each.push for each in suspects]
        return f"One of {len(numbers)} pushes caused it, {min(numbers)} to {max(numbers)}{old}."
    named = [f"push {each.push} ({each.share:.0%})" for each in suspects[:MANY]]
    more = f" and {len(suspects) - MANY} more" if len(suspects) > MANY else ""
    return f"Could have caused it: {', '.join(named)}{more}{old}."


def place(gauge: str, subject: str) -> str:
    """`disk at www1`; what belongs to no host goes by its name."""
    return gauge if subject in ("", HOSTLESS) else f"{gauge} at {subject}"


def told(trend: Trend) -> str:
    """The whole finding in words."""
    slope, unit = trend.slope, trend.unit
    where = place(trend.gauge, trend.subject)
    if trend.aggregate:
        where = f"{trend.gauge} of {trend.subject} ({trend.hosts} hosts)"
    verb = "rises" if slope.day > 0 else "falls"
    size = f"{amount(abs(slope.day), unit)} a day ({between(abs(slope.low), abs(slope.high), unit)})"
    if slope.low * slope.high < 0:
        size = f"{amount(abs(slope.day), unit)} a day ({between(slope.low, slope.high, unit)})"
    how = {
        Shape.GROWTH: f"compared with the same hours of the days before, for {spell(trend.hours)}",
        Shape.LEAK: f"in the newest stretch of {spell(trend.hours)}, faster than the stretches before it",
        Shape.FILL: f"for {spell(trend.hours)}, beyond everything seen in a week",
    }[trend.shape]
    parts = [f"{where} {verb} by {size} {how}; now {amount(trend.level, unit)}"]
    if trend.room is not None:
        parts.append(f"; {left(trend.room, unit)}")
    return "".join(parts) + ". " + blamed(trend.suspects, trend.older)


def short_of(needs: float) -> str:
    """Too little to say, and how much is missing."""
    return f"too little to say: needs {spell(needs)} more of readings"


def quiet(slope: Slope | None, unit: str) -> str:
    """Enough data, and nothing found."""
    if slope is None:
        return "no readings lately: nothing can be said"
    sign = "+" if slope.day > 0 else ""
    return f"no trend: {sign}{amount(slope.day, unit)} a day ({between(slope.low, slope.high, unit)})"
