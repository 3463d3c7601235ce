"""The lock of the installation: one acting process a state directory, and it dies with the process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from leuko.domain.errors import Refused

NAME = "leuko.lock"


class InstallationLock:
    """An flock on a file in the state directory, whose text names the holder for the error and for people.

    Children made with exec do not inherit it. Do not fork without exec while it is held.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, directory: Path, holder: str) -> InstallationLock:
        """Takes it now, or raises Refused with the name of who holds it."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / NAME
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise Refused(
                f"another Leuko acts here already: {holder_of(directory) or 'it gave no name'}",
                where=str(directory),
                way_out="use it (`leuko status`), or stop it first; two must never act on one fleet",
                code="S005",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder.encode("utf-8", "replace"), 0)
        return cls(path, descriptor)

    @property
    def held(self) -> bool:
        """True until `release`."""
        return self._descriptor is not None

    def release(self) -> None:
        """Lets go; the file stays, for removing it would let two hold two files of one name."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def holder_of(directory: Path) -> str:
    """What the holder wrote about itself; empty where nobody did. It does not prove that it lives."""
    try:
        return (directory / NAME).read_text("utf-8", "replace").strip()
    except OSError:
        return ""
