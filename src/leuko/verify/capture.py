"""A command's output in a file that stays small: its beginning live, its end once it is over."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

Mask = Callable[[bytes], bytes]

_CHUNK = 1 << 20
_LONGEST_LINE = 1 << 16
_OVERLAP = 4096


def unmasked(data: bytes) -> bytes:
    """The mask that hides nothing."""
    return data


class Capture:
    """Reads a pipe into a file: the first half of `cap` as it comes, the last half at the end.

    The pipe is our own and read by the event loop, so that a daemon that keeps its other end open holds up
    nobody. Masking works on whole lines (or 64 KiB), so that no secret is cut in two by a read.
    """

    def __init__(self, path: Path, cap: int, mask: Mask = unmasked) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        self._mask = mask
        self._half = cap // 2
        self._head = 0
        self._line = b""
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self.left_out = 0
        self.trouble = ""
        """Why output could not be kept, if so: a full disk."""
        self._ended = False
        self._reader, self.writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._reader, False)
        with contextlib.suppress(OSError):  # only so that the loop is woken less often
            fcntl.fcntl(self._reader, fcntl.F_SETPIPE_SZ, _CHUNK)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._reader, self._read)

    def started(self) -> None:
        """The command has its own end of the pipe now; ours is closed."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def finish(self) -> None:
        """Takes what is still in the pipe and writes the end.

        A daemon left behind may hold the other end: what it says from now on is read and thrown away until
        it ends, for closing the pipe would kill it with SIGPIPE, and the tests may need it.
        """
        self.started()
        for _ in range(4):  # more than the pipe can hold; a daemon may go on writing meanwhile
            if not self._read():
                break
        try:
            self._flush_tail()
        finally:
            os.close(self._file)
        if not self._ended:
            self._loop.add_reader(self._reader, self._throw_away)

    def note(self, sentence: str) -> None:
        """A line of ours among the command's."""
        self._write(f"[leuko] {sentence}\n".encode())

    def _throw_away(self) -> None:
        with contextlib.suppress(BlockingIOError):
            if not os.read(self._reader, _CHUNK):
                self._let_go()

    def _let_go(self) -> None:
        self._ended = True
        self._loop.remove_reader(self._reader)
        os.close(self._reader)

    def _read(self) -> bool:
        if self._ended:
            return False
        try:
            data = os.read(self._reader, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._let_go()
            return False
        if self._head < self._half:
            data = self._keep_head(data)
        if data:
            self._keep_tail(data)
        return True

    def _keep_head(self, data: bytes) -> bytes:
        """Writes whole lines while there is room; hands back what is beyond it."""
        self._line += data
        cut = self._line.rfind(b"\n") + 1
        if cut:
            ready, self._line = self._mask(self._line[:cut]), self._line[cut:]
        elif len(self._line) > _LONGEST_LINE:
            masked = self._mask(self._line)
            ready, self._line = masked[:-_OVERLAP], masked[-_OVERLAP:]
        else:
            return b""
        room = self._half - self._head
        self._write(ready[:room])
        self._head += len(ready[:room])
        if self._head < self._half:
            return b""
        rest, self._line = ready[room:] + self._line, b""
        return rest

    def _keep_tail(self, data: bytes) -> None:
        self._tail.append(data)
        self._tail_size += len(data)
        while self._tail and self._tail_size - len(self._tail[0]) >= self._half:
            gone = len(self._tail.popleft())
            self._tail_size -= gone
            self.left_out += gone

    def _flush_tail(self) -> None:
        tail = self._line + b"".join(self._tail)
        if self.left_out:  # it begins in the middle of a line, perhaps of a secret: that is left out too
            cut = tail.find(b"\n", 0, _LONGEST_LINE) + 1 or _OVERLAP
            self.left_out += len(tail[:cut])
            tail = tail[cut:]
        tail = self._mask(tail)
        over = len(tail) - self._half
        if over > 0:
            tail = tail[over:]
            self.left_out += over
        if self.left_out:
            self._write(f"\n[leuko] {self.left_out:,} bytes of output were left out here\n".encode())
        self._write(tail)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self.trouble = "no space left on the disk for the output"
