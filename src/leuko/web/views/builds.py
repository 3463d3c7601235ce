"""Builds, their steps and the end of what these printed."""

from __future__ import annotations

from datetime import datetime

import msgspec

from leuko.domain.line import Line
from leuko.store.store import Store
from leuko.web.gathering import build_facts
from leuko.web.outputs import Outputs


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


async def build_view(
    store: Store, line: Line, number: int, now: datetime, outputs: Outputs | None = None
) -> BuildView | None:
    """By its number; None where there is no such build."""
    build = await store.builds.get(line, number)
    if build is None:
        return None
    facts = await build_facts(store, line, build, outputs)
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
    )
