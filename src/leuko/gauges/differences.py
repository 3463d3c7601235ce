"""Counters that only ever grow, as what they grew by."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field

from leuko.gauges.layout import LONGEST_SPAN


@dataclass(slots=True)
class Differences:
    """The tick and value at which each counter was last read."""

    before: dict[Hashable, tuple[int, float]] = field(default_factory=dict)

    def forget(self, key: Hashable) -> None:
        """The counter could not be read: the next value begins anew."""
        self.before.pop(key, None)

    def take(self, key: Hashable, tick: int, number: float, *, spread: bool) -> tuple[float, str]:
        """What it grew by since the tick before; NaN where that is not known, and why.

        `spread`: growth over several ticks is shared out evenly, as counts are.
        """
        before = self.before.get(key)
        self.before[key] = (tick, number)
        if before is None:
            return math.nan, ""
        span, grown = tick - before[0], number - before[1]
        if grown < 0:
            return math.nan, "the counter began anew"
        if span < 1 or span > LONGEST_SPAN:
            return math.nan, f"{span - 1} ticks were missed before it"
        return (grown / span if spread else grown), ""
