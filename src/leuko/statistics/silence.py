"""Absence: it is never health, and whose fault it is depends on who else is silent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

import numpy as np

from leuko.domain.gauge import Gauge
from leuko.domain.verdict import Decision
from leuko.statistics.question import Mask, Question, Values
from leuko.statistics.windows import Windows

PRESENT = 0.8
"""Part of a watch's ticks in which a required gauge must have data, and in which others must have it."""


@dataclass(frozen=True, slots=True)
class Silent:
    """Hosts that report a gauge no more. `others`: the rest of the role still does."""

    gauge: str
    role: str
    hosts: tuple[str, ...]
    seconds: float
    decision: Decision
    others: bool


def patience(question: Question) -> tuple[int, int]:
    """Ticks of silence after which to hold and to fail: 3 and 6, and at least 5 and 10 seconds."""
    return max(3, ceil(5 / question.tick - 1e-9)), max(6, ceil(10 / question.tick - 1e-9))


def silent(windows: Windows, gauge: Gauge, role: str, values: Values, usual: Values) -> Silent | None:
    """Silence of one required gauge in one role since the switch; None where there is none.

    `usual` is the part of the ticks before the push in which each host gave it: rare readings are not missed.
    """
    question = windows.question
    members = windows.of_role(role) & windows.reports(gauge)
    counted = windows.after(0.0)
    watch = values[windows.watch]
    regular = members & (usual >= PRESENT)
    if not regular.any():
        return None
    hold, fail = patience(question)
    quiet = _trailing(np.isnan(watch) & counted)
    mute = regular & windows.switched & (quiet >= hold)
    if not mute.any():
        return None
    rest = regular & ~mute
    others = bool(rest.any()) and bool((~np.isnan(watch[-hold:][:, rest])).mean() >= 0.5)
    longest = int(quiet[mute].max())
    decision = Decision.FAIL if others and longest >= fail else Decision.HOLD
    names = tuple(question.hosts[index] for index in np.flatnonzero(mute))
    return Silent(gauge.name, role, names, longest * question.tick, decision, others)


def usual(there: Mask, heard: Mask | None = None) -> Values:
    """Part of the ticks in which each host had a reading; with `heard`, of those in which it had any at all.

    A host's time under a release that was taken back is left out of history: that is no silence of its own.
    """
    ticks = np.full(there.shape[1], there.shape[0]) if heard is None else heard.sum(axis=0)
    return np.asarray(there.sum(axis=0) / np.maximum(1, ticks))


def heard(known: Iterable[Mask]) -> Mask | None:
    """[ticks, hosts]: some gauge of the host had a reading; None where nothing is watched."""
    found: Mask | None = None
    for there in known:
        found = there if found is None else found | there
    return found


def _trailing(absent: Mask) -> Values:
    """How many of the last ticks in a row are absent, per host."""
    backwards = absent[::-1]
    ends = ~backwards
    first = (
        np.where(ends.any(axis=0), ends.argmax(axis=0), absent.shape[0])
        if absent.size
        else np.zeros(absent.shape[1])
    )
    return np.asarray(first)


def coverage(windows: Windows, gauge: Gauge, role: str, values: Values) -> float:
    """Part of the watch's readings of this phase's hosts that are there; 1 where none was due yet."""
    question = windows.question
    hosts = windows.of_role(role) & windows.reports(gauge) & windows.switched & question.watched
    wait = max(question.warm_up.values(), default=0.0)
    due = windows.after(wait) & hosts[None, :]
    if not due.any():
        due = windows.after(0.0) & hosts[None, :]
    if not due.any():
        return 0.0
    return float((~np.isnan(values[windows.watch]))[due].mean())
