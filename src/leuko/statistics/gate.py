"""The noise as it really was: the same detector on pretend pushes in the same gauge's history.

No model knows a fleet's jobs, spikes and storms; its history does. Where evidence begins to matter, it is
held against the largest evidence that pretend pushes gave, and counts for as much as it is rarer than those.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from leuko.statistics.question import Chosen, Mask, Values

MATTERS = 3.0
"""Log of the evidence below which nothing is held against history."""
PRETEND = 120
FEWEST = 20
"""Pretend pushes below which history teaches nothing."""
UPPER, HIGHEST = 0.8, 0.95


@dataclass(frozen=True, slots=True)
class Tail:
    """Of the largest evidence of pretend pushes a fifth lie above `start`, by `slope` on the average."""

    start: float
    slope: float
    high: float
    steep: float
    """The same of the highest twentieth: a few jobs and storms among many quiet windows."""

    def __call__(self, logs: Values) -> Values:
        """The evidence that is left: no more than the rarity of such a value on healthy history."""
        rare = np.minimum(
            -np.log(1 - UPPER) + (logs - self.start) / self.slope,
            -np.log(1 - HIGHEST) + (logs - self.high) / self.steep,
        )
        return np.where(logs <= MATTERS, logs, np.minimum(logs, np.maximum(MATTERS, rare)))


def tail(largest: Values) -> Tail | None:
    """The tail of these; None where they are too few."""
    if len(largest) < FEWEST:
        return None
    start, slope = _above(largest, UPPER)
    high, steep = _above(largest, HIGHEST) if len(largest) >= PRETEND else (start, slope)
    return Tail(start, slope, high, steep)


def _above(largest: Values, part: float) -> tuple[float, float]:
    """That quantile, and by how much those above it exceed it."""
    start = float(np.quantile(largest, part))
    above = largest[largest > start]
    slope = float(np.mean(above - start)) if above.size else 0.0
    return max(start, 0.0), max(slope, 1.0)


def gated(logs: Values, largest: Callable[[], Values]) -> Values:
    """Held against the history's tail, which is only looked at where the evidence begins to matter."""
    if not logs.size or float(logs.max()) <= MATTERS:
        return logs
    found = tail(largest())
    return logs if found is None else found(logs)


def groups(canary: Mask, names: list[str], starts: Chosen) -> tuple[Mask, Chosen]:
    """Pretend canaries, as many as the real ones, and the ticks at which they were pretended to switch.

    Each host has its turn; the same for the same names, in whatever order they come.
    """
    hosts, many = len(canary), int(canary.sum())
    order = np.array(sorted(range(hosts), key=lambda index: names[index]))
    random = np.random.default_rng(20)
    number = 3 * PRETEND if many <= 2 else PRETEND
    chosen = np.zeros((number, hosts), dtype=np.bool_)
    turns = np.concatenate([random.permutation(hosts) for _ in range(-(-number * many // hosts) + 2)])
    for index in range(number):
        picked = list(dict.fromkeys(turns[index * many : index * many + 2 * many]))[:many]
        chosen[index, order[picked]] = True
    at = starts[np.linspace(0, len(starts) - 1, number).astype(np.intp)]
    return chosen, random.permutation(at)
