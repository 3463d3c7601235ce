"""When a change may begin, how large it may be, what a healthy switch may cost, and how bets are combined.

An e-value is a factor by which "the canaries changed" explains the readings better than "they did not".
A mean of e-values is an e-value again, whatever ties them together: that is how sizes, beginnings, gauges and
phases are put under one budget.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from leuko.statistics.question import Values

TOO_YOUNG = "there is too little history"
"""A basis that time alone mends."""


def covers(rise: float, fall: float) -> bool:
    """Whether a window with these smallest visible factors would have shown a stop or a tenfold rise."""
    return bool(rise <= 10 or np.isfinite(fall))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the comparison of one gauge in one role came to. Logarithms are natural; sign +1 is a rise."""

    log: float
    """Log of the e-value; 0 where nothing could be compared."""
    effect: float
    """Canaries' factor over what controls and history predict; NaN where unknown."""
    seen: float = float("nan")
    """Events seen on the canaries (counts and ratios)."""
    expected: float = float("nan")
    """Events expected on them."""
    rise: float = float("inf")
    """Smallest rise, as a factor, that the window could have shown; infinite: none."""
    fall: float = float("inf")
    """Smallest fall, as a factor; infinite: not even a stop."""
    reach: float = float("inf")
    """The rate of events that this would be, for one unit of exposure (a tick of one host, a denominator)."""
    needed: float = float("inf")
    """Events on all canaries together that would have shown (counts and ratios)."""
    controls: int = 0
    controlled: bool = False
    """False: compared with the hosts' own history only."""
    basis: str = ""
    """Why nothing could be compared; empty where something was."""


NOTHING = Evidence(0.0, float("nan"))


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """The same at every tick. `said` is what does not change from tick to tick."""

    logs: Values
    effect: Values
    seen: Values
    expected: Values
    said: Evidence

    @property
    def last(self) -> Evidence:
        """At the latest tick."""
        if not len(self.logs):
            return self.said
        return replace(
            self.said, log=float(self.logs[-1]), effect=float(self.effect[-1]),
            seen=float(self.seen[-1]), expected=float(self.expected[-1]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fade:
    """A warm-up that nobody has measured yet: the log of its size at the switch, and how it fades."""

    seconds: float
    mean: float
    deviation: float


FADING = (Fade(4.0, 0.1, 0.4), Fade(15.0, 0.25, 0.4), Fade(60.0, 0.2, 0.45))
LASTING = 0.03
"""What a healthy switch may change for good on one host (standard deviation of the logarithm)."""
SIZES = (1.07, 1.25, 1.7, 2.5, 5.0, 20.0)
LIKELY = (0.15, 0.25, 0.23, 0.18, 0.1, 0.09)
"""What is bet on each of these sizes."""
EVENTS = (1.25, 1.6, 2.5, 6.0, 20.0, 60.0)
LATE = (60.0, 120.0, 180.0)


def late_starts(window: float, tick: float) -> list[float]:
    """Seconds after the switch at which a late change may begin: those of LATE within it, or its middle."""
    inside = [start for start in LATE if start <= window - 3 * tick]
    if window > 2.5 * LATE[-1]:
        inside += [round(part * window / tick) * tick for part in (0.5, 0.75)]
    return inside or [max(tick, round(window / 2 / tick) * tick)]


def fading_margin(ages: NDArray[np.floating], start: float = 0.0) -> Values:
    """Log of the factor by which a healthy warm-up may raise a count of events from `start` to these ages."""
    found = np.full(len(ages), 1.05)
    span = np.maximum(ages - start, 1e-9)
    for seconds, size in ((15.0, 0.9), (60.0, 0.3)):
        found = found + size * seconds / span * np.exp(-start / seconds) * (1 - np.exp(-span / seconds))
    return np.asarray(np.log(found))


def log_mean_exp(logs: Values, weights: Values, axis: int = -1) -> Values:
    """Log of the weighted mean of exponentials, without overflow."""
    top = np.max(logs, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        summed = np.log(np.sum(weights * np.exp(logs - top), axis=axis))
    return np.asarray(summed + np.squeeze(top, axis=axis))


def combine(parts: list[tuple[float, float]]) -> float:
    """Log of the weighted mean of e-values given as (weight, log)."""
    if not parts:
        return 0.0
    weights = np.array([weight for weight, _ in parts])
    logs = np.array([log for _, log in parts])
    return float(log_mean_exp(logs, weights / weights.sum()))
