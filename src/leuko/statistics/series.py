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
STEADY = 5.0
"""Seconds in whose middle reading a host is: a pause of a second or two is not where it is."""
PAUSE = 0.2
"""A deviation from there (of the logarithm) that is never called a pause, however quiet the gauge."""
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


def unsmoothed(values: Values, tick: float, seconds: float, past: int | None = None) -> Values:
    """What the kernel's exponential filter was fed: a load average shows 8 % of a step after five seconds.

    The kernel counts every five seconds, so shorter ticks are looked at so far apart. What is usual is
    learned from the first `past` ticks, the history: it stays what it is while the watch goes on.
    """
    values = _without_garbage(values, past)
    back = max(1, round(5.0 / tick))
    kept = float(np.exp(-back * tick / seconds))
    found = np.full_like(values, np.nan)
    found[back:] = (values[back:] - kept * values[:-back]) / (1 - kept)
    some = values[:past][~np.isnan(values[:past])]
    usual = float(np.median(some[:: max(1, some.size // CELLS)])) if some.size else 0.0
    known = found[:past][~np.isnan(found[:past])]
    if usual <= 0 or float((known < 0.1 * usual).mean()) > 0.2:
        return values  # no filter gave these: they were rounded, or come from elsewhere
    return np.asarray(np.maximum(found, 0.1 * usual))


def _without_garbage(values: Values, past: int | None) -> Values:
    """No filter gives a single reading far from both its neighbours."""
    known = values[:past][~np.isnan(values[:past])]
    far = 20 * float(np.quantile(known[:: max(1, known.size // CELLS)], 0.99)) if known.size else np.inf
    with np.errstate(invalid="ignore"):
        wild = (values > max(far, 1e-9)) | (values < 0)
    lone = wild.copy()
    lone[1:] &= ~wild[:-1]
    lone[:-1] &= ~wild[1:]
    return np.where(lone, np.nan, values) if lone.any() else values


@dataclass(frozen=True, eq=False)
class Levels:
    """A level's history: [ticks, hosts] of the group's sample. Nothing in it depends on the watch."""

    used: Mask
    canary: Mask
    """Of the hosts that are used."""
    added: float
    usual: Values
    spread: Values
    tight: Values
    latest: Values
    """What `steadied` needs of the history to go on with the watch."""
    deviation: Values
    own: Values
    other: Values
    noise: Noise
    wilder: float
    winsorised: Values


def sample(group: Group, *, alone: bool) -> Mask:
    """The hosts whose levels are compared."""
    return group.some_canaries if alone else group.some_canaries | group.some_controls


def levels(before: Values, group: Group, tick: float, *, alone: bool) -> Levels | None:
    """Of a level's history, [ticks, hosts]. None where it holds nothing to go by. `tick` in seconds."""
    used = sample(group, alone=alone)
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
    tight = np.maximum(4 * spread, SMALLEST)
    latest = deviation[len(deviation) + 1 - pauses(tick) :]
    deviation = steadied(deviation, np.maximum(tight, PAUSE), pauses(tick))
    own = centre(carried(deviation[:, canary]), tight[canary])
    if alone:
        return Levels(
            used, canary, added, usual, spread, tight, latest, deviation, own, own, fitted(own[:, None]), 1.0,
            own[:, None],
        )  # fmt: skip
    other = centre(carried(deviation[:, control]), tight[control])
    return Levels(
        used, canary, added, usual, spread, tight, latest, deviation, own, other, *_pooled(deviation, canary),
        _winsorised(deviation, tight),
    )  # fmt: skip


def level(past: Levels, watch: Values, counted: Mask, *, alone: bool) -> Compared:
    """Of a level in the watch, [ticks, hosts], beside its history."""
    used, canary, spread, tight = past.used, past.canary, past.spread, past.tight
    control = ~canary
    now = np.log(np.maximum(watch[:, used], 0.0) + past.added) - past.usual
    now = np.clip(now, -THIRTY - 4 * spread, THIRTY + 4 * spread)
    now[:, canary] = np.where(counted[:, used][:, canary], now[:, canary], np.nan)
    known = len(past.latest)
    now = steadied(np.concatenate([past.latest, now]), np.maximum(tight, PAUSE), known + 1)[known:]
    own, noise, wilder = past.own, past.noise, past.wilder
    now_own = centre(carried(now[:, canary]), tight[canary])
    nothing = np.full(len(now), np.nan)
    if alone:
        return Compared(
            own, now_own, noise, 1.0, noise.white, *_ones(now_own, noise.white), nothing, nothing,
            past.winsorised, np.ones(1, dtype=np.bool_), np.zeros(1, dtype=np.intp),
        )  # fmt: skip
    now_other = centre(carried(now[:, control]), tight[control])
    many, others = int(canary.sum()), int(control.sum())
    whole = wilder / many + 1 / others
    there, here = ((~np.isnan(carried(now[:, side]))).sum(axis=1) for side in (canary, control))
    scales = (wilder / np.maximum(there, 1) + 1 / np.maximum(here, 1)) / whole
    after = np.where((there > 0) & (here > 0), now_own - now_other, np.nan)
    one = wilder + 1 / others
    each = Each(past.deviation[:, canary] - past.other[:, None], now[:, canary] - now_other[:, None], one)
    return Compared(
        own - past.other, after, noise, whole, noise.white * whole,
        np.where(np.isnan(after), ABSENT, noise.white * whole * scales), scales, nothing, nothing,
        past.winsorised, canary, np.flatnonzero(used),
        each if 1 < many <= FEW else None, now_other,
    )  # fmt: skip


def pauses(tick: float) -> int:
    """Ticks in whose middle reading a host is: 1 where ticks are too long to tell a pause from a change."""
    return 1 + 2 * int(STEADY / tick / 2)


def steadied(deviation: Values, bound: Values, ticks: int) -> Values:
    """[ticks, hosts], no reading further than `bound` from the middle of the host's latest `ticks` readings.

    What a host does for a second says little, however much it is; what lasts is in the middle, and says all.
    Ticks of a second are full of pauses: taken at their size they hide a change of the usual.
    """
    if ticks < 2 or not deviation.size:
        return deviation
    none = np.full((ticks - 1, deviation.shape[1]), np.nan)
    latest = np.lib.stride_tricks.sliding_window_view(np.concatenate([none, deviation]), ticks, axis=0)
    around = middle(latest.reshape(-1, ticks)).reshape(deviation.shape)
    return np.asarray(around + np.clip(deviation - around, -bound, bound))


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
    usual = middle(deviation.T)  # where pauses pull the mean away from it
    own = 1.4826 * np.nan_to_num(middle(np.abs(deviation - usual).T), nan=0.0)
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


@dataclass(frozen=True, eq=False)
class Events:
    """The history of busy events. Nothing in it depends on the watch."""

    rate: Values
    wild: float
    x: Values
    """Events of the canaries in each tick, and what was to be expected."""
    ex: Values
    y: Values
    """The same of the controls."""
    ey: Values
    noise: Noise
    phi: float
    wilder: float
    history: Values


def busy(before: Cells, group: Group, *, alone: bool) -> Events:
    """Of the history of events of which every tick holds several."""
    canary, control = group.canary, group.control
    shown = before.shown
    rate = np.where(shown > 0, (before.events.sum(axis=0) + 0.5) / np.maximum(shown, 1e-9), 0.0)
    wild = max(3.0, 3 * _high(before.events[before.exposure > 0]))
    before = replace(before, events=before.capped(wild))
    due = rate * before.exposure
    x, ex = before.events[:, canary].sum(axis=1), due[:, canary].sum(axis=1)
    if alone:
        own = _logs(x, ex)[:, None]
        return Events(rate, wild, x, ex, x, ex, fitted(own), 1.0, 1.0, own)
    y, ey = before.events[:, control].sum(axis=1), due[:, control].sum(axis=1)
    used = (group.some_canaries | group.some_controls) & (shown > 0)
    noise, phi, wilder = _of_events(before.events[:, used], due[:, used], canary[used])
    history = np.stack([before.events, due])[:, :, canary | control]
    return Events(rate, wild, x, ex, y, ey, noise, phi, wilder, history)


def events(past: Events, watch: Cells, group: Group, counted: Mask, *, alone: bool) -> Compared:
    """Of busy events in the watch: logs of what was seen over what was to be expected."""
    canary, control, noise = group.canary, group.control, past.noise
    members = canary | control
    seen = np.minimum(watch.events, np.where(canary, 10 * past.wild, past.wild))
    exposure = np.where(canary[None, :] & ~counted, 0.0, watch.exposure)
    seen, due = np.where(exposure > 0, seen, 0.0), past.rate * exposure
    now_x, now_ex = seen[:, canary].sum(axis=1), due[:, canary].sum(axis=1)
    own, now_own = _logs(past.x, past.ex), _logs(now_x, now_ex)
    if alone:
        return Compared(
            own, now_own, noise, 1.0, noise.white, *_ones(now_own, noise.white), now_x, now_ex,
            past.history, np.ones(1, dtype=np.bool_), np.zeros(1, dtype=np.intp),
        )  # fmt: skip
    now_y, now_ey = seen[:, control].sum(axis=1), due[:, control].sum(axis=1)
    phi, wilder = past.phi, past.wilder
    whole = wilder / int(canary.sum()) + 1 / int(control.sum())
    after = now_own - _logs(now_y, now_ey)
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.where(now_ey > 0, np.maximum(now_y, 0.5) / np.maximum(now_ey, 1e-9), 1.0)
    due_now = now_ex * moved
    white = phi * wilder / np.maximum(due_now, 0.5) + phi / np.maximum(now_y, 0.5)
    usual = phi * wilder / max(float(past.ex.mean()), 0.5) + phi / max(float(past.ey.mean()), 0.5)
    return Compared(
        own - _logs(past.y, past.ey), after, noise, whole, usual,
        np.where(np.isnan(after), ABSENT, white), np.ones(len(after)), now_x, due_now,
        past.history, canary[members], np.flatnonzero(members), None, _logs(now_y, now_ey),
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
