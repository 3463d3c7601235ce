"""Why nothing moves: sentences for a tired engineer, from facts alone. The first one matters most."""

from __future__ import annotations

from collections.abc import Sequence

from leuko.domain.gauge import HOSTLESS
from leuko.domain.lock import Lock, LockKind, Severity
from leuko.domain.push import State
from leuko.web.facts import Facts
from leuko.web.why_changes import branch, what_stops
from leuko.web.why_hotfix import hotfixed
from leuko.web.why_moving import moving, stuck
from leuko.web.words import count, names, short, stopped, when

TRENDS = 3
"""Slow failures that are told in full."""


def why_now(facts: Facts) -> tuple[str, ...]:
    """Everything that moves, and everything that keeps something from moving."""
    found = [
        *_serving(facts),
        *(sentence for one in facts.stuck for sentence in stuck(one)),
        *(moving(facts, facts.active) if facts.active else ()),
        *_pending(facts),
        *_locks(facts),
        *hotfixed(facts),
        *branch(facts),
        *_first(facts),
        *_hosts(facts),
        *_sources(facts),
        *_detector(facts),
        *_trends(facts),
    ]
    return tuple(found) or (_calm(facts),)


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


def _pending(facts: Facts) -> list[str]:
    push = facts.pending
    if push is None:
        return []
    return [f"Push {push.number} of {short(push.revision)} waits: {stopped(what_stops(facts, push.name))}"]


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
