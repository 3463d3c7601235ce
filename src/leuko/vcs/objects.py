"""Commits made in the mirror, which has no working tree and needs none: taken apart, merged, written."""

from __future__ import annotations

from dataclasses import dataclass

from leuko.vcs.git import Answer, GitError, failure, printable, text
from leuko.vcs.mirror import Mirror

COMMITTER = b"Leuko <leuko@localhost>"
_NOBODY = b"nobody <nobody@localhost> 0 +0000"


@dataclass(frozen=True, slots=True)
class Raw:
    """A commit object, taken apart as bytes: what we do not touch stays as it was."""

    parents: tuple[str, ...]
    author: bytes
    committer: bytes
    encoding: bytes
    message: bytes


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge of three trees gave: a tree, or the files that are in conflict."""

    tree: str
    conflicts: tuple[str, ...] = ()


async def read(mirror: Mirror, commit: str) -> Raw:
    """A commit of the mirror."""
    return _parse(await mirror.git.ask("cat-file", "commit", commit))


async def write(mirror: Mirror, data: bytes) -> str:
    """Writes a commit object; the same bytes give the same revision."""
    return text(await mirror.git.ask("hash-object", "-t", "commit", "-w", "--stdin", given=data)).strip()


async def empty_tree(mirror: Mirror) -> str:
    """A tree without files."""
    return text(await mirror.git.ask("mktree")).strip()


async def merge(mirror: Mirror, base: str, ours: str, theirs: str, where: str) -> Merged:
    """Merges trees; commits made up for them make git take the base that is meant.

    `where` is what an old git is complained about for.
    """

    async def made_up(tree: str, *parents: str) -> str:
        lines = [b"tree " + tree.encode(), *(b"parent " + parent.encode() for parent in parents)]
        lines += [b"author " + _NOBODY, b"committer " + _NOBODY, b"", b""]
        return await write(mirror, b"\n".join(lines))

    root = await made_up(base)
    left, right = await made_up(ours, root), await made_up(theirs, root)
    answer = await mirror.git.run(
        "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", left, right
    )
    if answer.code == 1:
        return Merged("", _conflicts(answer))
    if answer.code != 0:
        if "usage:" in answer.error:
            raise GitError(
                f"this git is too old for a {where}",
                where=where,
                way_out="install git 2.38 or newer",
                code="V053",
            )
        raise failure("merge-tree", answer, mirror.path)
    return Merged(text(answer.out.split(b"\0")[0]).strip())


def _conflicts(answer: Answer) -> tuple[str, ...]:
    return tuple(printable(text(name)) for name in answer.out.split(b"\0")[1:] if name)


def _parse(data: bytes) -> Raw:
    head, _, message = data.partition(b"\n\n")
    parents: list[str] = []
    found: dict[bytes, bytes] = {}
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        if key == b"parent":
            parents.append(value.decode())
        elif key:  # a line that begins with a blank goes on with a signature, which would not hold any more
            found.setdefault(key, value)
    return Raw(tuple(parents), found[b"author"], found[b"committer"], found.get(b"encoding", b""), message)
