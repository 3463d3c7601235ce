"""What stays of a build when it is over: its counts, what its tests teach for the next, and not too much."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog

from leuko.config.model import Configuration
from leuko.domain.build import Build, BuildState
from leuko.domain.history import Past
from leuko.runtime.ground import Ground
from leuko.runtime.knowing import way_of
from leuko.runtime.recording import Recording, final
from leuko.store.cases import settled
from leuko.store.transaction import Transaction
from leuko.verify.build import BuildOutcome

log = structlog.get_logger(__name__)

SLICE = 2000
"""Tests in a transaction."""
PASSED_KEPT = 50
"""Builds of which every result is kept, and what their tests printed."""
FAILED_KEPT = 1000
"""Builds of which the failed and flaky results are kept. Histories of tests stay for ever."""
COUNTED = (BuildState.PASSED, BuildState.FAILED)


class Remembering:
    """Of one line."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def note(
        self,
        tx: Transaction,
        build: Build,
        outcome: BuildOutcome,
        configuration: Configuration,
        recording: Recording,
    ) -> None:
        """In the transaction that ends the build: what others decide and show by."""
        store, now = self._ground.store, self._ground.clock.now()
        if recording.sheet.rows:
            await store.build_facts.set(tx, build.id, "tests", {"counts": recording.sheet.counts}, now)
        warnings = [*outcome.warnings, *(outcome.verified.warnings if outcome.verified else ())]
        warnings += [warning for warning in recording.warnings if warning not in warnings]
        # what passed only because a test was held back is tested again: it may not be held any more
        held = recording.sheet.counts["quarantined"]
        if outcome.state is BuildState.PASSED and not held:
            await store.build_facts.set(tx, build.id, "verified", {"way": way_of(configuration)}, now)
        if warnings:
            await store.build_facts.set(tx, build.id, "warnings", warnings, now)
        if outcome.tags:
            await store.build_facts.set(tx, build.id, "tags", dict(outcome.tags), now)

    async def keep(self, build: Build, state: BuildState, recording: Recording) -> None:
        """After its end: the histories of its tests. Broken and cancelled builds teach nothing."""
        if state in COUNTED and recording.sheet.rows:
            await self._settle(build, recording)
        await self._expire(build)

    async def _settle(self, build: Build, recording: Recording) -> None:
        ground, now = self._ground, self._ground.clock.now()
        history = await ground.store.cases.history(ground.line)
        pasts: Sequence[Past] = await asyncio.to_thread(
            lambda: list(settled(history, final(recording.sheet.rows), build.id, now))
        )
        for start in range(0, len(pasts), SLICE):
            async with ground.write() as tx:
                await ground.store.cases.settle(tx, pasts[start : start + SLICE])

    async def _expire(self, build: Build) -> None:
        ground = self._ground
        passed, everything = build.id - PASSED_KEPT, build.id - FAILED_KEPT
        if passed <= 0:
            return
        async with ground.write() as tx:
            await ground.store.cases.expire(tx, passed_before=passed, all_before=everything)
            await ground.store.events.expire(tx, "build.tests", f"build {passed}")
        await asyncio.to_thread(_remove, ground.state / "builds", passed)


def _remove(folder: Path, build: int) -> None:
    for place in folder.glob(f"{build}-*/tests.out"):
        place.unlink(missing_ok=True)
