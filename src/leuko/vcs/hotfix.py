"""Live plus one commit, as a new commit in the mirror."""

from __future__ import annotations

from dataclasses import dataclass

from leuko.vcs.git import Answer, GitError, failure, printable, text
from leuko.vcs.mirror import Mirror

_COMMITTER = b"Leuko <leuko@localhost>"


class ConflictError(GitError):
    """The commit does not apply to what is live. `files` are where."""

    def __init__(self, live: str, commit: str, files: tuple[str, ...]) -> None:
        self.files = files
        shown = ", ".join(files[:10]) + (f" and {len(files) - 10} more" if len(files) > 10 else "")
        super().__init__(
            f"commit {commit[:12]} does not apply to what is live ({live[:12]}); conflicts in {shown}",
            where="hotfix",
            way_out=f"make a branch at {live[:12]}, cherry-pick and resolve there, push it, "
            "and give that commit's revision to `leuko push --hotfix`",
            code="V050",
        )


@dataclass(frozen=True, slots=True)
class _Raw:
    """A commit object, taken apart as bytes: what we do not touch stays as it was."""

    parents: tuple[str, ...]
    author: bytes
    committer: bytes
    encoding: bytes
    message: bytes


async def cherry_pick(mirror: Mirror, live: str, commit: str) -> str:
    """The revision of `live` plus `commit`, in the mirror and kept there.

    The author stays; the same pair gives the same revision again. A merge is picked against its first
    parent, so that a whole landing can be given. The mirror has no working tree and needs none.
    """
    if await mirror.history.is_ancestor(commit, live):
        raise GitError(
            f"what is live has commit {commit[:12]} already",
            where="hotfix",
            way_out="nothing to do",
            code="V051",
        )
    if await mirror.history.is_ancestor(live, commit):
        raw = _parse(await mirror.git.ask("cat-file", "commit", commit))
        if raw.parents == (live,):
            await _hold(mirror, commit)
            return commit
    async with mirror.exclusive():
        raw = _parse(await mirror.git.ask("cat-file", "commit", commit))
        tree = await _merged_tree(mirror, live, commit, raw)
        if tree == await mirror.history.tree_of(live):
            raise GitError(
                f"commit {commit[:12]} changes nothing that is live ({live[:12]})",
                where="hotfix",
                way_out="it may be live under another revision already",
                code="V052",
            )
        picked = await _write(mirror, _object(tree, live, raw, commit))
    await _hold(mirror, picked)
    return picked


async def landed(mirror: Mirror, revision: str, commit: str) -> bool:
    """True where the branch has `commit`, or the `revision` picked from it, or the same change in another."""
    head = f"refs/heads/{mirror.branch}"
    if await mirror.history.is_ancestor(commit, head) or await mirror.history.is_ancestor(revision, head):
        return True
    answer = await mirror.git.run("cherry", head, revision, f"{revision}^")
    if answer.code != 0:
        raise failure("cherry", answer, mirror.path)
    return answer.out.startswith(b"- ")


async def _hold(mirror: Mirror, revision: str) -> None:
    async with mirror.exclusive():
        await mirror.git.ask("update-ref", f"refs/leuko/hotfix/{revision}", revision)


async def _merged_tree(mirror: Mirror, live: str, commit: str, raw: _Raw) -> str:
    """Merges with the commit's parent as the base, which commits made up for it make git take."""
    base_tree = (
        await mirror.history.tree_of(raw.parents[0])
        if raw.parents
        else text(await mirror.git.ask("mktree")).strip()
    )
    nobody = b"nobody <nobody@localhost> 0 +0000"

    async def made_up(tree: str, *parents: str) -> str:
        lines = [b"tree " + tree.encode(), *(b"parent " + parent.encode() for parent in parents)]
        lines += [b"author " + nobody, b"committer " + nobody, b"", b""]
        return await _write(mirror, b"\n".join(lines))

    base = await made_up(base_tree)
    ours = await made_up(await mirror.history.tree_of(live), base)
    theirs = await made_up(await mirror.history.tree_of(commit), base)
    answer = await mirror.git.run(
        "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs
    )
    if answer.code == 1:
        raise ConflictError(live, commit, _conflicts(answer))
    if answer.code != 0:
        if "usage:" in answer.error:
            raise GitError(
                "this git is too old for a hotfix",
                where="hotfix",
                way_out="install git 2.38 or newer",
                code="V053",
            )
        raise failure("merge-tree", answer, mirror.path)
    return text(answer.out.split(b"\0")[0]).strip()


def _conflicts(answer: Answer) -> tuple[str, ...]:
    return tuple(printable(text(name)) for name in answer.out.split(b"\0")[1:] if name)


def _parse(data: bytes) -> _Raw:
    head, _, message = data.partition(b"\n\n")
    parents: list[str] = []
    found: dict[bytes, bytes] = {}
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        if key == b"parent":
            parents.append(value.decode())
        elif key:  # a line that begins with a blank goes on with a signature, which would not hold any more
            found.setdefault(key, value)
    return _Raw(tuple(parents), found[b"author"], found[b"committer"], found.get(b"encoding", b""), message)


def _object(tree: str, parent: str, raw: _Raw, commit: str) -> bytes:
    when = b" ".join(raw.committer.rsplit(b" ", 2)[1:])
    lines = [b"tree " + tree.encode(), b"parent " + parent.encode(), b"author " + raw.author]
    lines.append(b"committer " + _COMMITTER + b" " + when)
    if raw.encoding:
        lines.append(b"encoding " + raw.encoding)
    note = f"(cherry picked from commit {commit})\n".encode()
    return b"\n".join(lines) + b"\n\n" + raw.message.rstrip(b"\n") + b"\n\n" + note


async def _write(mirror: Mirror, data: bytes) -> str:
    return text(await mirror.git.ask("hash-object", "-t", "commit", "-w", "--stdin", given=data)).strip()
