"""The search for a culprit by hand, in somebody's checkout or in a mirror; nothing is stored."""

from __future__ import annotations

import asyncio
import math
import os
import re
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from leuko.cancellation import end
from leuko.clock import Clock
from leuko.domain.change import Change
from leuko.domain.culprit import Inquiry, Probe, ProbeState, Subject
from leuko.domain.errors import LeukoError
from leuko.runtime.probing import Prober, Seen
from leuko.statistics.culprit_metric import Measurement, MetricAnswer, MetricQuestion, MetricStanding, look
from leuko.statistics.inquiry import assess
from leuko.vcs.checkout import check_out
from leuko.vcs.git import Git
from leuko.vcs.landings import History
from leuko.verify.command import CommandEnd, Order, run_command, shell

SAYS_NOTHING = frozenset({125, 126, 127})
"""Exit codes that say nothing about a commit: git's own "skip", and programs that are not there."""
MOST_COMMITS = 2000
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_IN = 'cd -- "$1" && shift && exec "$@"'
_OUTPUT = 1 << 20


@dataclass(frozen=True, slots=True)
class Span:
    """What is looked through: the good end, and the changes after it, oldest first."""

    good: str
    changes: tuple[Change, ...]


async def span(history: History, good: str, bad: str) -> Span:
    """The first-parent changes of `bad` that `good` does not have; both as people name revisions."""
    first, last = await history.resolve(good), await history.resolve(bad)
    if not await history.is_ancestor(first, last):
        raise LeukoError(
            f"{bad} does not contain {good}: what is between them is no range",
            where=f"{good}..{bad}",
            way_out=f"name a good end that {bad} contains: `git merge-base {good} {bad}` has one",
            code="X070",
        )
    changes = tuple(await history.landings(first, last))
    if not changes:
        raise LeukoError(
            "there is no commit between the two ends",
            where=f"{good}..{bad}",
            way_out="name an older good end, or a newer bad one",
            code="X071",
        )
    if len(changes) > MOST_COMMITS:
        raise LeukoError(
            f"{len(changes)} commits are more than the {MOST_COMMITS} that are looked through at once",
            where=f"{good}..{bad}",
            way_out="try a commit in the middle by hand first",
            code="X072",
        )
    return Span(first, changes)


@dataclass
class Trees:
    """Runs a shell command in a fresh tree of a revision, with the environment of whoever asks."""

    git: Git
    scratch: Path
    command: str
    setup: str = ""
    timeout: float = 900.0
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    _count: int = 0

    async def run(self, revision: str) -> tuple[CommandEnd, str]:
        """How the command ended there (or the set-up, where that did not pass), and what it printed."""
        self._count += 1
        folder = self.scratch / f"{self._count:04d}-{revision[:8]}"
        try:
            await check_out(self.git, revision, folder)
            ended, printed = (
                await self._one("set-up", self.setup, revision, folder) if self.setup else (None, "")
            )
            if ended is not None and not ended.step.passed:
                return CommandEnd(ended.step, "its set-up did not pass"), printed
            return await self._one("command", self.command, revision, folder)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _one(self, name: str, command: str, revision: str, folder: Path) -> tuple[CommandEnd, str]:
        output = folder.with_suffix(".log")
        order = Order(
            name=name,
            kind="test",
            argv=["/bin/sh", "-c", _IN, "sh", str(folder), *shell(command)],
            environment={**self.environment, "LEUKO_REVISION": revision},
            timeout=self.timeout,
            output=output,
            shown=output.name,
            cap=_OUTPUT,
        )
        ended = await run_command(order)
        printed = await asyncio.to_thread(lambda: output.read_text("utf-8", "replace"))
        if ended.step.exit_code in SAYS_NOTHING and not ended.broken:
            ended = CommandEnd(ended.step, f"exit code {ended.step.exit_code} says nothing about the commit")
        return ended, printed


@dataclass(frozen=True, slots=True)
class CommandProber:
    """A command in the place of a test: exit 0 passes, 125 to 127 say nothing, everything else fails."""

    trees: Trees

    async def probe(self, _name: str, revision: str, subjects: Sequence[Subject]) -> Seen:
        """See probing.Prober."""
        ended, printed = await self.trees.run(revision)
        seconds, titles = round(ended.step.seconds, 3), tuple(one.title for one in subjects)
        if ended.broken:
            return Seen(seconds=seconds, reason=f"{ended.broken}: {_tail(printed)}".rstrip(": "))
        passed = ended.step.passed
        return Seen(() if passed else titles, titles if passed else (), seconds)


Tell = Callable[[Inquiry, Probe | None], None]
"""Called with what is believed, and the run that has just ended; None when runs begin."""


async def search(
    inquiry: Inquiry, prober: Prober, workers: int, most_runs: int, clock: Clock, tell: Tell
) -> Inquiry:
    """Rounds of runs until all is answered."""
    while True:
        inquiry, versions = assess(inquiry, workers, most_runs=most_runs)
        if not versions:
            return inquiry
        before = len(inquiry.probes)
        inquiry = inquiry.began(versions, clock.now())
        tell(inquiry, None)
        tasks = [asyncio.create_task(_probed(inquiry, one, prober)) for one in inquiry.probes[before:]]
        try:
            for task in asyncio.as_completed(tasks):
                probe = await task
                inquiry = inquiry.ended(probe)
                believed, _ = assess(inquiry, 1, most_runs=most_runs)
                tell(believed, probe)
        finally:
            for one in tasks:
                await end(one)


async def _probed(inquiry: Inquiry, probe: Probe, prober: Prober) -> Probe:
    seen = await prober.probe(f"culprit-{probe.number}", inquiry.revision(probe.version), inquiry.open)
    state = ProbeState.DONE if seen.told else ProbeState.NOTHING
    return replace(
        probe,
        state=state,
        failed=seen.failed,
        passed=seen.passed,
        seconds=seen.seconds,
        reason=seen.reason[:300],
    )


TellMetric = Callable[[MetricQuestion, MetricStanding, int, float | None, str], None]
"""Called with what was measured and is believed, and the newest: version, value (None: nothing), why not."""
Measure = Callable[[str], Awaitable[tuple[float | None, str]]]


async def search_metric(
    question: MetricQuestion, revision: Callable[[int], str], measure: Measure, workers: int, tell: TellMetric
) -> tuple[MetricQuestion, MetricStanding]:
    """Measures until the step is found, or that there is none, or that the noise hides it."""
    silent: dict[int, int] = {}
    while True:
        standing = look(question, workers)
        if standing.answer is not MetricAnswer.OPEN:
            return question, standing
        tasks = {
            asyncio.create_task(_measured(version, revision, measure)): version for version in standing.next
        }
        try:
            for task in asyncio.as_completed(list(tasks)):
                version, value, why = await task
                if value is None:
                    silent[version] = silent.get(version, 0) + 1
                    _check_ends(question, version, why)
                    skipped = frozenset(each for each, times in silent.items() if times >= 2)
                    question = replace(
                        question, untestable=skipped - {one.version for one in question.values}
                    )
                else:
                    question = replace(question, values=(*question.values, Measurement(version, value)))
                tell(question, look(question, workers), version, value, why)
        finally:
            for one in tasks:
                await end(one)


def _check_ends(question: MetricQuestion, version: int, why: str) -> None:
    if version in (question.places[0], question.places[-1]):
        raise LeukoError(
            f"an end of the range cannot be measured: {why}",
            where="--metric",
            way_out="run the command by hand there; it should print a number and exit with 0",
            code="X073",
        )


async def _measured(
    version: int, revision: Callable[[int], str], measure: Measure
) -> tuple[int, float | None, str]:
    value, why = await measure(revision(version))
    return version, value, why


def measuring(trees: Trees) -> Measure:
    """The last number that the command prints."""

    async def measure(revision: str) -> tuple[float | None, str]:
        ended, printed = await trees.run(revision)
        if ended.broken or not ended.step.passed:
            why = ended.broken or ended.step.reason or f"it ended with {ended.step.exit_code}"
            return None, f"{why}: {_tail(printed)}".rstrip(": ")
        value = number_in(printed)
        return value, "" if value is not None else f"it printed no number: {_tail(printed)}"

    return measure


def number_in(printed: str) -> float | None:
    """The last number of a text; None where there is none that is finite."""
    found = _NUMBER.findall(printed)
    value = float(found[-1]) if found else math.nan
    return value if math.isfinite(value) else None


def _tail(printed: str) -> str:
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""
