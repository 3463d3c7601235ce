"""How far the push that runs is, what holds it up, and one that is stuck: sentences from facts alone."""

from __future__ import annotations

from leuko.domain.push import Push, State
from leuko.domain.rollout import HostProgress, HostState
from leuko.web.facts import Facts, PushFacts
from leuko.web.words import count, cut, names, short, stopped, when


def stuck(facts: PushFacts) -> list[str]:
    """Which hosts could not be confirmed restored, and what a person does."""
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


def moving(facts: Facts, of: PushFacts) -> list[str]:
    """The push that runs: how far it is, and what holds it up."""
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


def _so_many(rows: tuple[HostProgress, ...], phase: int | None, *states: HostState) -> str:
    mine = [row for row in rows if phase is None or row.phase == phase]
    done = sum(row.state in states for row in mine)
    return f"{done:,} of {count(len(mine), 'host')}"
