"""What a command prints: by test where the runner marks where each begins and ends, else as a whole."""

from __future__ import annotations

import re
from typing import Dict

from .clipping import Clip

_LONGEST_MARK = 64


class Output:
    """Takes the bytes of a command's output. `nonce` is the marks' own word, which tests do not know."""

    def __init__(self, nonce: str) -> None:
        self._mark = re.compile("\x1e{}:(\\d+)\x1e".format(nonce).encode("ascii"))
        self._rest = b""
        self._open = Clip()
        self._done: Dict[int, Clip] = {}
        self.whole = Clip()
        self.last = 0
        """Number of the last mark seen."""

    def feed(self, data: bytes) -> None:
        """Adds bytes as they come."""
        data = self._rest + data
        self._rest = b""
        begin = 0
        if b"\x1e" in data:
            for found in self._mark.finditer(data):
                self._open.feed(data[begin : found.start()])
                begin = found.end()
                self.last = int(found[1])
                self._done[self.last], self._open = self._open, Clip()
            cut = data.rfind(b"\x1e", begin)
            if cut >= 0 and len(data) - cut < _LONGEST_MARK:  # perhaps the first half of a mark
                data, self._rest = data[:cut], data[cut:]
        self._open.feed(data[begin:])

    def until(self, mark: int) -> str:
        """What was printed between the mark before and this one; handed out once."""
        found = self._done.pop(mark, None)
        return found.text() if found is not None else ""

    def outside(self, mark: int) -> None:
        """What was printed up to this mark belongs to no test."""
        found = self._done.pop(mark, None)
        if found is not None and found.total:
            self.whole.feed(found.text().encode("utf-8"))

    def rest(self) -> str:
        """What was printed since the last mark; handed out once."""
        self._open.feed(self._rest)
        text, self._open, self._rest = self._open.text(), Clip(), b""
        return text
