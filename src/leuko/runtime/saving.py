"""Saves a push's transition, and in the same transaction everything that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from leuko.domain.change import Commit
from leuko.domain.lock import Lock, LockKind, Severity, lifted_by
from leuko.domain.plan import Plan
from leuko.domain.push import Origin, Push, State
from leuko.runtime.ground import Ground
from leuko.store.transaction import Transaction

OPERATION = "Production push"


@dataclass(frozen=True, slots=True)
class Background:
    """What was read before the transaction began: it does not change while a push runs."""

    commits: tuple[Commit, ...]
    operation: int | None
    held_locks: tuple[Lock, ...]
    min_healthy: str = "75%"
    addresses: tuple[str, ...] = ()
    """Of its hosts: pushes of other lines may be about the same machines."""


async def background(ground: Ground, push: Push) -> Background:
    """Read it before `store.write`: reads inside would wait for the writer on some databases."""
    from leuko.runtime.planning import stored_plan

    plan = await stored_plan(ground, push.number)
    running = await ground.store.operations.unfinished(ground.line, push.name)
    held = await ground.store.locks.held(ground.line, None, ground.clock.now())
    operation = running[0].id if running else None
    addresses = tuple(addresses_of(ground, plan))
    return Background(plan.commits, operation, tuple(held), plan.min_healthy, addresses)


def addresses_of(ground: Ground, plan: Plan) -> list[str]:
    """Where the hosts of a plan are reached."""
    hosts = (ground.host(planned.name) for planned in plan.hosts)
    return [host.address or host.name for host in hosts if host is not None]


async def save(
    ground: Ground, tx: Transaction, before: Push, after: Push, known: Background, at: datetime
) -> Push:
    """Saves `after`, tells it, and takes or lifts what follows. Raises Lost when somebody was faster.

    `tx` comes from `ground.write()`, which has seen to it that this process may act.
    """
    if before.state is State.PENDING and after.state is State.STAGING:
        await ground.store.neighbours.check(tx, known.addresses)
    saved = await ground.store.pushes.save(tx, after)
    if after.state is not before.state:
        tx.event("push", after.name, told(before, after), at)
    for spared in after.spared[len(before.spared) :]:
        facts = {"push": after.number, "phase": spared.phase, "decision": spared.decision.value}
        tx.event("push.spared", after.name, facts | {"reason": spared.said, "revision": after.revision}, at)
    convicted = after.stop is not None and before.stop is None and after.stop.cause.convicts
    convicted = convicted and not after.rules.drill  # what runs on its canaries is what was live before
    if convicted:
        await convict(ground, tx, after, known.commits, at)
    if after.state is State.LIVE:
        await _live(ground, tx, after, known, at)
    if before.state is State.PENDING and after.state is State.STAGING:
        name = operation_name(after)
        await ground.store.operations.start(
            tx, name, at, person=after.by, revision=after.revision, subject=after.name
        )
    if after.state.ended and not before.state.ended and known.operation is not None:
        await ground.store.operations.finish(tx, known.operation, outcome_of(after), at)
    return saved


def operation_name(push: Push) -> str:
    """As the console's table shows it."""
    match push.origin:
        case Origin.ROLLBACK:
            return "Roll back"
        case Origin.HOTFIX:
            return "Hotfix"
        case Origin.DRILL:
            return "Drill"
        case _:
            return f"{push.line.environment.capitalize()} push"


def outcome_of(push: Push) -> str:
    """For the operations table: `live`, `rolled back: verdict`."""
    word = push.state.value.lower().replace("_", " ")
    return f"{word}: {push.stop.cause}" if push.stop else word


def told(before: Push, after: Push) -> dict[str, object]:
    """The event of a transition."""
    stop = after.stop
    return {
        "push": after.number,
        "from": before.state.value,
        "to": after.state.value,
        "phase": after.phase,
        "phases": after.rules.phases,
        "release": after.release,
        "revision": after.revision,
        "origin": after.origin.value,
        "cause": stop.cause.value if stop else "",
        "reason": stop.reason if stop else (after.held_why if after.state is State.HELD else ""),
        "by": stop.by if stop else (after.held_by if after.state is State.HELD else after.by),
    }


async def convict(
    ground: Ground, tx: Transaction, push: Push, commits: tuple[Commit, ...], at: datetime
) -> tuple[Lock, Lock]:
    """The release is found bad: it is marked, and both locks are taken with a reason that explains itself."""
    assert push.stop is not None
    await ground.store.releases.convict(tx, push.release, push.stop.reason, at)
    reason = reason_of(push, commits)
    expire = ground.configuration.locks.expire
    expires_at = at + timedelta(seconds=expire) if expire else None
    blocks = tuple(commit.revision for commit in commits) or (push.revision,)
    # one commit alone is a confirmed culprit; among several it may be any of them
    severity = Severity.HARD if len(_landed(commits)) <= 1 else Severity.WARN
    owner = push.stop.by
    pins = push.base or "" if push.origin is Origin.ROLLBACK else ""
    push_lock = await ground.store.locks.take(
        tx,
        Lock("", LockKind.PUSH, Severity.HARD, owner, reason, at, expires_at, push.number, blocks, pins),
    )
    commit_lock = await ground.store.locks.take(
        tx, Lock("", LockKind.COMMIT, severity, owner, reason, at, expires_at, push.number, blocks)
    )
    for lock in (push_lock, commit_lock):
        tx.event(
            "lock",
            lock.id,
            {"lock": lock.id, "kind": lock.kind, "severity": lock.severity, "owner": owner, "reason": reason},
            at,
        )
    return push_lock, commit_lock


def _landed(commits: tuple[Commit, ...]) -> tuple[Commit, ...]:
    """Without the commits that only merge others: they brought nothing of their own."""
    return tuple(commit for commit in commits if not commit.subject.startswith("Merge "))


def reason_of(push: Push, commits: tuple[Commit, ...]) -> str:
    """`push 3 of 1a2b3c4d was rolled back: errors ...; it carried 1a2b3c4d "Vouchers" by Ann`."""
    assert push.stop is not None
    shown = [f'{commit.revision[:8]} "{commit.subject}" by {commit.author}' for commit in commits[:3]]
    more = f" and {len(commits) - 3} more" if len(commits) > 3 else ""
    carried = f"; it carried {', '.join(shown)}{more}" if shown else ""
    return (
        f"push {push.number} of {push.revision[:8]} was rolled back: {push.stop.reason.rstrip('.')}{carried}"
    )


async def _live(ground: Ground, tx: Transaction, push: Push, known: Background, at: datetime) -> None:
    await ground.store.releases.mark_good(tx, push.release)
    for lock in lifted_by(known.commits, known.held_locks):
        why = f"push {push.number} of {push.revision[:8]}, which fixes it, is live"
        await ground.store.locks.release(tx, lock.id, "leuko", why, at)
        tx.event("unlock", lock.id, {"lock": lock.id, "by": "leuko", "why": why}, at)
