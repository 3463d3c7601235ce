"""The one place that starts git: argv in, bytes out, nothing of the user's surroundings let in.

git reads configuration and hooks from many places, and some of them run programs. Orders on the mirror see
only what is given here; a fetch also sees the user's and the system's configuration, because credentials
and proxies live there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from leuko.domain.errors import LeukoError

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_REVISION = re.compile(r"^[0-9a-f]{40}([0-9a-f]{24})?$")

SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "protocol.ext.allow=never",
    "gc.autoDetach=false",  # a detached one would outlive the order and hold the mirror's locks
    "advice.detachedHead=false",
    "i18n.logOutputEncoding=UTF-8",
    "safe.directory=*",  # command scope: it names the mirror and the checkouts, which are ours
)


class GitError(LeukoError):
    """git could not do what it was asked, or what it was asked for is not there."""

    exit_code = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """What git said. `code` is the exit status; negative for a signal."""

    code: int
    out: bytes
    err: bytes

    @property
    def error(self) -> str:
        """What git wrote to stderr, fit to be shown: no credentials, no control characters."""
        return printable(mask_address(text(self.err))).strip()


def text(raw: bytes) -> str:
    """Text of unknown encoding: UTF-8, else Latin-1, which at least keeps most European names legible."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def printable(value: str) -> str:
    """Without control characters, which in a commit's message could rewrite a terminal."""
    return "".join(
        char if char in "\n\t" or char.isprintable() else "�" for char in value.replace("\r\n", "\n")
    )


def mask_address(value: str) -> str:
    """An address without the user and password it may hold."""
    return _CREDENTIALS.sub("***@", value)


def is_revision(value: str) -> bool:
    """True for a full object id."""
    return _REVISION.match(value) is not None


def git_environment(surroundings: Mapping[str, str], config_file: Path | None = None) -> dict[str, str]:
    """The environment of a git order: no GIT_*, no prompts; user and system settings only for a fetch."""
    kept = {
        key: value
        for key, value in surroundings.items()
        if not key.startswith("GIT_") and key not in ("SSH_ASKPASS", "EDITOR", "VISUAL", "PAGER", "LANGUAGE")
    }
    kept |= {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_PAGER": "cat",
        "GIT_EDITOR": "false",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_LITERAL_PATHSPECS": "1",  # a file may be called ":(glob)"
        "GIT_ATTR_NOSYSTEM": "1",
        "SSH_ASKPASS_REQUIRE": "never",
        "LC_ALL": "C",
    }
    if config_file is None:
        kept |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
    else:
        kept["GIT_CONFIG_GLOBAL"] = str(config_file)
    return kept


def git_argv(folder: Path | None, arguments: Sequence[str], settings: Sequence[str] = ()) -> list[str]:
    """The whole command line; `folder` is the git directory."""
    argv = ["git", "--no-pager"]
    if folder is not None:
        argv.append(f"--git-dir={folder}")
    for setting in (*SETTINGS, *settings):
        argv += ["-c", setting]
    return [*argv, *arguments]


@dataclass(frozen=True, slots=True)
class Git:
    """Orders on one git directory."""

    folder: Path | None
    timeout: float = 120.0

    async def run(
        self,
        *arguments: str,
        given: bytes = b"",
        settings: Sequence[str] = (),
        extra: Mapping[str, str] | None = None,
        config_file: Path | None = None,
        timeout: float | None = None,
        keep_open: tuple[int, ...] = (),
    ) -> Answer:
        """Runs one order and hands back what it said, whatever its exit status."""
        if any("\0" in argument for argument in arguments):
            raise GitError("a name cannot hold a NUL character", where="git", code="V001")
        limit = self.timeout if timeout is None else timeout
        try:
            process = await asyncio.create_subprocess_exec(
                *git_argv(self.folder, arguments, settings),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd="/",
                env=git_environment(os.environ, config_file) | dict(extra or {}),
                start_new_session=True,  # no terminal: ssh cannot ask for a password either
                pass_fds=keep_open,
            )
        except FileNotFoundError:
            raise GitError(
                "git is not installed", where="git", way_out="apt-get install git", code="V002"
            ) from None
        try:
            async with asyncio.timeout(limit):
                out, err = await process.communicate(given)
        except TimeoutError:
            raise GitError(
                f"git {arguments[0]} did not end within {limit:g} s",
                where=str(self.folder or "git"),
                way_out="see whether the repository's server answers; the next try starts afresh",
                code="V003",
            ) from None
        finally:
            await _end(process)
        return Answer(process.returncode or 0, out, err)

    async def ask(self, *arguments: str, given: bytes = b"", extra: Mapping[str, str] | None = None) -> bytes:
        """Runs one order that must succeed."""
        answer = await self.run(*arguments, given=given, extra=extra)
        if answer.code != 0:
            raise failure(arguments[0], answer, self.folder)
        return answer.out


def failure(order: str, answer: Answer, folder: Path | None) -> GitError:
    """The error for an order that had to succeed and did not."""
    said = answer.error.splitlines()
    rule = said[-1] if said else f"ended with {answer.code} and said nothing"
    if any(sign in answer.error for sign in ("No space left on device", "Disk quota exceeded")):
        return GitError(
            f"git {order}: no space left on the disk",
            where=str(folder or ""),
            way_out="make room; nothing was lost, the next try continues",
            code="V004",
        )
    return GitError(f"git {order}: {rule}", where=str(folder or "git"), code="V005")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kills the order with everything it started (fetch starts ssh, ssh starts proxies) and reaps it."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await asyncio.shield(process.wait())
