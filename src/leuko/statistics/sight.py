"""Before a push: what its watch will be able to see, from history alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from leuko.domain.gauge import Gauge, Kind
from leuko.statistics import sentences
from leuko.statistics.clocks import covers
from leuko.statistics.question import Question
from leuko.statistics.rows import Row, compared


@dataclass(frozen=True, slots=True)
class Sight:
    """The smallest changes of one gauge in one role that the watch can show; infinite: none."""

    gauge: str
    role: str
    rise: float
    fall: float
    reach: float
    """For events: the rate that would show, a tick of a host, or a denominator or unit of exposure."""
    basis: str
    """Why nothing can be compared; empty where something can."""
    longer: float
    """The smallest visible change with a watch twice as long."""
    more: float
    """The same with one more canary."""
    traffic: float
    """Times today's events that it takes to see a doubling, about; 1: seen already; NaN: a level."""
    declared: float | None = None
    said: str = ""

    @property
    def covers(self) -> bool:
        """True where a stop or a tenfold rise would be seen."""
        return covers(self.rise, self.fall)

    @property
    def sentence(self) -> str:
        """One line of the plan."""
        return f"{self.gauge} of role {self.role}: {self.said}"


def sight(question: Question) -> tuple[Sight, ...]:
    """For the hosts that are watched, or already switched; ticks after the first switch are not looked at."""
    asked = _asked(question)
    now = compared(asked).rows
    long = {(row.gauge.name, row.role): row for row in compared(replace(asked, wanted=2 * asked.wanted)).rows}
    wide = {(row.gauge.name, row.role): row for row in compared(_one_more(asked)).rows}
    return tuple(_of(row, long[row.gauge.name, row.role], wide[row.gauge.name, row.role]) for row in now)


def sentence(found: Sequence[Sight]) -> str:
    """All of it in one sentence."""
    return "this push can show " + "; ".join(f"{one.gauge}: {one.said}" for one in found)


def _asked(question: Question) -> Question:
    known = np.isfinite(question.switched_at)
    chosen = known if known.any() else question.watched
    at = float(question.times[-1]) if len(question.times) else 0.0
    at = min(at, float(question.switched_at[known].min())) if known.any() else at
    return replace(question, switched_at=np.where(chosen, at, np.nan), watch_from=at, evidence_from=at)


def _one_more(question: Question) -> Question:
    """With one more canary of each role that is pushed to, where one is left."""
    switched = question.switched_at.copy()
    at = question.watch_from
    for role in {question.roles[index] for index in np.flatnonzero(np.isfinite(switched))}:
        left = [
            index
            for index, own in enumerate(question.roles)
            if own == role and not np.isfinite(switched[index])
        ]
        if left:
            switched[left[0]] = at
    return replace(question, switched_at=switched)


def _of(row: Row, long: Row, wide: Row) -> Sight:
    evidence = row.evidence
    gauge: Gauge = row.gauge
    return Sight(
        gauge.name, row.role, evidence.rise, evidence.fall, evidence.reach, evidence.basis,
        _visible(long), _visible(wide), _traffic(row), gauge.must_see, sentences.could(row),
    )  # fmt: skip


def _visible(row: Row) -> float:
    return min(row.evidence.rise, row.evidence.fall)


def _traffic(row: Row) -> float:
    """What can be seen shrinks with the root of the events."""
    if row.gauge.kind is Kind.LEVEL:
        return float("nan")
    least = _visible(row)
    return max(1.0, float((np.log(least) / np.log(2.0)) ** 2)) if np.isfinite(least) else float("inf")
