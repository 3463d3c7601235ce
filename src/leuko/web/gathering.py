"""Reads the facts: every query is bounded, whatever the age of the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from leuko.config.quantities import portion
from leuko.domain.build import Build, BuildState
from leuko.domain.line import Line
from leuko.domain.push import Push
from leuko.domain.tally import Tally
from leuko.domain.template import appeared
from leuko.store.changes import Landed
from leuko.store.events import Event
from leuko.store.store import Store
from leuko.web.facts import BuildFacts, Facts, PushFacts, SourceTrouble, Wait
from leuko.web.outputs import Outputs

CHANGES = 12
PUSHES = 40
LOCKS = 100
WAITS = ("push.waits", "push.blocked", "push.refused")


async def gather(store: Store, line: Line, now: datetime, outputs: Outputs | None = None) -> Facts:
    """The line as it stands."""
    event = await store.events.last_number(line)  # first: what happens from here on brings a new look
    changes = await store.changes.recent(line, limit=CHANGES, concerning=True)
    unfinished = await store.builds.unfinished(line)
    active = await store.pushes.active(line)
    stuck = await store.pushes.stuck(line)
    return Facts(
        line=line,
        now=now,
        lease=await store.leases.get(line),
        locks=tuple(await store.locks.held(line, None, now)),
        live=await store.pushes.live(line),
        active=await push_facts(store, line, active) if active else None,
        pending=await store.pushes.pending(line),
        stuck=tuple([await push_facts(store, line, push) for push in stuck[:5]]),
        pushes=tuple(await store.pushes.recent(line, limit=PUSHES)),
        changes=tuple(changes),
        builds=await _builds(store, line, changes, unfinished, outputs),
        waits=await _waits(store, line),
        troubles=_troubles(await store.events.latest(line, kind="source", limit=200)),
        hosts=tuple(await store.hosts.all(line)),
        tally=await _tally(store, line),
        trends=tuple(await store.trends.open(line)),
        hotfixes=_hotfixes(await store.events.latest(line, kind="hotfix", limit=100)),
        event=event,
    )


class _Served(msgspec.Struct):
    """What of the served configuration matters here."""

    push: dict[str, Any] = {}


async def _tally(store: Store, line: Line) -> Tally | None:
    text = await store.lines.served(line)
    if not text:
        return None
    promised = msgspec.json.decode(text, type=_Served).push.get("false_rollbacks", "0.5%")
    return await store.tallies.count(line, portion(str(promised)))


async def push_facts(store: Store, line: Line, push: Push) -> PushFacts:
    """One push with its rows."""
    taken = await store.locks.recent(line, limit=LOCKS)
    progress = tuple(await store.hosts.progress(line, push.number))
    switched = {row.host: row.switched_at for row in progress}
    templates = await store.templates.of_push(line, push.number)
    return PushFacts(
        push,
        await store.pushes.plan(line, push.number),
        progress,
        await store.findings.latest(line, push.number),
        tuple(lock for lock in taken if lock.push == push.number),
        tuple(appeared(templates, switched, push.number)),
    )


async def build_facts(store: Store, line: Line, build: Build, outputs: Outputs | None = None) -> BuildFacts:
    """One build, what is done of it, and the end of what its failed command printed."""
    steps = await store.builds.steps(line, build.id)
    times = await store.builds.times(line, build.id)
    told: list[Event] = []
    if build.state is BuildState.RUNNING:
        told = await store.events.latest(line, subject=f"build {build.id}", limit=100)
    of = next((event.data["of"] for event in told if isinstance(event.data.get("of"), int)), None)
    facts = BuildFacts(
        build,
        tuple(steps),
        times[0],
        times[1],
        of=of,
        doing=_doing(told),
        coverage=str(((await store.build_facts.get(line, build.id, "coverage")) or {}).get("sentence", "")),
    )
    failed = facts.failed
    if failed is None or outputs is None or build.state is not BuildState.FAILED:
        return facts
    tail = await outputs.tail(failed.output, 6)
    return replace(facts, doing="", tail=tail)


async def _builds(
    store: Store, line: Line, changes: Sequence[Landed], unfinished: Sequence[Build], outputs: Outputs | None
) -> dict[int, BuildFacts]:
    wanted = {build.id: build for build in unfinished[:5]}
    for number in [change.build for change in changes if change.build is not None][:5]:
        if number not in wanted:
            found = await store.builds.get(line, number)
            if found is not None:
                wanted[number] = found
    return {number: await build_facts(store, line, build, outputs) for number, build in wanted.items()}


async def _waits(store: Store, line: Line) -> dict[str, Wait]:
    """The newest reason of each push and change that was looked at and not let start."""
    told: list[Event] = []
    for kind in WAITS:
        told += await store.events.latest(line, kind=kind, limit=20)
    found: dict[str, Wait] = {}
    for event in sorted(told, key=lambda event: event.number, reverse=True):
        found.setdefault(event.subject, Wait(_reason(event), event.at, _time(event.data.get("until"))))
    return {subject: wait for subject, wait in found.items() if wait.why}


def _troubles(events: Sequence[Event]) -> tuple[SourceTrouble, ...]:
    """The newest news of each source, where it is bad."""
    seen: set[str] = set()
    found: list[SourceTrouble] = []
    for event in events:
        why = _reason(event)
        if event.subject not in seen and why and event.data.get("ok") is not True:
            hosts = event.data.get("hosts") or ()
            found.append(SourceTrouble(event.subject, why, event.at, tuple(str(host) for host in hosts)))
        seen.add(event.subject)
    return tuple(found)


def _hotfixes(events: Sequence[Event]) -> dict[str, str]:
    """Those whose newest event does not say that the branch has them."""
    newest: dict[str, Event] = {}
    for event in events:
        newest.setdefault(event.subject, event)
    return {
        revision: str(event.data.get("subject") or "")
        for revision, event in newest.items()
        if event.data.get("landed") is not True
    }


def _reason(event: Event) -> str:
    return str(event.data.get("reason") or event.data.get("why") or "")


def _doing(events: Sequence[Event]) -> str:
    """Commands that began and have not ended, from events that are newest first."""
    states: dict[str, str] = {}
    for event in events:
        if "step" in event.data:
            states.setdefault(str(event.data["step"]), str(event.data.get("state") or ""))
    return ", ".join(name for name, state in reversed(states.items()) if state == "running")


def _time(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
