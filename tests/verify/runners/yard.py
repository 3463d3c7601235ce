"""A real worker in a folder: what a batch tells, from an assignment to its end."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from leuko.config.verify import Suite
from leuko.domain.case import Batch, Case
from leuko.verify.engine import Assignment, BatchEnd, CaseBegan, CaseEnded, CaseFound
from leuko.verify.runners import Reading, told
from leuko.verify.worker import greeting, start_argv

PATIENCE = 60.0
PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": ""}
"""Environment of tests that are about pytest's plugins; the others do without, which is quicker."""


@dataclass
class Told:
    """What came of one batch."""

    events: list = field(default_factory=list)
    end: BatchEnd | None = None
    notes: list[str] = field(default_factory=list)
    longest_line: int = 0

    @property
    def results(self) -> dict[str, object]:
        """Results by `file::name`; a file alone is the file as a whole."""
        found = {}
        for event in self.events:
            if isinstance(event, CaseEnded):
                case = event.result.case
                found[f"{case.file}::{case.name}" if case.name else case.file] = event.result
        return found

    @property
    def states(self) -> dict[str, str]:
        return {name: result.state.value for name, result in self.results.items()}

    @property
    def found(self) -> list[str]:
        return [event.case.name for event in self.events if isinstance(event, CaseFound)]

    @property
    def began(self) -> list[str]:
        return [event.case.name for event in self.events if isinstance(event, CaseBegan)]


class Worker:
    """One worker program in a folder."""

    def __init__(self, folder: Path, python: str = sys.executable, env: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            start_argv(python),
            cwd=folder,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._batches = 0
        self.send(greeting())

    def send(self, data: bytes) -> None:
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def assignment(self, suite: Suite, files, only=(), **more) -> Assignment:
        self._batches += 1
        batch = Batch(
            number=self._batches,
            suite="suite",
            files=tuple(files),
            only=tuple(Case("suite", *case) for case in only),
            timeout=more.pop("timeout", suite.timeout * max(1, len(files))),
        )
        return Assignment(batch, suite, "a" * 40, "build-1", more.pop("environment", {}))

    def run(self, suite: Suite, files, only=(), on_case=None, **more) -> Told:
        """Runs one batch to its end; fails when that does not come."""
        assignment = self.assignment(suite, files, only, **more)
        self.send(told(assignment))
        return self.follow(assignment, on_case)

    def follow(self, assignment, on_case=None) -> Told:
        found = Told()

        def told_case(event):
            found.events.append(event)
            if on_case:
                on_case(event)

        reading = Reading(assignment, "worker-1", told_case)
        deadline = time.monotonic() + PATIENCE
        rest = b""
        while reading.end is None:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no end within {PATIENCE:g} s; so far: {found.states} {reading.noise}"
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, f"the worker ended: {self.process.stderr.read().decode()}"
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            found.longest_line = max(found.longest_line, *(len(line) for line in lines), 0)
            reading.feed(data)
        found.end, found.notes = reading.end, reading.notes
        return found

    def close(self) -> int:
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            return self.process.wait(20)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
            for stream in (self.process.stdout, self.process.stderr):
                stream.close()


def suite(runner: str, command: str = "", **more) -> Suite:
    """A suite of that runner; files do not matter here."""
    return Suite(runner=runner, command=command, files=("x",), **more)


def pytest_suite(**more) -> Suite:
    more.setdefault("warm", False)
    return suite("pytest", f"{sys.executable} -m pytest -q -p no:cacheprovider", **more)


def alive(pid: int) -> bool:
    """True while the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def until(condition):
    """Waits for a condition; hands back what it found."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)
    return found
