"""What a build's processes are shut into, and how none of them outlives it.

Three levels, by what the machine allows:

- *namespaces* (root, a separate account): own user, and own process and mount tables. The build sees no
  process but its own and no folder that is hidden from it; its processes all die with the first of them,
  which dies when the controller does.
- *user* (root, a separate account, no right to make namespaces: some containers): own user. Its processes are
  found and killed by user, unless another build runs at the same time: then by mark, folder and group, which
  a process that tries can evade until that other build ends.
- *none*: the controller's own user. Processes are found by mark and group.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from leuko.verify.account import Account, AccountError, program

MARK = "LEUKO_FOLDER"
"""Environment variable of every process of a build: its folder."""

_FIRST_PROCESS = """
set -eu
cd -- "$1"
own=$1
shift
for hidden; do
    if [ -d "$hidden" ]; then mount -t tmpfs -o mode=0711,size=256k leuko "$hidden"; fi
done
mkdir -p -- "$own"
mount -c --bind . "$own"
cd /
echo ready
exec 3<&0 </dev/null >/dev/null
cat <&3 >/dev/null &
wait $!
"""


class Level(StrEnum):
    """How well a build is shut in."""

    NAMESPACES = "namespaces"
    USER = "user"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one build's processes may use. `processes` holds for a separate account only (all its builds)."""

    files: int = 4096
    processes: int = 1024
    memory: int | None = None
    """Bytes of address space a process."""


def limit_argv(limits: Limits, *, separate: bool) -> list[str]:
    """The prefix that sets the limits, and lets the controller go first when CPU or memory run short."""
    argv = [program("choom"), "-n", "500", "--", program("nice"), "-n", "5"]
    argv += [program("prlimit"), "--core=0", f"--nofile={limits.files}"]
    if separate:
        argv.append(f"--nproc={limits.processes}")
    if limits.memory is not None:
        argv.append(f"--as={limits.memory}")
    return [*argv, "--"]


def drop_argv(account: Account) -> list[str]:
    """The prefix that becomes the account for good: no groups, no capabilities, no setuid programs."""
    if not account.separate:
        return []
    return [
        program("setpriv"), f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups",
        "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all", "--",
    ]  # fmt: skip


def first_argv(own: Path, hidden: Sequence[Path]) -> list[str]:
    """The process whose namespaces a build lives in."""
    return [
        program("unshare"), "--pid", "--mount", "--ipc", "--fork", "--kill-child=SIGKILL", "--mount-proc",
        "--propagation", "private", "--", "/bin/sh", "-c", _FIRST_PROCESS, "leuko-build", str(own),
        *(str(folder) for folder in hidden),
    ]  # fmt: skip


def enter_argv(first: int) -> list[str]:
    """The prefix that goes into those namespaces."""
    return [program("nsenter"), f"--target={first}", "--pid", "--mount", "--ipc", "--"]


class Enclosure:
    """One build's processes. `own` is its folder; `hidden` are folders that it must not see."""

    def __init__(
        self,
        account: Account,
        own: Path,
        hidden: Sequence[Path] = (),
        limits: Limits | None = None,
        *,
        namespaces: bool = True,
        alone: Callable[[], bool] = lambda: True,
    ) -> None:
        self._account = account
        self._own = own
        self._hidden = hidden
        self._limits = limits or Limits()
        self._namespaces = namespaces
        self._alone = alone
        self._unshare: asyncio.subprocess.Process | None = None
        self._first = 0
        self.level = Level.NONE
        self.reason = ""
        """Why it is not the best level."""

    async def open(self) -> None:
        """Sets up the best level that the machine allows."""
        if not self._account.separate:
            self.reason = "tests run as the controller's own user"
            return
        self.level = Level.USER
        if not self._namespaces:
            self.reason = "namespaces are switched off"
            return
        await self._start_first()
        if self._first:
            self.level = Level.NAMESPACES

    @property
    def lost(self) -> bool:
        """True where the process that held the namespaces is gone, and the build with it."""
        return self._unshare is not None and self._unshare.returncode is not None

    def argv(self, folder: Path, inner: Sequence[str]) -> list[str]:
        """The whole command line of a command of this build, run in `folder`."""
        enter = enter_argv(self._first) if self.level is Level.NAMESPACES else []
        limits = limit_argv(self._limits, separate=self._account.separate)
        return [*enter, program("env"), "-C", str(folder), *drop_argv(self._account), *limits, *inner]

    async def quiet(self) -> int:
        """Kills every process of the build; the enclosure stays open. Returns how many resisted."""
        if self.level is Level.NAMESPACES and not self.lost:
            return await self._empty()
        return await asyncio.to_thread(self._hunt)

    async def _empty(self) -> int:
        """Kills everything in the namespaces but their first process, and waits until it is dead."""
        inner = [*enter_argv(self._first), *drop_argv(self._account), "/bin/sh", "-c", "kill -KILL -1"]
        left = 0
        for _ in range(500):
            process = await asyncio.create_subprocess_exec(
                *inner,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env={},
            )
            await process.wait()
            left = await asyncio.to_thread(members, self._first, self._account)
            if not left:
                return 0
            await asyncio.sleep(0.01)  # a kill is a wish: the kernel takes a moment to end what it hits
        return left

    async def close(self) -> int:
        """Kills every process of the build and what held it. Returns how many resisted."""
        if self._unshare is None:
            return await asyncio.to_thread(self._hunt)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._first, signal.SIGKILL)  # the kernel ends the whole namespace with its first process
        await self._unshare.wait()
        self._unshare = None
        return 0

    async def _start_first(self) -> None:
        try:
            argv = first_argv(self._own, self._hidden)
        except AccountError as error:
            self.reason = error.rule
            return
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,  # its end of file is how it learns that the controller died
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", MARK: str(self._own)},
            cwd="/",
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            async with asyncio.timeout(20.0):
                said = await process.stdout.readline()
            first = _only_child(process.pid) if said == b"ready\n" else 0
        except BaseException:
            await _kill_group(process)
            raise
        if not first:
            self.reason = (await process.stderr.read(2000)).decode(
                errors="replace"
            ).strip() or "unshare failed"
            await _kill_group(process)
            return
        self._unshare, self._first = process, first

    def _hunt(self) -> int:
        """Kills until a look around finds nobody; a fork bomb needs several rounds."""
        left: list[int] = []
        for _ in range(200):
            left = hunted(self._own, self._account, everyone=self._account.separate and self._alone())
            if not left:
                return 0
            for how in (signal.SIGSTOP, signal.SIGKILL):  # stopped ones cannot fork while others are killed
                for pid in left:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, how)
        return len(left)


def members(first: int, account: Account) -> int:
    """How many of the account's processes live in the namespaces that `first` holds."""
    try:
        namespace = Path(f"/proc/{first}/ns/pid").readlink()
    except OSError:
        return 0
    count = 0
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.stat().st_uid == account.uid and not _is_zombie(entry):
                count += (entry / "ns" / "pid").readlink() == namespace
        except OSError:  # gone meanwhile
            continue
    return count


def hunted(own: Path, account: Account, *, everyone: bool) -> list[int]:
    """Processes of the build in `own`: all of its user, or those that carry its mark or stand in its folder.

    With the controller's own user, only the mark counts: a person may stand in the folder to look around.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if entry.stat().st_uid != account.uid or _is_zombie(entry):
                continue
            if everyone or _carries(entry, own) or (account.separate and _stands_in(entry, own)):
                found.append(int(entry.name))
        except OSError:  # gone meanwhile, or not ours to look at
            continue
    return found


def _is_zombie(entry: Path) -> bool:
    return (entry / "stat").read_bytes().rpartition(b")")[2].split()[0] in (b"Z", b"X")


def _carries(entry: Path, own: Path) -> bool:
    mark = f"{MARK}={own}".encode()
    return any(
        item == mark or item.startswith(mark + b"/") for item in (entry / "environ").read_bytes().split(b"\0")
    )


def _stands_in(entry: Path, own: Path) -> bool:
    place = (entry / "cwd").readlink()
    return place == own or own in place.parents


def _only_child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = children.read_text(encoding="ascii").split()
    return int(found[0]) if found else 0


async def _kill_group(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
