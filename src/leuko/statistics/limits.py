"""Operators' hard limits, as they were written: so many readings in a row, on a host or an aggregate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leuko.domain.gauge import Gauge, Kind, Limit
from leuko.statistics.question import Chosen, Mask, Question, Values
from leuko.statistics.windows import Windows


@dataclass(frozen=True, slots=True)
class Broken:
    """A limit that was broken after the switch. `already`: and before the push, so the push is not blamed."""

    gauge: str
    limit: Limit
    subject: str
    role: str
    aggregate: bool
    value: float
    already: bool
    per_minute: bool = False


def as_compared(gauge: Gauge, question: Question, values: Values, denominators: Values | None) -> Values:
    """Readings in the unit that limits are written in: counts as events a minute, ratios as ratios."""
    if gauge.kind is Kind.COUNT:
        return np.asarray(values * (60.0 / question.tick))
    if gauge.kind is Kind.RATIO and denominators is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(denominators > 0, values / denominators, np.nan))
    return values


def aggregate(
    gauge: Gauge, question: Question, values: Values, denominators: Values | None, hosts: Mask
) -> Values:
    """One value a tick over these hosts: counts summed, levels averaged, ratios of sums.

    Where some hosts are absent a sum is scaled up to all that ever reported: absence must break no limit.
    """
    chosen = values[:, hosts]
    present = ~np.isnan(chosen)
    number = present.sum(axis=1)
    total = np.where(present, chosen, 0.0).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        if gauge.kind is Kind.RATIO and denominators is not None:
            below = np.where(present, denominators[:, hosts], 0.0).sum(axis=1)
            return np.asarray(np.where(below > 0, total / below, np.nan))
        mean = np.where(number > 0, total / np.maximum(number, 1), np.nan)
    if gauge.kind is Kind.COUNT:
        return np.asarray(mean * present.any(axis=0).sum() * (60.0 / question.tick))
    return np.asarray(mean)


def broken(windows: Windows, gauge: Gauge, values: Values, denominators: Values | None) -> list[Broken]:
    """The gauge's limits that hosts of this push or aggregates have broken since their switch."""
    found: list[Broken] = []
    for limit in windows.question.limits_of(gauge):
        find = _on_hosts if limit.scope == "host" else _on_aggregates
        found += find(windows, gauge, limit, values, denominators)
    return found


def _on_hosts(
    windows: Windows, gauge: Gauge, limit: Limit, values: Values, denominators: Values | None
) -> list[Broken]:
    question = windows.question
    hosts = windows.switched & windows.reports(gauge)
    if limit.role:
        hosts = hosts & windows.of_role(limit.role)
    if limit.host or limit.besides:
        named = zip(question.hosts, question.roles, strict=True)
        hosts = hosts & np.array([limit.concerns(host, role) for host, role in named], dtype=np.bool_)
    chosen = np.flatnonzero(hosts)
    if chosen.size == 0:
        return []
    watch = as_compared(gauge, question, *_cut(values, denominators, windows.watch, chosen))
    counted = windows.after(question.warm_up.get(gauge.kind, 0.0))[:, chosen]
    watch = np.where(counted, watch, np.nan)
    bad = _breaks(limit, watch)
    found = []
    for column in np.flatnonzero(bad.sum(axis=0) >= limit.readings):
        value = _run(watch[:, column], limit)
        if value is None:
            continue
        host = int(chosen[column])
        past = as_compared(gauge, question, *_cut(values, denominators, windows.before, np.array([host])))[
            :, 0
        ]
        found.append(
            Broken(
                gauge.name,
                limit,
                question.hosts[host],
                question.roles[host],
                False,
                value,
                _already(past, limit),
                gauge.kind is Kind.COUNT,
            )
        )
    return found


def _cut(
    values: Values, denominators: Values | None, part: slice, hosts: Chosen
) -> tuple[Values, Values | None]:
    return values[part][:, hosts], None if denominators is None else denominators[part][:, hosts]


def _on_aggregates(
    windows: Windows, gauge: Gauge, limit: Limit, values: Values, denominators: Values | None
) -> list[Broken]:
    question = windows.question
    roles = sorted(
        {limit.role} if limit.role else {role for role in question.roles if limit.concerns("", role)}
    )
    reporting = windows.reports(gauge)
    groups = [(role, hosts) for role in roles if (hosts := windows.of_role(role) & reporting).any()]
    if not limit.role and len(groups) > 1:
        groups.append(("", windows.reports(gauge)))
    found = []
    for role, hosts in groups:
        if not (hosts & windows.switched).any():
            continue  # nothing was pushed there
        series = aggregate(gauge, question, values, denominators, hosts)
        wait = question.warm_up.get(gauge.kind, 0.0)
        counted = (windows.after(wait) & hosts[None, :]).any(axis=1)
        value = _run(np.where(counted, series[windows.watch], np.nan), limit)
        if value is not None:
            already = _already(series[windows.before], limit)
            found.append(
                Broken(
                    gauge.name,
                    limit,
                    role or "all hosts",
                    role,
                    True,
                    value,
                    already,
                    gauge.kind is Kind.COUNT,
                )
            )
    return found


def _breaks(limit: Limit, values: Values) -> Mask:
    bad = np.zeros(values.shape, dtype=np.bool_)
    with np.errstate(invalid="ignore"):
        if limit.above is not None:
            bad |= values > limit.above
        if limit.below is not None:
            bad |= values < limit.below
    return bad


def _run(values: Values, limit: Limit) -> float | None:
    """The worst reading of the latest run that is long enough, absent readings left out; None without one."""
    present = values[~np.isnan(values)]
    bad = _breaks(limit, present)
    run: list[float] = []
    worst: list[float] = []
    for value, is_bad in zip(present, bad, strict=True):
        run = [*run, float(value)] if is_bad else []
        if len(run) >= limit.readings:
            worst = run
    if not worst:
        return None
    return max(worst) if limit.above is not None and max(worst) > limit.above else min(worst)


def _already(past: Values, limit: Limit) -> bool:
    """True when the limit was broken in the last readings before the push, or in a tenth of its history."""
    present = past[~np.isnan(past)]
    if present.size == 0:
        return False
    bad = _breaks(limit, present)
    return bool(bad[-limit.readings :].all() or bad.mean() > 0.1)
