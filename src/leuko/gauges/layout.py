"""In what order series lie in an array, and other things that sources have in common."""

from __future__ import annotations

from collections.abc import Sequence

from leuko.config.model import Gauge
from leuko.gauges.source import OF

GRACE = 2.0
LONGEST_SPAN = 3
"""A source that was late by more ticks than this leaves a gap; up to it, counts are spread over them."""


def grace(tick: float) -> float:
    """Seconds after its time at which a tick closes: GRACE, or one tick where that is shorter."""
    return min(GRACE, tick)


def layout(names: Sequence[str], gauges: Sequence[Gauge]) -> tuple[tuple[str, ...], list[int], list[int]]:
    """Series in order, and for each gauge the places of its values and of its denominators (-1: none)."""
    series: list[str] = []
    value, below = [], []
    for name, gauge in zip(names, gauges, strict=True):
        value.append(len(series))
        series.append(name)
        below.append(len(series) if gauge.kind == "ratio" else -1)
        if gauge.kind == "ratio":
            series.append(name + OF)
    return tuple(series), value, below


def hash_of(name: str) -> int:
    """A number of a name that is the same in every process."""
    number = 7
    for byte in name.encode():
        number = (number * 31 + byte) % 1_000_003
    return number
