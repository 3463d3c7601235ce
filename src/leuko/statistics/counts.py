"""Rare events: the canaries' share of them against the share that their own history and traffic predict.

Given X + Y events on canaries and controls, X is binomial; whatever happens to all hosts at once cancels.
The likelihood is tempered by `phi`, how much wilder than Poisson the history was; no single reading of one
host counts more than `cap`; what is not known about the share is integrated out in both hypotheses, so
that an uncertain baseline never looks like a change.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from leuko.statistics.clocks import log_mean_exp
from leuko.statistics.groups import Group
from leuko.statistics.memory import Given
from leuko.statistics.question import Mask, Values

NODES = np.linspace(-4.5, 4.5, 19)
WEIGHTS = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()
BLOCKS = (1, 3, 6)
"""Ticks within which events come in clumps; what lasts longer is a wandering rate."""
WANDERING = (12, 24, 48)
LASTING = 0.06
"""What a healthy switch may change for good on one host (standard deviation of the logarithm)."""
COMMON = 0.7
"""How far the rate of all hosts at once may be from its history (standard deviation of the logarithm)."""
DRIFT = 0.2
"""How far a group's rate may wander without any control to tell (standard deviation of the logarithm)."""


@dataclass(frozen=True)
class Cells:
    """Events and exposure, [ticks, hosts]; exposure 0 where nothing was read."""

    events: Values
    exposure: Values

    def capped(self, cap: float, usual: float = 0.0) -> Values:
        """Events with no cell above `cap`; with the usual exposure given, more exposure may bring more."""
        if usual <= 0:
            return np.minimum(self.events, cap)
        return np.minimum(self.events, cap * np.maximum(1.0, self.exposure / usual))

    def given(self, group: Group) -> tuple[Given, ...]:
        """All that is learned of this history for a group depends on."""
        return (
            self.events,
            self.exposure,
            group.canary,
            group.control,
            group.some_canaries,
            group.some_controls,
        )

    @property
    def usual(self) -> float:
        """Exposure of a cell that shows any."""
        seen = self.exposure[self.exposure > 0]
        return float(seen.mean()) if seen.size else 0.0

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
    prior: float = 0.0
    """Events that history is worth beside the controls' own, at the controls' rate of history."""


def cells(values: Values, denominators: Values | None) -> Cells:
    """Readings as events and exposure: an exposure of a tick each, or the denominators."""
    absent = np.isnan(values)
    if denominators is None:
        exposure = np.where(absent, 0.0, 1.0)
    else:
        exposure = np.where(absent, 0.0, np.fmax(denominators, 0.0))
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
    shown = before.exposure[:, canary].sum(axis=1)
    phi = max(1.0, wander(series, shown))
    own = series.sum() / max(1, len(series))
    excess = [(wander(series, shown, (length,)) - phi) / (length * max(own, 1e-9)) for length in WANDERING]
    drift = float(np.sqrt(DRIFT**2 + np.clip(np.mean(excess), 0.0, 1.0)))
    exposure = float(before.shown[canary].sum())
    rate = float(totals[canary].sum()) / exposure if exposure > 0 else 0.0
    return Model(0.0, drift, phi, cap, rate, rate)


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
    variance += wandering(sample, phi) * (1 / canary.sum() + 1 / control.sum())
    total = (x + y + 0.5) / (ex + ey) if ex + ey > 0 else 0.0
    return Model(
        ratio,
        float(np.sqrt(variance)),
        phi,
        cap,
        total * float(np.exp(ratio)),
        total,
        1 / (COMMON**2 + 1 / (x + y + 0.5)),
    )


def _host_spread(totals: Values, exposure: Values, phi: float) -> float:
    """Variance of the log rate between hosts; a guess where history has too few events."""
    used = exposure > 0
    if totals.sum() < 20 or used.sum() < 3:
        return 0.09
    expected = exposure[used] * totals.sum() / exposure[used].sum()
    ratio = totals[used] / expected
    return float(np.clip(np.var(ratio, ddof=1) - phi * np.mean(1 / expected), 0.0025, 1.0))


def wandering(events: Values, phi: float) -> float:
    """Variance of one host's log rate over minutes, beyond what clumps of events explain."""
    mean = float(events.mean()) if events.size else 0.0
    if mean <= 0:
        return 0.0
    excess = [(dispersion(events, (length,)) - phi) / (length * mean) for length in WANDERING]
    return float(np.clip(np.mean(excess), 0.0, 0.5))


def dispersion(events: Values, lengths: tuple[int, ...] = BLOCKS) -> float:
    """Greatest chi-square per degree of freedom of the table host by block of ticks, over block lengths."""
    ticks, hosts = events.shape
    worst = 0.0
    for length in lengths:
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


def wander(events: Values, exposure: Values, lengths: tuple[int, ...] = BLOCKS) -> float:
    """As `dispersion`, of one series over time: what happens to all hosts at once counts too."""
    worst = 0.0
    for length in lengths:
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
    """Events and exposures since one clock began, on canaries (x) and what they are held against (y).

    One entry a look; `margins` are logs of the factor that a healthy switch may cost by then.
    """

    x: Values
    y: Values
    x_exposure: Values
    y_exposure: Values
    margins: Values
    sizes: tuple[float, ...]

    @property
    def begun(self) -> Mask:
        """False while one side has shown nothing."""
        return np.asarray((self.x_exposure > 0) & (self.y_exposure > 0))


def log_evidence(learned: Model, look: Look, sign: int) -> Values:
    """Log e-value of each look; 0 where it has not begun."""
    begun = look.begun
    found = np.zeros(len(look.x))
    if not begun.any():
        return found
    x, y = look.x[begun], look.y[begun] + learned.prior
    remembered = learned.prior / learned.other_rate if learned.prior > 0 else 0.0
    offset = np.log(look.x_exposure[begun] / (look.y_exposure[begun] + remembered))
    centre = learned.ratio + offset + sign * look.margins[begun]
    shifts = np.concatenate([[0.0], np.log(np.array(look.sizes))])
    eta = centre[:, None, None] + sign * shifts[None, :, None] + learned.deviation * NODES
    rising = np.logaddexp(0.0, eta)
    likelihood = (x[:, None, None] * (eta - rising) - y[:, None, None] * rising) / learned.phi
    per_size = log_mean_exp(likelihood, WEIGHTS)
    count = len(look.sizes)
    found[begun] = log_mean_exp(per_size[:, 1:], np.full(count, 1 / count)) - per_size[:, 0]
    return found


def softened(events: Values, exposure: Values) -> Values:
    """Events so far of each canary, less what one has far above the others: a burst on one host looks so.

    More events never come to less: above three times the others' rate and four, each counts a quarter.
    """
    if events.shape[1] < 2:
        return events
    whole = exposure.sum(axis=1, keepdims=True)
    others = np.maximum(whole - exposure, 1e-9)
    bound = 3 * (events.sum(axis=1, keepdims=True) - events) / others * exposure + 4
    alone = (exposure > 0).sum(axis=1, keepdims=True) < 2
    return np.where((events > bound) & ~alone, bound + 0.25 * (events - bound), events)


def visible(learned: Model, look: Look, threshold: float, sign: int) -> tuple[float, float, float]:
    """(factor, rate, events): the smallest change on the canaries that a look would have shown."""
    if not look.begun.all():
        return float("inf"), float("inf"), float("inf")
    exposure = float(look.x_exposure[0])
    expected = learned.canary_rate * exposure
    y = learned.other_rate * float(look.y_exposure[0])
    if sign > 0:
        grid = np.unique(np.ceil(np.geomspace(1, max(60.0, 20 * expected), 60)))
        grid = grid[grid > expected]
    else:
        grid = np.unique(np.floor(np.linspace(0, expected, 60)))[::-1]

    def all_of(value: float) -> Values:
        return np.full(len(grid), value)

    looks = Look(
        grid, all_of(y), all_of(exposure), all_of(float(look.y_exposure[0])),
        all_of(float(look.margins[0])), look.sizes,
    )  # fmt: skip
    shown = grid[log_evidence(learned, looks, sign) >= threshold]
    if shown.size == 0:
        return float("inf"), float("inf"), float("inf")
    needed = float(shown[0])
    if sign > 0:
        return (needed / expected if expected > 0 else float("inf")), needed / exposure, needed
    return (expected / needed if needed > 0 else 1e9), needed / exposure, needed
