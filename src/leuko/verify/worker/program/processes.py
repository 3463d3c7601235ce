"""Everything that the worker started, however far it went: found and ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from typing import Iterable, List, Set

_PDEATHSIG, _SUBREAPER = 1, 36


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):  # another kernel: then only groups are ended
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def adopt_orphans() -> None:
    """From now on what a test leaves behind becomes our child, so that we can end it."""
    _prctl(_SUBREAPER, 1)


def die_with_parent() -> None:
    """For a child between fork and exec: it ends when the worker does."""
    _prctl(_PDEATHSIG, signal.SIGKILL)


def children(pid: int) -> List[int]:
    """Children of a process, by all of its threads."""
    found: List[int] = []
    top = "/proc/{}/task".format(pid)
    try:
        threads = os.listdir(top)
    except OSError:
        return found
    for thread in threads:
        try:
            with open(top + "/" + thread + "/children", "rb") as file:
                found += [int(word) for word in file.read().split()]
        except OSError:  # gone meanwhile
            pass
    return found


def descendants(pid: int) -> Set[int]:
    """Children, their children and so on; without `pid` itself."""
    found: Set[int] = set()
    waiting = [pid]
    while waiting:
        for child in children(waiting.pop()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def kill_group(group: int, how: int = signal.SIGKILL) -> None:
    """Signals a process group; gone already is fine."""
    try:
        os.killpg(group, how)
    except ProcessLookupError:  # not a group yet: a fork that has only begun
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(group, how)
    except PermissionError:
        pass


def kill_all(spared: Iterable[int] = (), patience: float = 5.0) -> int:
    """Ends all that descends from this process, but for `spared` and theirs. Returns how many resisted."""
    spared = set(spared)
    deadline = time.monotonic() + patience
    while True:
        left = descendants(os.getpid())
        for pid in spared:
            left -= descendants(pid) | {pid}
        for how in (signal.SIGSTOP, signal.SIGKILL):  # stopped ones cannot fork while others are killed
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, how)
        reap(spared)
        if not left or time.monotonic() > deadline:
            return len(left)
        time.sleep(0.002)  # a kill is a wish: the kernel takes a moment to end what it hits


def reap(spared: Iterable[int] = ()) -> None:
    """Buries adopted children that are dead; `spared` are buried by whoever started them."""
    spared = set(spared)
    for pid in children(os.getpid()):
        if pid not in spared:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def oom_kills() -> int:
    """How often this machine's kernel has killed for lack of memory; 0 where it does not say."""
    try:
        with open("/proc/vmstat", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(b"oom_kill ")), 0)
