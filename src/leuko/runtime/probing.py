"""One run of what failed, at one revision: a small build of its own, with nothing else in it."""

from __future__ import annotations

import glob
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from leuko.config.verify import Suite, Verify
from leuko.domain.build import BuildState, StepResult
from leuko.domain.case import Case, CaseResult, CaseState
from leuko.domain.culprit import Subject, SubjectKind
from leuko.verify.build import BuildOutcome, LocalVerifier

NOT_RUN = "not run:"
"""How the reason of a test begins that its set-up kept from running."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Titles of subjects that failed and that passed; those in neither were not told. Seconds it took."""

    failed: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    seconds: float = 0.0
    reason: str = ""

    @property
    def told(self) -> bool:
        """True where it said anything."""
        return bool(self.failed or self.passed)


class Prober(Protocol):
    """Runs what failed once, at a revision."""

    async def probe(self, name: str, revision: str, subjects: Sequence[Subject]) -> Seen:
        """`name` is the build's: a folder. Cancelled, it ends what runs."""
        ...


@dataclass(frozen=True, slots=True)
class BuildProber:
    """Through the verifier that makes the builds, shut in as they are.

    `verify_of` gives the verification that a revision has; `has_file` says whether it has a file.
    """

    verifier: LocalVerifier
    verify_of: Callable[[str], Awaitable[Verify]]
    has_file: Callable[[str, str], Awaitable[bool]]

    async def probe(self, name: str, revision: str, subjects: Sequence[Subject]) -> Seen:
        """See Prober."""
        verify = await self.verify_of(revision)
        there = [one for one in subjects if await self._there(verify, revision, one)]
        absent = tuple(one.title for one in subjects if one not in there)
        if not there:  # what is not there cannot fail
            return Seen(passed=absent)
        began = time.monotonic()
        outcome = await self.verifier.verify(name, revision, reduced(verify, there))
        try:
            seen = read(outcome, there)
        finally:
            await outcome.discard()
        seconds = round(time.monotonic() - began, 3)
        return Seen(seen.failed, (*seen.passed, *absent) if seen.told else (), seconds, seen.reason)

    async def _there(self, verify: Verify, revision: str, subject: Subject) -> bool:
        match subject.kind:
            case SubjectKind.COMMAND:
                return subject.name in verify.tests
            case SubjectKind.CASE:
                return subject.suite in verify.suites and await self.has_file(revision, subject.file)
            case SubjectKind.SETUP:
                return True


def reduced(verify: Verify, subjects: Sequence[Subject]) -> Verify:
    """The verification without all that did not fail; each test is run once: a retry would hide a flake."""
    files: dict[str, list[str]] = {}
    for one in subjects:
        if one.kind is SubjectKind.CASE and one.file not in files.setdefault(one.suite, []):
            files[one.suite].append(one.file)
    suites: dict[str, Suite] = {
        name: verify.suites[name].model_copy(
            update={"files": tuple(f"/{glob.escape(file)}" for file in those)}
        )
        for name, those in files.items()
    }
    commands = {one.name for one in subjects if one.kind is SubjectKind.COMMAND}
    tests = {name: command for name, command in verify.tests.items() if name in commands}
    return verify.model_copy(update={"suites": suites, "tests": tests, "retry": False})


def read(outcome: BuildOutcome, subjects: Sequence[Subject]) -> Seen:
    """What a build said about each subject. A broken one says nothing at all."""
    if outcome.state not in (BuildState.PASSED, BuildState.FAILED):
        return Seen(reason=outcome.reason)
    results = {one.case: one for one in outcome.verified.results} if outcome.verified else {}
    steps = {(step.kind, step.name): step for step in outcome.steps}
    failed: list[str] = []
    passed: list[str] = []
    for subject in subjects:
        says = (
            _of_case(subject, results, outcome)
            if subject.kind is SubjectKind.CASE
            else _of_step(subject, steps)
        )
        if says is not None:
            (failed if says else passed).append(subject.title)
    reason = "" if failed or passed else (outcome.reason or "it did not come to what was asked")
    return Seen(tuple(failed), tuple(passed), reason=reason)


def _of_step(subject: Subject, steps: dict[tuple[str, str], StepResult]) -> bool | None:
    """True where it failed; None where it was not run."""
    step = steps.get(("setup" if subject.kind is SubjectKind.SETUP else "test", subject.name))
    return None if step is None else not step.passed


def _of_case(subject: Subject, results: dict[Case, CaseResult], outcome: BuildOutcome) -> bool | None:
    """As _of_step. A test that its file does not have (yet) does not fail."""
    case = Case(subject.suite, subject.file, subject.name)
    whole = results.get(Case(subject.suite, subject.file))
    result = results.get(case)
    if result is None:
        stopped = any(step.kind == "setup" and not step.passed for step in outcome.steps)
        if stopped or (whole is not None and whole.state is not CaseState.PASSED):
            return None  # the file itself is broken there, or was never come to
        return False
    if result.broken or (result.state is CaseState.SKIPPED and result.reason.startswith(NOT_RUN)):
        return None
    return result.state is CaseState.FAILED
