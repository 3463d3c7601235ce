"""What the history says: landings, ranges, files, names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from leuko.domain.change import Change, Commit
from leuko.vcs.git import Git, GitError, failure, is_revision, printable, text
from leuko.vcs.trouble import UnknownRevisionError

_FIELDS = "%H%x00%T%x00%P%x00%an%x00%ae%x00%ct%x00%B"
_LONGEST_FILE = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Range:
    """The commits of `head` that `base` does not have, newest first.

    `missing` are those of `base` that `head` does not have: when there are any, `base` is no ancestor of
    `head` (a force push, another branch), and pushing `head` takes them away.
    """

    base: str | None
    head: str
    commits: tuple[Commit, ...]
    missing: tuple[Commit, ...] = ()

    @property
    def straight(self) -> bool:
        """True where `head` only adds to `base`."""
        return not self.missing


@dataclass(frozen=True, slots=True)
class _Entry:
    commit: Commit
    tree: str
    parents: tuple[str, ...]


class History:
    """Questions to one git directory. Revisions given are full object ids unless said otherwise."""

    def __init__(self, git: Git) -> None:
        self._git = git

    async def landings(self, old: str | None, new: str, limit: int | None = None) -> list[Change]:
        """First-parent landings of `new` that `old` does not have, newest last.

        Each holds the commits it brought: those it reaches and no earlier landing (nor `old`) does. With
        `old` None it is the whole history. `limit` keeps the newest ones.
        """
        entries = await self._log(old, new)
        by_revision = {entry.commit.revision: entry for entry in entries}
        chain: list[_Entry] = []
        at: str | None = new
        while at in by_revision:
            chain.append(by_revision[at])
            at = chain[-1].parents[0] if chain[-1].parents else None
        brought = _brought(chain, by_revision, [entry.commit.revision for entry in entries])
        kept = chain if limit is None else chain[:limit]
        return [_change(entry, brought[entry.commit.revision], by_revision) for entry in reversed(kept)]

    async def landing(self, revision: str) -> Change:
        """One landing by itself: the commits that its first parent does not have."""
        head = (await self._entries("--max-count=1", revision))[0]
        parent = head.parents[0] if head.parents else None
        if parent is None:
            return Change(revision, head.tree, None, head.commit.committed_at, (head.commit,))
        entries = await self._log(parent, revision)
        commits = tuple(entry.commit for entry in entries)
        return Change(revision, head.tree, parent, head.commit.committed_at, commits)

    async def commits_between(self, base: str | None, head: str) -> Range:
        """All commits of `head` since `base`; says which of `base` are missing from it."""
        commits = tuple(entry.commit for entry in await self._log(base, head))
        missing: tuple[Commit, ...] = ()
        if base is not None:
            missing = tuple(entry.commit for entry in await self._log(head, base))
        return Range(base, head, commits, missing)

    async def concerns(self, change: Change, patterns: Sequence[str]) -> bool:
        """True where the landing touches a file that one of the patterns names; no patterns: always.

        Patterns are git's: `shop/**`, `lib/*.py`, a folder's name for all in it; `!pattern` takes out.
        """
        if not patterns:
            return True
        return bool(await self.files_changed(change.parent, change.revision, patterns))

    async def files_changed(
        self, base: str | None, head: str, patterns: Sequence[str] = ()
    ) -> tuple[str, ...]:
        """Files that differ; a renamed one counts under both names. Undecodable bytes are shown as U+FFFD."""
        old = base if base is not None else await self._empty_tree()
        answer = await self._git.run(
            "diff-tree", "-r", "-z", "--name-only", "--no-renames", old, head, "--",
            *pathspecs(patterns),
            extra={"GIT_LITERAL_PATHSPECS": "0"},
        )  # fmt: skip
        if answer.code != 0:
            raise failure("diff-tree", answer, self._git.folder)
        return tuple(name.decode("utf-8", "replace") for name in answer.out.split(b"\0") if name)

    async def patch(self, base: str | None, head: str) -> str:
        """What changed, without context; a renamed file only where it changed. Names are not quoted."""
        old = base if base is not None else await self._empty_tree()
        answer = await self._git.run(
            "diff-tree", "-r", "-p", "-M", "-U0", "-z", "--no-color", "--no-ext-diff", "--no-textconv",
            "--src-prefix=a/", "--dst-prefix=b/", old, head, "--",
        )  # fmt: skip
        if answer.code != 0:
            raise failure("diff-tree", answer, self._git.folder)
        return answer.out.decode("utf-8", "surrogateescape")

    async def is_ancestor(self, old: str, new: str) -> bool:
        """True where `new` contains `old`. An `old` that is not here (any more) is no ancestor."""
        answer = await self._git.run("merge-base", "--is-ancestor", old, new)
        if answer.code in (0, 1):
            return answer.code == 0
        if not await self.has(old):
            return False
        raise failure("merge-base", answer, self._git.folder)

    async def contains(self, branch: str, revision: str) -> bool:
        """True where the branch has the revision."""
        return await self.is_ancestor(revision, f"refs/heads/{branch}")

    async def has(self, revision: str) -> bool:
        """True where the commit is here."""
        return (await self._git.run("cat-file", "-e", f"{revision}^{{commit}}")).code == 0

    async def resolve(self, name: str) -> str:
        """The commit that a person's word stands for: a branch, a tag, the beginning of a revision."""
        answer = await self._git.run("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
        found = text(answer.out).split()
        if answer.code == 0 and found and is_revision(found[-1]):
            return found[-1]
        shown = printable(name)[:80]
        if "ambiguous" in answer.error:
            raise UnknownRevisionError(
                f"{shown!r} is the beginning of several commits",
                way_out="give more characters of it",
                code="V021",
            )
        raise UnknownRevisionError(
            f"no commit is called {shown!r}",
            where=str(self._git.folder),
            way_out="push it to the repository first, or look for its name with `git log`",
            code="V020",
        )

    async def tree_of(self, revision: str) -> str:
        """Object id of the revision's tree: equal trees need no second build."""
        return text(await self._git.ask("rev-parse", "--verify", f"{revision}^{{tree}}")).strip()

    async def has_file(self, revision: str, path: str) -> bool:
        """True where the revision's tree has it, as a file or a folder."""
        return bool(await self._git.ask("ls-tree", "-z", "--full-tree", revision, "--", path))

    async def lines_changed(self, base: str | None, head: str) -> dict[str, int]:
        """Lines added and taken out, by file; a binary file counts as one line."""
        old = base if base is not None else await self._empty_tree()
        out = await self._git.ask("diff-tree", "-r", "-z", "--numstat", "--no-renames", old, head)
        found: dict[str, int] = {}
        for record in out.split(b"\0"):
            added, _, rest = record.partition(b"\t")
            taken, _, name = rest.partition(b"\t")
            if name:
                lines = int(added) + int(taken) if added.isdigit() and taken.isdigit() else 1
                found[name.decode("utf-8", "replace")] = lines
        return found

    async def show_file(self, revision: str, path: str) -> str | None:
        """Text of a file in the revision's tree; None where there is none."""
        found = await self._git.ask("ls-tree", "-z", "--full-tree", "-l", revision, "--", path)
        record = found.split(b"\0")[0]
        if not record:
            return None
        mode, kind, blob, size = record.split(b"\t", 1)[0].split()
        if kind != b"blob" or mode == b"120000":
            raise GitError("is not a plain file", where=f"{revision[:12]}:{path}", code="V022")
        if int(size) > _LONGEST_FILE:
            raise GitError(
                f"is {int(size):,} bytes long; 4 MiB is the most",
                where=f"{revision[:12]}:{path}",
                code="V023",
            )
        return text(await self._git.ask("cat-file", "blob", blob.decode()))

    async def _empty_tree(self) -> str:
        return text(await self._git.ask("mktree")).strip()

    async def _log(self, base: str | None, head: str) -> list[_Entry]:
        return await self._entries("--topo-order", head, *([f"^{base}"] if base is not None else []))

    async def _entries(self, *arguments: str) -> list[_Entry]:
        out = await self._git.ask("log", "-z", f"--format=tformat:{_FIELDS}", *arguments, "--")
        return list(_parse(out))


def pathspecs(patterns: Sequence[str]) -> list[str]:
    """The patterns as git wants them."""
    return [
        f":(top,exclude,glob){pattern[1:]}" if pattern.startswith("!") else f":(top,glob){pattern}"
        for pattern in patterns
    ]


def _parse(out: bytes) -> Iterator[_Entry]:
    fields = out.split(b"\0")
    for index in range(0, len(fields) - 1, 7):
        revision, tree, parents, author, email, at, message = fields[index : index + 7]
        commit = Commit(
            revision.decode(),
            printable(text(author)),
            printable(text(email)),
            _time(at),
            printable(text(message)).rstrip("\n"),
        )
        yield _Entry(commit, tree.decode(), tuple(parents.decode().split()))


def _time(seconds: bytes) -> datetime:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)  # a commit may say anything; git calls this one 1970 too


def _brought(
    chain: Sequence[_Entry], by_revision: dict[str, _Entry], order: Sequence[str]
) -> dict[str, list[str]]:
    """Landing -> what it brought, newest first. The oldest landing takes first."""
    taken: dict[str, str] = {}
    for landing in reversed(chain):
        stack = [landing.commit.revision]
        while stack:
            revision = stack.pop()
            if revision in taken or revision not in by_revision:
                continue
            taken[revision] = landing.commit.revision
            stack.extend(by_revision[revision].parents)
    brought: dict[str, list[str]] = {landing.commit.revision: [] for landing in chain}
    for revision in order:  # git's order: a commit before its parents
        if revision in taken:
            brought[taken[revision]].append(revision)
    return brought


def _change(entry: _Entry, brought: Sequence[str], by_revision: dict[str, _Entry]) -> Change:
    return Change(
        entry.commit.revision,
        entry.tree,
        entry.parents[0] if entry.parents else None,
        entry.commit.committed_at,
        tuple(by_revision[revision].commit for revision in brought),
    )
