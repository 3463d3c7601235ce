"""What the master tells by itself. It saves asking; what it forgets to tell is found by asking."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from leuko.cancellation import obey
from leuko.verify.buildbot.master import FarmError, Master

log = structlog.get_logger(__name__)

PATHS = ("logs/*/append", "builds/*/*", "workers/*/*")
SILENCE = 45.0
"""Seconds without any message after which a stream is opened anew: batches that run beat every 5 s."""
LONGEST_PAUSE = 15.0
Heard = Callable[[list[str], dict[str, Any]], None]


class Notices:
    """Listens until closed. `heard` gets key and message; `began` is called when listening (again) works."""

    def __init__(self, master: Master, heard: Heard, began: Callable[[], None]) -> None:
        self._master = master
        self._heard = heard
        self._began = began
        self._open: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def live(self) -> bool:
        """True while every stream is open: then asking now and then is enough."""
        return len(self._open) == len(PATHS)

    def start(self) -> None:
        """Begins to listen; twice is fine."""
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name="listen to the farm")

    async def close(self) -> None:
        """Ends it; twice is fine."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _listen(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for path in PATHS:
                tasks.create_task(self._one(path))

    async def _one(self, path: str) -> None:
        failures = 0
        while True:
            obey()
            try:
                async with self._master.listening(path, SILENCE) as messages:
                    async for message in messages:
                        failures = 0
                        self._take(path, message)
            except FarmError as error:
                log.debug("listening to the farm ended", path=path, error=error.rule)
            finally:
                self._open.discard(path)
            failures += 1
            # a stream that was merely silent is opened again at once
            await asyncio.sleep(
                min(LONGEST_PAUSE, 0.25 * 2 ** min(failures - 1, 6)) if failures > 1 else 0.05
            )

    def _take(self, path: str, message: dict[str, Any]) -> None:
        if not message:
            self._open.add(path)
            if self.live:
                self._began()
            return
        key, facts = message.get("key"), message.get("message")
        if isinstance(key, list) and isinstance(facts, dict):
            self._heard([str(part) for part in key], facts)
