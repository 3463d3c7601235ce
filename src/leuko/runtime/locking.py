"""Locks that people take and let go of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeVar

from leuko.domain.errors import Refused
from leuko.domain.intent import Intent
from leuko.domain.lock import Lock, LockKind, Severity
from leuko.runtime.ground import Ground

W = TypeVar("W", bound=StrEnum)


async def take_lock(ground: Ground, intent: Intent) -> Mapping[str, Any]:
    """A person takes a lock."""
    arguments, now = intent.arguments, ground.clock.now()
    expires = _seconds(arguments.get("expires_in"))
    lock = Lock(
        id="",
        kind=_word(LockKind, arguments.get("kind", "push"), "kind"),
        severity=_word(Severity, arguments.get("severity", "hard"), "severity"),
        owner=intent.by,
        reason=intent.why or "no reason given",
        since=now,
        expires_at=now + expires if expires else None,
    )
    async with ground.write() as tx:
        taken = await ground.store.locks.take(tx, lock)
        facts = {"lock": taken.id, "kind": taken.kind, "severity": taken.severity}
        tx.event("lock", taken.id, facts | {"owner": taken.owner, "reason": taken.reason}, now)
        number = await ground.store.operations.start(
            tx, f"Take {taken.kind} lock", now, person=intent.by, subject=taken.id
        )
        await ground.store.operations.finish(tx, number, taken.reason, now)
    return {"lock": taken.id}


async def release_lock(ground: Ground, intent: Intent) -> Mapping[str, Any]:
    """A person lets go of locks; with `forget` they block nothing any more."""
    named, now = str(intent.arguments.get("lock", "")), ground.clock.now()
    held = await ground.store.locks.held(ground.line, None, now)
    chosen = [lock for lock in held if named.upper() == lock.id or named.lower() in ("all", lock.kind.value)]
    forget = bool(intent.arguments.get("forget", False))
    blocking = await ground.store.locks.blocking(ground.line) if forget else []
    if not chosen and (past := [lock for lock in blocking if lock.id == named.upper()]):
        return await _forget(ground, intent, past, blocking)  # let go of before, or expired: it blocks on
    if not chosen:
        shown = ", ".join(f"{lock.id} ({lock.kind})" for lock in held) or "none"
        raise Refused(f"no lock {named!r} is held", way_out=f"held now: {shown}", code="L001")
    async with ground.write() as tx:
        for lock in _others(chosen, blocking):
            await ground.store.locks.forget(tx, lock.id)
        for lock in chosen:
            await ground.store.locks.release(tx, lock.id, intent.by, intent.why, now, forget=forget)
            facts = {"lock": lock.id, "by": intent.by, "why": intent.why, "forget": forget}
            tx.event("unlock", lock.id, facts, now)
            number = await ground.store.operations.start(
                tx, f"Release {lock.kind} lock", now, person=intent.by, subject=lock.id
            )
            await ground.store.operations.finish(tx, number, intent.why or lock.id, now)
    return {"lock": chosen[0].id, "locks": [lock.id for lock in chosen]}


async def _forget(
    ground: Ground, intent: Intent, past: Sequence[Lock], blocking: Sequence[Lock]
) -> Mapping[str, Any]:
    now = ground.clock.now()
    async with ground.write() as tx:
        for lock in (*past, *_others(past, blocking)):
            await ground.store.locks.forget(tx, lock.id)
            facts = {"lock": lock.id, "by": intent.by, "why": intent.why, "forget": True}
            tx.event("unlock", lock.id, facts, now)
    return {"lock": past[0].id, "locks": [lock.id for lock in past]}


def _others(chosen: Sequence[Lock], blocking: Sequence[Lock]) -> list[Lock]:
    """A rollback takes two locks that block the same: who forgets one means both."""
    pushes, ids = {lock.push for lock in chosen} - {None}, {lock.id for lock in chosen}
    return [lock for lock in blocking if lock.push in pushes and lock.id not in ids]


def _word(words: type[W], value: object, name: str) -> W:
    try:
        return words(str(value))
    except ValueError:
        known = ", ".join(word.value for word in words)
        raise Refused(f"{name} should be one of {known}, not {value!r}", code="P014") from None


def _seconds(value: object) -> timedelta | None:
    try:
        found = timedelta(seconds=float(str(value))) if value else None
    except (ValueError, OverflowError):
        found = timedelta(0)
    if found is not None and not timedelta(0) < found < timedelta(days=3650):
        raise Refused(f"expires_in should be a number of seconds, not {value!r}", code="P014")
    return found
