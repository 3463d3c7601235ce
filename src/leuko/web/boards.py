"""The boards of builds, as the build page shows them: made of stored rows, and kept up to date from these.

A board is kept for whoever looks at it, a few at most. Its rows have numbers of its own: another controller,
or this one after a restart, has another board of the same build, by another name, and pages start anew.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from leuko.clock import Clock
from leuko.domain.board import Board
from leuko.domain.board_rows import Mark, RunState
from leuko.domain.build import Build, BuildState
from leuko.domain.case import CaseBegan, CaseEnded, CaseFound, CaseResult, CaseState, NodeChanged
from leuko.domain.columns import news
from leuko.domain.line import Line
from leuko.store.case_outputs import CaseOutputs
from leuko.store.cases import CaseRow, OutputPlace
from leuko.store.nodes import NodeRow
from leuko.store.store import Store
from leuko.web.failures import NotThere

KEPT = 6
"""Boards in memory; one of 40,000 tests takes about 30 MB."""
_ENDS = {
    BuildState.PASSED: RunState.PASSED,
    BuildState.FAILED: RunState.FAILED,
    BuildState.BROKEN: RunState.BROKEN,
    BuildState.CANCELLED: RunState.STOPPED,
}


@dataclass(slots=True)
class Held:
    """A board, and how far the stored rows are in it."""

    board: Board
    attempt: int
    event: int = 0
    begun: bool = False
    ended: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Boards:
    """Of all builds of all lines of a store. `state`: the state directory, where outputs are."""

    def __init__(self, store: Store, clock: Clock, state: Path | None) -> None:
        self._store = store
        self._clock = clock
        self._state = state
        self._held: dict[tuple[Line, int], Held] = {}

    async def news(self, line: Line, build: Build, since: int, board: str) -> bytes:
        """JSON: what is new since this change of this board; everything where it is another one."""
        held = await self._current(line, build)
        now = self._clock.now()
        known = since if board == held.board.name else 0
        async with held.lock:
            return await asyncio.to_thread(_encoded, held.board, known, now)

    async def failures(self, line: Line, build: Build) -> list[dict[str, str]]:
        """For a page without JavaScript: at most 500."""
        rows = await self._store.cases.rows(line, build.id, states=[CaseState.FAILED], limit=1000)
        last = {row.case: row for row in rows if not row.flaky}
        return [
            {
                "name": row.case.name or row.case.file,
                "where": row.case.file,
                "reason": row.broken or row.reason,
            }
            for row in list(last.values())[:500]
        ]

    async def output(self, line: Line, build: Build, row: int, board: str) -> dict[str, Any]:
        """Every attempt of a row: what it printed, as far as that is kept."""
        held = await self._current(line, build)
        if board not in ("", held.board.name) or not 0 <= row < len(held.board.rows):
            raise NotThere(f"row {row}", "this board has no such row", "load the page again")
        case = held.board.case(row)
        if case is None:
            name = held.board.rows[row].name
            nodes = await self._store.nodes.rows(line, build.id)
            found = [_of_node(node) for node in nodes if node.name == name]
        else:
            found = [_of_case(one) for one in await self._store.cases.one(line, build.id, case)]
        outputs = None if self._state is None else CaseOutputs(_folder(self._state, build))
        return {"row": row, "attempts": await asyncio.to_thread(_read, found, outputs)}

    async def _current(self, line: Line, build: Build) -> Held:
        held = self._held.pop((line, build.id), None)
        if held is None or held.attempt != build.attempt:
            history = await self._store.cases.history(line)
            name = f"{build.id}-{build.attempt}-{secrets.token_hex(4)}"
            held = Held(Board(name, lambda case: history.seconds(case) or 0.0), build.attempt)
        self._held[line, build.id] = held  # the newest last
        while len(self._held) > KEPT:
            del self._held[next(iter(self._held))]
        async with held.lock:
            if not held.ended:
                await self._read_on(held, line, build)
        return held

    async def _read_on(self, held: Held, line: Line, build: Build) -> None:
        nodes = await self._store.nodes.rows(line, build.id, since=held.event)
        cases = await self._store.cases.rows(line, build.id, since=held.event)
        started_at = await self._started(line, build)
        now = self._clock.now()
        await asyncio.to_thread(_apply, held, build, nodes, cases, (started_at, now))

    async def _started(self, line: Line, build: Build) -> datetime:
        times = await self._store.builds.times(line, build.id)
        return times[0] or build.since


def _apply(
    held: Held,
    build: Build,
    nodes: Sequence[NodeRow],
    cases: Sequence[CaseRow],
    times: tuple[datetime, datetime],
) -> None:
    """Brings the board to what is stored. Pure but for the board; 40,000 rows take a part of a second."""
    board = held.board
    started_at, now = times
    if not held.begun and build.state is not BuildState.WAITING:
        board.begin((), started_at)
        held.begun = True
    for node in nodes:
        at = node.began_at or now
        if node.state.ended:
            board.apply(NodeChanged(node.name, CaseState.RUNNING), at)
        event = NodeChanged(node.name, node.state, node.seconds, node.reason, broken=node.broken)
        board.apply(event, at)
        _size(board, board.node(node.name), node.output)
        held.event = max(held.event, node.event)
    for row in cases:
        _case(board, row, now)
        held.event = max(held.event, row.event)
    if build.state.ended and held.begun:
        board.end(_ENDS[build.state], build.since, build.reason)
        held.ended = True


def _case(board: Board, row: CaseRow, now: datetime) -> None:
    known = board.rows[board.add(row.case)]
    if known.run == board.run and known.ended and known.attempt > row.attempt:
        return  # a late word of the first attempt
    if row.state is CaseState.WAITING:
        board.apply(CaseFound(row.case), now)
        return
    if row.state is CaseState.RUNNING:
        board.apply(CaseBegan(row.case, row.worker), now)
        return
    reason = f"quarantined: {row.reason}" if row.quarantined and row.state is CaseState.FAILED else row.reason
    result = CaseResult(row.case, row.state, row.seconds, row.worker, row.attempt, reason, broken=row.broken)
    if row.attempt > 1 and known.mark is Mark.FAILED:
        board.apply(CaseBegan(row.case, row.worker), now)
    board.apply(CaseEnded(result), now)
    _size(board, known.id, row.output)


def _size(board: Board, row: int, place: OutputPlace | None) -> None:
    board.rows[row].size = place.length if place else 0


def _encoded(board: Board, since: int, now: datetime) -> bytes:
    told = news(board, since, now)
    told["watching"], told["said"] = False, ""
    return as_json(told)


def as_json(told: Mapping[str, Any]) -> bytes:
    """JSON, also of names and reasons that are no proper Unicode: tests say what they like."""
    try:
        return msgspec.json.encode(told)
    except UnicodeEncodeError:
        return json.dumps(told).encode()


def _of_case(row: CaseRow) -> tuple[dict[str, Any], OutputPlace | None]:
    facts = {
        "attempt": row.attempt,
        "state": row.state.value,
        "seconds": row.seconds,
        "worker": row.worker,
        "reason": row.broken or row.reason,
    }
    return facts, row.output


def _of_node(node: NodeRow) -> tuple[dict[str, Any], OutputPlace | None]:
    why = node.broken or node.reason
    facts = {"attempt": 1, "state": node.state.value, "seconds": node.seconds, "worker": "", "reason": why}
    return facts, node.output


def _read(
    found: Sequence[tuple[dict[str, Any], OutputPlace | None]], outputs: CaseOutputs | None
) -> list[dict[str, Any]]:
    return [
        {**facts, "output": (outputs.read(place) if outputs and place else None) or ""}
        for facts, place in found
    ]


def _folder(state: Path, build: Build) -> Path:
    """Where the builder keeps what this attempt of the build printed."""
    return state / "builds" / f"{build.id}-{build.attempt}"
