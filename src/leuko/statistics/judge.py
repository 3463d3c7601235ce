"""The verdict: one function from readings to pass, fail, hold or continue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leuko.domain.gauge import HOSTLESS, Gauge
from leuko.domain.verdict import Decision, Verdict
from leuko.statistics import findings, limits, sentences, silence
from leuko.statistics.clocks import Evidence, covers
from leuko.statistics.comparison import Comparison
from leuko.statistics.memory import Memory
from leuko.statistics.question import Question
from leuko.statistics.rows import Compared, compared, threshold
from leuko.statistics.windows import Windows


@dataclass(frozen=True, slots=True)
class Row:
    """One gauge in one role of this push, and everything that was found out about it."""

    gauge: Gauge
    role: str
    comparison: Comparison
    evidence: Evidence
    silent: silence.Silent | None
    coverage: float
    guilty: bool = False

    @property
    def visible(self) -> float:
        """Smallest change, as a factor, in a bad direction that the window could have shown."""
        return min(self.evidence.rise, self.evidence.fall)

    @property
    def covers(self) -> bool:
        """True where a stop or a tenfold rise would have been seen."""
        return covers(self.evidence.rise, self.evidence.fall)

    @property
    def blind(self) -> bool:
        """True where neither would have been, nor even a handful of events where there are none."""
        return not (self.covers or self.evidence.needed <= sentences.HANDFUL)


def judge(question: Question, memory: Memory | None = None) -> Verdict:
    """What the readings so far say about the phase. The same question always has the same answer.

    A `memory` that is given to every look of a push makes them cheaper; it changes no digit.
    """
    found = compared(question, memory)
    windows = found.windows
    broken = [
        one
        for gauge in windows.question.gauges
        for one in limits.broken(windows, gauge, *found.known[gauge.name])
    ]
    rows = _rows(found)
    ticks = _ticks(windows, rows)
    decision, sentence = _decide(windows, rows, broken, ticks, found.reached)
    said = findings.findings(windows, rows, broken, found.known)
    evidence = float(f"{np.exp(min(found.reached, 60.0)):.6g}")
    return Verdict(decision, sentence, said, ticks, windows.question.wanted, evidence)


def _rows(found: Compared) -> list[Row]:
    windows = found.windows
    convicted = found.reached >= threshold(windows.question)
    named = found.culprits if convicted else frozenset()
    rows = []
    for index, one in enumerate(found.rows):
        values, required = one.comparison.values, one.gauge.required and one.comparison.case.group.pushed
        mute = silence.silent(windows, one.gauge, one.role, values, one.usual) if required else None
        covered = silence.coverage(windows, one.gauge, one.role, values)
        rows.append(
            Row(one.gauge, one.role, one.comparison, one.evidence, mute, covered, guilty=index in named)
        )
    return rows


def _ticks(windows: Windows, rows: list[Row]) -> int:
    """Closed ticks of the watch in which some required gauge had data."""
    watch = windows.watch
    seen = np.zeros(watch.stop - watch.start, dtype=np.bool_)
    for row in rows:
        if row.gauge.required:
            hosts = windows.of_role(row.role) & windows.reports(row.gauge)
            seen |= (~np.isnan(row.comparison.values[watch][:, hosts])).any(axis=1)
    return int(seen.sum())


def _decide(
    windows: Windows, rows: list[Row], broken: list[limits.Broken], ticks: int, reached: float
) -> tuple[Decision, str]:
    """The rules in the order of their weight: what fails, what holds, what is not yet known, what passes."""
    question = windows.question
    blamed = [found for found in broken if not found.already]
    if blamed:
        return Decision.FAIL, sentences.over_limit(blamed)
    guilty = [row for row in rows if row.guilty]
    if guilty:
        return Decision.FAIL, sentences.convicted(guilty, rows, reached, question)
    silent = [row.silent for row in rows if row.silent is not None]
    for decision in (Decision.FAIL, Decision.HOLD):
        if any(found.decision is decision for found in silent):
            return decision, sentences.silence(silent)
    if ticks < question.wanted:
        return Decision.CONTINUE, sentences.going_on(ticks, question.wanted)
    return _at_the_end(windows, rows, ticks)


def _at_the_end(windows: Windows, rows: list[Row], ticks: int) -> tuple[Decision, str]:
    question = windows.question
    covering = question.pushed_roles | {HOSTLESS}
    required = [row for row in rows if row.gauge.required and row.role in covering]
    thin = [row for row in required if row.coverage < silence.PRESENT]
    if thin and windows.watch.stop - windows.watch.start < question.most_ticks:
        return Decision.CONTINUE, sentences.thin(
            thin
        )  # ticks that were missed are neither health nor silence
    if thin:
        return Decision.HOLD, sentences.thin(thin)
    if not question.pushed_roles:
        return Decision.HOLD, "no role is covered by this phase, so nothing shows that the release is healthy"
    if question.first:
        said = f"first push: {ticks} ticks within every limit; there is nothing before it to compare with"
        return Decision.PASS, said
    unseen = sorted(question.pushed_roles - {row.role for row in required if row.covers})
    if unseen:
        return Decision.HOLD, sentences.unseen(unseen, required)
    return _declared(question, rows, ticks)


def _declared(question: Question, rows: list[Row], ticks: int) -> tuple[Decision, str]:
    """Passes, unless a size that a gauge must be able to show cannot be seen yet."""
    wanting = [row for row in rows if row.gauge.must_see is not None and row.visible > row.gauge.must_see]
    if not wanting:
        return Decision.PASS, sentences.passed(rows, ticks, question)
    if ticks < question.most_ticks:
        return Decision.CONTINUE, sentences.extended(wanting, question)
    return Decision.HOLD, sentences.wanting(wanting)
