"""One test of a suite, and what came of it. The talk's row: name, "100 % output passed 0m 2s"."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CaseState(StrEnum):
    """Of one test. Waiting and running are not results yet."""

    WAITING = "waiting"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def ended(self) -> bool:
        """True where it is a result."""
        return self not in (CaseState.WAITING, CaseState.RUNNING)


@dataclass(frozen=True, slots=True, order=True)
class Case:
    """Which test: its suite, its file (from the checkout), its name in the file.

    An empty name is the file as a whole: of a suite of exit codes, or broken before it told its tests.
    The name is the runner's own, classes and parameters included: `TestCart::test_total[two]`.
    """

    suite: str
    file: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.suite}: {self.file}" + (f"::{self.name}" if self.name else "")

    @classmethod
    def parsed(cls, text: str) -> Case:
        """`SUITE: FILE::NAME` again, as people copy it; the suite is empty where they leave it out."""
        head, colon, rest = text.strip().partition(": ")
        suite, place = (head, rest) if colon and "::" not in head and "/" not in head else ("", text.strip())
        file, _, name = place.partition("::")
        return cls(suite, file, name)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of one test at one worker.

    `reason` is one line (the assertion, "did not end within 60 s"); `output` what it printed and its
    traceback, cut to `OUTPUT_CAP` characters. `broken`: why it says nothing about the commit, if so.
    """

    case: Case
    state: CaseState
    seconds: float = 0.0
    worker: str = ""
    attempt: int = 1
    """2: the retry on another worker."""
    reason: str = ""
    output: str = ""
    broken: str = ""


OUTPUT_CAP = 65_536
"""Characters kept of one test: the first and the last half of more."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a worker is handed at once: files of one suite, or some tests of one giant file.

    `only` names the tests to run, where not all of `files`; `without` those to leave out (a giant file is
    handed out in parts, and one part is whatever the others do not name). `timeout` is in seconds, for the
    whole batch.
    """

    number: int
    suite: str
    files: tuple[str, ...]
    only: tuple[Case, ...] = ()
    without: tuple[Case, ...] = ()
    attempt: int = 1
    timeout: float = 300.0
    expected: float = 0.0
    """Seconds, from history."""


@dataclass(frozen=True, slots=True)
class CaseFound:
    """The runner knows of this test and has not run it yet."""

    case: Case


@dataclass(frozen=True, slots=True)
class CaseBegan:
    """A test runs from now on."""

    case: Case
    worker: str


@dataclass(frozen=True, slots=True)
class CaseEnded:
    """A test has its result."""

    result: CaseResult


CaseEvent = CaseFound | CaseBegan | CaseEnded


@dataclass(frozen=True, slots=True)
class NodeChanged:
    """A set-up node waits, runs, or came to its end: skipped where one that it needs did not pass.

    `output` is cut to `OUTPUT_CAP` characters; `broken` says why its failing is not the commit's fault.
    """

    name: str
    state: CaseState
    seconds: float = 0.0
    reason: str = ""
    output: str = ""
    broken: str = ""


VerifyEvent = CaseEvent | NodeChanged
