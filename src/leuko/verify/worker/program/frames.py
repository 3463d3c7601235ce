"""What the worker says: JSON in ASCII, cut into short lines, because some carriers split long ones."""

from __future__ import annotations

import json
import os
from typing import Any

LONGEST = 3800
"""Characters of a line. Buildbot, for one, breaks lines of its logs at 4,096."""
WHOLE = "leuko= "
PART = "leuko+ "


class Frames:
    """Writes frames to a descriptor of its own, which no test inherits."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def emit(self, kind: str, **facts: Any) -> None:
        """One frame. Raises BrokenPipeError when nobody listens any more."""
        text = json.dumps({"kind": kind, **facts}, ensure_ascii=True, separators=(",", ":"))
        pieces = [text[start : start + LONGEST] for start in range(0, len(text), LONGEST)]
        lines = [PART + piece + "\n" for piece in pieces[:-1]] + [WHOLE + pieces[-1] + "\n"]
        view = memoryview("".join(lines).encode("ascii"))
        while view:
            view = view[os.write(self._descriptor, view) :]
