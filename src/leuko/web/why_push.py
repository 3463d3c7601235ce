"""Why a push went as it did, and what became of a change, a build, a host: sentences from facts alone."""

from __future__ import annotations

from datetime import datetime

from leuko.domain.gauge import HOSTLESS
from leuko.domain.lock import Lock
from leuko.domain.push import Cause, Push, State
from leuko.domain.rollout import HostState
from leuko.domain.verdict import Decision, Finding
from leuko.store.changes import ChangeState, Landed
from leuko.store.hosts import KnownHost
from leuko.web.facts import Facts, PushFacts
from leuko.web.why import way_through, why_now
from leuko.web.why_changes import red, standing
from leuko.web.why_moving import observed
from leuko.web.words import count, cut, figure, names, quoted, short, stopped, when

ENDS = {
    State.LIVE: "This push is live.",
    State.ROLLED_BACK: "This push was rolled back.",
    State.CANCELLED: "This push was cancelled before any host was switched.",
    State.STUCK: "This push is stuck: not every host could be confirmed restored.",
}


def why_push(of: PushFacts, facts: Facts) -> tuple[str, ...]:
    """Of a push that runs: what it waits for. Of one that ended: what happened, by which numbers."""
    push = of.push
    if push.state is State.PENDING or (facts.active and facts.active.push.number == push.number):
        mine = (f"Push {push.number} ", "No controller", "It waits")
        return (*(s for s in why_now(facts) if s.startswith(mine)), *new_kinds(of))
    now = facts.now
    found = [f"{outcome(push, now)} {_reason(push)}".strip()]
    found += [finding_sentence(finding) for finding in worst(of)]
    found += new_kinds(of)
    found += observed(push)
    found += _reach(of)
    found += _carried(of)
    found += [_lock(lock, now) for lock in of.locks]
    found += _next(of, facts)
    return tuple(found)


def new_kinds(of: PushFacts, limit: int = 3) -> list[str]:
    """Kinds of errors that began with the release, those with most lines first."""
    found = []
    for one in of.appeared[:limit]:
        hosts = sorted(one.hosts, key=lambda host: (-one.hosts[host], host))
        lines = count(one.seen, "line")
        text = one.text.replace("`", "'")
        found.append(f"Never seen before in {one.gauge}: `{cut(text, 160)}`, {lines} on {names(hosts)}.")
    if len(of.appeared) > limit:
        found.append(f"{count(len(of.appeared) - limit, 'more kind')} of error appeared with it.")
    return found


def outcome(push: Push, now: datetime) -> str:
    """`Push 12 of 3f1a2b4c5d6e was rolled back at ...`."""
    name = f"Push {push.number} of {short(push.revision)}"
    at = when(push.ended_at or push.since, now)
    match push.state:
        case State.LIVE:
            return f"{name} became live at {at}."
        case State.ROLLED_BACK:
            return f"{name} was rolled back at {at}."
        case State.CANCELLED:
            return f"{name} was cancelled at {at}."
        case State.STUCK:
            return f"{name} is stuck since {at}."
        case _:
            return f"{name} is {push.state.replace('_', ' ').lower()} since {at}."


def _reason(push: Push) -> str:
    stop = push.stop
    if stop is None:
        return stopped(push.sentence)
    reason = stopped(stop.reason)
    match stop.cause:
        case Cause.VERDICT:
            return f"The watch of phase {push.phase + 1} found it bad: {reason}"
        case Cause.PERSON:
            return f"{stop.by} rolled it back: {reason}"
        case Cause.ABORTED:
            return f"{stop.by} aborted it: {reason} The release is not convicted."
        case Cause.SUPERSEDED | Cause.REFUSED:
            return reason[:1].upper() + reason[1:]
        case _:
            return f"{stop.cause.capitalize()}: {reason}"


def worst(of: PushFacts, limit: int = 3) -> list[Finding]:
    """Findings that failed, aggregates first, those with most evidence first."""
    if of.judgement is None:
        return []
    failed = [finding for finding in of.judgement.verdict.findings if finding.decision is Decision.FAIL]
    failed.sort(key=lambda finding: (not finding.aggregate, -finding.evidence))
    return failed[:limit]


def finding_sentence(finding: Finding) -> str:
    """`errors at www (together): 0.2 a minute before, 12 a minute after (+5,900 %), limit >6.`."""
    where = f"{finding.subject} (together)" if finding.aggregate and finding.role else finding.subject
    where = "the whole" if finding.subject == HOSTLESS else where
    unit = finding.unit if finding.unit.startswith("/") else f" {finding.unit}" if finding.unit else ""
    percent = f" ({finding.percent:+,.0f} %)" if finding.percent is not None else ""
    limit = f", limit {finding.limit}" if finding.limit else ""
    evidence = f", evidence {figure(finding.evidence)} to 1" if finding.evidence else ""
    return (
        f"{finding.gauge} at {where}: {figure(finding.before)}{unit} before, {figure(finding.after)}{unit} "
        f"after{percent}{limit}{evidence}."
    )


def _reach(of: PushFacts) -> list[str]:
    reached = [
        row for row in of.progress if row.switched_at or row.state in (HostState.FAILED, HostState.RESTORED)
    ]
    total = len(of.progress)
    if not total or of.push.state is State.LIVE:
        return []
    if not reached:
        return [f"None of the {count(total, 'host')} was switched."]
    never = total - len(reached)
    rest = f" the other {never:,} never ran it" if never else " no host was spared"
    which = names([row.host for row in reached])
    return [f"It had reached {len(reached):,} of {count(total, 'host')} ({which});{rest}."]


def _carried(of: PushFacts) -> list[str]:
    commits = of.plan.commits if of.plan else ()
    if not commits:
        return []
    shown = "; ".join(quoted(commit) for commit in commits[:5])
    more = f"; and {len(commits) - 5:,} more" if len(commits) > 5 else ""
    return [f"It carried {count(len(commits), 'commit')}: {shown}{more}."]


def _lock(lock: Lock, now: datetime) -> str:
    if lock.held(now):
        return f"It took the {lock.kind} lock {lock.id} ({lock.severity}), which is still held."
    if lock.released_at:
        why = f" ({cut(lock.released_why, 100)})" if lock.released_why else ""
        at = when(lock.released_at, now)
        return f"It took the {lock.kind} lock {lock.id}; {lock.released_by} let go of it at {at}{why}."
    return f"It took the {lock.kind} lock {lock.id}, which has run out."


def _next(of: PushFacts, facts: Facts) -> list[str]:
    push, cause = of.push, of.push.stop.cause if of.push.stop else None
    over = facts.live is not None and facts.live.number > push.number and push.state is not State.STUCK
    if push.state is State.STUCK:
        way = "`.leuko/rollback` on a host restores it without any controller"
        return [f"Next: `leuko hosts` and `leuko log {push.number}` tell what each host runs; {way}."]
    if cause is not None and cause.convicts:
        held = [lock for lock in of.locks if lock.held(facts.now)]
        if not held:
            return [] if over else ["Next: revert it or commit a fix; either goes live by itself."]
        return [f"Next: revert it, or fix it. {way_through(held[::-1])}"]
    if cause in (Cause.STAGING_FAILED, Cause.TIMED_OUT, Cause.HELD_TOO_LONG, Cause.ABORTED):
        retry = f"Next: `leuko retry {push.number}` pushes the same release again, from the start."
        return [] if over else [retry]
    return []


def why_change(facts: Facts, landed: Landed) -> tuple[str, ...]:
    """What became of a change."""
    change = landed.change
    name = f'{short(change.revision)} "{cut(change.subject, 72)}" by {change.author}'
    found = [f"{name} landed at {when(change.landed_at, facts.now)}: {standing(facts, landed)}."]
    build = facts.builds.get(landed.build or 0)
    if landed.state is ChangeState.RED:
        found.append(red(build))
    elif build is not None and build.build.reason:
        found.append(stopped(build.build.reason))
    if build is not None and build.coverage:
        found.append(stopped(build.coverage[0].upper() + build.coverage[1:]))
    return tuple(sentence for sentence in found if sentence)


def why_host(facts: Facts, host: KnownHost) -> tuple[str, ...]:
    """What a host runs, and whether anything is wrong with it."""
    now = facts.now
    runs = host.runs
    found = [
        f"{host.name} ({host.role}) runs {runs}."
        if runs
        else f"What {host.name} ({host.role}) runs is not known."
    ]
    if host.reachable is False:
        since = f" since {when(host.since, now)}" if host.since else ""
        found.append(f"It cannot be reached{since}.")
    if host.quarantined:
        found.append(f"It is left alone: {stopped(host.quarantined)}")
    if host.differs:
        found.append(f"It should run {host.desired}.")
    if host.strays:
        found.append(f"Its link points at {host.current}, but its processes run {host.running}.")
    row = next((r for r in facts.active.progress if r.host == host.name), None) if facts.active else None
    if row is not None and facts.active is not None:
        detail = f": {stopped(cut(row.detail, 160))}" if row.detail else "."
        found.append(f"In push {facts.active.push.number} it is {row.state}{detail}")
    return tuple(found)
