"""One push: phases, findings, hosts, timeline, commits, locks."""

from __future__ import annotations

from datetime import datetime

import msgspec

from leuko.domain.fleet import HOLD_BACK
from leuko.domain.line import Line
from leuko.domain.plan import Plan
from leuko.domain.push import Cause, Push, State
from leuko.domain.rollout import HostProgress
from leuko.domain.verdict import Finding
from leuko.store.events import Event
from leuko.store.findings import Judgement
from leuko.store.store import Store
from leuko.store.studies import SAID
from leuko.web.gathering import gather, push_facts
from leuko.web.outputs import Outputs
from leuko.web.views.commits import CommitView, commit_views
from leuko.web.views.errors import KindView, kind_view
from leuko.web.views.locks import LockView, lock_view
from leuko.web.views.pushes import PushSummary, push_summary
from leuko.web.why_push import why_push

KINDS = 50


class FindingView(msgspec.Struct, frozen=True):
    """One gauge at one host or aggregate."""

    gauge: str
    subject: str
    role: str
    aggregate: bool
    before: float | None
    after: float | None
    delta: float | None
    percent: float | None
    limit: str
    evidence: float
    decision: str
    blind: bool
    sentence: str
    unit: str


class VerdictView(msgspec.Struct, frozen=True):
    """What the watch of a phase said last."""

    phase: int
    at: datetime
    decision: str
    sentence: str
    ticks: int
    wanted: int
    findings: list[FindingView]


class PhaseView(msgspec.Struct, frozen=True):
    """One phase; -1 is the hold-back."""

    phase: int
    hosts: list[str]
    ticks: int
    verdict: VerdictView | None


class PushHost(msgspec.Struct, frozen=True):
    """One host in this push."""

    host: str
    role: str
    phase: int
    state: str
    attempts: int
    detail: str
    output: str
    at: datetime | None
    switched_at: datetime | None
    seconds: float
    link_seconds: float


class Moment(msgspec.Struct, frozen=True):
    """A state of the push, from when and for how long."""

    state: str
    phase: int | None
    at: datetime
    seconds: float | None
    by: str
    why: str


class MarkView(msgspec.Struct, frozen=True):
    """`correct`: the verdict was right to stop the push."""

    correct: bool
    by: str
    why: str
    at: datetime


class PushPage(msgspec.Struct, frozen=True):
    """Everything about one push. `plan` is as it was frozen when the push was made."""

    push: PushSummary
    event: int
    why: list[str]
    phases: list[PhaseView]
    hosts: list[PushHost]
    timeline: list[Moment]
    commits: list[CommitView]
    locks: list[LockView]
    plan: Plan | None
    foresight: str
    """What its canaries' watch was able to show, in a sentence; empty where nothing was known."""
    mark: MarkView | None
    """What a person said of its stop."""
    markable: bool
    """The verdict stopped it, or would have."""
    kinds: list[KindView]
    """Kinds of error lines that were never seen before its hosts were switched."""
    history: list[str]
    """What pretend pushes on the history before it taught."""


def verdict_view(judgement: Judgement) -> VerdictView:
    """A verdict as it was stored."""
    verdict = judgement.verdict
    return VerdictView(
        judgement.phase,
        judgement.at,
        verdict.decision.value,
        verdict.sentence,
        verdict.ticks,
        verdict.wanted,
        [_finding(finding) for finding in verdict.findings],
    )


async def push(
    store: Store, line: Line, now: datetime, number: int, outputs: Outputs | None = None
) -> PushPage | None:
    """By its number; None where there is no such push."""
    found = await store.pushes.get(line, number)
    if found is None:
        return None
    facts = await gather(store, line, now, outputs)
    known = [each for each in (facts.active, *facts.stuck) if each and each.push.number == number]
    of = known[0] if known else await push_facts(store, line, found)
    said = await store.marks.get(line, number)
    told = await store.studies.get(line, number, SAID)
    events = await store.events.latest(line, kind="push", subject=found.name, limit=200)
    return PushPage(
        push=push_summary(of.push, now, of.progress),
        event=facts.event,
        why=list(why_push(of, facts)),
        phases=await _phases(store, line, of.push, of.plan),
        hosts=[_host(row) for row in of.progress],
        timeline=timeline(of.push, events[::-1], now),
        commits=commit_views(of.plan.commits) if of.plan else [],
        locks=[lock_view(lock, now) for lock in of.locks],
        plan=of.plan,
        foresight=of.plan.foresight if of.plan else "",
        mark=MarkView(said.correct, said.by, said.why, said.at) if said else None,
        markable=_markable(found),
        kinds=[kind_view(one) for one in of.appeared[:KINDS]],
        history=list(told.value) if told else [],
    )


def timeline(push: Push, events: list[Event], now: datetime) -> list[Moment]:
    """The states that the push was in, from its events; from its own times where there are none."""
    marks: list[tuple[str, int | None, datetime, str, str]] = []
    for event in events:
        state = event.data.get("to")
        phase = event.data.get("phase")
        if state not in set(State) or (marks and marks[-1][:2] == (state, phase)):
            continue
        marks.append((str(state), phase, event.at, str(event.data.get("by") or ""), _why(event)))
    if not marks:
        marks.append((State.PENDING.value, None, push.created_at, push.by, push.why))
        if push.started_at and push.state.ended:
            marks.append((State.STAGING.value, None, push.started_at, "", ""))
        if push.state is not State.PENDING:
            marks.append(
                (push.state.value, push.phase, push.since, "", push.stop.reason if push.stop else "")
            )
    ends = [mark[2] for mark in marks[1:]] + [None if push.state.ended else now]
    return [
        Moment(state, phase, at, (end - at).total_seconds() if end else None, by, why)
        for (state, phase, at, by, why), end in zip(marks, ends, strict=True)
    ]


def _markable(push: Push) -> bool:
    stopped = push.stop is not None and push.stop.cause is Cause.VERDICT
    return push.state.ended and not push.rules.drill and (stopped or bool(push.spared))


def _why(event: Event) -> str:
    return str(event.data.get("why") or event.data.get("reason") or "")


async def _phases(store: Store, line: Line, push: Push, plan: Plan | None) -> list[PhaseView]:
    found = []
    held_back = [HOLD_BACK] if plan and plan.held_back else []
    for phase in [*range(push.rules.phases), *held_back]:
        judgement = await store.findings.latest(line, push.number, phase)
        hosts = [host.name for host in plan.phase(phase)] if plan else []
        ticks = plan.watches[phase] if plan and 0 <= phase < len(plan.watches) else 0
        found.append(PhaseView(phase, hosts, ticks, verdict_view(judgement) if judgement else None))
    return found


def _host(row: HostProgress) -> PushHost:
    return PushHost(
        row.host,
        row.role,
        row.phase,
        row.state.value,
        row.attempts,
        row.detail,
        row.output,
        row.at,
        row.switched_at,
        row.seconds,
        row.link_seconds,
    )


def _finding(finding: Finding) -> FindingView:
    return FindingView(
        finding.gauge,
        finding.subject,
        finding.role,
        finding.aggregate,
        finding.before,
        finding.after,
        finding.delta,
        finding.percent,
        finding.limit,
        finding.evidence,
        finding.decision.value,
        finding.blind,
        finding.sentence,
        finding.unit,
    )
