"""From when on a change is looked for, how large it must at least be, and how sizes are weighed.

An e-value is a factor by which "the canaries changed" explains the readings better than "they did not".
Each gauge has several clocks, because a crash shows at once and a leak late; their weighted mean is an
e-value again. `facts` behind the figures are in the design's section on the verdict.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leuko.statistics.question import Values


@dataclass(frozen=True, slots=True)
class Clock:
    """Looks for a change by more than `margin` (a factor), from `wait` seconds after the switch on."""

    wait: float
    margin: float
    sizes: tuple[float, ...]
    weight: float


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
    controls: int = 0
    controlled: bool = False
    """False: compared with the hosts' own history only."""
    basis: str = ""
    """Why nothing could be compared; empty where something was."""


NOTHING = Evidence(0.0, float("nan"))

CATASTROPHE = (1.5, 2.5, 5.0, 20.0)
REGRESSION = (1.25, 1.6, 2.5, 6.0, 20.0)
EVENTS = (1.25, 1.6, 2.5, 6.0, 20.0, 60.0)


def count_clocks(wait: float, watch: float, controlled: bool) -> tuple[Clock, ...]:
    """Clocks of events, the main one first; without controls only large changes are looked for."""
    if not controlled:
        return (Clock(wait, 2.0, REGRESSION, 0.7), Clock(wait, 3.0, CATASTROPHE, 0.3))
    late = max(wait, watch / 2)
    return (Clock(wait, 1.1, EVENTS, 0.8), Clock(late, 1.1, EVENTS, 0.2))


def level_clocks(wait: float, watch: float, tick: float, controlled: bool) -> tuple[Clock, ...]:
    """Clocks of levels, the main one first; the first ticks after a restart show only catastrophes."""
    # without controls a restart of all hosts at once looks like a catastrophe for its first seconds
    early = min(wait, max(tick, 2.0)) if controlled else wait
    margin = 1.15 if controlled else 1.5
    return (
        Clock(wait, margin, REGRESSION, 0.4),
        Clock(early, 3.0, CATASTROPHE, 0.4),
        Clock(max(wait, watch / 2), margin, REGRESSION, 0.2),
    )


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
