"""Lines of a TAP stream that carry results always get through; others only as far as there is room."""

from __future__ import annotations

import re
from typing import Callable

from .clipping import Clip

_RESULTS = re.compile(rb"(?m)^[ \t]*(?:(?:not )?ok(?=[ \t\r]|$)|1\.\.\d|Bail out!|TAP version|# Subtest).*$")
_LONGEST = 65536
_SHORT = 4096
"""Bytes of a line without a result that are kept."""
_GAP, _NARROW = 500, 20
"""Lines without a result between two with one that go through as they come; of more, the ends."""
_ALL = 100_000
"""Beyond so many in all, the gaps are narrow."""


class TapLines:
    """Cuts bytes into lines: `result` gets those that carry one, `other` the rest, as text."""

    def __init__(self, result: Callable[[str], None], other: Callable[[str], None]) -> None:
        self._result = result
        self._other = other
        self._rest = b""
        self._flood = Clip(16384)
        self._gap = 0
        self._all = 0

    def feed(self, data: bytes) -> None:
        """Adds bytes as they come."""
        data = self._rest + data
        cut = data.rfind(b"\n") + 1
        if not cut and len(data) > _LONGEST:
            cut = len(data)
        self._rest = data[cut:]
        self._lines(data[:cut])

    def finish(self) -> None:
        """The last line may lack its end."""
        self._lines(self._rest)
        self._rest = b""
        self._let_go()

    def _lines(self, data: bytes) -> None:
        begin = 0
        for found in _RESULTS.finditer(data):
            self._between(data[begin : found.start()])
            begin = found.end() + 1
            self._let_go()
            self._result(found[0][:_LONGEST].decode("utf-8", "backslashreplace"))
            self._gap = 0
        self._between(data[begin:])

    def _between(self, data: bytes) -> None:
        """What stands between two results: line by line while there is room."""
        begin = 0
        limit = _GAP if self._all < _ALL else _NARROW
        while begin < len(data) and self._gap < limit:
            end = data.find(b"\n", begin)
            end = len(data) if end < 0 else end
            self._gap += 1
            self._all += 1
            self._other(data[begin : min(end, begin + _SHORT)].decode("utf-8", "backslashreplace"))
            begin = end + 1
        if begin < len(data):
            self._flood.feed(data[begin:])

    def _let_go(self) -> None:
        if self._flood.total:
            text, self._flood = self._flood.text(), Clip(16384)
            for line in text.splitlines():
                self._other("# " + line)  # a comment: what was left out must not look like a result
