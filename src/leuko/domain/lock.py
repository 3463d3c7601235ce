"""Commit locks, push locks, and the revisions that they block."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from leuko.domain.change import Commit


class LockKind(StrEnum):
    """COMMIT stops commits from landing on the branch; PUSH stops pushes from starting."""

    COMMIT = "commit"
    PUSH = "push"


class Severity(StrEnum):
    """A warning is shown and recorded; only HARD stops anything."""

    WARN = "warn"
    HARD = "hard"


@dataclass(frozen=True, slots=True)
class Lock:
    """Held while `released_at` is None and `expires_at` (if any) has not come."""

    id: str
    kind: LockKind
    severity: Severity
    owner: str
    reason: str
    since: datetime
    expires_at: datetime | None = None
    push: int | None = None
    blocks: tuple[str, ...] = ()
    """Revisions that this lock blocks: those of the convicted release that the base did not have."""
    pins: str = ""
    """Release name that continuous delivery stays on while this lock is held (an explicit rollback)."""
    released_at: datetime | None = None
    released_by: str = ""
    released_why: str = ""

    def held(self, now: datetime) -> bool:
        """True while it stops or warns."""
        return self.released_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why a revision may not be pushed."""

    revision: str
    lock: Lock

    @property
    def sentence(self) -> str:
        """For the refusal."""
        return (
            f"contains {self.revision[:12]}, which {self.lock.owner} blocked ({self.lock.reason}); "
            f"revert it, or fix it in a commit with the trailer `Leuko-Fix: {self.lock.id}`"
        )


def blocked(commits: Sequence[Commit], locks: Iterable[Lock]) -> Blocked | None:
    """The first block that a range of commits runs into, or None.

    `commits` are those of the revision to push that the base does not have, newest first. A block is lifted
    by a later revert of that very commit, or by a later commit whose `Leuko-Fix` names the lock. A block
    outlives its lock: releasing the lock by hand does not make a bad commit good, but a release by a person
    with the word `forget` does (then `blocks` is emptied in the store).
    """
    age = {commit.revision: index for index, commit in enumerate(commits)}
    locks = tuple(locks)
    for lock in locks:
        if lock.kind is LockKind.COMMIT and lock.push is None:
            continue  # of a change that broke the tests: whatever contains it is pushed when it is green
        names = _of_one_rollback(lock, locks)
        for revision in lock.blocks:
            at = _find(age, revision)
            if at is None:
                continue
            later = commits[:at]
            if any(names & set(commit.fixes) for commit in later):
                continue
            if any(_names(commit.reverts, commits[at].revision) for commit in later):
                continue
            return Blocked(commits[at].revision, lock)
    return None


def lifted_by(commits: Iterable[Commit], locks: Iterable[Lock]) -> tuple[Lock, ...]:
    """Locks that become void when these commits are LIVE: named as fixed, or all that they block reverted.

    A rollback takes two locks, for commits and for pushes: a fix names either and means both.
    """
    commits, locks = tuple(commits), tuple(locks)
    fixes = {fix for commit in commits for fix in commit.fixes}
    reverts = tuple(revision for commit in commits for revision in commit.reverts)
    return tuple(
        lock
        for lock in locks
        if _of_one_rollback(lock, locks) & fixes
        or (lock.blocks and all(_names(reverts, revision) for revision in lock.blocks))
    )


def _of_one_rollback(lock: Lock, locks: tuple[Lock, ...]) -> set[str]:
    """Ids of the locks that the same push's rollback took, this one's own among them."""
    same = {other.id for other in locks if other.push is not None and other.push == lock.push}
    return same | {lock.id}


def _find(age: dict[str, int], revision: str) -> int | None:
    if revision in age:
        return age[revision]
    return next((index for known, index in age.items() if known.startswith(revision)), None)


def _names(reverts: Iterable[str], revision: str) -> bool:
    return any(revision.startswith(short) or short.startswith(revision) for short in reverts)
