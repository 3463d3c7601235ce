"""The pipes that the worker reads, and the one place where it waits."""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
from typing import Callable, Optional

_READ = 1 << 18
_SETPIPE_SZ = 1031
_LOOK = 8
"""Reads of one look."""
_DRAIN = 64
"""Reads of what is left in a pipe: more than it can hold, for something may go on writing."""


class Waiting:
    """Waits for descriptors, dead children and deadlines. One for the worker, whatever it does."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._bell, bell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # so that a child's end rings the bell
        self.listen(self._bell, self._rung)

    def listen(self, descriptor: int, ready: Callable[[], object]) -> None:
        """Calls `ready` whenever there is something to read."""
        self._selector.register(descriptor, selectors.EVENT_READ, ready)

    def forget(self, descriptor: int) -> None:
        """No longer."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(descriptor)

    def once(self, seconds: Optional[float]) -> None:
        """Waits until something happens, at most so many seconds."""
        for key, _ in self._selector.select(None if seconds is None else max(0.0, seconds)):
            key.data()

    def _rung(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._bell, 4096)


class Inlet:
    """One pipe, looked into every few milliseconds while a command runs.

    It is not waited for: a runner that tells thousands of tests a second would wake the worker with each,
    which costs it more than the telling. Once finished, what a left daemon still says is read and thrown
    away: closing the pipe would kill it with SIGPIPE.
    """

    def __init__(self, waiting: Waiting, take: Callable[[bytes], None], path: str = "") -> None:
        self._waiting = waiting
        self._take: Optional[Callable[[bytes], None]] = take
        self.writer = -1
        if path:
            os.mkfifo(path, 0o600)
            self._reader = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)  # never at its end
        else:
            self._reader, self.writer = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(self._reader, False)
        self._path = path
        with contextlib.suppress(OSError):  # only so that a flood seldom has to wait
            fcntl.fcntl(self._reader, _SETPIPE_SZ, 1 << 20)

    def started(self) -> None:
        """The command has its own end now; ours is closed."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def look(self) -> int:
        """Takes what has come, at most some reads of it. Returns how many bytes."""
        total = 0
        for _ in range(_LOOK):
            size = self._read()
            total += size
            if size < _READ:
                break
        return total

    def finish(self) -> None:
        """Takes what is still in it; from now on nothing more is taken."""
        self.started()
        for _ in range(_DRAIN):
            if not self._read():
                break
        self._take = None
        if self._path:
            self._close()
            os.unlink(self._path)
        elif self._reader >= 0:
            self._waiting.listen(self._reader, self._read)

    def _read(self) -> int:
        if self._reader < 0:
            return 0
        try:
            data = os.read(self._reader, _READ)
        except BlockingIOError:
            return 0
        if not data:
            self._close()
        elif self._take is not None:
            self._take(data)
        return len(data)

    def _close(self) -> None:
        if self._reader >= 0:
            self._waiting.forget(self._reader)
            os.close(self._reader)
            self._reader = -1
