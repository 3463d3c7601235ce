"""Reads a folder into a manifest, and refuses what a host could not hold safely."""

# ruff: noqa: PTH112, PTH115, PTH118, PTH120, PTH123 - paths are bytes here: a name need not be text

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from leuko.domain.errors import LeukoError
from leuko.domain.patterns import Patterns
from leuko.releases.manifest import FILE_MODE, FOLDER_MODE, PROGRAM_MODE, Entry, Manifest

REVISION_FILE = b"REVISION"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Tree:
    """A folder and what it holds. `revision` is the content of the `REVISION` file put at its top."""

    source: Path
    manifest: Manifest
    entries: tuple[Entry, ...]
    revision: bytes


def build_tree(
    source: Path, *, revision: str, exclude: Sequence[str] = (), linked: Sequence[str] = ()
) -> Tree:
    """Reads every file once. `linked` paths live in `shared/` on the hosts: they are not part of the tree."""
    top = os.fsencode(source)
    if not os.path.isdir(top):
        raise LeukoError(
            "the folder to release does not exist",
            where=str(source),
            way_out="let release.build make it, or set release.path to the folder that holds the application",
            code="R001",
        )
    links = frozenset(_linked_path(path) for path in linked)
    entries = {entry.path: entry for entry in _walk(top, Patterns(exclude), links)}
    for path in links:
        for parent in _parents(path):
            entries.setdefault(parent, Entry(parent, "d", FOLDER_MODE))
    text = revision.encode() + b"\n"
    entries[REVISION_FILE] = Entry(REVISION_FILE, "f", FILE_MODE, len(text), hashlib.sha256(text).hexdigest())
    found = tuple(entries[path] for path in sorted(entries))
    return Tree(source, Manifest.of(found), found, text)


def _walk(top: bytes, exclude: Patterns, linked: frozenset[bytes]) -> Iterator[Entry]:
    waiting = [b""]
    while waiting:
        folder = waiting.pop()
        with os.scandir(os.path.join(top, folder)) as found:
            children = sorted(found, key=lambda child: child.name)
        for child in children:
            path = folder + child.name
            if child.name == b".git" or path in linked or exclude.match(path):
                continue
            entry = _entry(top, path, child)
            if entry.kind == "d":
                waiting.append(path + b"/")
            yield entry


def _entry(top: bytes, path: bytes, child: os.DirEntry[bytes]) -> Entry:
    status = child.stat(follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        return _link(top, path)
    if stat.S_ISDIR(status.st_mode):
        return Entry(path, "d", FOLDER_MODE)
    if stat.S_ISREG(status.st_mode):
        size, digest = _hash(os.path.join(top, path))
        return Entry(path, "f", PROGRAM_MODE if status.st_mode & 0o111 else FILE_MODE, size, digest)
    raise LeukoError(
        f"{_KINDS.get(stat.S_IFMT(status.st_mode), 'something that is not a file')} cannot be released",
        where=shown(path),
        way_out="remove it in the build command, or name it in release.exclude",
        code="R003",
    )


_KINDS = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


def _link(top: bytes, path: bytes) -> Entry:
    target = os.readlink(os.path.join(top, path))
    within = os.path.normpath(os.path.join(os.path.dirname(path), target))
    real = os.path.realpath(os.path.join(top, path))
    home = os.path.realpath(top)
    lexical = not target.startswith(b"/") and within != b".." and not within.startswith(b"../")
    if lexical and (real == home or real.startswith(home.rstrip(b"/") + b"/")):
        return Entry(path, "l", target=target)
    raise LeukoError(
        f"symbolic link points out of the tree, to {shown(target)}: on the hosts it would lead elsewhere",
        where=shown(path),
        way_out="put a copy in its place, name it in release.exclude, or let it live in shared/ by "
        "naming it in release.linked_files or release.linked_dirs",
        code="R002",
    )


def _hash(path: bytes) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with open(path, "rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


def _linked_path(path: str) -> bytes:
    parts = path.strip("/").split("/")
    if not path.strip("/") or any(part in ("", ".", "..", ".git") for part in parts) or "\n" in path:
        raise LeukoError(
            f"linked path {path!r} should be a plain path below the release",
            where="release",
            way_out='write it like "log" or "public/uploads"',
            code="R004",
        )
    return os.fsencode("/".join(parts))


def _parents(path: bytes) -> Iterator[bytes]:
    while b"/" in path:
        path = path.rsplit(b"/", 1)[0]
        yield path


def shown(path: bytes) -> str:
    """A path for people: bytes that are no text are escaped."""
    return path.decode("utf-8", "backslashreplace").replace("\n", "\\n")
