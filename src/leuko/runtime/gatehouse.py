"""The commit lock at the git server: the lock file that its hook goes by, and what came in by override."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from leuko.runtime.ground import Ground
from leuko.vcs.hook import LOCK_FILE, poked_at, read_overrides, write_lock_file

REWRITE_SECONDS = 60.0
"""The hook does not believe a file older than ten minutes."""


def lock_file_of(repository: str) -> Path | None:
    """Beside the repository where it is a folder of this machine; None elsewhere: no hook can be served."""
    path = Path(repository.removeprefix("file://"))
    return path / LOCK_FILE if path.is_dir() else None


@dataclass
class Gatehouse:
    """Writes at every change of the locks and once a minute; tells each override once."""

    ground: Ground
    file: Path | None
    _written: tuple[object, ...] = ()
    _written_at: float = 0.0
    _read_to: int | None = None
    _poke: int = 0

    async def step(self) -> None:
        """One look at locks and overrides."""
        if self.file is None:
            return
        ground = self.ground
        now = ground.clock.now()
        held = await ground.store.locks.held(ground.line, None, now)
        state = tuple((lock.id, lock.severity, lock.reason) for lock in held)
        if state != self._written or now.timestamp() - self._written_at > REWRITE_SECONDS:
            branch, override = ground.configuration.branch, ground.configuration.locks.override
            await asyncio.to_thread(write_lock_file, self.file, held, now, branch=branch, override=override)
            self._written, self._written_at = state, now.timestamp()
        await self._overrides()

    def poked(self) -> bool:
        """True once after each push that the git server took in."""
        if self.file is None:
            return False
        stamp = poked_at(self.file)
        fresh, self._poke = stamp != self._poke, stamp
        return fresh

    async def _overrides(self) -> None:
        assert self.file is not None
        if self._read_to is None:
            told = await self.ground.store.events.latest(self.ground.line, kind="override", limit=1)
            self._read_to = int(told[0].data.get("next", 0)) if told else 0
        found = await asyncio.to_thread(read_overrides, self.file, self._read_to)
        if not found.entries:
            return
        now = self.ground.clock.now()
        async with self.ground.write() as tx:
            for entry in found.entries:
                facts: dict[str, object] = {"by": entry.identity, "reason": entry.reason}
                facts |= {"locks": list(entry.locks), "old": entry.old, "new": entry.new, "next": found.next}
                tx.event("override", entry.new, facts, now)
        self._read_to = found.next
