"""Bytes in, bounded lines and a bounded tail out: what every transport does with a program's output."""

from __future__ import annotations

from collections import deque

LONGEST_LINE = 64 * 1024
TAIL = 8 * 1024
LINGER = 1.0
"""Seconds for which output is awaited after a program's exit, when something else still holds its stdout."""


class LineCutter:
    """Cuts a stream into lines. What a line has beyond 64 KiB is dropped; memory stays bounded."""

    def __init__(self) -> None:
        self._ready: deque[bytes] = deque()
        self._part = bytearray()
        self.waiting = 0
        """Bytes of whole lines that nobody has taken yet."""

    def feed(self, data: bytes) -> None:
        """Takes a piece of the stream."""
        *whole, rest = data.split(b"\n")
        for piece in whole:
            self._grow(piece)
            self._whole()
        self._grow(rest)

    def end(self) -> None:
        """The stream has ended: what came after the last newline is a line too."""
        if self._part:
            self._whole()

    def next(self) -> bytes | None:
        """The next whole line, if there is one."""
        if not self._ready:
            return None
        line = self._ready.popleft()
        self.waiting -= len(line) + 1
        return line

    def _whole(self) -> None:
        self._ready.append(bytes(self._part))
        self.waiting += len(self._part) + 1
        self._part.clear()

    def _grow(self, piece: bytes) -> None:
        self._part += piece[: LONGEST_LINE - len(self._part)]


class Tail:
    """The last 8 KiB of a stream."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def feed(self, data: bytes) -> None:
        """Takes a piece of the stream."""
        self._kept += data[-TAIL:]
        del self._kept[:-TAIL]

    def text(self) -> bytes:
        """What is kept."""
        return bytes(self._kept)
