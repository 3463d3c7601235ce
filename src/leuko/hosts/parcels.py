"""Sizes and digests of the files that are sent, computed once a file."""

from __future__ import annotations

import asyncio
import hashlib
import os
from dataclasses import dataclass

from leuko.domain.payload import Payload


@dataclass(frozen=True, slots=True)
class Parcel:
    """A file to send."""

    size: int
    sha256: str


class Parcels:
    """Remembers files by path, time and size."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], asyncio.Task[Parcel]] = {}

    async def of(self, path: str) -> Parcel:
        """The file's parcel; a thousand hosts that ask at once share one reading. OSError when it is gone."""
        status = os.stat(path)  # noqa: PTH116 - a path as text, once a host
        key = (path, status.st_mtime_ns, status.st_size)
        if key not in self._known:
            if len(self._known) >= 256:
                self._known.pop(next(iter(self._known)))
            self._known[key] = asyncio.create_task(asyncio.to_thread(_read, path))
        try:
            return await asyncio.shield(self._known[key])
        except OSError:
            self._known.pop(key, None)
            raise


async def ask_for(parcels: Parcels, payload: Payload) -> dict[str, str]:
    """What a stage order says of its payload: the manifest's digest, and from which releases deltas exist."""
    manifest = await parcels.of(payload.manifest)
    return {"digest": manifest.sha256, "deltas": " ".join(payload.deltas)}


def _read(path: str) -> Parcel:
    with open(path, "rb") as file:  # noqa: PTH123 - a path as text
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Parcel(os.fstat(file.fileno()).st_size, digest)
