"""The shop's repository: a bare origin, a clone beside it, and people who commit to it."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from leuko.demo.places import changes_folder, shop_folder
from leuko.domain.errors import LeukoError

STORY = ("1-similar-products", "2-returning-customers", "3-returning-customers-again")
"""The three commits of the demo, in order; each has its author, and tests that pass."""

FAULTS: Mapping[str, str] = {
    "errors": "one request in twenty fails",
    "slow": "every page takes 150 ms longer",
    "crash-at-start": "the new release does not come up",
    "crash-later": "each process dies twenty seconds after its start, again and again",
    "leak": "memory grows by some megabytes a second, up to about 150 MB",
    "silence": "the process stays up and says that it is well; after forty requests customers get no answer",
}
"""Commits whose tests pass and which go wrong in production. They apply upon any commit of the story."""

NOTHING = "nothing"
"""A commit that changes nothing a customer could notice."""

_FIRST_AUTHOR = "Ines Kowalski <ines@leafandpot.example>"
_FROM = re.compile(r"^From: (.+) <(.+)>$", re.MULTILINE)


class ShopRepository:
    """`origin` is what Leuko watches; `clone` is where people work."""

    def __init__(self, folder: Path) -> None:
        self.origin = folder / "shop.git"
        self.clone = folder / "shop"

    async def create(self) -> str:
        """The shop's first commit, pushed; its revision. There must be nothing yet."""
        self.origin.mkdir(parents=True)
        await _git(self.origin, "init", "-q", "--bare", "-b", "main")
        shutil.copytree(shop_folder(), self.clone, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        await _git(self.clone, "init", "-q", "-b", "main")
        await _git(self.clone, "remote", "add", "origin", str(self.origin))
        await _git(self.clone, "config", "push.autoSetupRemote", "true")
        # whoever goes on by hand may have told git nothing about themselves yet
        await _git(self.clone, "config", "user.name", "You")
        await _git(self.clone, "config", "user.email", "you@leafandpot.example")
        await _git(self.clone, "add", "-A")
        await _git(self.clone, "commit", "-q", "-m", "Open the shop", author=_FIRST_AUTHOR)
        await self.push()
        return await self.head()

    async def commit(self, name: str, *, fixes: str = "", push: bool = True) -> str:
        """One of STORY, FAULTS or NOTHING upon what is there; its revision. `fixes` names a lock."""
        patch = patch_file(name)
        text = await asyncio.to_thread(patch.read_text)
        match = _FROM.search(text)
        author = f"{match[1]} <{match[2]}>" if match else _FIRST_AUTHOR
        try:
            await _git(self.clone, "am", "-q", "-3", str(patch), author=author)
        except LeukoError:
            await _git(self.clone, "am", "--abort", author=author)
            raise
        if fixes:
            trailer = f"Leuko-Fix: {fixes}"
            await _git(
                self.clone, "commit", "-q", "--amend", "--no-edit", "--trailer", trailer, author=author
            )
        if push:
            await self.push()
        return await self.head()

    async def revert(self, revision: str, *, push: bool = True) -> str:
        """Takes a commit back; the revision of the revert."""
        await _git(self.clone, "revert", "--no-edit", revision, author=_FIRST_AUTHOR)
        if push:
            await self.push()
        return await self.head()

    async def head(self) -> str:
        """The newest revision in the clone."""
        return (await _git(self.clone, "rev-parse", "HEAD")).strip()

    async def push(self) -> None:
        """To the origin. Raises LeukoError with what a hook there said, when it refuses."""
        await _git(self.clone, "push", "-q", "origin", "HEAD:main")

    def recipe(self, name: str) -> str:
        """The command with which a person does the same as `commit`."""
        clone, patch = shlex.quote(str(self.clone)), shlex.quote(str(patch_file(name)))
        return f"git -C {clone} am {patch} && git -C {clone} push"


def patch_file(name: str) -> Path:
    """Where a commit is written down."""
    folder = changes_folder()
    return folder / f"{name}.patch" if name in STORY else folder / "faults" / f"{name}.patch"


async def _git(folder: Path, *arguments: str, author: str = "") -> str:
    """Runs git as one of the people, without this machine's settings."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    if author:
        name, _, mail = author.removesuffix(">").partition(" <")
        for role in ("AUTHOR", "COMMITTER"):
            environment |= {f"GIT_{role}_NAME": name, f"GIT_{role}_EMAIL": mail}
    try:
        process = await asyncio.create_subprocess_exec(
            "git", "-C", str(folder), *arguments, env=environment, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except FileNotFoundError:
        raise LeukoError(
            "git is not installed", way_out="install it: apt-get install git", code="D004"
        ) from None
    out, err = await process.communicate()
    if process.returncode:
        said = err.decode(errors="replace").strip() or out.decode(errors="replace").strip()
        raise LeukoError(f"git {arguments[0]} failed: {said}", where=str(folder), code="D005")
    return out.decode()
