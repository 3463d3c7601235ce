"""What a session knows of the last one: results and durations, in a folder of the developer's cache.

It is a cache: lost or damaged, the next session starts without it and says so. Outputs are not in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from leuko.domain.board import Board
from leuko.domain.board_rows import Mark
from leuko.domain.case import Case, CaseResult, CaseState

VERSION = 1
_STATES = {Mark.PASSED: CaseState.PASSED, Mark.FAILED: CaseState.FAILED, Mark.SKIPPED: CaseState.SKIPPED}


class Remembered(msgspec.Struct, frozen=True, array_like=True):
    """One test: seconds, its last state (empty: it never ran), whether it was flaky, why it failed."""

    suite: str
    file: str
    name: str
    seconds: float
    state: str
    flaky: bool
    reason: str


class Memory(msgspec.Struct, frozen=True):
    """The file."""

    version: int
    cases: list[Remembered]


def folder_of(checkout: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """The cache folder of one checkout, made where it is not there: for its owner's eyes."""
    base = environment.get("XDG_CACHE_HOME") or str(
        Path(environment.get("HOME") or "~").expanduser() / ".cache"
    )
    key = hashlib.sha256(os.fsencode(checkout.resolve())).hexdigest()[:12]
    folder = Path(base) / "leuko" / "runtests" / f"{checkout.resolve().name or 'root'}-{key}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in folder.glob("run-*"):  # of sessions that were killed
        with contextlib.suppress(OSError):
            left.rmdir()
    return folder


def recall(folder: Path, board: Board, there: Mapping[str, Sequence[str]]) -> str:
    """Puts onto the board what is remembered of files that are still there (suite -> files).

    Hands back a sentence where the cache could not be used.
    """
    try:
        memory = msgspec.json.decode((folder / "results.json").read_bytes(), type=Memory)
    except FileNotFoundError:
        return ""
    except (OSError, msgspec.DecodeError) as error:
        return f"Nothing is known of the last session: its cache cannot be read ({error})."
    if memory.version != VERSION:
        return ""
    known = {suite: set(files) for suite, files in there.items()}
    for one in memory.cases:
        if one.file not in known.get(one.suite, ()):
            continue
        case = Case(one.suite, one.file, one.name)
        if one.state in ("passed", "failed", "skipped"):
            result = CaseResult(case, CaseState(one.state), one.seconds, reason=one.reason)
            board.remember(result, flaky=one.flaky)
        else:
            board.rows[board.add(case)].seconds = one.seconds
    return ""


def newer(folder: Path, checkout: Path, there: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Files that were written since the cache was."""
    try:
        known = (folder / "results.json").stat().st_mtime
    except OSError:
        return frozenset()
    return frozenset(path for files in there.values() for path in files if _written(checkout / path) > known)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def keep(folder: Path, board: Board) -> None:
    """Writes it all, in one step. Raises OSError."""
    cases = []
    for row in board.rows:
        case = board.case(row.id)
        if case is None or row.mark is Mark.GONE:
            continue
        state = _STATES.get(row.mark)
        cases.append(
            Remembered(
                case.suite, case.file, case.name, round(row.usual, 4), state.value if state else "",
                row.flaky, row.reason[:500],
            )
        )  # fmt: skip
    memory = Memory(VERSION, cases)
    fresh = folder / f"results.{os.getpid()}"
    fresh.write_bytes(msgspec.json.encode(memory))
    fresh.replace(folder / "results.json")


class BoardKnown:
    """What the board tells of earlier runs, as the schedule asks for it (leuko.domain.schedule.Known)."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def seconds(self, case: Case) -> float | None:
        """How long a test should take; None: never seen."""
        found = self._board.usual(case)
        return found or None

    def file_seconds(self, suite: str, file: str) -> float | None:
        """How long all tests of a file should take; None: never seen."""
        total = sum(self._board.rows[row].usual for row in self._board.in_file(suite, file))
        return total or None

    def cases(self, suite: str, file: str) -> tuple[Case, ...]:
        """The tests that the file had when it last ran."""
        rows = [self._board.rows[row] for row in self._board.in_file(suite, file)]
        return tuple(Case(suite, file, row.name) for row in rows if row.name)

    def file_failed_last(self, suite: str, file: str) -> bool:
        """True where a test of the file failed last."""
        rows = [self._board.rows[row] for row in self._board.in_file(suite, file)]
        return any(Mark.FAILED in (row.mark, row.before) for row in rows)
