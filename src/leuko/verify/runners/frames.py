"""Frames out of a worker's output: bytes in, mappings out."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

_WHOLE, _PART = b"leuko= ", b"leuko+ "
_LONGEST = 64 * 1024 * 1024
_NOISE = 4096


class FrameError(ValueError):
    """What came is not the worker's protocol."""


class Frames:
    """Puts lines together again. `noise` is what stood between them, at most its beginning."""

    def __init__(self) -> None:
        self._rest = b""
        self._parts: list[bytes] = []
        self._size = 0
        self._report: list[bytes] = []
        self.noise = ""

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Frames that are whole now. Raises FrameError for what no worker of ours would say."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            frame = self._line(line.rstrip(b"\r"))
            if frame is not None:
                yield frame

    def _line(self, line: bytes) -> dict[str, Any] | None:
        if line.startswith(_PART):
            self._keep(line[len(_PART) :])
            return None
        if not line.startswith(_WHOLE):
            if len(self.noise) < _NOISE and line.strip():
                self.noise += line[:_NOISE].decode("utf-8", "backslashreplace") + "\n"
            return None
        self._keep(line[len(_WHOLE) :])
        text, self._parts, self._size = b"".join(self._parts), [], 0
        try:
            frame = json.loads(text)
            kind = frame["kind"]
        except (ValueError, TypeError, KeyError) as error:
            raise FrameError(f"a frame that cannot be read: {text[:200]!r}") from error
        return self._with_report(frame, kind)

    def _keep(self, piece: bytes) -> None:
        self._parts.append(piece)
        self._size += len(piece)
        if self._size > _LONGEST:
            raise FrameError("a frame without an end")

    def _with_report(self, frame: dict[str, Any], kind: str) -> dict[str, Any] | None:
        """A report file comes in parts: they are put into its frame."""
        if kind == "part":
            try:
                self._report.append(base64.b64decode(frame["data"]))
            except (binascii.Error, KeyError, TypeError) as error:
                raise FrameError("a part of a report that cannot be read") from error
            return None
        if kind == "report":
            frame["content"], self._report = b"".join(self._report), []
        return frame
