"""Writes trees and differences of trees as compressed tar files, reading everything in a stream.

A full archive holds `manifest` and `tree/...`; a delta holds `added` and `removed` (records of the manifest)
and, under `tree/`, what was added. GNU format: names go through as raw bytes.
"""

# ruff: noqa: PTH118, PTH123 - paths are bytes here: a name need not be text

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from leuko.domain.errors import LeukoError
from leuko.releases.manifest import Entry, Manifest, path_of
from leuko.releases.tree import REVISION_FILE, Tree, shown

_PREFIX = "tree/"
_SMALL = 64 << 20


def pack_full(tree: Tree, into: Path) -> None:
    """The whole tree. A file that changed since it was hashed is an error, never a wrong release."""
    with _writing(into, level=6 if tree.manifest.bytes < _SMALL else 1) as archive:
        _add_bytes(archive, "manifest", tree.manifest.text)
        for entry in tree.entries:
            _add_entry(archive, tree, entry)


def pack_delta(full: Path, before: Manifest, after: Manifest, into: Path) -> None:
    """What turns `before` into `after`, taken out of `after`'s full archive."""
    old, new = set(before.records), set(after.records)
    added = [record for record in after.records if record not in old]
    removed = [record for record in before.records if record not in new]
    wanted = {_PREFIX + _text(path_of(record)) for record in added}
    size = sum(int(record.split(b" ", 3)[2]) for record in added if record.startswith(b"f "))
    with _writing(into, level=6 if size < _SMALL else 1) as archive, _reading(full) as source:
        _add_bytes(archive, "added", b"".join(record + b"\0" for record in added))
        _add_bytes(archive, "removed", b"".join(record + b"\0" for record in removed))
        for member in source:
            if member.name in wanted:
                archive.addfile(member, source.extractfile(member) if member.isreg() else None)


@contextmanager
def _writing(into: Path, *, level: int) -> Iterator[tarfile.TarFile]:
    with (
        into.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", compresslevel=level, fileobj=file, mtime=0) as packed,
        tarfile.open(
            fileobj=packed,
            mode="w",
            format=tarfile.GNU_FORMAT,
            encoding="utf-8",
            errors="surrogateescape",
        ) as archive,
    ):
        yield archive


@contextmanager
def _reading(path: Path) -> Iterator[tarfile.TarFile]:
    with tarfile.open(path, "r|gz", encoding="utf-8", errors="surrogateescape") as archive:
        yield archive


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes, mtime: int = 0) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), 0o444, mtime
    archive.addfile(member, io.BytesIO(content))


def _add_entry(archive: tarfile.TarFile, tree: Tree, entry: Entry) -> None:
    name = _PREFIX + _text(entry.path)
    if entry.path == REVISION_FILE:
        _add_bytes(archive, name, tree.revision, entry.mtime)
        return
    member = tarfile.TarInfo(name)
    member.mode = entry.mode
    if entry.kind == "d":
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
    elif entry.kind == "l":
        member.type, member.linkname, member.mode = tarfile.SYMTYPE, _text(entry.target), 0o777
        archive.addfile(member)
    else:
        member.size, member.mtime = entry.size, entry.mtime
        path = os.path.join(os.fsencode(tree.source), entry.path)
        with open(path, "rb", buffering=0) as file:
            checked = _Hashing(file)
            try:
                archive.addfile(member, checked)
            except OSError as error:
                if error.errno is not None:
                    raise
                raise _changed(entry) from error  # tarfile's own word for a file that became shorter
            if checked.digest != entry.sha256 or file.read(1):
                raise _changed(entry)


class _Hashing(io.RawIOBase):
    """Reads through to a file and hashes what was read."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """A block of the file."""
        block = self._file.read(size)
        self._hash.update(block)
        return block

    @property
    def digest(self) -> str:
        """Of all that was read so far."""
        return self._hash.hexdigest()


def _changed(entry: Entry) -> LeukoError:
    return LeukoError(
        "the file changed while it was being packed",
        where=shown(entry.path),
        way_out="let the build command end what it starts: nothing may write into the folder afterwards",
        code="R005",
    )


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")
