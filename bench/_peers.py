"""What other tools would have done with the same readings, from their published descriptions.

Each peer says at which second after the switch it rolls the push back; NaN: not within the watch. All see
the same arrays, and those that need a threshold get it from the same history, as a careful operator would
set it: five times the usual events, twice the usual level. Where a description leaves something open, the
constant here says what was taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, ndtri

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]
NEVER = float("nan")


@dataclass(frozen=True)
class Seen:
    """One gauge as a peer sees it: [ticks, hosts], the first `split` ticks before the switch."""

    values: Values
    canary: Mask
    split: int
    tick: float
    events: bool
    rises: bool = True
    happened: Values | None = None
    """The events themselves, where `values` are a share of requests."""

    def mean(self, hosts: Mask) -> Values:
        """Per tick, of a group of hosts, over all ticks; NaN where none was read."""
        values = self.values[:, hosts]
        there = ~np.isnan(values)
        number = there.sum(axis=1)
        total = np.where(there, values, 0.0).sum(axis=1)
        return np.asarray(np.where(number > 0, total / np.maximum(number, 1), np.nan))

    @cached_property
    def canaries(self) -> Values:
        """Their mean, after the switch."""
        return self.mean(self.canary)[self.split :]

    @cached_property
    def controls(self) -> Values:
        """Their mean, after the switch."""
        return self.mean(~self.canary)[self.split :]

    @cached_property
    def usual(self) -> float:
        """What history holds on average, over all hosts."""
        return float(np.nanmean(self.values[: self.split]))

    def trailing(self, tick: int, seconds: float) -> float:
        """Mean of the canaries over the last seconds before the end of that tick of the watch."""
        window = self.canaries[max(0, tick - round(seconds / self.tick)) : tick]
        there = window[~np.isnan(window)]
        return float(there.mean()) if there.size else NEVER

    def worse(self, value: float, factor: float) -> bool:
        """Beyond `factor` times the usual, in the bad direction."""
        return value > factor * self.usual if self.rises else value < self.usual / factor


Peer = Callable[[Sequence[Seen]], float]


# Kayenta: Mann-Whitney between the groups' series after the switch (spinnaker.io, NetflixACAJudge).

CONFIDENCE = 0.98
TOLERANCE = 0.25
FEWEST = 6
"""Points of each series below which no look is taken."""


def shift(canary: Values, control: Values) -> tuple[float, float, float]:
    """Hodges-Lehmann shift with its Mann-Whitney interval: lower end, estimate, upper end."""
    n, m = canary.size, control.size
    differences = np.sort((canary[:, None] - control[None, :]).ravel())
    _, ties = np.unique(np.concatenate([canary, control]), return_counts=True)
    crowded = float((ties**3 - ties).sum()) / ((n + m) * (n + m - 1))
    spread = np.sqrt(n * m / 12 * (n + m + 1 - crowded))
    rank = int(np.floor(n * m / 2 - ndtri(0.5 + CONFIDENCE / 2) * spread))
    rank = min(max(rank, 1), n * m // 2)
    return float(differences[rank - 1]), float(np.median(differences)), float(differences[-rank])


def kayenta_calls_it_bad(seen: Seen, ticks: int) -> bool:
    """One metric, classified from so many ticks of the watch."""
    canary, control = (series[:ticks] for series in (seen.canaries, seen.controls))
    canary, control = canary[~np.isnan(canary)], control[~np.isnan(control)]
    if min(canary.size, control.size) < FEWEST:
        return False
    low, middle, high = shift(canary, control)
    bound = TOLERANCE * abs(middle)
    return low > bound if seen.rises else high < -bound


def kayenta_once(gauges: Sequence[Seen], share: float = 0.0) -> float:
    """At the end of the watch; `share`: the part of metrics that must be bad for the score to fail."""
    ticks = gauges[0].canaries.size
    bad = sum(kayenta_calls_it_bad(seen, ticks) for seen in gauges)
    return ticks * gauges[0].tick if bad > share * len(gauges) else NEVER


def kayenta_score(gauges: Sequence[Seen]) -> float:
    """At the end of the watch, by its score: it fails below 75 % good metrics."""
    return kayenta_once(gauges, 0.25)


def kayenta_peeking(gauges: Sequence[Seen]) -> float:
    """Every ten seconds from FEWEST points on; any metric."""
    tick = gauges[0].tick
    for ticks in range(FEWEST, gauges[0].canaries.size + 1, max(1, round(10 / tick))):
        if any(kayenta_calls_it_bad(seen, ticks) for seen in gauges):
            return ticks * tick
    return NEVER


# Thresholds: Argo Rollouts, Flagger, and deltas as at IMVU.

EVENTS_LIMIT, LEVEL_LIMIT = 5.0, 2.0
WINDOW = 60.0


def _over(seen: Seen, tick: int) -> bool:
    value = seen.trailing(tick, WINDOW)
    return seen.worse(value, EVENTS_LIMIT if seen.events else LEVEL_LIMIT)


def argo(gauges: Sequence[Seen], interval: float = 10.0, failure_limit: int = 3) -> float:
    """A measurement every interval; more than `failure_limit` failed ones of one metric abort the rollout."""
    step = max(1, round(interval / gauges[0].tick))
    failed = [0] * len(gauges)
    for tick in range(step, gauges[0].canaries.size + 1, step):
        for number, seen in enumerate(gauges):
            failed[number] += _over(seen, tick)
        if max(failed) > failure_limit:
            return tick * gauges[0].tick
    return NEVER


def flagger(gauges: Sequence[Seen], interval: float = 30.0, threshold: int = 5) -> float:
    """A check of all metrics every interval; so many checks with a failed metric roll back."""
    step = max(1, round(interval / gauges[0].tick))
    failed = 0
    for tick in range(step, gauges[0].canaries.size + 1, step):
        failed += any(_over(seen, tick) for seen in gauges)
        if failed >= threshold:
            return tick * gauges[0].tick
    return NEVER


BEFORE = 300.0
EVENTS_DELTA, LEVEL_DELTA = 2.5, 0.5


def deltas(gauges: Sequence[Seen]) -> float:
    """The last minute less the five before the switch, from 30 s on, every 10 s: too much of the usual."""
    tick = gauges[0].tick
    before = [
        float(np.nanmean(seen.mean(seen.canary)[max(0, seen.split - round(BEFORE / tick)) : seen.split]))
        for seen in gauges
    ]
    for end in range(round(30 / tick), gauges[0].canaries.size + 1, max(1, round(10 / tick))):
        for seen, was in zip(gauges, before, strict=True):
            allowed = EVENTS_DELTA * seen.usual if seen.events else LEVEL_DELTA * was
            grown = seen.trailing(end, WINDOW) - was
            if (grown if seen.rises else -grown) > allowed:
                return end * tick
    return NEVER


# The published Poisson e-process (Lindon and Malek 2022): the canaries' part of all events, uniform prior.


def poisson_logs(seen: Seen) -> Values:
    """Log of the e-value after each tick of the watch."""
    happened = seen.values if seen.happened is None else seen.happened
    after = np.nan_to_num(happened[seen.split :])
    x = np.cumsum(after[:, seen.canary].sum(axis=1))
    y = np.cumsum(after[:, ~seen.canary].sum(axis=1))
    part = seen.canary.mean()
    log = betaln(1 + x, 1 + y) - x * np.log(part) - y * np.log1p(-part)
    more = x > part * (x + y)
    return np.asarray(np.where(more if seen.rises else ~more, log, -np.inf))


def poisson(gauges: Sequence[Seen], alpha: float = 0.01) -> float:
    """The budget is divided among all metrics; only counts are looked at."""
    bar = np.log(len(gauges) / alpha)
    firsts = [
        float(np.argmax(crossed) + 1) * seen.tick
        for seen in gauges
        if seen.events and (crossed := poisson_logs(seen) >= bar).any()
    ]
    return min(firsts, default=NEVER)


PEERS: Mapping[str, Peer] = MappingProxyType(
    {
        "Kayenta, once": kayenta_once,
        "Kayenta, score 75": kayenta_score,
        "Kayenta, every 10 s": kayenta_peeking,
        "Argo": argo,
        "Flagger": flagger,
        "fixed deltas": deltas,
        "Poisson": poisson,
    }
)
