"""Which files of a checkout import which, as their Python says: what a change touches."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

LARGEST = 1 << 20
"""Bytes of a file that is read; a larger one imports nothing."""


class Imports:
    """Reads files once, and again when they have changed. Slow at first: call it in a thread."""

    def __init__(self, checkout: Path) -> None:
        self._checkout = checkout
        self._read: dict[str, tuple[float, frozenset[str]]] = {}

    def importers(self, changed: Iterable[str], paths: Iterable[str]) -> dict[str, str]:
        """Files among `paths` that import a changed one, directly or not -> the changed one."""
        python = [path for path in paths if path.endswith(".py")]
        by_module = _by_module(python)
        users: dict[str, set[str]] = {}
        for path in python:
            for module in self._modules(path):
                for target in by_module.get(module, ()):
                    users.setdefault(target, set()).add(path)
        found: dict[str, str] = {}
        for first in changed:
            waiting = [first]
            while waiting:
                for user in users.get(waiting.pop(), ()):
                    if user not in found and user != first:
                        found[user] = first
                        waiting.append(user)
        return found

    def _modules(self, path: str) -> frozenset[str]:
        """Names that the file imports, each with all that stands before its dots."""
        try:
            status = (self._checkout / path).stat()
        except OSError:
            return frozenset()
        known = self._read.get(path)
        if known is not None and known[0] == status.st_mtime:
            return known[1]
        found = frozenset(_imported(self._checkout / path, path)) if status.st_size < LARGEST else frozenset()
        self._read[path] = (status.st_mtime, found)
        return found


def _imported(place: Path, path: str) -> Iterator[str]:
    try:
        tree = ast.parse(place.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return
    here = PurePosixPath(path).parent.parts
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                for alias in names:
                    yield alias.name
            case ast.ImportFrom(module, names, level):
                base = [*here[: len(here) - (level - 1)]] if level else []
                whole = ".".join([*base, *([module] if module else [])])
                if whole:
                    yield whole
                for alias in names:
                    yield f"{whole}.{alias.name}" if whole else alias.name
            case _:
                pass


def _by_module(paths: Iterable[str]) -> dict[str, list[str]]:
    """Module name -> files. A file goes by every tail of its path: `src/shop/cart.py` is shop.cart and
    src.shop.cart, whatever the import path is; not by its last part alone, unless it lies at the top.
    """
    found: dict[str, list[str]] = {}
    for path in paths:
        parts = PurePosixPath(path).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        for start in range(len(parts)):
            bare = len(parts) - start == 1
            if not bare or start <= 1:
                found.setdefault(".".join(parts[start:]), []).append(path)
    return found
