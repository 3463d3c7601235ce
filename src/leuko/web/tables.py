"""Tables of the pages, cut to a size that a browser and a reader can bear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from leuko.web.views.commits import CommitView
from leuko.web.views.push import FindingView, PushPage

ROWS = 25
ROWS_OF_ONE = 2000
_RANK = {"fail": 0, "hold": 1, "continue": 2, "pass": 2}


@dataclass(frozen=True, slots=True)
class GaugeTable:
    """One gauge in one phase; `more` rows are left out."""

    name: str
    unit: str
    rows: list[FindingView]
    more: int


@dataclass(frozen=True, slots=True)
class PhaseTables:
    """What the watch of one phase said last, a table a gauge."""

    phase: int
    at: datetime
    decision: str
    sentence: str
    ticks: int
    wanted: int
    gauges: list[GaugeTable]


@dataclass(frozen=True, slots=True)
class Bar:
    """One day of the rollback graph."""

    day: date
    count: int
    height: int


def gauge_tables(page: PushPage, only: str = "") -> list[PhaseTables]:
    """The newest phase first; `only` names the one gauge that is shown at length."""
    found = []
    for phase in reversed(page.phases):
        verdict = phase.verdict
        if verdict is None:
            continue
        gauges: dict[str, list[FindingView]] = {}
        for finding in verdict.findings:
            if not only or finding.gauge == only:
                gauges.setdefault(finding.gauge, []).append(finding)
        tables = [_gauge(name, rows, ROWS_OF_ONE if only else ROWS) for name, rows in gauges.items()]
        tables.sort(key=lambda table: min((_RANK[row.decision] for row in table.rows), default=9))
        found.append(
            PhaseTables(
                phase.phase,
                verdict.at,
                verdict.decision,
                verdict.sentence,
                verdict.ticks,
                verdict.wanted,
                tables,
            )
        )
    return found


def _gauge(name: str, rows: list[FindingView], limit: int) -> GaugeTable:
    """Aggregates lead, then what failed, then by evidence."""
    rows = sorted(rows, key=lambda row: (not row.aggregate, _RANK[row.decision], -row.evidence, row.subject))
    return GaugeTable(name, rows[0].unit, rows[:limit], max(0, len(rows) - limit))


def by_author(commits: Sequence[CommitView]) -> list[tuple[str, list[CommitView]]]:
    """In order of each author's newest commit."""
    authors: dict[str, list[CommitView]] = {}
    for commit in commits:
        authors.setdefault(commit.author, []).append(commit)
    return list(authors.items())


def rollback_bars(days: Mapping[date, int]) -> list[Bar]:
    """Heights of at most 40."""
    most = max(4, *days.values())
    return [Bar(day, count, round(40 * count / most)) for day, count in days.items()]
