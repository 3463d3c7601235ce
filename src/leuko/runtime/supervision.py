"""Loops made of single steps: a step that fails is told and tried again later, and never stops the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from leuko.cancellation import apart, obey
from leuko.clock import Clock
from leuko.store.errors import Lost

log = structlog.get_logger(__name__)

LONGEST_PAUSE = 30.0
LAG_EVERY = 0.5
LONGEST_LAG = 1.0


@dataclass
class Loop:
    """Calls `step` every `pause` seconds, or as soon as `ear` is set. A failing one slows down to 30 s."""

    name: str
    step: Callable[[], Awaitable[object]]
    pause: float
    clock: Clock
    ear: asyncio.Event | None = None
    failures: int = 0
    last_error: str = ""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if self.ear is not None:
                self.ear.clear()
            await self.once()
            obey()
            await self._wait(min(LONGEST_PAUSE, self.pause * 2.0 ** min(self.failures, 10)))

    async def once(self) -> None:
        """One step; what it raises is logged, for the loop must outlive it."""
        try:
            await apart(self.step())
        except Lost as error:
            log.info("another was faster", loop=self.name, error=str(error))
        except Exception as error:
            self.failures += 1
            self.last_error = f"{type(error).__name__}: {error}"
            log.exception("a step failed", loop=self.name, failures=self.failures)
        else:
            self.failures = 0
            self.last_error = ""

    async def _wait(self, seconds: float) -> None:
        if self.ear is None:
            await self.clock.sleep(seconds)
            return
        try:
            async with asyncio.timeout(seconds):
                await self.ear.wait()
        except TimeoutError:
            return


@dataclass
class LoopLag:
    """How late the event loop is: over a second, and something blocks it that should be in a worker."""

    seconds: float = 0.0
    worst: float = 0.0
    _beats: int = field(default=0)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(LAG_EVERY)
            self.seconds = max(0.0, time.monotonic() - began - LAG_EVERY)
            self.worst = max(self.worst, self.seconds)
            self._beats += 1
            if self.held_up():
                log.warning("the event loop was held up", seconds=round(self.seconds, 2))

    def held_up(self) -> bool:
        """True while nothing new should be begun."""
        return self.seconds > LONGEST_LAG
