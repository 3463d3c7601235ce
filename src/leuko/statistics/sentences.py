"""What a tired engineer reads. Numbers are rounded here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from leuko.domain.gauge import HOSTLESS, Gauge, Kind
from leuko.statistics.clocks import TOO_YOUNG, Evidence
from leuko.statistics.limits import Broken
from leuko.statistics.question import Question
from leuko.statistics.silence import Silent

if TYPE_CHECKING:
    from leuko.statistics.comparison import Comparison
    from leuko.statistics.judge import Row


class Shown(Protocol):
    """A gauge in a role, and what was found out about it."""

    @property
    def gauge(self) -> Gauge:
        """The gauge."""
        ...

    @property
    def evidence(self) -> Evidence:
        """At the latest tick."""
        ...

    @property
    def comparison(self) -> Comparison:
        """Of what."""
        ...


RAREST = 10_000
"""No model of noise is so good that more may be promised."""
HANDFUL = 12
"""Events that anybody would call few, and that would have shown."""


def number(value: float) -> str:
    """Three significant digits, no exponent for everyday sizes."""
    if not np.isfinite(value):
        return "unknown"
    if value != 0 and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f"{value:.3g}"
    return f"{round(value):d}" if abs(value) >= 1000 else f"{value:.3g}"


def factor(value: float) -> str:
    """`12x`, `1.4x`."""
    return f"{value:.0f}x" if value >= 10 else f"{value:.1f}x" if value < 9.95 else "10x"


def plural(count: int, word: str) -> str:
    """`1 host`, `2 hosts`."""
    return f"{count} {word}" + ("s" if count != 1 else "")


def duration(seconds: float) -> str:
    """`40 s`, `30 min`."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def names(hosts: Sequence[str], most: int = 4) -> str:
    """A few names, and how many more."""
    shown = ", ".join(hosts[:most])
    return shown if len(hosts) <= most else f"{shown} and {len(hosts) - most} more"


def over_limit(found: Sequence[Broken]) -> str:
    """Which limit was broken, by whom and by how much."""
    first = found[0]
    place = f" at {first.subject} (aggregate)" if first.aggregate else f" at {first.subject}"
    place = "" if first.role == HOSTLESS else place
    per = " a minute" if first.per_minute else ""
    more = f"; and {plural(len(found) - 1, 'other limit')}" if len(found) > 1 else ""
    return (
        f"{first.gauge}{place} reached {number(first.value)}{per}, which breaks the limit "
        f"{first.limit}{per} for {plural(first.limit.readings, 'reading')} in a row{more}"
    )


def against(row: Row, question: Question) -> str:
    """What the canaries were held against."""
    canaries = int(row.comparison.case.group.canary.sum())
    history = row.comparison.case.windows.before
    seconds = duration((history.stop - history.start) * question.tick)
    if row.role == HOSTLESS:
        return f"everywhere {{}} what the last {seconds} predict"
    who = f"the {canaries} switched hosts" if canaries != 1 else "the switched host"
    if row.evidence.controlled:
        others = row.evidence.controls
        old = f"the {others} old hosts" if others != 1 else "the old host"
        own = "their" if canaries != 1 else "its"
        return f"on {who} {{}} what {old} and {own} own last {seconds} predict"
    return f"on {who} {{}} what their own last {seconds} predict, with no old hosts left to compare"


def effect(row: Row) -> str:
    """`is 12x`, `are 12x`, `have stopped, against`."""
    evidence = row.evidence
    if np.isfinite(evidence.seen) and evidence.seen == 0 and evidence.expected > 0:
        return "have stopped, against"
    if np.isfinite(evidence.effect) and evidence.effect > 0:
        return f"{'are' if row.gauge.kind is Kind.COUNT else 'is'} {factor(evidence.effect)}"
    return "came where there were none in"


def chance(log: float) -> str:
    """How rarely chance alone gives evidence as strong."""
    rarity = min(float(f"{np.exp(min(max(log, 0.0), 60.0)):.2g}"), RAREST)
    return f"A change this strong appears by chance in fewer than 1 of {rarity:,.0f} pushes"


def counted(row: Row) -> str:
    """`(61 seen, 5 expected)`."""
    if row.gauge.kind is Kind.LEVEL or not np.isfinite(row.evidence.seen):
        return ""
    return f" ({number(row.evidence.seen)} seen, {number(row.evidence.expected)} expected)"


def guilty(rows: Sequence[Row], question: Question) -> str:
    """Why the comparison fails the phase."""
    worst = max(rows, key=lambda row: row.evidence.log)
    others = [row.gauge.name for row in rows if row is not worst]
    also = f"; also {names(others)}" if others else ""
    several = len(set(question.roles) - {HOSTLESS}) > 1 and worst.role != HOSTLESS
    role = f" of role {worst.role}" if several else ""
    predicted = against(worst, question)
    if worst.evidence.expected == 0 and worst.evidence.seen > 0:
        times = f"came {number(worst.evidence.seen)} times where "
        said = predicted.replace("{} what ", times).replace(" predict", " predict none")
        return f"{worst.gauge.name}{role} {said}{also}"
    said = predicted.format(effect(worst))
    return f"{worst.gauge.name}{role} {said}{counted(worst)}{also}"


def convicted(guilty_: Sequence[Row], rows: Sequence[Row], reached: float, question: Question) -> str:
    """Why the phase fails, how sure that is, and what else nobody could have seen."""
    blind = list(dict.fromkeys(row.gauge.name for row in rows if row.blind))
    tail = f"; blind: {names(blind)}" if blind else ""
    return f"{guilty(guilty_, question)}. {chance(reached)}{tail}"


def silence(found: Sequence[Silent]) -> str:
    """Who fell silent, and whose fault that seems."""
    first = max(found, key=lambda one: (one.decision == "fail", one.seconds))
    gauges = names([one.gauge for one in found if one.hosts == first.hosts and one.role == first.role])
    since = duration(first.seconds)
    if first.others:
        return f"{names(first.hosts)} gave no {gauges} for {since} while the other hosts still report"
    if first.role == HOSTLESS:
        return f"nothing gave {gauges} for {since}: that looks like a fault of its source, not of the release"
    return (
        f"no host of role {first.role} gave {gauges} for {since}: "
        "that looks like a fault of collection, not of the release"
    )


def going_on(ticks: int, wanted: int) -> str:
    """The window is not full."""
    return f"{ticks} of {wanted} ticks seen, nothing bad so far"


def thin(rows: Sequence[Row]) -> str:
    """Too few readings to pass."""
    row = min(rows, key=lambda one: one.coverage)
    role = "" if row.role == HOSTLESS else f" of role {row.role}"
    return (
        f"{row.gauge.name}{role} had data in {100 * row.coverage:.0f} % of the readings due; "
        "80 % are needed to pass"
    )


def could(row: Shown) -> str:
    """The smallest change that the window could have shown."""
    evidence = row.evidence
    if evidence.basis:
        return f"nothing could be compared: {evidence.basis}"
    said = []
    if np.isfinite(evidence.rise) and evidence.rise <= 10:
        said.append(f"a {factor(evidence.rise)} rise or more")
    elif evidence.needed <= HANDFUL and not np.isfinite(evidence.fall):
        what = row.gauge.name if row.gauge.kind is Kind.COUNT else "events of it"
        said.append(f"{evidence.needed:.0f} {what} or more where {expected(evidence)} usual")
    elif np.isfinite(evidence.reach) and not np.isfinite(evidence.fall):
        said.append(f"a rise to {reach(row)} or more")
    elif np.isfinite(evidence.rise):
        said.append(f"a {factor(evidence.rise)} rise or more")
    if np.isfinite(evidence.fall):
        said.append("a stop" if evidence.fall >= 1e8 else f"a fall to 1/{evidence.fall:.1f} or less")
    if not said:
        return "this watch could have shown no change at all"
    return f"this watch could only have shown {' or '.join(said)}"


def expected(evidence: Evidence) -> str:
    """`none are`, `2 are`."""
    usual = evidence.needed / evidence.rise if np.isfinite(evidence.rise) else 0.0
    return "none are" if usual < 0.5 else f"{usual:.0f} {'is' if round(usual) == 1 else 'are'}"


def reach(row: Shown) -> str:
    """A rate of events, as people say it."""
    if row.gauge.kind is Kind.RATIO:
        return f"{100 * row.evidence.reach:.2g} %"
    if row.gauge.per:
        return f"{number(100 * row.evidence.reach)} in 100 {row.gauge.per}"
    per_minute = row.evidence.reach * 60 / row.comparison.case.windows.question.tick
    return f"{number(per_minute)} a minute on each switched host"


def unseen(roles: Sequence[str], rows: Sequence[Row]) -> str:
    """No required gauge of these roles could have shown a stop or a tenfold rise."""
    role = roles[0]
    said = [f"{row.gauge.name}: {could(row)}" for row in rows if row.role == role]
    why = "; ".join(said[:3]) if said else "no required gauge covers it"
    what = f"blind for role {role}: no required gauge could have shown a stop or a tenfold rise ({why})"
    return f"{what}. {seeing_more(role, rows)}"


def seeing_more(role: str, rows: Sequence[Row]) -> str:
    """Which key of leuko.yml lets the next push be judged."""
    mine = [row.gauge for row in rows if row.role == role]
    if mine and all(row.evidence.basis == TOO_YOUNG for row in rows if row.role == role):
        return "A few minutes of history show more: `leuko abort`, wait for them, and push again"
    if not mine:
        return f"Give it one in leuko.yml, under `gauges`, with `roles: [{role}]` or without `roles`"
    if any(gauge.kind is not Kind.LEVEL for gauge in mine):
        return "A longer `watch` or more `hosts` in `push.phases` shows more: `leuko plan` says how much"
    return "What customers meet shows more: count requests and errors in leuko.yml, under `gauges`"


def extended(rows: Sequence[Row], question: Question) -> str:
    """The watch goes on, because a declared size cannot be seen yet."""
    return f"watching on, up to {question.most_ticks} ticks: {wanting(rows)}"


def wanting(rows: Sequence[Row]) -> str:
    """Which declared size could not have been seen."""
    row = rows[0]
    return f"{row.gauge.name} must be able to show {factor(row.gauge.must_see or 0)}, but {could(row)}"


def passed(rows: Sequence[Row], ticks: int, question: Question) -> str:
    """Why the phase may go on."""
    on = zip(question.watched, question.roles, strict=True)
    hosts = plural(sum(bool(one) and role != HOSTLESS for one, role in on), "host")
    blind = [row.gauge.name for row in rows if row.blind]
    tail = f"; blind: {names(list(dict.fromkeys(blind)))}" if blind else ""
    watched = f"{hosts} watched for {plural(ticks, 'tick')}"
    return f"{watched}: no gauge differs from what old hosts and history predict{tail}"
