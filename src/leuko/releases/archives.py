"""Archives of releases in the state directory, named by content and written all or not at all."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Callable, Collection, Iterable
from itertools import count
from pathlib import Path

from leuko.config.model import Release as ReleaseOptions
from leuko.domain.errors import LeukoError
from leuko.domain.payload import Payload
from leuko.domain.release import Component
from leuko.releases.manifest import Manifest
from leuko.releases.packing import pack_delta, pack_full
from leuko.releases.tree import build_tree

_TEMPORARY = ".new-"


class Archives:
    """`<folder>/<digest>/` holds `manifest`, `full.tar.gz`, and a `from-<digest>.tar.gz` a delta."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self._turns: dict[Path, asyncio.Lock] = {}
        self._under_way: set[str] = set()

    async def build(
        self, source: Path, options: ReleaseOptions, revision: str, *, component: str = "app"
    ) -> Component:
        """Archives `source/<release.path>`; a tree that is archived already is only read."""
        return await asyncio.to_thread(self._build, source, options, revision, component)

    async def payload(self, component: Component, target: str, bases: Iterable[str] = ()) -> Payload:
        """The files that bring `target` to hosts that have `bases` (release names), or nothing of it.

        A base without an archive here (adopted, expired) gets no delta: the full archive serves.
        """
        home = self.path(component.digest)
        await asyncio.to_thread(self._must_exist, home, target)
        deltas = {}
        for base in sorted(set(bases) - {target}):
            digest = self._digest_of(base)
            if digest is not None and digest != component.digest:
                deltas[base] = str(await self._delta(digest, component.digest))
        return Payload(component.name, target, str(home / "manifest"), str(home / "full.tar.gz"), deltas)

    async def size(self, component: Component, target: str, base: str = "") -> int:
        """Bytes that a host which has `base` (or nothing) is going to be sent."""
        payload = await self.payload(component, target, [base] if base else [])
        return Path(payload.deltas.get(base, payload.full)).stat().st_size

    async def expire(self, keep: Collection[str]) -> list[str]:
        """Removes archives and deltas whose digests are not in `keep`, and half-written ones."""
        return await asyncio.to_thread(self._expire, frozenset(keep))

    def path(self, digest: str) -> Path:
        """Where a digest's archive is."""
        return self._folder / digest

    def _build(self, source: Path, options: ReleaseOptions, revision: str, component: str) -> Component:
        tree = build_tree(
            _inside(source, options.path),
            revision=revision,
            exclude=options.exclude,
            linked=(*options.linked_dirs, *options.linked_files),
        )
        digest = tree.manifest.digest
        if not (self.path(digest) / "manifest").exists():

            def write(folder: Path) -> None:
                pack_full(tree, folder / "full.tar.gz")
                (folder / "manifest").write_bytes(tree.manifest.text)

            self._publish_folder(digest, write)
        return Component(component, digest, tree.manifest.bytes, tree.manifest.files)

    def _publish_folder(self, digest: str, write: Callable[[Path], None]) -> None:
        temporary = self._folder / self._temporary_name()
        try:
            temporary.mkdir(parents=True)
            write(temporary)
            for file in temporary.iterdir():
                _sync(file)
            _sync(temporary)
            try:
                temporary.rename(self.path(digest))
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            _sync(self._folder)
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            self._under_way.discard(temporary.name)

    async def _delta(self, before: str, after: str) -> Path:
        path = self.path(after) / f"from-{before}.tar.gz"
        async with self._turns.setdefault(path, asyncio.Lock()):
            if not path.exists():
                await asyncio.to_thread(self._make_delta, before, after, path)
        return path

    def _make_delta(self, before: str, after: str, path: Path) -> None:
        temporary = path.with_name(self._temporary_name())
        try:
            pack_delta(
                self.path(after) / "full.tar.gz", self._manifest(before), self._manifest(after), temporary
            )
            _sync(temporary)
            temporary.rename(path)
            _sync(path.parent)
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            temporary.unlink(missing_ok=True)
            self._under_way.discard(temporary.name)

    def _manifest(self, digest: str) -> Manifest:
        return Manifest.parse((self.path(digest) / "manifest").read_bytes())

    def _digest_of(self, name: str) -> str | None:
        """A release's name holds the first 8 digits of its digest; two that share them get no delta."""
        short = name.rpartition("-")[2]
        found = [path.name for path in self._folder.glob(f"{short}*") if (path / "manifest").exists()]
        return found[0] if len(short) == 8 and len(found) == 1 else None

    def _must_exist(self, home: Path, target: str) -> None:
        if not (home / "manifest").exists() or not (home / "full.tar.gz").exists():
            raise LeukoError(
                f"the archive of release {target} is gone",
                where=str(home),
                way_out=f"build {target.partition('-')[0]} again: push its revision",
                code="R006",
            )

    def _expire(self, keep: frozenset[str]) -> list[str]:
        gone = []
        for path in sorted(self._folder.glob("*")) + sorted(self._folder.glob(_TEMPORARY + "*")):
            if path.name.startswith(_TEMPORARY):
                if path.name not in self._under_way:
                    shutil.rmtree(path, ignore_errors=True)
            elif path.name not in keep:
                # renamed first: what is half removed must not look like an archive
                doomed = self._folder / self._temporary_name()
                path.rename(doomed)
                shutil.rmtree(doomed)
                self._under_way.discard(doomed.name)
                gone.append(path.name)
            else:
                self._expire_deltas(path, keep)
        return gone

    def _expire_deltas(self, home: Path, keep: frozenset[str]) -> None:
        for path in home.glob("from-*.tar.gz"):
            if path.name.removeprefix("from-").removesuffix(".tar.gz") not in keep:
                path.unlink()
        for path in home.glob(_TEMPORARY + "*"):
            if path.name not in self._under_way:
                path.unlink()

    def _temporary_name(self) -> str:
        name = f"{_TEMPORARY}{os.getpid()}-{next(self._numbers)}"
        self._under_way.add(name)
        return name

    def _unwritable(self, error: OSError) -> LeukoError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return LeukoError(
            "no space is left for the release's archive" if full else f"cannot archive: {error.strerror}",
            where=str(error.filename or self._folder),
            way_out="make room on this disk and try again; nothing half was kept"
            if full
            else "give this user the right to read the folder and to write the state directory",
            code="R007" if full else "R008",
        )


def _inside(source: Path, path: str) -> Path:
    folder = (source / path).resolve()
    if not folder.is_relative_to(source.resolve()):
        raise LeukoError(
            f"release.path {path!r} leads out of the checkout",
            where="release.path",
            way_out="name a folder inside the checkout",
            code="R009",
        )
    return folder


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
