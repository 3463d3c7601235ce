"""Commit locks and push locks."""

from __future__ import annotations

from datetime import datetime

import msgspec

from leuko.domain.line import Line
from leuko.domain.lock import Lock
from leuko.store.store import Store


class LockView(msgspec.Struct, frozen=True):
    """One lock. `fix` is the line of a commit message that lets a fix through."""

    id: str
    kind: str
    severity: str
    owner: str
    reason: str
    since: datetime
    expires_at: datetime | None
    push: int | None
    blocks: list[str]
    pins: str
    held: bool
    released_at: datetime | None
    released_by: str
    released_why: str
    fix: str


def lock_view(lock: Lock, now: datetime) -> LockView:
    """A lock at a moment."""
    return LockView(
        lock.id,
        lock.kind.value,
        lock.severity.value,
        lock.owner,
        lock.reason,
        lock.since,
        lock.expires_at,
        lock.push,
        list(lock.blocks),
        lock.pins,
        lock.held(now),
        lock.released_at,
        lock.released_by,
        lock.released_why,
        f"Leuko-Fix: {lock.id}",
    )


async def locks(store: Store, line: Line, now: datetime, *, limit: int = 50) -> list[LockView]:
    """Held and past ones, newest first."""
    return [lock_view(lock, now) for lock in await store.locks.recent(line, limit=limit)]
