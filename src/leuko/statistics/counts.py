"""Events: the canaries' share of them against the share that their own history and traffic predict.

Given X + Y events on canaries and controls, X is binomial; whatever happens to all hosts at once cancels.
The likelihood is tempered by `phi`, how much wilder than Poisson the history was; no single reading of one
host counts more than `cap`; what is not known about the share is integrated out in both hypotheses, so
that an uncertain baseline never looks like a change.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from leuko.statistics.clocks import Clock, combine, log_mean_exp
from leuko.statistics.question import Mask, Values

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
BLOCKS = (1, 6, 12, 24)
LASTING = 0.05
"""What a healthy switch may change for good on one host (standard deviation of the logarithm)."""
DRIFT = 0.2
"""How far a group's rate may wander without any control to tell (standard deviation of the logarithm)."""


@dataclass(frozen=True)
class Cells:
    """Events and exposure, [ticks, hosts]; exposure 0 where nothing was read."""

    events: Values
    exposure: Values

    def capped(self, cap: float) -> Values:
        """Events with no cell above `cap`."""
        return np.minimum(self.events, cap)

    @cached_property
    def shown(self) -> Values:
        """Exposure of each host."""
        return np.asarray(self.exposure.sum(axis=0))


@dataclass(frozen=True, slots=True)
class Sides:
    """The hosts that are compared. `sample` is a part of both from which noise is learned."""

    canary: Mask
    control: Mask
    sample: Mask


@dataclass(frozen=True, slots=True)
class Model:
    """What history says: log of the canaries' rate over the controls', its deviation, tempering, cap."""

    ratio: float
    deviation: float
    phi: float
    cap: float
    canary_rate: float
    other_rate: float


def cells(values: Values, denominators: Values | None) -> Cells:
    """Readings as events and exposure: an exposure of a tick each, or the denominators."""
    exposure = (~np.isnan(values)).astype(np.float64) if denominators is None else np.fmax(denominators, 0.0)
    return Cells(np.fmax(values, 0.0), exposure)


def model(before: Cells, sides: Sides) -> Model:
    """Learns from the ticks before the push."""
    sample, exposed = before.events[:, sides.sample], before.exposure[:, sides.sample]
    seen = sample[exposed > 0]
    cap = max(3.0, float(np.quantile(seen, 0.995))) if seen.size else 3.0
    totals = before.capped(cap).sum(axis=0)
    if sides.control.any():
        return _controlled(np.minimum(sample, cap), totals, before.shown, sides, cap)
    canary = sides.canary
    series = before.events[:, canary].clip(max=cap).sum(axis=1)
    phi = max(1.0, wander(series, before.exposure[:, canary].sum(axis=1)))
    exposure = float(before.shown[canary].sum())
    rate = float(totals[canary].sum()) / exposure if exposure > 0 else 0.0
    return Model(0.0, DRIFT, phi, cap, rate, rate)


def _controlled(sample: Values, totals: Values, shown: Values, sides: Sides, cap: float) -> Model:
    canary, control = sides.canary, sides.control
    phi = max(1.0, dispersion(sample))
    x, y = float(totals[canary].sum()), float(totals[control].sum())
    ex, ey = float(shown[canary].sum()), float(shown[control].sum())
    both = canary | control
    prior = _host_spread(totals[both], shown[both], phi) * (1 / canary.sum() + 1 / control.sum())
    noise = phi * (1 / (x + 0.5) + 1 / (y + 0.5)) if ex > 0 and ey > 0 else np.inf
    seen = np.log((x + 0.5) / (y + 0.5)) - np.log(ex / ey) if ex > 0 and ey > 0 else 0.0
    part = 1.0 if np.isinf(noise) else noise / (prior + noise)
    ratio = float(seen * (1 - part))
    variance = prior * part + LASTING**2 / canary.sum()
    total = (x + y) / (ex + ey) if ex + ey > 0 else 0.0
    return Model(ratio, float(np.sqrt(variance)), phi, cap, total * float(np.exp(ratio)), total)


def _host_spread(totals: Values, exposure: Values, phi: float) -> float:
    """Variance of the log rate between hosts; a guess where history has too few events."""
    used = exposure > 0
    if totals.sum() < 20 or used.sum() < 3:
        return 0.09
    expected = exposure[used] * totals.sum() / exposure[used].sum()
    ratio = totals[used] / expected
    return float(np.clip(np.var(ratio, ddof=1) - phi * np.mean(1 / expected), 0.0025, 1.0))


def dispersion(events: Values) -> float:
    """Greatest chi-square per degree of freedom of the table host by block of ticks, over block lengths."""
    ticks, hosts = events.shape
    worst = 0.0
    for length in BLOCKS:
        blocks = ticks // length
        if blocks < 3 or hosts < 2 or events.sum() < 5:
            continue
        table = events[: blocks * length].reshape(blocks, length, hosts).sum(axis=1)
        expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / max(table.sum(), 1e-9)
        used = expected > 0
        chi = float((((table - expected) ** 2)[used] / expected[used]).sum())
        freedom = (int(used.any(axis=1).sum()) - 1) * (int(used.any(axis=0).sum()) - 1)
        if freedom > 0:
            worst = max(worst, chi / freedom)
    return worst


def wander(events: Values, exposure: Values) -> float:
    """As `dispersion`, of one series over time: what happens to all hosts at once counts too."""
    worst = 0.0
    for length in BLOCKS:
        blocks = len(events) // length
        if blocks < 3 or events.sum() < 5:
            continue
        table = events[: blocks * length].reshape(blocks, length).sum(axis=1)
        shown = exposure[: blocks * length].reshape(blocks, length).sum(axis=1)
        used = shown > 0
        expected = shown[used] * table.sum() / shown[used].sum()
        worst = max(worst, float(((table[used] - expected) ** 2 / expected).sum() / max(1, used.sum() - 1)))
    return worst


@dataclass(frozen=True, slots=True)
class Look:
    """Events and exposures since one clock began, on canaries (x) and what they are held against (y)."""

    clock: Clock
    x: float
    y: float
    x_exposure: float
    y_exposure: float
    phi: float

    @property
    def begun(self) -> bool:
        """False while one side has shown nothing."""
        return self.x_exposure > 0 and self.y_exposure > 0

    @property
    def offset(self) -> float:
        """Log of the ratio of exposures."""
        return float(np.log(self.x_exposure / self.y_exposure))


def log_evidence(learned: Model, look: Look, x: Values, y: float, sign: int) -> Values:
    """Log e-value for each x, were x of x + y events on the canaries in that look."""
    sizes = np.log(np.array(look.clock.sizes))
    centre = learned.ratio + look.offset + sign * np.log(look.clock.margin)
    baseline = centre + learned.deviation * _NODES
    null = log_mean_exp(_likelihood(x[:, None], y, baseline[None, :], look.phi), _WEIGHTS)
    shifted = baseline[None, :] + sign * sizes[:, None]
    other = _likelihood(x[:, None, None], y, shifted[None, :, :], look.phi)
    weights = np.broadcast_to(_WEIGHTS / len(sizes), other.shape[1:]).reshape(-1)
    return np.asarray(log_mean_exp(other.reshape(len(x), -1), weights) - null)


def _likelihood(x: Values, y: float, eta: Values, phi: float) -> Values:
    return np.asarray(-(x * np.logaddexp(0.0, -eta) + y * np.logaddexp(0.0, eta)) / phi)


def softened(events: Values, exposure: Values) -> Values:
    """Events of each canary, less what one of them has far above the others: a burst on one host looks so.

    More events never come to less: above three times the others' rate and four, each counts a quarter.
    """
    if (exposure > 0).sum() < 2:
        return events
    others = np.maximum(exposure.sum() - exposure, 1e-9)
    bound = 3 * (events.sum() - events) / others * exposure + 4
    return np.where(events > bound, bound + 0.25 * (events - bound), events)


def weigh(learned: Model, looks: list[Look], sign: int) -> float:
    """Log of the clocks' weighted mean evidence; a clock that has not begun says 1."""
    return combine(
        [
            (look.clock.weight, float(log_evidence(learned, look, np.array([look.x]), look.y, sign)[0]))
            if look.begun
            else (look.clock.weight, 0.0)
            for look in looks
        ]
    )


def visible(learned: Model, look: Look, threshold: float, sign: int) -> tuple[float, float]:
    """(factor, rate): the smallest change on the canaries that this look would have shown."""
    if not look.begun:
        return float("inf"), float("inf")
    expected = learned.canary_rate * look.x_exposure
    y = learned.other_rate * look.y_exposure
    if sign > 0:
        grid = np.unique(np.ceil(np.geomspace(1, max(60.0, 20 * expected), 60)))
        grid = grid[grid > expected]
    else:
        grid = np.unique(np.floor(np.linspace(0, expected, 60)))[::-1]
    logs = log_evidence(learned, look, grid, y, sign) + np.log(look.clock.weight)
    shown = grid[logs >= threshold]
    if shown.size == 0:
        return float("inf"), float("inf")
    needed = float(shown[0])
    if sign > 0:
        return (needed / expected if expected > 0 else float("inf")), needed / look.x_exposure
    return (expected / needed if needed > 0 else 1e9), needed / look.x_exposure
