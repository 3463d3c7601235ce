"""Output that commands left in files below the state directory."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

WHOLE = 4 << 20
"""More than this of one output is not sent at once."""
TAIL = 16 << 10


class Outputs:
    """Reads only what lies below `root`: a row that names another place gives nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root

    async def whole(self, path: str) -> str | None:
        """All of it (the first 4 MiB of a longer one), or None where it is gone."""
        return await asyncio.to_thread(self._read, path, WHOLE, 0)

    async def tail(self, path: str, lines: int = 12) -> tuple[str, ...]:
        """The last lines; empty where there are none."""
        text = await asyncio.to_thread(self._read, path, TAIL, -TAIL)
        return tuple((text or "").rstrip().splitlines()[-lines:])

    def _read(self, path: str, size: int, start: int) -> str | None:
        place = self._place(path)
        if place is None:
            return None
        try:
            with place.open("rb") as file:
                if start < 0:
                    end = file.seek(0, os.SEEK_END)
                    file.seek(max(0, end + start))
                return readable(file.read(size))
        except OSError:
            return None  # expired, or never written: the page says that there is none

    def _place(self, path: str) -> Path | None:
        if not path or "\x00" in path:
            return None
        root = self.root.resolve()
        place = (root / path).resolve()
        return place if place.is_relative_to(root) and place.is_file() else None


def readable(data: bytes) -> str:
    """Text without the control characters that terminals obey; what is not UTF-8 is shown as such."""
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)
