"""The controller's own bare copy of the repository: what is built and pushed comes from here."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from leuko.vcs.git import Answer, Git, GitError, failure, is_revision, mask_address, text
from leuko.vcs.landings import History
from leuko.vcs.trouble import BranchMissingError, NotARepositoryError, corrupt, fetch_trouble, looks_corrupt

_LOCKED = ".lock': file exists"


@dataclass(frozen=True, slots=True)
class Fetched:
    """The branch after a fetch. `forced`: the old head is no ancestor of the new one."""

    head: str
    previous: str | None = None
    forced: bool = False

    @property
    def news(self) -> bool:
        """True where the branch moved."""
        return self.head != self.previous


class Mirror:
    """A bare copy of `origin` in `path`, of which `branch` is watched."""

    def __init__(self, path: Path, origin: str, branch: str) -> None:
        self.path = path
        self.origin = origin
        self.branch = branch
        self.git = Git(path)
        self.history = History(self.git)
        self._turn = asyncio.Lock()
        self._ready = False

    async def fetch(self, timeout: float = 600.0) -> Fetched:
        """Brings the mirror up to date and says where the branch stands."""
        async with self.exclusive() as descriptor:
            previous = await self._tip()
            answer = await self._fetch(descriptor, timeout)
            if answer.code != 0 and _LOCKED in answer.error.lower():
                self._drop_stale_locks()
                answer = await self._fetch(descriptor, timeout)
            if answer.code != 0:
                raise fetch_trouble(answer, self.origin, self.path)
            head = await self._tip()
            if head is None:
                raise await self._no_branch()
            forced = previous is not None and not await self.history.is_ancestor(previous, head)
            if forced and previous is not None:
                await self._point(f"refs/leuko/replaced/{previous}", previous)
            return Fetched(head, previous, forced)

    async def keep(self, revision: str) -> None:
        """Holds on to a released revision, whatever happens to the branch."""
        async with self.exclusive():
            await self._point(f"refs/leuko/released/{revision}", revision)

    async def let_go(self, revision: str) -> None:
        """Undoes `keep`; git may then remove what nothing else refers to."""
        async with self.exclusive():
            await self.git.ask("update-ref", "-d", f"refs/leuko/released/{revision}")

    async def kept(self) -> tuple[str, ...]:
        """Released revisions that are held on to."""
        if not (self.path / "HEAD").exists():
            return ()
        out = await self.git.ask("for-each-ref", "--format=%(objectname)", "refs/leuko/released/")
        return tuple(text(out).split())

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[int]:
        """One writer at a time, also against a git that outlived a killed controller.

        The lock is an flock that every git started below inherits; once we have it nobody else writes, so
        git's own lock files that lie about belong to the dead.
        """
        async with self._turn:
            descriptor = await self._take_lock()
            try:
                if not self._ready:
                    await self._prepare(descriptor)
                yield descriptor
            finally:
                os.close(descriptor)

    async def _take_lock(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(
            self.path.with_name(self.path.name + ".flock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        for _ in range(600):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await asyncio.sleep(0.1)
            else:
                return descriptor
        os.close(descriptor)
        raise GitError(
            "another process has been writing to the mirror for a minute",
            where=str(self.path),
            way_out="is a second controller running on this state directory, or a git of a killed one?",
            code="V010",
        )

    async def _prepare(self, descriptor: int) -> None:
        existed = (self.path / "HEAD").exists()
        self._drop_stale_locks()
        answer = await Git(None).run(
            "init", "--bare", "--quiet", f"--initial-branch={self.branch}", str(self.path),
            keep_open=(descriptor,),
        )  # fmt: skip
        if answer.code != 0:
            raise corrupt(answer, self.path) if existed else failure("init", answer, self.path)
        self.path.chmod(0o700)
        self._write_settings()
        self._ready = True

    def _drop_stale_locks(self) -> None:
        for place in (
            self.path.glob("*.lock"),
            self.path.glob("refs/**/*.lock"),
            self.path.glob("objects/*.lock"),
        ):
            for lock in place:
                lock.unlink(missing_ok=True)

    @property
    def _settings(self) -> Path:
        return self.path / "leuko.gitconfig"

    def _write_settings(self) -> None:
        """The origin stands in a 0600 file, not in argv: its address may hold a token.

        `safe.directory` must come from a file as well: the upload-pack on the other side of a local path
        sees no `-c`. The user's own settings are included for credentials and proxies.
        """
        origin = _quoted(self.origin)
        place = self.origin.removeprefix("file://").rstrip("/")
        lines = ["[include]", "\tpath = ~/.config/git/config", "[include]", "\tpath = ~/.gitconfig"]
        lines += ["[safe]", "\tdirectory ="]  # an empty one forgets those of the included files
        lines += [f"\tdirectory = {_quoted(where)}" for where in (place, f"{place}/.git", f"{place}.git")]
        lines += ['[remote "leuko"]', f"\turl = {origin}"]
        part = self._settings.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        part.replace(self._settings)

    async def _fetch(self, descriptor: int, timeout: float) -> Answer:
        return await self.git.run(
            "fetch", "--quiet", "--prune", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head",
            "--end-of-options", "leuko", "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*",
            settings=("http.lowSpeedLimit=1000", "http.lowSpeedTime=60"),
            config_file=self._settings,
            timeout=timeout,
            keep_open=(descriptor,),
        )  # fmt: skip

    async def send(self, revision: str, timeout: float = 120.0) -> Answer:
        """Pushes a revision to the branch of the origin, never with force; what git said."""
        if not is_revision(revision):
            raise GitError(f"not a full revision: {revision[:80]!r}", where=str(self.path), code="V011")
        async with self.exclusive():
            return await self.git.run(
                "push", "--porcelain", "--no-follow-tags", "--no-verify", "leuko",
                f"{revision}:refs/heads/{self.branch}",
                config_file=self._settings,
                timeout=timeout,
            )  # fmt: skip

    async def _tip(self) -> str | None:
        answer = await self.git.run(
            "rev-parse", "--verify", "--quiet", f"refs/heads/{self.branch}^{{commit}}"
        )
        if answer.code == 0:
            return text(answer.out).strip()
        if answer.err and looks_corrupt(answer):
            raise corrupt(answer, self.path)
        return None

    async def _point(self, name: str, revision: str) -> None:
        if not is_revision(revision):
            raise GitError(f"not a full revision: {revision[:80]!r}", where=str(self.path), code="V011")
        await self.git.ask("update-ref", name, revision)

    async def _no_branch(self) -> BranchMissingError:
        out = await self.git.ask("for-each-ref", "--format=%(refname:strip=2)", "--count=12", "refs/heads/")
        names = text(out).split()
        there = f"its branches: {', '.join(names)}" if names else "it has no commits yet"
        return BranchMissingError(
            f"there is no branch {self.branch!r} ({there})",
            where=mask_address(self.origin),
            way_out="set `branch:` in leuko.yml to one that exists, or push it",
            code="V012",
        )


def _quoted(value: str) -> str:
    """A value as git's configuration files want it."""
    if "\n" in value or "\0" in value:
        raise NotARepositoryError("an address cannot hold a line break", where="repository", code="V017")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
