"""What a change of the branch is doing, or waits for: sentences from facts alone."""

from __future__ import annotations

from leuko.domain.lock import LockKind
from leuko.domain.push import Push, State
from leuko.store.changes import ChangeState, Landed
from leuko.web.facts import BuildFacts, Facts
from leuko.web.words import count, cut, short, span, stopped, when


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


def branch(facts: Facts) -> list[str]:
    """The newest change, and builds of others that run."""
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
    reason = what_stops(facts, landed.revision)
    if reason == "the controller has not looked at it yet":
        return "its release is being built, or pushes are not made by themselves here (`leuko push`)"
    return reason


def what_stops(facts: Facts, subject: str) -> str:
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


def _done(build: BuildFacts) -> str:
    of = (
        f"{len(build.steps)} of {count(build.of, 'command')}"
        if build.of
        else count(len(build.steps), "command")
    )
    return f"{of} done" + (f", now `{build.doing}`" if build.doing else "")
