"""Follows the files of a checkout, and runs what a change touches."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from watchfiles import DefaultFilter, awatch

from leuko.cancellation import end
from leuko.domain.errors import LeukoError
from leuko.runtests.checkout import Checkout
from leuko.runtests.choice import choose
from leuko.runtests.imports import Imports
from leuko.runtests.session import Session
from leuko.verify.finding import listed

SETTLE_MS = 200
"""Editors and git write several files at once: they count as one change."""
SETTINGS = "leuko.yml"


class Watching:
    """Of one session; `turn` is what its switch calls."""

    def __init__(self, session: Session, checkout: Checkout) -> None:
        self._session = session
        self._checkout = checkout
        self._imports = Imports(checkout.place)
        self._task: asyncio.Task[None] | None = None

    def turn(self, on: bool) -> None:
        """Begins or ends watching; what runs goes on."""
        if on and self._task is None:
            self._task = asyncio.create_task(self._follow(), name="watching files")
        elif not on and self._task is not None:
            self._task.cancel()
            self._task = None

    async def close(self) -> None:
        """Ends it; twice is fine."""
        task, self._task = self._task, None
        if task is not None:
            await end(task)

    async def _follow(self) -> None:
        await self._learn()
        async for changes in awatch(
            self._checkout.place, watch_filter=DefaultFilter(), step=50, debounce=SETTLE_MS, recursive=True
        ):
            changed = [_relative(self._checkout.place, path) for _, path in changes]
            try:
                await self._react([path for path in changed if path])
            except (LeukoError, OSError) as error:
                self._session.tell(f"A change could not be followed: {error}")

    async def _learn(self) -> None:
        """Reads what imports what, so that the first change is answered as fast as the others."""
        paths = await listed(self._checkout.place)
        await asyncio.to_thread(self._imports.importers, (), paths or ())

    async def _react(self, changed: Collection[str]) -> None:
        paths = await listed(self._checkout.place)
        known = set(paths) if paths is not None else set(changed)
        tests = {file for files in self._checkout.found.files.values() for file in files}
        wanted = [path for path in changed if path in known or path in tests]
        if not wanted:
            return  # ignored by git: what tests and tools write
        found = await self._checkout.look()
        self._session.changed()
        if SETTINGS in wanted:
            self._session.tell(f"{SETTINGS} changed: start `leuko runtests` again to use it.")
        tests = {file for files in found.files.values() for file in files}
        importers = await asyncio.to_thread(self._imports.importers, wanted, known)
        choice = choose([path for path in wanted if path != SETTINGS], tests, importers)
        rows = [
            row
            for suite, files in found.files.items()
            for file in files
            if file in choice.files
            for row in self._session.board.in_file(suite, file)
        ]
        if not rows:
            if choice.why:
                self._session.tell(choice.why)
            return
        await self._session.ended()
        with suppress(LeukoError):  # a person was faster
            self._session.run(rows, choice.why)


def _relative(top: Path, path: str) -> str:
    """From the top of the checkout, with slashes; empty for what lies elsewhere."""
    found = os.path.relpath(path, top)
    return "" if found.startswith("..") else found.replace(os.sep, "/")
