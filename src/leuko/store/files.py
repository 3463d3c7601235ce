"""Files of the store are for Leuko's own user: tests and builds run as another, and must not read them."""

from __future__ import annotations

import os
from pathlib import Path


def make_private(path: Path) -> None:
    """Makes the file and its folder, where they are not there yet, with no rights for others.

    An empty file is an empty database, and SQLite gives its side files the rights of the main one.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
