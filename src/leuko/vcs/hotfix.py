"""Live plus one commit, as a new commit in the mirror."""

from __future__ import annotations

from leuko.vcs.git import GitError, failure
from leuko.vcs.mirror import Mirror
from leuko.vcs.objects import COMMITTER, Raw, empty_tree, merge, read, write


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
        raw = await read(mirror, commit)
        if raw.parents == (live,):
            await _hold(mirror, commit)
            return commit
    async with mirror.exclusive():
        raw = await read(mirror, commit)
        tree = await _merged_tree(mirror, live, commit, raw)
        if tree == await mirror.history.tree_of(live):
            raise GitError(
                f"commit {commit[:12]} changes nothing that is live ({live[:12]})",
                where="hotfix",
                way_out="it may be live under another revision already",
                code="V052",
            )
        picked = await write(mirror, _object(tree, live, raw, commit))
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


async def _merged_tree(mirror: Mirror, live: str, commit: str, raw: Raw) -> str:
    """Merges with the commit's parent as the base."""
    base = await mirror.history.tree_of(raw.parents[0]) if raw.parents else await empty_tree(mirror)
    ours, theirs = await mirror.history.tree_of(live), await mirror.history.tree_of(commit)
    merged = await merge(mirror, base, ours, theirs, "hotfix")
    if merged.conflicts:
        raise ConflictError(live, commit, merged.conflicts)
    return merged.tree


def _object(tree: str, parent: str, raw: Raw, commit: str) -> bytes:
    when = b" ".join(raw.committer.rsplit(b" ", 2)[1:])
    lines = [b"tree " + tree.encode(), b"parent " + parent.encode(), b"author " + raw.author]
    lines.append(b"committer " + COMMITTER + b" " + when)
    if raw.encoding:
        lines.append(b"encoding " + raw.encoding)
    note = f"(cherry picked from commit {commit})\n".encode()
    return b"\n".join(lines) + b"\n\n" + raw.message.rstrip(b"\n") + b"\n\n" + note
