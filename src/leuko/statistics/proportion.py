"""How sure a share is: the exact interval of Clopper and Pearson."""

from __future__ import annotations

import math
from collections.abc import Callable


def interval(hits: int, of: int, level: float = 0.95) -> tuple[float, float]:
    """The rates at which so many hits, or so few, are just not too surprising."""
    if not of:
        return 0.0, 1.0
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else _solve(lambda rate: 1 - at_most(hits - 1, of, rate), tail)
    high = 1.0 if hits == of else _solve(lambda rate: -at_most(hits, of, rate), -tail)
    return low, high


def at_most(most: int, of: int, rate: float) -> float:
    """The probability of at most so many hits."""
    if rate <= 0.0:
        return 1.0
    if rate >= 1.0:
        return 1.0 if most >= of else 0.0
    yes, no = math.log(rate), math.log1p(-rate)
    whole = math.lgamma(of + 1)
    logs = (
        whole - math.lgamma(k + 1) - math.lgamma(of - k + 1) + k * yes + (of - k) * no
        for k in range(most + 1)
    )
    return min(1.0, sum(math.exp(one) for one in logs))


def _solve(rising: Callable[[float], float], target: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < target else (low, middle)
    return (low + high) / 2
