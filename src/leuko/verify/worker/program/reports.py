"""Report files that a command writes: those that are new since it began, sent in pieces."""

from __future__ import annotations

import base64
import glob
import os
from typing import Dict, List, Tuple

from .frames import Frames

Stamp = Tuple[int, int, int, int]

LARGEST = 16 * 1024 * 1024
MOST = 2000
_PIECE = 192 * 1024


def seen(pattern: str, top: str) -> Dict[str, Stamp]:
    """Path -> identity of the files that match now. A change of content, even to the same, changes it."""
    found: Dict[str, Stamp] = {}
    if not pattern:
        return found
    for path in sorted(glob.glob(os.path.join(glob.escape(top), pattern), recursive=True)):
        try:
            state = os.stat(path)
        except OSError:
            continue
        if os.path.isfile(path):
            found[path] = (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    return found


def send(frames: Frames, call: int, before: Dict[str, Stamp], pattern: str, top: str) -> None:
    """Sends each file that matches and is not as it was before the command began."""
    fresh = [path for path, stamp in seen(pattern, top).items() if before.get(path) != stamp]
    for path in fresh[:MOST]:
        shown = os.path.relpath(path, top)
        try:
            with open(path, "rb") as file:
                data = file.read(LARGEST + 1)
        except OSError as error:
            frames.emit("report", call=call, path=shown, trouble="cannot be read: {}".format(error.strerror))
            continue
        if len(data) > LARGEST:
            frames.emit("report", call=call, path=shown, trouble="is larger than 16 MiB")
            continue
        for piece in _pieces(data):
            frames.emit("part", data=base64.b64encode(piece).decode("ascii"))
        frames.emit("report", call=call, path=shown)
    if len(fresh) > MOST:
        frames.emit("report", call=call, path=pattern, trouble="matches more than {:,} files".format(MOST))


def _pieces(data: bytes) -> List[bytes]:
    return [data[start : start + _PIECE] for start in range(0, len(data), _PIECE)]
