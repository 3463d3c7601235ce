"""Why nothing moves: sentences for a tired engineer, from facts alone. The first one matters most."""

from __future__ import annotations

from collections.abc import Sequence

from leuko.domain.gauge import HOSTLESS
from leuko.domain.lock import Lock, LockKind, Severity
from leuko.domain.push import Push, State
from leuko.domain.rollout import HostProgress, HostState
from leuko.store.changes import ChangeState, Landed
from leuko.web.facts import BuildFacts, Facts, PushFacts
from leuko.web.why_hotfix import hotfixed
from leuko.web.words import count, cut, names, short, span, stopped, when

TRENDS = 3
"""Slow failures that are told in full."""


def why_now(facts: Facts) -> tuple[str, ...]:
    """Everything that moves, and everything that keeps something from moving."""
    found = [
        *_serving(facts),
        *(sentence for stuck in facts.stuck for sentence in _stuck(stuck)),
        *(_moving(facts, facts.active) if facts.active else ()),
        *_pending(facts),
        *_locks(facts),
        *hotfixed(facts),
        *_branch(facts),
        *_first(facts),
        *_hosts(facts),
        *_sources(facts),
        *_detector(facts),
        *_trends(facts),
    ]
    return tuple(found) or (_calm(facts),)


def standing(facts: Facts, landed: Landed) -> str:
    """What a change is doing, in a few words: `verifying, 2 of 3 commands done`."""
    match landed.state:
        case ChangeState.WAITING:
            return "waiting for its build" if facts.serving else "waiting: no controller is running"
        case ChangeState.VERIFYING:
            build = facts.builds.get(landed.build or 0)
            return "verifying" + (f", {_done(build)}".replace("`", "") if build else "")
        case ChangeState.RED:
            return "red"
        case ChangeState.BROKEN:
            return "broken: could not be verified"
        case ChangeState.SKIPPED:
            return "does not concern this application"
        case ChangeState.GREEN | ChangeState.SUPERSEDED:
            return _after_green(facts, landed)


def carrier(facts: Facts, landed: Landed) -> Push | None:
    """The newest push of this change, or of the nearest later one that carried it."""
    later = [change.revision for change in facts.changes if change.id >= landed.id]
    for revision in reversed(later):
        push = next((push for push in facts.pushes if push.revision == revision), None)
        if push is not None and (
            revision == landed.revision or push.state in (State.LIVE, State.ROLLED_BACK)
        ):
            return push
    return None


# -- parts ----------------------------------------------------------------------------------------------


def _detector(facts: Facts) -> list[str]:
    """The verdict about itself."""
    alarms = facts.tally.alarms if facts.tally else ()
    way = "`push.observe: true` judges without acting while you look into it"
    return [f"The verdict is wrong too often: {alarm}; {way}." for alarm in alarms]


def _serving(facts: Facts) -> list[str]:
    if facts.serving:
        return []
    if facts.lease is None:
        return ["No controller is running, so nothing moves. Start one with `leuko serve`."]
    since = when(facts.lease.expires_at, facts.now)
    who = facts.lease.host or facts.lease.holder
    return [
        (
            f"No controller is running since {since}, when that of {who} was last heard of: nothing moves "
            "until one does. Start it with `leuko serve`; it goes on where it stopped."
        )
    ]


def _trends(facts: Facts) -> list[str]:
    """Slow failures: those with the least time left lead."""
    opened = sorted(facts.trends, key=lambda each: each.trend.room.hours if each.trend.room else 1e9)
    found = [f"Slowly going wrong: {stopped(each.trend.sentence)}" for each in opened[:TRENDS]]
    if len(opened) > TRENDS:
        found.append(f"{len(opened) - TRENDS} more slow failures: `leuko trends`.")
    return found


def _stuck(facts: PushFacts) -> list[str]:
    bad = [row for row in facts.progress if row.state in (HostState.FAILED, HostState.RESTORING)]
    bad += [row for row in facts.progress if row.state in (HostState.SWITCHING, HostState.SWITCHED)]
    detail = next((row.detail for row in bad if row.detail), "")
    which = names([row.host for row in bad]) or "a host"
    revision = short(facts.push.revision)
    said = f": {cut(detail, 160)}" if detail else ""
    return [
        (
            f"Push {facts.push.number} is STUCK: {which} may still run {revision} and could not be confirmed "
            f"restored{said}. Look at the host; `.leuko/rollback` on it restores it without any controller, "
            "and Leuko goes on trying."
        )
    ]


def _moving(facts: Facts, of: PushFacts) -> list[str]:
    push = of.push
    head = f"Push {push.number} of {short(push.revision)}"
    phase = f"phase {push.phase + 1} of {push.rules.phases}"
    since = when(push.since, facts.now)
    match push.state:
        case State.STAGING:
            done = _so_many(of.progress, None, HostState.STAGED)
            found = [f"{head} is being copied since {since}: {done} have it."]
        case State.SWITCHING:
            done = _so_many(of.progress, push.phase, HostState.SWITCHED)
            found = [f"{head} is being switched on in {phase} since {since}: {done} run it."]
        case State.WATCHING:
            found = [_watching(facts, of, f"{head} is watched in {phase} since {since}")]
        case State.COMPLETING:
            found = [
                f"{head} passed every phase and is being switched on at the held-back hosts since {since}."
            ]
        case State.HELD:
            found = [held(push, facts)]
        case State.ROLLING_BACK:
            back = sum(row.state is HostState.RESTORED for row in of.progress)
            why = f" because {stopped(push.stop.reason)}" if push.stop else "."
            found = [f"{head} goes back since {since}{why} {count(back, 'host')} restored so far."]
        case _:
            found = []
    return found + observed(push) + _waiting_hosts(of)


def observed(push: Push) -> list[str]:
    """What an observing push goes on in spite of."""
    return [f"It is only observed: phase {one.phase + 1} {stopped(one.said)}" for one in push.spared]


def _watching(facts: Facts, of: PushFacts, head: str) -> str:
    judgement = of.judgement
    if judgement is None or judgement.phase != of.push.phase or judgement.at < of.push.since:
        return f"{head}: no readings have been judged yet."
    verdict = judgement.verdict
    seen = f"{verdict.ticks} of {count(verdict.wanted, 'tick')} with data"
    limit = (
        f" It comes to a verdict by {when(of.push.deadline, facts.now)}, or is held."
        if of.push.deadline
        else ""
    )
    return f"{head}: {seen}. {stopped(verdict.sentence[:1].upper() + verdict.sentence[1:])}{limit}".replace(
        "  ", " "
    )


def held(push: Push, facts: Facts) -> str:
    """A held push: by whom, since when, why, until when, and what a person can do."""
    was = f" while {push.held_from.lower()}" if push.held_from else ""
    way = "`leuko resume` watches again, `leuko promote` lets it pass, `leuko abort` takes it back"
    if push.held_from is State.STAGING:
        way = "`leuko resume` goes on, `leuko abort` ends it"
    end = ""
    if push.deadline:
        ends = "is cancelled" if push.held_from is State.STAGING else "goes back by itself"
        end = f" Without a word from a person it {ends} at {when(push.deadline, facts.now)}."
    return (
        f"Push {push.number} of {short(push.revision)} is held by {push.held_by or 'leuko'} since "
        f"{when(push.since, facts.now)}{was}: {stopped(push.held_why or 'no reason given')} {way}.{end}"
    )


def _waiting_hosts(of: PushFacts) -> list[str]:
    """Hosts whose last try failed and that hold the step up, or were left out."""
    slow = [row for row in of.progress if row.not_before is not None and row.detail]
    left = [row for row in of.progress if row.state is HostState.LEFT_OUT]
    found = []
    if slow:
        first = slow[0]
        found.append(
            f"It waits for {names([row.host for row in slow])}: {stopped(cut(first.detail, 160))} "
            f"Try {first.attempts + 1} follows."
        )
    if left:
        why = next((cut(row.detail, 160) for row in left if row.detail), "could not be reached")
        verb = "is" if len(left) == 1 else "are"
        found.append(f"{names([row.host for row in left])} {verb} left out: {stopped(why)}")
    return found


def _pending(facts: Facts) -> list[str]:
    push = facts.pending
    if push is None:
        return []
    return [f"Push {push.number} of {short(push.revision)} waits: {stopped(_what_stops(facts, push.name))}"]


def _what_stops(facts: Facts, subject: str) -> str:
    """What keeps a pending push or a green change from starting, in one clause."""
    lock = facts.lock(LockKind.PUSH, hard=True)
    wait = facts.waits.get(subject)
    if not facts.serving:
        return "no controller is running"
    if facts.active is not None:
        return f"push {facts.active.push.number} runs, and one runs at a time"
    if lock is not None:
        return f"push lock {lock.id} of {lock.owner}: {cut(lock.reason, 160)}"
    if wait is not None:
        until = f" (until {when(wait.until, facts.now)})" if wait.until else ""
        return cut(wait.why, 240) + until
    if facts.live is None and not any(push.origin for push in facts.pushes):
        return "nothing was ever pushed here: the first push is asked for with `leuko push --first`"
    return "the controller has not looked at it yet"


def _locks(facts: Facts) -> list[str]:
    """One sentence for locks that were taken together."""
    together: dict[tuple[object, ...], list[Lock]] = {}
    for lock in facts.locks:
        if lock.held(facts.now):
            together.setdefault((lock.owner, lock.reason, lock.severity, lock.expires_at), []).append(lock)
    return [_lock(facts, locks) for locks in together.values()]


def _lock(facts: Facts, locks: list[Lock]) -> str:
    locks = sorted(locks, key=lambda lock: lock.kind, reverse=True)  # push before commit
    lock = locks[0]
    firm = lock.severity is Severity.HARD
    what = names(list(dict.fromkeys("pushes" if each.kind is LockKind.PUSH else "commits" for each in locks)))
    which = names([f"{each.kind} lock {each.id}" for each in locks])
    does = "are stopped by" if firm else "go on, with a warning from"
    there = lock.pins and facts.live is not None and facts.live.release == lock.pins
    pins = f" The line stays on {lock.pins} meanwhile." if there else ""
    ends = f" It ends by itself at {when(lock.expires_at, facts.now)}." if lock.expires_at else ""
    fix = f" {way_through(locks)}" if firm else ""
    return (
        f"{what.capitalize()} {does} {which} of {lock.owner} since {when(lock.since, facts.now)}: "
        f"{stopped(lock.reason)}{pins}{ends}{fix}"
    )


def way_through(locks: Sequence[Lock]) -> str:
    """How a fix gets through, and who lets go."""
    return (
        f"A fix gets through with the line `Leuko-Fix: {locks[0].id}` at the end of its commit message; "
        f"`leuko unlock {locks[0].id}` lets go by hand."
    )


def _branch(facts: Facts) -> list[str]:
    if not facts.changes:
        return ["No change has been seen on the branch yet."] if facts.serving else []
    newest = facts.changes[0]
    found = _change(facts, newest)
    running = [facts.builds[number] for number in facts.builds if not facts.builds[number].build.state.ended]
    for build in running:
        if build.build.id != newest.build and build.started_at:
            found.append(f"Build {build.build.id} of {short(build.build.revision)} runs, {_done(build)}.")
    return found


def _change(facts: Facts, landed: Landed) -> list[str]:
    change = landed.change
    name = f'{short(change.revision)} "{cut(change.subject, 72)}" by {change.author}'
    build = facts.builds.get(landed.build or 0)
    match landed.state:
        case ChangeState.WAITING:
            return [
                f"The newest change, {name}, waits for its build since {when(landed.seen_at, facts.now)}."
            ]
        case ChangeState.VERIFYING:
            done = f": {_done(build)}" if build else ""
            since = f" since {when(build.started_at, facts.now)}" if build and build.started_at else ""
            return [f"The newest change, {name}, is being verified{since}{done}."]
        case ChangeState.RED:
            return [f"The newest change, {name}, is red and goes nowhere. {red(build)}".rstrip()]
        case ChangeState.BROKEN:
            reason = stopped(build.build.reason) if build else ""
            return [
                f"The newest change, {name}, could not be verified, and the tests are not to blame. {reason} "
                f"`leuko push {short(change.revision)}` tries again.".replace("  ", " ")
            ]
        case ChangeState.GREEN if carrier(facts, landed) is None:
            return [
                f"The newest change, {name}, is green and waits: {stopped(_waiting_change(facts, landed))}"
            ]
        case _:
            return []


def red(build: BuildFacts | None) -> str:
    """Which command failed, how, and its last lines."""
    if build is None:
        return ""
    step = build.failed
    if step is None:
        return stopped(build.build.reason)
    how = step.reason or f"ended with {step.exit_code}"
    tail = f" Its last lines: {' / '.join(cut(line, 120) for line in build.tail[-3:])}" if build.tail else ""
    return f"`{step.name}` {how} after {span(step.seconds)}.{tail}"


def _waiting_change(facts: Facts, landed: Landed) -> str:
    wait = facts.waits.get(landed.revision)
    if wait is not None and facts.serving and facts.active is None:
        return cut(wait.why, 240)
    reason = _what_stops(facts, landed.revision)
    if reason == "the controller has not looked at it yet":
        return "its release is being built, or pushes are not made by themselves here (`leuko push`)"
    return reason


def _after_green(facts: Facts, landed: Landed) -> str:
    push = carrier(facts, landed)
    if push is None:
        if landed.state is ChangeState.SUPERSEDED:
            return "carried by a later change"
        return f"waiting: {_short_wait(facts)}"
    with_push = f"push {push.number}"
    if push.state is State.LIVE:
        convicted = facts.live is None or facts.live.number < push.number
        return f"was live with {with_push}, rolled back since" if convicted else f"live with {with_push}"
    known = {
        State.ROLLED_BACK: f"rolled back with {with_push}",
        State.CANCELLED: f"{with_push} was cancelled",
        State.PENDING: f"waiting: {with_push}",
    }
    return known.get(push.state, f"{push.state.replace('_', ' ').lower()}, {with_push}")


def _short_wait(facts: Facts) -> str:
    lock = facts.lock(LockKind.PUSH, hard=True)
    if not facts.serving:
        return "no controller is running"
    if facts.active is not None:
        return f"push {facts.active.push.number} runs"
    return f"push lock {lock.id}" if lock else "green, not pushed"


def _first(facts: Facts) -> list[str]:
    if facts.live is not None or facts.active is not None or not facts.changes:
        return []
    if any(push.state is State.LIVE for push in facts.pushes):
        return [
            (
                "No good release is live: the last one was convicted. "
                "`leuko rollback REVISION` pushes one that was good."
            )
        ]
    return [
        (
            "Nothing has ever been live here. The first push has nothing to go back to, "
            "so ask for it: `leuko push --first`."
        )
    ]


def _hosts(facts: Facts) -> list[str]:
    away = [host for host in facts.hosts if host.reachable is False]
    if not away:
        return []
    since = min((host.since for host in away if host.since), default=None)
    when_ = f", the first since {when(since, facts.now)}" if since else ""
    which = names([host.name for host in away])
    return [f"{len(away):,} of {count(len(facts.hosts), 'host')} cannot be reached: {which}{when_}."]


def _sources(facts: Facts) -> list[str]:
    found = []
    for trouble in facts.troubles[:5]:
        hosts = [host for host in trouble.hosts if host != HOSTLESS]
        where = f" on {names(hosts)}" if hosts else ""
        since = when(trouble.since, facts.now)
        found.append(f"Source {trouble.source} gives no data{where} since {since}: {stopped(trouble.why)}")
    return found


def _calm(facts: Facts) -> str:
    push = facts.live
    if push is None:
        return "Nothing waits."
    since = f" since {when(push.ended_at, facts.now)}" if push.ended_at else ""
    return (
        f"Nothing waits: {short(push.revision)} is live everywhere with push {push.number}{since}, "
        "and no newer change has landed."
    )


def _done(build: BuildFacts) -> str:
    of = (
        f"{len(build.steps)} of {count(build.of, 'command')}"
        if build.of
        else count(len(build.steps), "command")
    )
    return f"{of} done" + (f", now `{build.doing}`" if build.doing else "")


def _so_many(rows: tuple[HostProgress, ...], phase: int | None, *states: HostState) -> str:
    mine = [row for row in rows if phase is None or row.phase == phase]
    done = sum(row.state in states for row in mine)
    return f"{done:,} of {count(len(mine), 'host')}"
