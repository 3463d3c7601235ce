"""What a batch says, out of the log in which the master keeps it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_LINE = re.compile(r"~(\d{1,9}) ([.+]) ([cwW]) (.*)")
_STDOUT = "o"
_LONGEST = 8 << 20
"""Characters of one message: a worker that is out of its mind must not fill our memory."""


class GapError(ValueError):
    """A line of the log is missing: what it said is lost, and with it what came of the batch."""


@dataclass(frozen=True, slots=True)
class Said:
    """By the carrier: what it is about, and the rest."""

    what: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Relayed:
    """A line of the program that runs the tests."""

    line: str


class Lines:
    """Puts messages together from lines of the log, fed in their order."""

    def __init__(self) -> None:
        self._next = 0
        self._parts: list[str] = []
        self._size = 0
        self.besides: list[str] = []
        """The last lines that are none of ours: what Buildbot or Python said when nothing else could."""

    def feed(self, content: str) -> Iterator[Said | Relayed]:
        """Messages that `content` completes: whole lines of the log, each with its stream's letter in front.

        Raises GapError where the numbers of the lines do not follow one another, or one makes no sense.
        """
        for line in content.split("\n"):
            match = _LINE.fullmatch(line[1:]) if line.startswith(_STDOUT) else None
            if match is None:
                self._beside(line)
                continue
            message = self._taken(int(match[1]), match[2] == "+", match[3], match[4])
            if message is not None:
                yield message

    def _taken(self, number: int, more: bool, kind: str, text: str) -> Said | Relayed | None:
        if number != self._next:
            raise GapError(f"line {self._next} of the batch's log is missing: {number} came")
        self._next += 1
        self._parts.append(text)
        self._size += len(text)
        if self._size > _LONGEST:
            raise GapError(f"a message of the batch is longer than {_LONGEST >> 20} MB")
        if more:
            return None
        whole, self._parts, self._size = "".join(self._parts), [], 0
        return _message(kind, whole)

    def _beside(self, line: str) -> None:
        if line and not line.startswith("h"):
            self.besides = [*self.besides[-19:], line[1:500]]


def _message(kind: str, whole: str) -> Said | Relayed:
    if kind == "w":
        return Relayed(whole)
    try:
        read = json.loads(whole)
    except ValueError:
        raise GapError(f"a message of the batch cannot be read: {whole[:80]!r}") from None
    if kind == "W":
        return Relayed(str(read))
    if not isinstance(read, dict) or not isinstance(read.get("is"), str):
        raise GapError(f"a message of the batch says nothing: {whole[:80]!r}")
    return Said(read["is"], {name: value for name, value in read.items() if name != "is"})
