"""The revert of a change, as a commit on top of the branch: prepared in the mirror, landed by one push.

What git's own `git revert` makes, with git's own sentence, so that everything that looks for reverts finds
it. A change that does not come off cleanly is not reverted by us: a person has to decide what stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from leuko.domain.change import Commit
from leuko.vcs.git import GitError, printable, text
from leuko.vcs.mirror import Mirror
from leuko.vcs.objects import COMMITTER, Raw, empty_tree, merge, read, write

_TRIES = 4
_SUBJECT = 120


class RevertConflictError(GitError):
    """Later changes build upon the one to revert. `files` are where."""

    def __init__(self, commit: str, files: tuple[str, ...]) -> None:
        self.files = files
        shown = ", ".join(files[:10]) + (f" and {len(files) - 10} more" if len(files) > 10 else "")
        super().__init__(
            f"commit {commit[:12]} does not come off cleanly; conflicts in {shown}",
            where="revert",
            way_out=f"`git revert {commit[:12]}` in a working copy, resolve there, and push",
            code="V060",
        )


class RevertedError(GitError):
    """The branch has a revert of it already."""

    def __init__(self, commit: str, by: str) -> None:
        self.by = by
        super().__init__(
            f"commit {commit[:12]} is reverted already, by {by[:12]}",
            where="revert",
            way_out="nothing to do",
            code="V061",
        )


@dataclass(frozen=True, slots=True)
class Revert:
    """A prepared revert: `revision` on top of `onto`, which was the branch's head."""

    of: str
    revision: str
    onto: str
    subject: str


async def prepare(mirror: Mirror, commit: str, at: datetime, notes: Sequence[str] = ()) -> Revert:
    """Makes the revert of a landing on top of the mirror's branch, and keeps it under a ref.

    `notes` are paragraphs of its message; trailers go last. A merge is reverted against its first parent, so
    that the whole landing goes. The same call gives the same revision.
    Raises RevertedError, RevertConflictError, or GitError where the branch does not have the commit.
    """
    async with mirror.exclusive():
        head = text(await mirror.git.ask("rev-parse", "--verify", f"refs/heads/{mirror.branch}")).strip()
        if not await mirror.history.is_ancestor(commit, head):
            raise GitError(
                f"branch {mirror.branch} does not have commit {commit[:12]}",
                where="revert",
                way_out="name a commit of the branch; `git log` lists them",
                code="V062",
            )
        if by := await reverted_by(mirror, commit, head):
            raise RevertedError(commit, by)
        raw = await read(mirror, commit)
        tree = await _without(mirror, head, commit, raw)
        subject = _subject(raw)
        message = _message(subject, commit, raw, notes)
        revision = await write(mirror, _object(tree, head, message, at))
        await mirror.git.ask("update-ref", ref_of(commit), revision)
    return Revert(commit, revision, head, f'Revert "{subject}"')


async def land(mirror: Mirror, commit: str, at: datetime, notes: Sequence[str] = ()) -> Revert:
    """Prepares the revert on what the branch is now and pushes it; never with force.

    Somebody who lands something in the same moment goes first: then it is made anew on top of that. Safe to
    do again after a crash: a branch that has a revert of it gets no second one (RevertedError names it).
    Raises what `prepare` raises, and GitError where the repository does not take it.
    """
    for _ in range(_TRIES):
        await mirror.fetch()
        revert = await prepare(mirror, commit, at, notes)
        answer = await mirror.send(revert.revision)
        if answer.code == 0:
            await mirror.fetch()
            return revert
        said = f"{text(answer.out)}\n{answer.error}"
        if not any(sign in said for sign in ("non-fast-forward", "fetch first", "failed to update ref")):
            raise _refused(mirror, commit, answer.error or printable(text(answer.out)))
    raise GitError(
        f"branch {mirror.branch} moved {_TRIES} times while the revert was being pushed",
        where="revert",
        way_out="ask for it again, or `git revert` in a working copy",
        code="V063",
    )


async def reverted_by(mirror: Mirror, commit: str, head: str) -> str:
    """The commit of `head` that reverts this one and stands; empty where there is none."""
    later = (await mirror.history.commits_between(commit, head)).commits
    return _standing(commit, later)


def ref_of(commit: str) -> str:
    """Where the prepared revert of a commit is kept."""
    return f"refs/leuko/revert/{commit}"


def _standing(commit: str, later: Sequence[Commit]) -> str:
    """Of the commits that came after (newest first), the one that reverts it and is not reverted itself."""
    for index, one in enumerate(later):
        names = any(commit.startswith(short) for short in one.reverts)
        if names and not _standing(one.revision, later[:index]):
            return one.revision
    return ""


async def _without(mirror: Mirror, head: str, commit: str, raw: Raw) -> str:
    """The head's tree without what the landing brought: a merge from the landing back to its parent."""
    parent = await mirror.history.tree_of(raw.parents[0]) if raw.parents else await empty_tree(mirror)
    ours = await mirror.history.tree_of(head)
    merged = await merge(mirror, await mirror.history.tree_of(commit), ours, parent, "revert")
    if merged.conflicts:
        raise RevertConflictError(commit, merged.conflicts)
    if merged.tree == ours:
        raise GitError(
            f"commit {commit[:12]} has left nothing to take back",
            where="revert",
            way_out="later commits have undone it already",
            code="V064",
        )
    return merged.tree


def _subject(raw: Raw) -> str:
    first = printable(text(raw.message)).strip().split("\n", 1)[0]
    return first if len(first) <= _SUBJECT else first[: _SUBJECT - 3] + "..."


def _message(subject: str, commit: str, raw: Raw, notes: Sequence[str]) -> bytes:
    merged = f", reversing\nchanges made to {raw.parents[0]}" if len(raw.parents) > 1 else ""
    parts = [f'Revert "{subject}"', f"This reverts commit {commit}{merged}.", *notes]
    return ("\n\n".join(parts) + "\n").encode()


def _object(tree: str, parent: str, message: bytes, at: datetime) -> bytes:
    who = COMMITTER + f" {int(at.timestamp())} +0000".encode()
    lines = [b"tree " + tree.encode(), b"parent " + parent.encode(), b"author " + who, b"committer " + who]
    return b"\n".join(lines) + b"\n\n" + message


def _refused(mirror: Mirror, commit: str, said: str) -> GitError:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [
        line for line in lines if "rejected" in line or "denied" in line or "fatal" in line or "error" in line
    ]
    rule = (told or lines or ["git push said nothing"])[0]
    return GitError(
        f"branch {mirror.branch} did not take the revert of {commit[:12]}: {rule[:300]}",
        where="revert",
        way_out="give the controller's account the right to push, or do it yourself: "
        f"`git revert {commit[:12]}`, and push",
        code="V065",
    )
