"""How often the verdict was wrong, as far as people said, beside what it promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp, lgamma, log
from types import MappingProxyType

SURE = 0.001
"""An alarm is raised where a verdict that keeps its promise would look like this less often."""
LEVELS = (0.1, 0.05, 0.01)
"""At most these parts of healthy pushes may ever reach evidence of 10, 20 and 100 to 1."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Of one line's pushes that a verdict stopped or let through; drills are none of them."""

    promised: float
    """Part of healthy pushes that may be rolled back."""
    live: int = 0
    """Pushes that went live: healthy, unless somebody marked them otherwise."""
    stopped: int = 0
    """Pushes that the verdict rolled back, or would have."""
    marked: int = 0
    """Of these, how many somebody marked."""
    false: int = 0
    """Of the marked ones, how many were healthy after all."""
    crossed: Mapping[float, tuple[int, int]] = field(
        default_factory=lambda: MappingProxyType({}),
        hash=False,
    )
    """By level: accepted pushes whose evidence reached 1 / level, and those whose evidence is known."""

    @property
    def healthy(self) -> int:
        """Pushes that a faultless verdict would have let through, as far as is known."""
        return self.live + self.false

    @property
    def sentence(self) -> str:
        """`false rollbacks: 1 of 40 healthy pushes (2.5 %), promised at most 0.5 %; 3 of 5 ...`."""
        rate = f" ({100 * self.false / self.healthy:.2g} %)" if self.healthy and self.false else ""
        promised = f"promised at most {100 * self.promised:g} %"
        marks = f"{self.marked} of {self.stopped} stopped pushes marked"
        return f"false rollbacks: {self.false} of {self.healthy} healthy pushes{rate}, {promised}; {marks}"

    @property
    def alarms(self) -> tuple[str, ...]:
        """Where what was seen and what is promised part; empty while they do not."""
        found = []
        if binomial_tail(self.false, self.healthy, self.promised) < SURE:
            found.append(
                f"the verdict rolled back {self.false} of {self.healthy} healthy pushes, and promises "
                f"at most {100 * self.promised:g} %"
            )
        for level, (over, known) in self.crossed.items():
            if binomial_tail(over, known, level) < SURE:
                found.append(
                    f"evidence of {1 / level:g} to 1 or more was reached in {over} of {known} pushes that "
                    f"went live and stayed: chance explains at most {100 * level:g} %, so the readings are "
                    "not what the verdict takes them for"
                )
        return tuple(found)


def binomial_tail(seen: int, number: int, chance: float) -> float:
    """How likely so many or more of `number` are, each with this chance."""
    if seen <= 0 or number <= 0:
        return 1.0
    return min(1.0, sum(exp(_log_chance(count, number, chance)) for count in range(seen, number + 1)))


def _log_chance(count: int, number: int, chance: float) -> float:
    ways = lgamma(number + 1) - lgamma(count + 1) - lgamma(number - count + 1)
    return ways + count * log(chance) + (number - count) * log(1 - chance)
