"""The gauges and roles of a push, compared; and what they come to together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from leuko.domain.gauge import HOSTLESS, Gauge, Kind
from leuko.statistics import silence
from leuko.statistics.case import Case
from leuko.statistics.clocks import Evidence, Trace, log_mean_exp
from leuko.statistics.comparison import Comparison
from leuko.statistics.groups import group
from leuko.statistics.memory import Forgetful, Memory
from leuko.statistics.question import Question, Values
from leuko.statistics.windows import Windows, readings, recent

OBSERVED = 0.5
"""Weight of a gauge of a role that is watched but not pushed to; one of a pushed role weighs 1."""
NAMED_WRONGLY = 0.05
"""Part of the gauges named as culprits that may be named by chance."""

Known = Mapping[str, tuple[Values, Values | None]]


@dataclass(frozen=True, slots=True)
class Row:
    """One gauge in one role, and its evidence at every tick."""

    gauge: Gauge
    role: str
    comparison: Comparison
    trace: Trace
    usual: Values
    """In what part of the ticks before the push each host gave it."""

    @property
    def weight(self) -> float:
        """What is known before the watch to say nothing takes no part of the budget."""
        if self.trace.said.basis:
            return 0.0
        return 1.0 if self.comparison.case.group.pushed else OBSERVED

    @property
    def evidence(self) -> Evidence:
        """At the latest tick."""
        return self.trace.last


@dataclass(frozen=True)
class Compared:
    """All rows of a question."""

    windows: Windows
    known: Known
    rows: Sequence[Row]

    @property
    def logs(self) -> Values:
        """[rows, ticks]"""
        span = self.windows.span
        return np.array([row.trace.logs for row in self.rows]).reshape(len(self.rows), span.stop - span.start)

    @property
    def total(self) -> Values:
        """Log of the push's e-value at every tick: earlier phases' part and this phase's share."""
        question = self.windows.question
        weights = np.array([row.weight for row in self.rows])
        logs = self.logs
        own = np.zeros(logs.shape[1])
        if weights.sum() > 0 and logs.shape[1]:
            own = log_mean_exp(logs, (weights / weights.sum())[:, None], axis=0)
        carried = np.log(max(question.carried, 1e-300))
        return np.asarray(np.logaddexp(carried, np.log(max(question.share, 1e-300)) + own))

    @property
    def reached(self) -> float:
        """The total at the latest tick."""
        total = self.total
        question = self.windows.question
        return (
            float(total[-1]) if total.size else float(np.log(max(question.carried + question.share, 1e-300)))
        )

    @property
    def culprits(self) -> frozenset[int]:
        """The rows to be named where the push is convicted, by the e-values' Benjamini-Hochberg rule."""
        weighed = [
            (row.evidence.log + np.log(row.weight), index)
            for index, row in enumerate(self.rows)
            if row.weight
        ]
        ranked = sorted(weighed, reverse=True)
        whole = np.log(sum(row.weight for row in self.rows) / NAMED_WRONGLY) if ranked else 0.0
        named = [rank for rank, (log, _) in enumerate(ranked, 1) if log >= whole - np.log(rank)]
        return frozenset(index for _, index in ranked[: max(named, default=1)])


def _counted(gauge: Gauge, known: Known) -> tuple[Values, Values | None]:
    """The gauge's readings; a count of what traffic brings has that traffic for its denominators."""
    values, denominators = known[gauge.name]
    if gauge.kind is Kind.COUNT and gauge.per in known:
        return values, known[gauge.per][0]
    return values, denominators


def threshold(question: Question) -> float:
    """Log of the e-value from which on the push fails: the budget's, or what pretend pushes taught."""
    least = question.placebo.threshold if question.placebo is not None else 0.0
    return max(-float(np.log(question.budget)), least)


def compared(question: Question, memory: Memory | None = None) -> Compared:
    """Each gauge in each role: of the roles that are pushed to, and of those that are only watched."""
    memory = memory or Forgetful()
    windows = Windows(recent(question))
    question = windows.question
    known = {gauge.name: readings(question, gauge) for gauge in question.gauges}
    pushed = {question.roles[index] for index in np.flatnonzero(windows.switched)} | set(
        question.pushed_roles
    )
    observed = set(question.roles) - pushed - {""}
    given = {name: ~np.isnan(values[windows.before]) for name, (values, _) in known.items()}
    heard = silence.heard(given.values())
    shares = {name: silence.usual(there, heard) for name, there in given.items()}
    pairs = [
        (gauge, role)
        for gauge in question.gauges
        for role in sorted(pushed) + sorted(observed)
        if (role in gauge.roles if gauge.roles else role != HOSTLESS)
        if role in pushed or bool((shares[gauge.name][windows.of_role(role)] > 0).any())
    ]
    groups = [group(windows, gauge, role, shares[gauge.name]) for gauge, role in pairs]
    weights = sum((1.0 if one.pushed else OBSERVED) for one in groups if one.canary.any())
    least = threshold(question) + float(np.log(max(1.0, weights) / max(question.share, 1e-9)))
    rows = []
    for (gauge, role), one in zip(pairs, groups, strict=True):
        own = least - float(np.log(1.0 if one.pushed else OBSERVED))
        comparison = Comparison(Case(windows, gauge, one, own, memory), *_counted(gauge, known))
        rows.append(Row(gauge, role, comparison, comparison.trace(), shares[gauge.name]))
    return Compared(windows, known, rows)
