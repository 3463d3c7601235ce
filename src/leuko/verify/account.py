"""Who tests and builds run as: a user that can reach neither keys, agent, store nor secrets."""

from __future__ import annotations

import asyncio
import hashlib
import os
import pwd
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from leuko.domain.errors import LeukoError

STANDARD_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


class AccountError(LeukoError):
    """The verify user is missing or cannot be made."""

    exit_code = 5


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine. `separate`: not the controller's own, and the controller may become it."""

    name: str
    uid: int
    gid: int
    home: Path
    separate: bool

    def reaches(self, folder: Path) -> bool:
        """True where the account may go into the folder, judged by owner, group and mode of every parent."""
        return all(self._may_enter(place) for place in (folder, *folder.parents))

    def _may_enter(self, place: Path) -> bool:
        if self.uid == 0:
            return True
        try:
            status = place.stat()
        except OSError:
            return False
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def find(name: str) -> Account | None:
    """The account called so, or None."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    separate = os.geteuid() == 0 and entry.pw_uid != 0
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir), separate)


def current() -> Account:
    """The controller's own user."""
    uid = os.geteuid()
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:  # a container may run as a number without a name
        return Account(str(uid), uid, os.getegid(), Path("/"), separate=False)
    return Account(entry.pw_name, uid, os.getegid(), Path(entry.pw_dir), separate=False)


def choose(name: str) -> Account:
    """The verify user where the controller is root and the user exists, else the controller's own."""
    found = find(name)
    return found if found is not None and found.separate else current()


def warnings(name: str) -> tuple[str, ...]:
    """What it means that tests do not run as `name`, for `leuko check`; empty where they do."""
    found = find(name)
    if found is not None and found.separate:
        return ()
    risk = (
        "tests and builds run as the controller's own user: a commit's tests can read its keys, its store "
        "and its secrets"
    )
    if os.geteuid() != 0:
        return (f"{risk}; start the controller as root, which then drops to the user {name!r} for them",)
    if found is None:
        return (f"{risk}; make the user once with: useradd --system --create-home {name}",)
    return (f"{risk}; `verify_user` is {name!r}, which is root itself: name another",)


async def create(name: str, home: Path | None = None) -> Account:
    """Makes the verify user with a home of its own; there already is fine. Root only."""
    found = find(name)
    if found is not None:
        return found
    if os.geteuid() != 0:
        raise AccountError(
            f"only root can make the user {name!r}",
            way_out=f"sudo useradd --system --create-home {name}",
            code="A001",
        )
    place = home or Path("/var/lib") / name
    process = await asyncio.create_subprocess_exec(
        "useradd", "--system", "--user-group", "--create-home", "--home-dir", str(place),
        "--shell", "/usr/sbin/nologin", "--", name,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await process.communicate()
    found = find(name)
    if found is None:
        raise AccountError(
            f"useradd could not make the user {name!r}: {said.decode(errors='replace').strip()}",
            way_out="make it by hand, or name another one as `verify_user`",
            code="A002",
        )
    found.home.chmod(0o711)
    return found


def workspace(account: Account, state: Path, line: str) -> Path:
    """Where a line's builds live: for a separate account not in the state directory, which it cannot enter.

    Each line of each installation has a folder of its own: whoever starts clears away what died in his.
    """
    if not account.separate:
        return state / "workspaces" / line.replace("/", "-")
    whose = hashlib.sha256(f"{state}\0{line}".encode()).hexdigest()[:12]
    return account.home / "builds" / whose


def build_environment(
    account: Account, home: Path, temporary: Path, facts: Mapping[str, str], path: str | None = None
) -> dict[str, str]:
    """The whole environment of a build's commands: nothing of the controller's but those parts of PATH
    that the account can reach.
    """
    own = (path if path is not None else os.environ.get("PATH", "")).split(":")
    reachable = [entry for entry in own if entry.startswith("/") and account.reaches(Path(entry))]
    places = dict.fromkeys([*reachable, *STANDARD_PATH])
    return {
        "PATH": ":".join(places),
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "USER": account.name,
        "LOGNAME": account.name,
        "SHELL": "/bin/sh",
        "CI": "true",
        **facts,
    }


def program(name: str) -> str:
    """Absolute path of a system program, looked for where root's programs are, not in the caller's PATH."""
    found = shutil.which(name, path=":".join(STANDARD_PATH))
    if found is None:
        raise AccountError(
            f"the program {name!r} is missing", way_out="install util-linux and coreutils", code="A003"
        )
    return found
