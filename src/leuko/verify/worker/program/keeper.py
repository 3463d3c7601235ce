"""A small process beside the worker: when the worker is killed, it ends what the worker had started."""

from __future__ import annotations

import os
import signal
from typing import List

MARK = "LEUKO_WORKER"
"""Environment variable of everything that the worker starts."""
_ROUNDS = 200


class Keeper:
    """Forked at the start. It learns of the worker's end by the end of a pipe that only the worker holds."""

    def __init__(self, mark: str) -> None:
        reader, self._writer = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                code = _keep(reader, mark)
            finally:
                os._exit(code)
        os.close(reader)

    def dismiss(self) -> None:
        """The worker has ended everything itself."""
        os.write(self._writer, b"dismissed")
        os.close(self._writer)
        os.waitpid(self.pid, 0)


def _keep(reader: int, mark: str) -> int:
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    os.dup2(reader, 0)
    os.closerange(1, 256)  # whoever follows the worker sees its end, not ours; `writer` is among them
    if os.read(0, 16):
        return 0
    for _ in range(_ROUNDS):
        left = marked("{}={}".format(MARK, mark).encode())
        for how in (signal.SIGSTOP, signal.SIGKILL):  # stopped ones cannot fork while others are killed
            for pid in left:
                try:
                    os.kill(pid, how)
                except OSError:  # gone meanwhile
                    pass
        if not left:
            return 0
    return 1


def marked(mark: bytes) -> List[int]:
    """Processes whose environment holds the mark, but for this one."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open("/proc/" + name + "/environ", "rb") as file:
                if mark in file.read().split(b"\0"):
                    found.append(int(name))
        except OSError:  # gone meanwhile, or not ours to look at
            continue
    return found
