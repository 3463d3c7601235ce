"""What a board is made of: rows, their marks, files of tests, counts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from leuko.domain.case import CaseState


class Mark(StrEnum):
    """The state of a row, in one letter."""

    LISTED = "-"
    """Known, and nobody asked for it yet."""
    WAITING = "w"
    RUNNING = "r"
    PASSED = "p"
    FAILED = "f"
    SKIPPED = "s"
    BROKEN = "b"
    """Ended without saying anything about the code: its worker died, the disk was full."""
    GONE = "x"
    """No longer there: the file told its tests, or lost this one."""


MARKS = MappingProxyType(
    {
        CaseState.WAITING: Mark.WAITING,
        CaseState.RUNNING: Mark.RUNNING,
        CaseState.PASSED: Mark.PASSED,
        CaseState.FAILED: Mark.FAILED,
        CaseState.SKIPPED: Mark.SKIPPED,
    }
)
OPEN = (Mark.WAITING, Mark.RUNNING)
NODE = -1
"""In place of a file: the row is a set-up node."""


class RunState(StrEnum):
    """Of a run of tests."""

    IDLE = "idle"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    BROKEN = "broken"
    STOPPED = "stopped"


@dataclass(slots=True)
class Row:
    """One line of the page. Times are seconds, `began` counts from 1970."""

    id: int
    file: int
    name: str
    mark: Mark = Mark.LISTED
    expected: float = 0.0
    seconds: float = 0.0
    began: float = 0.0
    worker: str = ""
    attempt: int = 1
    reason: str = ""
    size: int = 0
    """Characters of output that there are."""
    flaky: bool = False
    remembered: bool = False
    """Its result is of an earlier session."""
    run: int = 0
    """The run that it belonged to last."""
    before: Mark = Mark.LISTED
    """What it was before that run: a run that is stopped goes back to it."""
    counted: float = 0.0
    """The seconds that it was expected to take when it was asked for."""
    failed_before: bool = False
    """It failed at an earlier attempt of this run."""
    born: int = 0

    @property
    def ended(self) -> bool:
        """True where it has a result."""
        return self.mark in (Mark.PASSED, Mark.FAILED, Mark.SKIPPED, Mark.BROKEN)

    @property
    def usual(self) -> float:
        """Seconds that it takes: from history, else what it took last; 0 where nobody knows."""
        return self.expected or self.seconds


@dataclass(frozen=True, slots=True)
class FileOfTests:
    """Where rows belong; `tags` are names."""

    suite: str
    path: str
    tags: tuple[str, ...]
    born: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Of tests; set-up nodes are not counted. `flaky` ones are among the passed."""

    all: int
    passed: int
    failed: int
    running: int
    skipped: int
    waiting: int
    broken: int
    listed: int
    flaky: int
