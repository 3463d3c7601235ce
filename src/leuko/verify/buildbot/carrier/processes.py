"""Processes that carry a mark in their environment, and how they end."""

from __future__ import annotations

import contextlib
import os
import signal
import time

MARK = "LEUKO_FOLDER"
"""Of everything that a build started in its tree."""
BATCH = "LEUKO_BATCH"
"""Of everything that a batch started."""


class Trouble(Exception):  # noqa: N818 - it is no fault of the tests, and ends the batch without a result
    """Why this worker cannot run the batch."""


def marked(name: str, value: str) -> list[int]:
    """Processes of this user whose environment says so; not this one."""
    mark = ("%s=%s" % (name, value)).encode()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open("/proc/%s/environ" % entry, "rb") as file:
                if mark in file.read().split(b"\0"):
                    found.append(int(entry))
        except OSError:  # gone meanwhile, or not ours
            continue
    return found


def end_marked(name: str, value: str) -> None:
    """Kills until none is left; one that forks needs several rounds."""
    for _ in range(100):
        left = marked(name, value)
        if not left:
            return
        for how in (signal.SIGSTOP, signal.SIGKILL):
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, how)
        time.sleep(0.01)
