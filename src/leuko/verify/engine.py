"""What carries batches of tests to workers: processes of this machine, or the machines of a farm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from leuko.config.verify import Suite
from leuko.domain.case import Batch, CaseBegan, CaseEnded, CaseEvent, CaseFound
from leuko.domain.errors import LeukoError

__all__ = [
    "Assignment",
    "BatchEnd",
    "CaseBegan",
    "CaseEnded",
    "CaseEvent",
    "CaseFound",
    "Engine",
    "OnCase",
    "WorkerLostError",
]

OnCase = Callable[[CaseEvent], None]


@dataclass(frozen=True, slots=True)
class BatchEnd:
    """How the command of a batch ended. Tests that told no result are the dispatcher's to judge.

    `exit_code` is None where a signal or the deadline ended it; `output` is the end of what it printed beside
    what belongs to single tests (at most `OUTPUT_CAP` characters).
    """

    exit_code: int | None
    seconds: float
    reason: str = ""
    output: str = ""


class WorkerLostError(LeukoError):
    """The worker died or fell silent in the middle of a batch: not the tests' fault; others go on."""

    exit_code = 5


@dataclass(frozen=True, slots=True)
class Assignment:
    """A batch with all that a worker needs to know: the tree, the suite, the environment."""

    batch: Batch
    suite: Suite
    revision: str
    build: str
    """Name of the build and its attempt: a folder, a row of the farm."""
    environment: Mapping[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """Workers for one build at a time or many. Each implementation passes tests/verify/test_engines.py."""

    async def idle(self) -> str:
        """Waits for a worker with nothing to do, reserves it; its name. `run` or `release` frees it."""

    async def run(self, worker: str, assignment: Assignment, on_case: OnCase) -> BatchEnd:
        """Runs a batch at a reserved worker; tells each test as it happens.

        Cancelled, it ends what runs there, too. Raises WorkerLostError when the worker is gone.
        """

    def release(self, worker: str) -> None:
        """Gives a reserved worker back without running anything."""

    def workers(self) -> tuple[str, ...]:
        """Names of those that are there now, reserved or not."""

    async def close(self) -> None:
        """Ends whatever runs; twice is fine."""
