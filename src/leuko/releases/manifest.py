"""What a tree holds, as text that a host can check with sort, comm and sha256sum.

A manifest is a sorted list of records, each ended by a NUL byte, so that a name may hold anything a file
system allows:

    d <mode> <path>
    f <mode> <size> <mtime> <sha256> <path>
    l <path>//<target>

Modes, times and order follow from content alone, so the digest is the same on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

FOLDER_MODE = 0o755
FILE_MODE = 0o444
PROGRAM_MODE = 0o555
_FIRST_TIME = 1_000_000_000
_TIMES = 500_000_000


def content_time(sha256: str) -> int:
    """A modification time that follows from the content: a changed file gets another one (ETags, caches)."""
    return _FIRST_TIME + int(sha256[:12], 16) % _TIMES


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, folder or symbolic link of a tree; `path` is relative, in the file system's own bytes."""

    path: bytes
    kind: str
    mode: int = 0
    size: int = 0
    sha256: str = ""
    target: bytes = b""

    @property
    def mtime(self) -> int:
        """Seconds since the epoch, from the content."""
        return content_time(self.sha256)

    @property
    def record(self) -> bytes:
        """The manifest's line, without its NUL."""
        if self.kind == "f":
            return b"f %o %d %d %s %s" % (self.mode, self.size, self.mtime, self.sha256.encode(), self.path)
        if self.kind == "d":
            return b"d %o %s" % (self.mode, self.path)
        return b"l %s//%s" % (self.path, self.target)


@dataclass(frozen=True)
class Manifest:
    """The records of a tree, sorted."""

    records: tuple[bytes, ...]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Manifest:
        """From entries in any order."""
        return cls(tuple(sorted(entry.record for entry in entries)))

    @classmethod
    def parse(cls, text: bytes) -> Manifest:
        """From a manifest file."""
        return cls(tuple(text.split(b"\0")[:-1]))

    @cached_property
    def text(self) -> bytes:
        """What is written to files and hashed."""
        return b"".join(record + b"\0" for record in self.records)

    @cached_property
    def digest(self) -> str:
        """The component's digest, hex."""
        return hashlib.sha256(self.text).hexdigest()

    @property
    def files(self) -> int:
        """Number of regular files."""
        return sum(record.startswith(b"f ") for record in self.records)

    @property
    def bytes(self) -> int:
        """Their sizes together."""
        return sum(int(record.split(b" ", 3)[2]) for record in self.records if record.startswith(b"f "))


def path_of(record: bytes) -> bytes:
    """The path that a record speaks of."""
    if record.startswith(b"f "):
        return record.split(b" ", 5)[5]
    if record.startswith(b"d "):
        return record.split(b" ", 2)[2]
    return record[2:].split(b"//", 1)[0]
