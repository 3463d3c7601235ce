"""What the canaries' readings are over the others', as one series on a log scale: levels, and busy events."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from leuko.statistics.counts import Cells
from leuko.statistics.groups import Group, centre, mean, middle
from leuko.statistics.noise import SMALLEST, Noise, fitted
from leuko.statistics.question import Chosen, Mask, Values

BUSY = 4.0
"""Events a tick on the canaries, and on the controls, from which they are looked at as a series."""
CELLS = 20_000
"""Readings from which a middle is taken; more would not move it."""
ENOUGH = 10
"""Ticks of history below which nothing is compared."""
FEW = 20
"""Canaries up to which each of them is looked at alone too: of more, one matters less."""
WILD = 6.0
"""Deviations beyond which a reading of the history is a wild one."""
ROOM = 1.0
"""A deviation (of the logarithm) that is never called wild, however quiet the gauge."""
THIRTY = 3.4
"""Logarithm of thirty: a single reading may say so much, not more."""
ABSENT = 1e8
CARRIED = 3
"""Ticks for which a host that says nothing is taken to be where it was."""
MISSING = 0.6
"""Part of a group that may be absent in a tick for that."""


@dataclass(frozen=True, eq=False)
class Each:
    """Every canary beside the controls: [ticks, canaries]."""

    before: Values
    after: Values
    scale: float


@dataclass(frozen=True, eq=False)
class Compared:
    """A group's series before and after; what its noise is."""

    before: Values
    after: Values
    """NaN where it says nothing."""
    noise: Noise
    scale: float
    before_white: float
    white: Values
    scales: Values
    seen: Values
    """Events in each tick of the watch and what was to be expected; NaN for levels."""
    expected: Values
    history: Values
    """[ticks, hosts]: the same of each host, of which pretend groups are made."""
    canary: Mask
    """Of those hosts."""
    hosts: Chosen
    """Their places in the question."""
    each: Each | None = None
    common: Values | None = None
    """By how much the controls moved themselves."""


def scale(before: Values) -> float:
    """What is added before the logarithm, so that zeros can be read: 0 where history holds nothing else."""
    seen = np.abs(before[~np.isnan(before)])
    seen = seen[:: max(1, seen.size // CELLS)]
    if seen.size == 0:
        return 0.0
    half = float(np.median(seen))
    return 0.1 * half if half > 0 else float(seen[seen > 0].mean()) if (seen > 0).any() else 0.0


def unsmoothed(values: Values, tick: float, seconds: float) -> Values:
    """What the kernel's exponential filter was fed: a load average shows 8 % of a step after five seconds.

    The kernel counts every five seconds, so shorter ticks are looked at so far apart.
    """
    values = _without_garbage(values)
    back = max(1, round(5.0 / tick))
    kept = float(np.exp(-back * tick / seconds))
    found = np.full_like(values, np.nan)
    found[back:] = (values[back:] - kept * values[:-back]) / (1 - kept)
    some = values[~np.isnan(values)]
    usual = float(np.median(some[:: max(1, some.size // CELLS)])) if some.size else 0.0
    known = found[~np.isnan(found)]
    if usual <= 0 or float((known < 0.1 * usual).mean()) > 0.2:
        return values  # no filter gave these: they were rounded, or come from elsewhere
    return np.asarray(np.maximum(found, 0.1 * usual))


def _without_garbage(values: Values) -> Values:
    """No filter gives a single reading far from both its neighbours."""
    known = values[~np.isnan(values)]
    far = 20 * float(np.quantile(known[:: max(1, known.size // CELLS)], 0.99)) if known.size else np.inf
    with np.errstate(invalid="ignore"):
        wild = (values > max(far, 1e-9)) | (values < 0)
    lone = wild.copy()
    lone[1:] &= ~wild[:-1]
    lone[:-1] &= ~wild[1:]
    return np.where(lone, np.nan, values) if lone.any() else values


def level(before: Values, watch: Values, group: Group, counted: Mask, *, alone: bool) -> Compared | None:
    """Of a level: [ticks, hosts] of the group's sample. None where history holds nothing to go by."""
    used = group.some_canaries if alone else group.some_canaries | group.some_controls
    added = scale(before[:, used])
    if added <= 0 or len(before) < ENOUGH:
        return None
    canary, control = group.some_canaries[used], (group.some_controls & ~group.some_canaries)[used]
    logs = np.log(np.maximum(before[:, used], 0.0) + added)
    usual = mean(logs, axis=0)
    deviation = logs - usual
    spread = _spread(deviation)
    bound = np.maximum(WILD * spread, ROOM)
    deviation = np.clip(deviation, -bound, bound)
    now = np.log(np.maximum(watch[:, used], 0.0) + added) - usual
    now = np.clip(now, -THIRTY - 4 * spread, THIRTY + 4 * spread)
    now[:, canary] = np.where(counted[:, used][:, canary], now[:, canary], np.nan)
    tight = np.maximum(4 * spread, SMALLEST)
    own = centre(carried(deviation[:, canary]), tight[canary])
    now_own = centre(carried(now[:, canary]), tight[canary])
    nothing = np.full(len(now), np.nan)
    if alone:
        noise = fitted(own[:, None])
        return Compared(
            own, now_own, noise, 1.0, noise.white, *_ones(now_own, noise.white), nothing, nothing,
            own[:, None], np.ones(1, dtype=np.bool_),
            np.zeros(1, dtype=np.intp),
        )  # fmt: skip
    other = centre(carried(deviation[:, control]), tight[control])
    now_other = centre(carried(now[:, control]), tight[control])
    noise, wilder = _pooled(deviation, canary)
    many, others = int(canary.sum()), int(control.sum())
    whole = wilder / many + 1 / others
    there, here = ((~np.isnan(carried(now[:, side]))).sum(axis=1) for side in (canary, control))
    scales = (wilder / np.maximum(there, 1) + 1 / np.maximum(here, 1)) / whole
    after = np.where((there > 0) & (here > 0), now_own - now_other, np.nan)
    one = wilder + 1 / others
    each = Each(deviation[:, canary] - other[:, None], now[:, canary] - now_other[:, None], one)
    return Compared(
        own - other, after, noise, whole, noise.white * whole,
        np.where(np.isnan(after), ABSENT, noise.white * whole * scales), scales, nothing, nothing,
        _winsorised(deviation, tight), canary, np.flatnonzero(used),
        each if 1 < many <= FEW else None, now_other,
    )  # fmt: skip


def carried(deviation: Values) -> Values:
    """A host that misses a tick or a few counts as where it was, while enough of its group is there.

    Else the group's mean would jump from host to host with each late reading, and a quiet gauge shows that.
    A group that is hardly there is taken as it is: old readings are no new evidence.
    """
    absent = np.isnan(deviation)
    if not absent.any():
        return deviation
    found = deviation
    for _ in range(CARRIED):
        before = np.concatenate([np.full((1, found.shape[1]), np.nan), found[:-1]])
        found = np.where(np.isnan(found), before, found)
    return np.where(absent.mean(axis=1, keepdims=True) <= MISSING, found, deviation)


def _winsorised(deviation: Values, bound: Values) -> Values:
    around = middle(deviation)[:, None]
    return np.asarray(around + np.clip(deviation - around, -bound, bound))


def _ones(after: Values, white: float) -> tuple[Values, Values]:
    return np.where(np.isnan(after), ABSENT, white), np.ones(len(after))


def _spread(deviation: Values) -> Values:
    """Per host, from the middle absolute deviation, drawn to the fleet's."""
    own = 1.4826 * np.nan_to_num(middle(np.abs(deviation).T), nan=0.0)
    own = np.maximum(own, SMALLEST)
    return np.asarray(np.sqrt(own * np.median(own)))


def _pooled(deviation: Values, canary: Mask) -> tuple[Noise, float]:
    """Noise of one host beside the others, and how much wilder the canaries are."""
    hosts = deviation.shape[1]
    around = middle(deviation) if hosts >= 5 else mean(deviation, axis=1)
    residual = deviation - around[:, None]
    noise = fitted(residual.astype(np.float32)).times(hosts / max(1, hosts - 1))
    every = float(np.nanmean(residual**2))
    own = float(np.nanmean(residual[:, canary] ** 2)) if np.isfinite(residual[:, canary]).any() else every
    return noise, float(np.clip(own / max(every, 1e-12), 1.0, 10.0))


def events(before: Cells, watch: Cells, group: Group, counted: Mask, *, alone: bool) -> Compared | None:
    """Of events of which every tick holds several: logs of what was seen over what was to be expected."""
    canary, control = group.canary, group.control
    members = canary | control
    shown = before.shown
    rate = np.where(shown > 0, (before.events.sum(axis=0) + 0.5) / np.maximum(shown, 1e-9), 0.0)
    wild = max(3.0, 3 * _high(before.events[before.exposure > 0]))
    before = replace(before, events=before.capped(wild))
    watch = replace(watch, events=np.minimum(watch.events, np.where(canary, 10 * wild, wild)))
    watch = replace(watch, exposure=np.where(canary[None, :] & ~counted, 0.0, watch.exposure))
    due, now_due = rate * before.exposure, rate * watch.exposure
    x, ex = before.events[:, canary].sum(axis=1), due[:, canary].sum(axis=1)
    seen = np.where(watch.exposure > 0, watch.events, 0.0)
    now_x, now_ex = seen[:, canary].sum(axis=1), now_due[:, canary].sum(axis=1)
    own, now_own = _logs(x, ex), _logs(now_x, now_ex)
    if alone:
        noise = fitted(own[:, None])
        return Compared(
            own, now_own, noise, 1.0, noise.white, *_ones(now_own, noise.white), now_x, now_ex,
            own[:, None], np.ones(1, dtype=np.bool_),
            np.zeros(1, dtype=np.intp),
        )  # fmt: skip
    y, ey = before.events[:, control].sum(axis=1), due[:, control].sum(axis=1)
    now_y, now_ey = seen[:, control].sum(axis=1), now_due[:, control].sum(axis=1)
    used = (group.some_canaries | group.some_controls) & (shown > 0)
    noise, phi, wilder = _of_events(before.events[:, used], due[:, used], canary[used])
    whole = wilder / int(canary.sum()) + 1 / int(control.sum())
    after = now_own - _logs(now_y, now_ey)
    with np.errstate(divide="ignore", invalid="ignore"):
        busy = np.where(now_ey > 0, np.maximum(now_y, 0.5) / np.maximum(now_ey, 1e-9), 1.0)
    due_now = now_ex * busy
    white = phi * wilder / np.maximum(due_now, 0.5) + phi / np.maximum(now_y, 0.5)
    past = phi * wilder / max(float(ex.mean()), 0.5) + phi / max(float(ey.mean()), 0.5)
    return Compared(
        own - _logs(y, ey), after, noise, whole, past,
        np.where(np.isnan(after), ABSENT, white), np.ones(len(after)), now_x, due_now,
        np.stack([before.events, due])[:, :, members],
        canary[members], np.flatnonzero(members), None, _logs(now_y, now_ey),
    )  # fmt: skip


def _high(seen: Values) -> float:
    return float(np.quantile(seen[:: max(1, seen.size // CELLS)], 0.99)) if seen.size else 0.0


def _logs(seen: Values, due: Values) -> Values:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(due > 0, np.log((seen + 0.5) / (due + 0.5)), np.nan))


def _of_events(seen: Values, due: Values, canary: Mask) -> tuple[Noise, float, float]:
    """Noise with memory of one host's log rate, the tempering of its counts, how much wilder canaries are."""
    total, expected = seen.sum(axis=1, keepdims=True), due.sum(axis=1, keepdims=True)
    due = due * np.where(expected > 0, total / np.maximum(expected, 1e-9), 0.0)
    hosts = max(2, seen.shape[1])
    residual = (seen - due) * np.sqrt(hosts / (hosts - 1))
    square = max(float(np.mean(due**2)), 1e-12)
    noise = fitted((residual / np.sqrt(square)).astype(np.float32))
    phi = max(1.0, noise.white * square / max(float(due.mean()), 1e-12))
    chi = residual**2 / np.maximum(due, 0.5)
    wilder = float(np.clip(chi[:, canary].mean() / max(float(chi.mean()), 1e-12), 1.0, 10.0))
    return Noise(0.0, noise.slow), phi, wilder


def of_groups(history: Values, chosen: Mask) -> Values:
    """What `Compared.before` would be for each of these groups of canaries: [ticks, groups]."""
    sides = chosen.T.astype(np.float64), (~chosen).T.astype(np.float64)
    if history.ndim == 3:
        (x, y), (ex, ey) = ([table @ side for side in sides] for table in history)
        return np.asarray(_logs(x, ex) - _logs(y, ey))
    present = (~np.isnan(history)).astype(np.float64)
    filled = np.nan_to_num(history)
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = ((filled @ side) / (present @ side) for side in sides)
    return np.asarray(one - other)
