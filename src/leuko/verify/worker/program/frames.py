"""What the worker says: JSON in ASCII, cut into short lines, because some carriers split long ones."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any, Iterator, List

LONGEST = 3800
"""Characters of a line. Buildbot, for one, breaks lines of its logs at 4,096."""
WHOLE = "leuko= "
PART = "leuko+ "
_MOST_HELD = 200


class Frames:
    """Writes frames to a descriptor of its own, which no test inherits."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._held: List[str] = []
        self._holding = False

    def emit(self, kind: str, **facts: Any) -> None:
        """One frame. Raises BrokenPipeError when nobody listens any more."""
        text = json.dumps({"kind": kind, **facts}, ensure_ascii=True, separators=(",", ":"))
        pieces = [text[start : start + LONGEST] for start in range(0, len(text), LONGEST)]
        self._held += [PART + piece + "\n" for piece in pieces[:-1]] + [WHOLE + pieces[-1] + "\n"]
        if not self._holding or len(self._held) > _MOST_HELD:
            self._write()

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Frames of this block are written at once: each write wakes whoever reads."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
            self._write()

    def _write(self) -> None:
        view = memoryview("".join(self._held).encode("ascii"))
        self._held = []
        while view:
            view = view[os.write(self._descriptor, view) :]
