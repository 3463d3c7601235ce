"""Output that is kept in bounds: its first and its last half."""

from __future__ import annotations

import os
from collections import deque

CAP = 65536
"""Bytes kept of one test's output, and of one command's."""
_SAID = 80
"""Room for the sentence that says what was left out."""


class Clip:
    """Takes any amount of bytes; keeps the first and the last half of `cap`."""

    def __init__(self, cap: int = CAP) -> None:
        self._half = (cap - _SAID) // 2
        self._head = b""
        self._tail: deque[bytes] = deque()
        self._size = 0
        self.total = 0

    def feed(self, data: bytes) -> None:
        """Adds bytes."""
        self.total += len(data)
        room = self._half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if not data:
            return
        data = data[-self._half :]
        self._tail.append(data)
        self._size += len(data)
        while self._size - len(self._tail[0]) >= self._half:
            self._size -= len(self._tail.popleft())

    def text(self) -> str:
        """What was kept, as text: bytes that are no UTF-8 stand as `\\xff`."""
        tail = b"".join(self._tail)[-self._half :]
        missing = self.total - len(self._head) - len(tail)
        if missing <= 0:
            return (self._head + tail).decode("utf-8", "backslashreplace")
        return cut(self._head, tail, missing)


def cut(head: bytes, tail: bytes, missing: int) -> str:
    """Two ends of something longer, with what was left out between them."""
    said = "\n[leuko] {:,} bytes of output were left out here\n".format(missing)
    return head.decode("utf-8", "backslashreplace") + said + tail.decode("utf-8", "backslashreplace")


def of_file(descriptor: int, cap: int = CAP) -> str:
    """Both ends of an open file, without reading what is between them. Does not move its offset."""
    size = os.fstat(descriptor).st_size
    if size <= cap:
        return os.pread(descriptor, cap, 0).decode("utf-8", "backslashreplace")
    half = (cap - _SAID) // 2
    return cut(os.pread(descriptor, half, 0), os.pread(descriptor, half, size - half), size - 2 * half)


def of_text(text: str, cap: int = CAP) -> str:
    """Both ends of a text."""
    if len(text) <= cap:
        return text
    half = (cap - _SAID) // 2
    missing = len(text) - 2 * half
    said = "\n[leuko] {:,} characters of output were left out here\n".format(missing)
    return text[:half] + said + text[len(text) - half :]
