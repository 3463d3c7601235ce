"""A board as columns, for a page: everything, or what is new. Small, and quick to make for 40,000 tests.

`docs/reference/api.md` describes the fields. States are one letter a row in one string, durations are whole
milliseconds, and what few rows have (a reason, a worker) stands in a table of its own by row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from leuko.domain.board import Board
from leuko.domain.board_rows import FileOfTests, Mark, Row

FLAKY, REMEMBERED, OUTPUT, RETRIED = 1, 2, 4, 8
_LETTERS = "0123456789abcdef"
REASON_CAP = 300
"""Characters of a reason in the list; all of it comes with the output."""
_ENDED = frozenset({Mark.PASSED, Mark.FAILED, Mark.SKIPPED, Mark.BROKEN})
WHOLE = 0.3
"""Where more than this part of the rows changed, everything is sent: that is smaller."""


def head(board: Board, at: datetime) -> dict[str, Any]:
    """What stands above the rows: state, counts, progress. Times are milliseconds since 1970."""
    left, ended = board.seconds_left(at), board.progress.ended
    return {
        "board": board.name,
        "change": board.change,
        "run": board.run,
        "state": board.state.value,
        "reason": board.reason,
        "now": round(at.timestamp() * 1000),
        "began": round(board.progress.began * 1000),
        "ended": None if ended is None else round(ended * 1000),
        "counts": asdict(board.counts()),
        "percent": round(board.percent(at), 1),
        "left": None if left is None else round(left, 1),
        "workers": board.progress.workers,
    }


def snapshot(board: Board, at: datetime) -> dict[str, Any]:
    """Everything."""
    return {
        **head(board, at),
        "whole": True,
        "files": _files(board.files),
        "from": 0,
        "names": _names(board.rows),
        "rows": None,
        **_states(board.rows),
    }


def news(board: Board, since: int, at: datetime) -> dict[str, Any]:
    """What changed after this number; everything where that is less."""
    if since <= 0 or since > board.change:
        return snapshot(board, at)
    changed: list[Row] = []
    most = max(200.0, len(board.rows) * WHOLE)
    for row in board.since(since):
        changed.append(row)
        if len(changed) > most:
            return snapshot(board, at)
    changed.sort(key=lambda row: row.id)
    first_file, first_row = board.first_new(since)
    return {
        **head(board, at),
        "whole": False,
        "files": _files(board.files[first_file:]),
        "from": first_row,
        "names": _names(board.rows[first_row:]),
        "rows": [row.id for row in changed],
        **_states(changed),
    }


def _files(files: Sequence[FileOfTests]) -> dict[str, Any]:
    return {
        "suite": [file.suite for file in files],
        "path": [file.path for file in files],
        "tags": [list(file.tags) for file in files],
    }


def _names(rows: Sequence[Row]) -> dict[str, Any]:
    return {"file": [row.file for row in rows], "name": [row.name for row in rows]}


def _states(rows: Sequence[Row]) -> dict[str, Any]:
    """Written for speed: 40,000 rows at once."""
    return {
        "mark": "".join([row.mark for row in rows]),
        "flag": "".join(
            [
                _LETTERS[
                    FLAKY * row.flaky
                    + REMEMBERED * row.remembered
                    + OUTPUT * (row.size > 0)
                    + RETRIED * (row.attempt > 1 or row.failed_before)
                ]
                for row in rows
            ]
        ),
        "ms": [
            int(1000 * (row.seconds if row.mark in _ENDED else row.expected or row.seconds) + 0.5)
            for row in rows
        ],
        "more": _more(rows),
    }


def _more(rows: Iterable[Row]) -> dict[int, dict[str, Any]]:
    """Reason, worker and beginning of the rows that have something to say."""
    told: dict[int, dict[str, Any]] = {}
    for row in rows:
        mark = row.mark
        if mark is Mark.PASSED and not (row.reason or row.flaky):
            continue
        if mark is Mark.RUNNING:
            told[row.id] = {"worker": row.worker, "began": round(row.began * 1000)}
        elif row.reason or row.flaky or mark in (Mark.FAILED, Mark.BROKEN):
            told[row.id] = {"reason": row.reason[:REASON_CAP], "worker": row.worker}
    return told
