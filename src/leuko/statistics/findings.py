"""The rows of the push page: aggregates first, then the hosts that matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from leuko.domain.gauge import HOSTLESS, Gauge, Kind
from leuko.domain.verdict import Decision, Finding
from leuko.statistics import limits, sentences
from leuko.statistics.question import Chosen, Mask, Values
from leuko.statistics.windows import Windows

if TYPE_CHECKING:
    from leuko.statistics.judge import Row

MOST_HOSTS = 25
"""Hosts that are listed for one gauge, besides those that broke a limit or fell silent."""
_SHOWN = "shown for comparison"


def findings(
    windows: Windows,
    rows: Sequence[Row],
    broken: Sequence[limits.Broken],
    known: Mapping[str, tuple[Values, Values | None]],
) -> tuple[Finding, ...]:
    """Aggregates by role and over all, then switched hosts, the worst first within each gauge."""
    said = [_of_role(windows, row, broken) for row in rows]
    said += [_over_all(windows, found, known) for found in broken if found.aggregate and not found.role]
    for row in rows:
        said += _of_hosts(windows, row, broken)
    return tuple(said)


def _of_role(windows: Windows, row: Row, broken: Sequence[limits.Broken]) -> Finding:
    values, denominators = row.comparison.values, row.comparison.denominators
    hosts, counted = _looked_at(windows, row)
    before, after = _before_after(windows, row.gauge, values, denominators, hosts, counted)
    whole = row.role == HOSTLESS  # a limit of each host and one of all are the same there
    mine = [f for f in broken if f.gauge == row.gauge.name and f.role == row.role]
    over = [f for f in mine if f.aggregate or whole]
    decision = _decision(row, over)
    said = _sentence(windows, row, over)
    evidence = float(np.exp(min(row.evidence.log, 60.0))) if not row.evidence.basis else 0.0
    return Finding(
        row.gauge.name, row.role, row.role, True, before, after, _limit(windows, row.gauge, row.role),
        _digits(evidence), decision, row.blind and decision is not Decision.FAIL, said, _unit(row.gauge),
    )  # fmt: skip


def _decision(row: Row, over: Sequence[limits.Broken]) -> Decision:
    if row.guilty or any(not found.already for found in over):
        return Decision.FAIL
    if row.silent is not None:
        return row.silent.decision
    return Decision.HOLD if row.gauge.required and row.coverage < 0.8 else Decision.PASS


def _sentence(windows: Windows, row: Row, over: Sequence[limits.Broken]) -> str:
    if over and not row.guilty:
        return _limit_sentence(over[0])
    if row.guilty:
        return sentences.guilty([row], windows.question)
    if row.silent is not None:
        return sentences.silence([row.silent])
    if row.evidence.basis or row.blind:
        return f"blind: {sentences.could(row)}"
    change = f"{factor_text(row)}not distinguishable from nothing"
    return f"{change}; {sentences.could(row)}"


def factor_text(row: Row) -> str:
    """`1.1x: `, or nothing where no factor is known."""
    effect = row.evidence.effect
    return f"{sentences.factor(effect)}: " if np.isfinite(effect) else ""


def _limit_sentence(found: limits.Broken) -> str:
    if found.already:
        return (
            f"breaks the limit {found.limit} with {sentences.number(found.value)}, but did so before "
            "already: the push is not blamed for it"
        )
    return sentences.over_limit([found])


def _over_all(
    windows: Windows, found: limits.Broken, known: Mapping[str, tuple[Values, Values | None]]
) -> Finding:
    gauge = next(one for one in windows.question.gauges if one.name == found.gauge)
    counted = _after_mask(windows, gauge)
    before, after = _before_after(windows, gauge, *known[gauge.name], windows.reports(gauge), counted)
    decision = Decision.PASS if found.already else Decision.FAIL
    return Finding(
        gauge.name, found.subject, "", True, before, after, str(found.limit), 0.0, decision, False,
        _limit_sentence(found), _unit(gauge),
    )  # fmt: skip


def _of_hosts(windows: Windows, row: Row, broken: Sequence[limits.Broken]) -> list[Finding]:
    over = {
        f.subject: f for f in broken if f.gauge == row.gauge.name and not f.aggregate and f.role == row.role
    }
    silent = set(row.silent.hosts) if row.silent is not None else set()
    question = windows.question
    looked_at, counted = _looked_at(windows, row)
    hosts = np.flatnonzero(looked_at)
    if hosts.size == 0 or row.role == HOSTLESS:
        return []
    before, after = _per_host(windows, row, hosts, counted[:, hosts])
    matter = [i for i, h in enumerate(hosts) if question.hosts[h] in over or question.hosts[h] in silent]
    worst = np.argsort(-np.nan_to_num(_badness(row, before, after), nan=-np.inf), kind="stable")
    chosen = list(dict.fromkeys([*matter[:MOST_HOSTS], *(int(i) for i in worst[:MOST_HOSTS])]))
    return [
        _host(windows, row, question.hosts[hosts[i]], float(before[i]), float(after[i]), over, silent)
        for i in chosen
    ]


def _badness(row: Row, before: Values, after: Values) -> Values:
    change = after - before
    return np.asarray(
        -change
        if row.comparison.signs == (-1,)
        else np.abs(change)
        if len(row.comparison.signs) == 2
        else change
    )


def _host(
    windows: Windows,
    row: Row,
    host: str,
    before: float,
    after: float,
    over: Mapping[str, limits.Broken],
    silent: set[str],
) -> Finding:
    pushed, limit = row.comparison.case.group.pushed, _limit(windows, row.gauge, row.role, host)
    decision, said = Decision.PASS, "within its limits" if limit and pushed else _SHOWN
    if host in over:
        decision = Decision.PASS if over[host].already else Decision.FAIL
        said = _limit_sentence(over[host])
    elif host in silent and row.silent is not None:
        decision, said = row.silent.decision, f"no reading for {sentences.duration(row.silent.seconds)}"
    elif np.isnan(after) and pushed:
        decision, said = Decision.HOLD, "no reading since its switch"
    elif row.guilty:
        said = "counted in the finding above"
    return Finding(
        row.gauge.name, host, row.role, False, _shown(before), _shown(after),
        limit, 0.0, decision, False, said, _unit(row.gauge),
    )  # fmt: skip


def _limit(windows: Windows, gauge: Gauge, role: str, host: str = "") -> str:
    """The limits that this very row is held to: a host's, or without one an aggregate's."""
    scopes = ("host", "aggregate") if role == HOSTLESS else ("host",) if host else ("aggregate",)
    limits_ = windows.question.limits_of(gauge)
    return ", ".join(str(one) for one in limits_ if one.scope in scopes and one.concerns(host, role))


def _unit(gauge: Gauge) -> str:
    """As the values of a finding are: counts are events a minute."""
    return f"{gauge.unit} a minute".strip() if gauge.kind is Kind.COUNT else gauge.unit


def _looked_at(windows: Windows, row: Row) -> tuple[Mask, Mask]:
    """The hosts that a row is about, and [watch ticks, hosts]: which of their readings are after the change.

    Those that are switched; of a role that is watched without being pushed to, all of them.
    """
    group, question = row.comparison.case.group, windows.question
    if group.pushed:
        switched = windows.of_role(row.role) & windows.switched & windows.reports(row.gauge)
        return switched, _after_mask(windows, row.gauge)
    later = question.times[windows.watch] - question.tick >= windows.push_began - 1e-6
    return group.canary, np.broadcast_to(later[:, None], (len(later), len(question.hosts)))


def _after_mask(windows: Windows, gauge: Gauge) -> Mask:
    late = windows.after(windows.question.warm_up.get(gauge.kind, 0.0))
    return late if late.any() else windows.after(0.0)


def _before_after(
    windows: Windows, gauge: Gauge, values: Values, denominators: Values | None, hosts: Mask, counted: Mask
) -> tuple[float | None, float | None]:
    """Averages over these hosts, in the unit of limits."""
    past = _average(windows, gauge, *_rows_of(values, denominators, windows.before, hosts), None)
    now = _average(windows, gauge, *_rows_of(values, denominators, windows.watch, hosts), counted[:, hosts])
    return _shown(past), _shown(now)


def _rows_of(
    values: Values, denominators: Values | None, part: slice, hosts: Mask
) -> tuple[Values, Values | None]:
    return values[part][:, hosts], None if denominators is None else denominators[part][:, hosts]


def _average(
    windows: Windows, gauge: Gauge, values: Values, denominators: Values | None, counted: Mask | None
) -> float:
    present = ~np.isnan(values)
    if counted is not None:
        present &= counted
    if not present.any():
        return float("nan")
    total = float(values[present].sum())
    if gauge.kind is Kind.RATIO and denominators is not None:
        below = float(denominators[present].sum())
        return total / below if below > 0 else float("nan")
    per = 60.0 / windows.question.tick if gauge.kind is Kind.COUNT else 1.0
    return total / int(present.sum()) * per


def _per_host(windows: Windows, row: Row, hosts: Chosen, counted: Mask) -> tuple[Values, Values]:
    values, denominators = row.comparison.values, row.comparison.denominators
    past = _host_means(
        windows,
        row.gauge,
        values[windows.before][:, hosts],
        None if denominators is None else denominators[windows.before][:, hosts],
        None,
    )
    now = _host_means(
        windows,
        row.gauge,
        values[windows.watch][:, hosts],
        None if denominators is None else denominators[windows.watch][:, hosts],
        counted,
    )
    return past, now


def _host_means(
    windows: Windows, gauge: Gauge, values: Values, denominators: Values | None, counted: Mask | None
) -> Values:
    present = ~np.isnan(values)
    if counted is not None:
        present &= counted
    total = np.where(present, values, 0.0).sum(axis=0)
    below = present.sum(axis=0).astype(np.float64)
    if gauge.kind is Kind.RATIO and denominators is not None:
        below = np.where(present, denominators, 0.0).sum(axis=0)
    per = 60.0 / windows.question.tick if gauge.kind is Kind.COUNT else 1.0
    return np.asarray(np.where(below > 0, total / np.where(below > 0, below, 1.0) * per, np.nan))


def _shown(value: float) -> float | None:
    return _digits(value) if np.isfinite(value) else None


def _digits(value: float) -> float:
    """Six significant digits: the same on every machine."""
    return float(f"{value:.6g}")
