"""Builds, their steps and the end of what these printed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from leuko.domain.build import Build, BuildState
from leuko.domain.case import CaseState
from leuko.domain.line import Line
from leuko.store.case_outputs import CaseOutputs
from leuko.store.cases import CaseRow
from leuko.store.store import Store
from leuko.web.gathering import build_facts
from leuko.web.outputs import Outputs, readable

MOST_FAILURES = 50
TAIL = 20
"""Lines."""


class StepView(msgspec.Struct, frozen=True):
    """One command. `tail` is the end of its output; the whole is a call of its own."""

    position: int
    name: str
    kind: str
    passed: bool
    exit_code: int | None
    seconds: float
    reason: str
    output: str
    tail: list[str]


class FailureView(msgspec.Struct, frozen=True):
    """One test that failed; `flaky` where it passed elsewhere. `tail` is the end of what it printed."""

    test: str
    reason: str
    worker: str
    attempt: int
    flaky: bool
    quarantined: bool
    broken: bool
    tail: list[str]


class BuildView(msgspec.Struct, frozen=True):
    """One verification; `of` is how many commands it has in all, where that is known."""

    id: int
    revision: str
    state: str
    since: datetime
    reason: str
    attempt: int
    started_at: datetime | None
    ended_at: datetime | None
    seconds: float | None
    done: int
    of: int | None
    doing: str
    steps: list[StepView]
    changes: list[str]
    tests: dict[str, int] = {}
    """How many by state; empty where its tests are not known one by one."""
    failures: list[FailureView] = []
    """At most 50."""
    warnings: list[str] = []
    coverage: Any = None
    """Lines of the change that no test ran; None where nothing is asked for."""
    outside: list[str] = []
    """What another CI said of its revision."""


class BuildRow(msgspec.Struct, frozen=True):
    """One of a list."""

    id: int
    revision: str
    state: str
    since: datetime
    reason: str
    attempt: int
    seconds: float | None
    changes: int
    tests: dict[str, int]


async def builds(store: Store, line: Line, now: datetime, *, limit: int = 20) -> list[BuildRow]:
    """Newest first."""
    found = await store.builds.recent(line, limit=limit)
    facts = await store.build_facts.each(line, [build.id for build in found], "tests")
    rows = []
    for build in found:
        started_at, ended_at = await store.builds.times(line, build.id)
        end = ended_at if build.state.ended else now
        covers = await store.builds.changes(line, build.id)
        rows.append(
            BuildRow(
                build.id,
                build.revision,
                build.state.value,
                build.since,
                build.reason,
                build.attempt,
                (end - started_at).total_seconds() if started_at and end else None,
                len(covers),
                dict((facts.get(build.id) or {}).get("counts", {})),
            )
        )
    return rows


async def build_view(
    store: Store, line: Line, number: int, now: datetime, outputs: Outputs | None = None
) -> BuildView | None:
    """By its number; None where there is no such build."""
    build = await store.builds.get(line, number)
    if build is None:
        return None
    facts = await build_facts(store, line, build, outputs)
    known = await store.build_facts.of(line, build.id)
    steps = []
    for position, step in enumerate(facts.steps):
        tail = await outputs.tail(step.output, 40) if outputs else ()
        steps.append(
            StepView(
                position,
                step.name,
                step.kind,
                step.passed,
                step.exit_code,
                step.seconds,
                step.reason,
                step.output,
                list(tail),
            )
        )
    end = facts.ended_at if build.state.ended else now
    return BuildView(
        id=build.id,
        revision=build.revision,
        state=build.state.value,
        since=build.since,
        reason=build.reason,
        attempt=build.attempt,
        started_at=facts.started_at,
        ended_at=facts.ended_at,
        seconds=(end - facts.started_at).total_seconds() if facts.started_at and end else None,
        done=len(facts.steps),
        of=facts.of,
        doing=facts.doing,
        steps=steps,
        changes=await store.builds.changes(line, build.id),
        tests=await _tests(store, line, build, known),
        failures=await _failures(store, line, build, outputs),
        warnings=list(known.get("warnings") or ()),
        coverage=known.get("coverage"),
        outside=[str(status) for status in await store.statuses.of(line, build.revision)],
    )


async def _tests(store: Store, line: Line, build: Build, known: Mapping[str, Any]) -> dict[str, int]:
    """As they were when it ended, or as they are while it runs."""
    if known.get("tests"):
        return dict(known["tests"]["counts"])
    told = await store.events.latest(line, kind="build.tests", subject=f"build {build.id}", limit=1)
    return dict(told[0].data["counts"]) if told and build.state is BuildState.RUNNING else {}


async def _failures(store: Store, line: Line, build: Build, outputs: Outputs | None) -> list[FailureView]:
    rows = await store.cases.rows(line, build.id, states=[CaseState.FAILED], limit=MOST_FAILURES)
    last = {row.case: row for row in rows}
    flaky = {row.case for row in await store.cases.flaky_of(line, build.id)}
    read = CaseOutputs(outputs.root / "builds" / f"{build.id}-{build.attempt}") if outputs else None
    return [
        FailureView(
            str(row.case),
            row.broken or row.reason,
            row.worker,
            row.attempt,
            row.case in flaky,
            row.quarantined,
            bool(row.broken),
            await asyncio.to_thread(_tail, read, row),
        )
        for row in last.values()
    ]


def _tail(outputs: CaseOutputs | None, row: CaseRow) -> list[str]:
    """The last lines of what one test printed."""
    if outputs is None or row.output is None:
        return []
    text = readable((outputs.read(row.output) or "").encode())
    return text.rstrip().splitlines()[-TAIL:]
