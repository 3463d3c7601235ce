"""Lines of a TAP stream that carry results always get through; others only as far as there is room."""

from __future__ import annotations

import re
from typing import Callable

from .clipping import Clip

_RESULTS = re.compile(rb"[ \t]*(ok\b|not ok\b|1\.\.\d|Bail out!|TAP version|# Subtest)")
_LONGEST = 65536
_SHORT = 4096
"""Bytes of a line without a result that are kept."""
_LINES = 2000
"""Lines without a result between two with one that go through as they come; of more, the ends."""


class TapLines:
    """Cuts bytes into lines and hands them on as text."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._rest = b""
        self._flood = Clip(16384)
        self._count = 0

    def feed(self, data: bytes) -> None:
        """Adds bytes as they come."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > _LONGEST:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._line(line)

    def finish(self) -> None:
        """The last line may lack its end."""
        if self._rest:
            self._line(self._rest)
            self._rest = b""
        self._let_go()

    def _line(self, line: bytes) -> None:
        if _RESULTS.match(line):
            self._let_go()
            self._tell(line[:_LONGEST].decode("utf-8", "backslashreplace"))
            self._count = 0
        elif self._count < _LINES:
            self._count += 1
            self._tell(line[:_SHORT].decode("utf-8", "backslashreplace"))
        else:
            self._flood.feed(line + b"\n")

    def _let_go(self) -> None:
        if self._flood.total:
            text, self._flood = self._flood.text(), Clip(16384)
            for line in text.splitlines():
                self._tell("# " + line)  # a comment: what was left out must not look like a result
