"""The tests of one build while they run, as the rows that will be stored: in memory, without waiting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

from leuko.domain.case import (
    Case,
    CaseBegan,
    CaseEnded,
    CaseFound,
    CaseResult,
    CaseState,
    NodeChanged,
    VerifyEvent,
)
from leuko.store.cases import CaseRow
from leuko.store.nodes import NodeRow

Attempt = tuple[Case, int]


@dataclass
class News:
    """What changed since it was last asked for. Texts are what was printed."""

    rows: dict[Attempt, CaseRow] = field(default_factory=dict)
    texts: dict[Attempt, str] = field(default_factory=dict)
    nodes: dict[str, NodeRow] = field(default_factory=dict)
    node_texts: dict[str, str] = field(default_factory=dict)
    gone: set[Case] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.rows or self.nodes or self.gone)


class Sheet:
    """`quarantined`: tests (as `str(case)`) whose failing holds nobody up; nodes begin at `now`."""

    def __init__(self, quarantined: Collection[str], now: Callable[[], datetime]) -> None:
        self.rows: dict[Case, CaseRow] = {}
        """The last attempt at each test."""
        self._quarantined = quarantined
        self._now = now
        self._news = News()
        self._nodes: dict[str, NodeRow] = {}
        self._failed: set[Attempt] = set()
        self._told: set[tuple[str, str]] = set()
        self._states: Counter[CaseState] = Counter()
        self._flags: Counter[str] = Counter()

    @property
    def counts(self) -> dict[str, int]:
        """Tests by state, and how many were flaky, or failed in quarantine; broken ones say nothing."""
        states = {state.value: self._states[state] for state in CaseState}
        flags = {name: self._flags[name] for name in ("flaky", "quarantined", "broken")}
        return {"all": len(self.rows), **states, **flags}

    def news(self) -> News:
        """What changed since the last call."""
        news, self._news = self._news, News()
        return news

    def take(self, event: VerifyEvent) -> None:
        """One thing that happened."""
        match event:
            case CaseFound(case):
                if case not in self.rows:
                    self._put(CaseRow(case, CaseState.WAITING))
            case CaseBegan(case, worker):
                before = self.rows.get(case)
                attempt = before.attempt + before.state.ended if before is not None else 1
                self._put(CaseRow(case, CaseState.RUNNING, attempt, worker=worker))
            case CaseEnded(result):
                self._ended(result)
            case NodeChanged():
                self._node(event)

    def flag(self, flaky: Collection[Case]) -> None:
        """These turned out to be flaky, whatever was told of them."""
        for case in flaky:
            row = self.rows.get(case)
            if row is not None and not row.flaky and row.state.ended:
                self._ended_as(row, flaky=True)

    def drop_unended(self) -> int:
        """What had no turn is no result; returns how many tests that were."""
        left = [row for row in self.rows.values() if not row.state.ended]
        for row in left:
            self._drop(row)
        return len(left)

    def _ended(self, result: CaseResult) -> None:
        before = self.rows.get(result.case)
        if before is not None and before.attempt > result.attempt:
            return
        failed = result.state is CaseState.FAILED
        earlier = any((result.case, attempt) in self._failed for attempt in range(1, result.attempt))
        if failed and not result.broken:
            self._failed.add((result.case, result.attempt))
        if result.output:
            self._news.texts[result.case, result.attempt] = result.output
        row = CaseRow(
            result.case,
            result.state,
            result.attempt,
            result.seconds,
            result.worker,
            result.reason,
            result.broken,
            quarantined=failed and not result.broken and str(result.case) in self._quarantined,
        )
        self._ended_as(row, flaky=result.state is CaseState.PASSED and earlier)

    def _ended_as(self, row: CaseRow, *, flaky: bool) -> None:
        flagged = CaseRow(
            row.case, row.state, row.attempt, row.seconds, row.worker, row.reason, row.broken, flaky,
            row.quarantined, row.output,
        )  # fmt: skip
        self._put(flagged)

    def _node(self, event: NodeChanged) -> None:
        before = self._nodes.get(event.name)
        began = before.began_at if before is not None else None
        row = NodeRow(
            event.name,
            before.position if before is not None else len(self._nodes),
            event.state,
            event.seconds,
            event.reason,
            event.broken,
            began_at=self._now() if event.state is CaseState.RUNNING else began,
        )
        self._nodes[event.name] = self._news.nodes[event.name] = row
        if event.output:
            self._news.node_texts[event.name] = event.output

    def _put(self, row: CaseRow) -> None:
        self._count(self.rows.get(row.case), -1)
        self._count(row, 1)
        self.rows[row.case] = row
        self._news.rows[row.case, row.attempt] = row
        self._news.gone.discard(row.case)
        file = (row.case.suite, row.case.file)
        if row.case.name and file not in self._told:
            self._told.add(file)
            whole = self.rows.get(Case(*file))
            if whole is not None and not whole.state.ended:
                self._drop(whole)

    def _drop(self, row: CaseRow) -> None:
        self._count(row, -1)
        if row.attempt == 1:
            del self.rows[row.case]
            self._news.gone.add(row.case)
        self._news.rows.pop((row.case, row.attempt), None)

    def _count(self, row: CaseRow | None, by: int) -> None:
        if row is None:
            return
        if not row.broken:  # says nothing of the commit: no failure
            self._states[row.state] += by
        for name in ("flaky", "quarantined", "broken"):
            self._flags[name] += by * bool(getattr(row, name))
