"""The hosts that are compared, when each of them was switched, and robust means over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leuko.domain.gauge import Gauge
from leuko.statistics.question import Chosen, Mask, Values
from leuko.statistics.windows import Windows

MOST = 60
"""Hosts of one group that are compared; more would add nothing that anybody could see."""


@dataclass(frozen=True, slots=True)
class Group:
    """Hosts of one role: those that may have changed, and those that cannot have."""

    role: str
    canary: Mask
    """All that are switched; of a role that is not pushed to, all that are watched."""
    control: Mask
    some_canaries: Mask
    some_controls: Mask
    """At most MOST of each, which are compared where more would add nothing."""
    only_held_back: bool
    pushed: bool
    since: Values
    """[hosts]: when each canary changed; NaN for the others."""

    def after(self, windows: Windows, wait: float) -> Mask:
        """[ticks, hosts]: the tick lies wholly `wait` seconds and more after the host's change."""
        times = windows.question.times[windows.span][:, None]
        with np.errstate(invalid="ignore"):
            late = times - windows.question.tick >= self.since[None, :] + wait - 1e-6
        return np.asarray(late, dtype=np.bool_)


def group(windows: Windows, gauge: Gauge, role: str, usual: Values) -> Group:
    """The hosts that reported the gauge before the push; `usual`: in what part of the ticks."""
    question = windows.question
    members = windows.of_role(role) & windows.reports(gauge) & (usual > 0)
    pushed = bool((windows.of_role(role) & windows.switched).any()) or role in question.pushed_roles
    canary = members & windows.switched if pushed else members
    control = members & ~canary
    held = question.held_back if question.held_back is not None else np.zeros_like(control)
    only_held = bool(control.any()) and not bool((control & ~held).any())
    since = np.where(canary, question.switched_at if pushed else windows.push_began, np.nan)
    some = _thinned(canary, windows.by_name), _thinned(control, windows.by_name)
    return Group(role, canary, control, *some, only_held, pushed, since)


def _thinned(mask: Mask, by_name: Chosen) -> Mask:
    """At most MOST of them, evenly through their names."""
    named = by_name[mask[by_name]]
    if named.size <= MOST:
        return mask
    kept = np.zeros_like(mask)
    kept[named[np.linspace(0, named.size - 1, MOST).astype(int)]] = True
    return kept


def mean(values: Values, axis: int) -> Values:
    """Over what is present; NaN where nothing is."""
    present = ~np.isnan(values)
    if present.all() and values.shape[axis]:
        return np.asarray(values.mean(axis=axis))
    number = present.sum(axis=axis)
    total = np.where(present, values, 0.0).sum(axis=axis)
    return np.asarray(np.where(number > 0, total / np.maximum(number, 1), np.nan))


def middle(values: Values) -> Values:
    """Median of each row; NaN where nothing is present."""
    if not values.size:
        return np.full(values.shape[0], np.nan)
    absent = np.isnan(values)
    if not absent.any():
        return np.asarray(np.median(values, axis=1))
    number = values.shape[1] - absent.sum(axis=1)
    ordered = np.sort(values, axis=1)  # what is absent comes last
    rows = np.arange(len(values))
    lower, upper = ordered[rows, np.maximum(number - 1, 0) // 2], ordered[rows, np.maximum(number, 1) // 2]
    return np.asarray(np.where(number > 0, (lower + upper) / 2, np.nan))


def centre(values: Values, bound: Values) -> Values:
    """Of each row, the mean of hosts, none of them further than its `bound` from the others' middle.

    So one host of many moves the mean a little, and all of them move it fully.
    """
    if values.shape[1] < 3:
        return mean(values, axis=1)
    around = middle(values)
    clipped = np.clip(values - around[:, None], -bound, bound)
    return np.asarray(around + mean(clipped, axis=1))
