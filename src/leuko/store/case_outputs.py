"""What tests printed: one file a build, each part at a place that its row names. Never over its cap."""

from __future__ import annotations

import os
from pathlib import Path

from leuko.store.cases import OutputPlace

FAILED_CAP = 256 << 20
"""Bytes a build may keep in all."""
PASSED_CAP = 64 << 20
"""Past this only what failed is kept."""


class CaseOutputs:
    """Of one build, in `folder`. Written by one process; read by any."""

    def __init__(self, folder: Path, *, cap: int = FAILED_CAP, passed_cap: int = PASSED_CAP) -> None:
        self._path = folder / "tests.out"
        self._cap = cap
        self._passed_cap = passed_cap

    def begin(self) -> None:
        """An empty file, for a build that starts anew."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))

    def append(self, text: str, *, failed: bool) -> OutputPlace | None:
        """Adds one test's output; None where there is none, or no room left. Raises OSError: a full disk."""
        data = text.encode("utf-8", "replace")
        if not data:
            return None
        with self._path.open("ab") as file:
            at = file.seek(0, os.SEEK_END)
            if at + len(data) > (self._cap if failed else self._passed_cap):
                return None
            file.write(data)
        return OutputPlace(at, len(data))

    def read(self, place: OutputPlace) -> str | None:
        """What a test printed; None where it is not there any more."""
        try:
            with self._path.open("rb") as file:
                file.seek(place.at)
                return file.read(place.length).decode("utf-8", "replace")
        except OSError:
            return None
