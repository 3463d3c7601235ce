"""May this push start now? Looked at when it is asked for, and again at its very start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from leuko.config.model import Window
from leuko.config.windows import closed
from leuko.domain.change import Commit
from leuko.domain.lock import Lock, LockKind, Severity, blocked, lifted_by
from leuko.domain.push import Origin, Push


@dataclass(frozen=True, slots=True)
class Answer:
    """`refused`: not now and not later. `waits`: not now. Neither: go."""

    refused: str = ""
    waits: str = ""


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a person said when asking for the push."""

    blocks: str = ""
    window: bool = False
    approved: bool = False
    limits: str = ""
    """Why it may start although a limit is broken already."""
    observe: bool = False
    """Judge this push without acting."""


def admit(
    push: Push,
    commits: Sequence[Commit],
    held: Iterable[Lock],
    blocking: Iterable[Lock],
    windows: Iterable[Window],
    now: datetime,
    overrides: Overrides,
) -> Answer:
    """Blocks first, for they refuse; then locks and windows, which only wait. Times are aware."""
    if push.origin is Origin.ROLLBACK:
        return Answer()
    if not overrides.blocks:
        found = blocked(commits, blocking)
        if found:
            return Answer(refused=f"{push.revision[:12]} {found.sentence}")
        if not commits and any(push.revision.startswith(block) for lock in blocking for block in lock.blocks):
            return Answer(refused=f"{push.revision[:12]} is blocked itself")
    lock = _holding(held, commits, overrides)
    if lock is not None:
        return Answer(waits=_lock_sentence(lock))
    if not overrides.window:
        window = closed(windows, now)
        if window is not None:
            return Answer(waits=window.sentence)
    return Answer()


def _holding(held: Iterable[Lock], commits: Sequence[Commit], overrides: Overrides) -> Lock | None:
    """The first push lock that stops this push: hard, not pinned over by its owner, and not fixed by it."""
    held = tuple(held)
    fixed = lifted_by(commits, held)
    for lock in held:
        stops = lock.kind is LockKind.PUSH and lock.severity is Severity.HARD
        if stops and lock not in fixed and not overrides.blocks:
            return lock
    return None


def _lock_sentence(lock: Lock) -> str:
    fix = f"; a commit with `Leuko-Fix: {lock.id}` gets through" if lock.blocks else ""
    return f"push lock {lock.id} by {lock.owner} since {lock.since:%Y-%m-%d %H:%M} UTC: {lock.reason}{fix}"
