"""Who is here from the first moment on: a `leuko serve` that starts is found, not only one that acts.

The installation's lock is taken once the configuration was read, and not at all with a database server. This
one is held by every `leuko serve` of a state directory, and handed to one in the background by who starts it,
so there is no moment in which it exists and is not seen. It decides nothing: acting is the other lock's.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leuko.domain.errors import LeukoError
from leuko.store.installation import NAME as ACTING

HERE = "serve.lock"
_PROBED_SECONDS = 1.0
"""Whoever looks holds the file for a moment: a start waits that long before it says that another is here."""


class Presence:
    """An flock with the process id of its holder as text; it ends with the last process that has it open."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def tell(self, pid: int) -> None:
        """Whom `leuko serve --stop` ends."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"pid {pid}".encode(), 0)

    def let_go(self) -> None:
        """Of this process; one that it was handed to keeps it."""
        os.close(self.descriptor)


def taken(folder: Path) -> Presence | None:
    """The presence of this state directory; None where another has it."""
    descriptor = os.open(folder / HERE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + _PROBED_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < until:
                time.sleep(0.02)
                continue
            os.close(descriptor)
            return None
        return Presence(descriptor)


@contextmanager
def present(folder: Path) -> Iterator[None]:
    """For a process that serves. One in the background was handed it already: then nothing is to be taken."""
    handed = holder(folder, HERE) == os.getpid() and _is_held(folder / HERE)  # the text alone may be old
    presence = None if handed else taken(folder)
    if presence is not None:
        presence.tell(os.getpid())
    try:
        yield
    finally:
        if presence is not None:
            presence.let_go()


def holders(folder: Path) -> tuple[bool, set[int]]:
    """Whether anybody starts, serves or ends in this state directory, and the process ids as far as told."""
    held = [name for name in (HERE, ACTING) if _is_held(folder / name)]
    return bool(held), {holder(folder, name) for name in held} - {0}


def starting(folder: Path) -> LeukoError:
    """For who wants to start another."""
    return LeukoError(
        "a controller is being started here already",
        where=str(folder),
        way_out="wait a moment and use it (`leuko status`), or end it with `leuko serve --stop`",
        code="X004",
    )


def holder(folder: Path, name: str) -> int:
    """The process id in a lock's text; 0 where there is none. It does not prove that it lives."""
    try:
        word = (folder / name).read_text("utf-8", "replace").strip().removeprefix("pid ")
    except OSError:
        return 0
    return int(word) if word.isdecimal() else 0


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
