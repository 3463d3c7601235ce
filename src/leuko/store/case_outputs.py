"""What tests printed: one file a build, each part at a place that its row names. Never over its cap."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from leuko.store.cases import OutputPlace

K = TypeVar("K")

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

    def append_all(self, texts: Mapping[K, tuple[str, bool]]) -> dict[K, OutputPlace]:
        """Adds outputs, each with whether somebody will want to read it (it failed); their places.

        Those that are empty, or that there is no room for, have none. Raises OSError: a full disk.
        """
        places: dict[K, OutputPlace] = {}
        if not texts:
            return places
        with self._path.open("ab") as file:
            at = file.seek(0, os.SEEK_END)
            for key, (text, failed) in texts.items():
                data = text.encode("utf-8", "replace")
                if data and at + len(data) <= (self._cap if failed else self._passed_cap):
                    file.write(data)
                    places[key] = OutputPlace(at, len(data))
                    at += len(data)
        return places

    def read(self, place: OutputPlace) -> str | None:
        """What a test printed; None where it is not there any more."""
        try:
            with self._path.open("rb") as file:
                file.seek(place.at)
                return file.read(place.length).decode("utf-8", "replace")
        except OSError:
            return None
