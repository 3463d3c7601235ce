"""A revision's tree on disk: clean, complete, without hooks or filters."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from leuko.vcs.git import Git, GitError, failure, printable, text

_LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True, slots=True)
class Checkout:
    """A tree on disk, and what is missing from it."""

    folder: Path
    revision: str
    submodules: tuple[str, ...] = ()
    large_files: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know before trusting the tree."""
        said = []
        if self.submodules:
            names = ", ".join(self.submodules)
            said.append(f"submodules are not fetched, their folders are empty: {names}")
        if self.large_files:
            names = ", ".join(self.large_files[:5])
            said.append(f"Git LFS is not asked, these {len(self.large_files)} files are pointers: {names}")
        return tuple(said)


async def check_out(git: Git, revision: str, folder: Path, *, history: bool = False) -> Checkout:
    """Writes the revision's tree into `folder`, which must be empty or not there yet.

    Without `history` there is no `.git`. With it, `.git` is a clone of its own: hooks empty, no remote, the
    mirror's object files hard-linked (they are read-only and stay the controller's), so that `git describe`
    works for a user who cannot reach the mirror.
    """
    await asyncio.to_thread(_make_empty, folder)
    if history:
        await _clone(git, revision, folder)
    else:
        await _export(git, revision, folder)
    submodules = await _submodules(git, revision)
    large = await asyncio.to_thread(_pointers, folder) if (folder / ".gitattributes").exists() else ()
    return Checkout(folder, revision, submodules, large)


@asynccontextmanager
async def checkout(
    git: Git, revision: str, folder: Path, *, history: bool = False
) -> AsyncIterator[Checkout]:
    """`check_out`, and the folder taken away at the end."""
    try:
        yield await check_out(git, revision, folder, history=history)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder)


def _make_empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise GitError("a checkout needs an empty folder", where=str(folder), code="V030")


async def _export(git: Git, revision: str, folder: Path) -> None:
    index = folder.with_name(f".{folder.name}.index")
    answer = await git.run(
        "read-tree", "--reset", "-u", "--end-of-options", revision,
        settings=("core.bare=false", "core.symlinks=true"),
        extra={"GIT_WORK_TREE": str(folder), "GIT_INDEX_FILE": str(index)},
        timeout=1800.0,
    )  # fmt: skip
    index.unlink(missing_ok=True)
    index.with_name(index.name + ".lock").unlink(missing_ok=True)
    if answer.code != 0:
        raise failure("read-tree", answer, folder)


async def _clone(git: Git, revision: str, folder: Path) -> None:
    answer = await Git(None).run(
        "clone", "--quiet", "--local", "--no-checkout", "--template=", "--origin=leuko",
        "--", str(git.folder), str(folder),
        timeout=1800.0,
    )  # fmt: skip
    if answer.code != 0:
        raise failure("clone", answer, folder)
    inner = Git(folder / ".git")
    in_tree = {"GIT_WORK_TREE": str(folder)}
    await inner.ask("remote", "remove", "leuko")
    answer = await inner.run(
        "checkout", "--quiet", "--force", "--detach", revision, extra=in_tree, timeout=1800.0
    )
    if answer.code != 0:
        raise failure("checkout", answer, folder)


async def _submodules(git: Git, revision: str) -> tuple[str, ...]:
    out = await git.ask("ls-tree", "-r", "-z", "--full-tree", revision)
    entries = [record for record in out.split(b"\0") if record]
    names = (record.split(b"\t", 1)[1] for record in entries if record.startswith(b"160000 "))
    return tuple(printable(text(name)) for name in names)


def _pointers(folder: Path) -> tuple[str, ...]:
    if b"filter=lfs" not in (folder / ".gitattributes").read_bytes():
        return ()
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 1024:
            with path.open("rb") as file:
                if file.read(len(_LFS)) == _LFS:
                    found.append(printable(str(path.relative_to(folder)).encode("utf-8", "replace").decode()))
    return tuple(found)
