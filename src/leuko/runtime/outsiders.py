"""What another CI says of the builds that wait for its word."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from leuko.domain.build import Build, BuildState
from leuko.domain.outside import Answer, answer
from leuko.runtime.ground import Ground
from leuko.store.changes import ChangeState
from leuko.store.transaction import Transaction

RECENT = 20
"""Builds that are looked at again when another CI changes its mind."""
CARRIED = "carried by"

Create = Callable[[str, str, list[str]], Awaitable[Build]]


class Outsiders:
    """Of one line. Only the installation's own file says whose word counts."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def hear(self, build: Build) -> Answer | None:
        """What the contexts come to; None where none are configured."""
        outside = self._ground.configuration.outside
        if not outside.contexts:
            return None
        statuses = await self._ground.store.statuses.of(self._ground.line, build.revision)
        waited = self._ground.clock.now() - build.since
        silent = waited >= timedelta(seconds=outside.patience)
        silent_for = _said(outside.patience) if silent else ""
        return answer(outside.contexts, statuses, silent_for=silent_for)

    async def reopen(self, create: Create) -> None:
        """Builds that ended red or broken, and of which another CI now says otherwise, are made anew."""
        outside, store, line = self._ground.configuration.outside, self._ground.store, self._ground.line
        if not outside.contexts:
            return
        seen: set[str] = set()
        for build in await store.builds.recent(line, limit=RECENT):
            again = build.state in (BuildState.FAILED, BuildState.BROKEN) and build.revision not in seen
            seen.add(build.revision)
            statuses = await store.statuses.of(line, build.revision) if again else []
            if not any(status.at > build.since for status in statuses):
                continue
            if answer(outside.contexts, statuses).state in (None, build.state):
                continue
            await create(build.revision, build.tree, await store.builds.changes(line, build.id))

    async def carry(self, tx: Transaction, build: Build) -> None:
        """Older builds of which no word was heard are carried by this one, which contains their changes.

        A CI that tests the head of each `git push` never says anything of the commits below it.
        """
        store, line, now = self._ground.store, self._ground.line, self._ground.clock.now()
        if not self._ground.configuration.outside.contexts or build.state is not BuildState.PASSED:
            return
        for older in await store.builds.unfinished(line):
            silent = older.id < build.id and older.state is BuildState.WAITING
            if not silent or await store.statuses.of(line, older.revision):
                continue
            covers = await store.builds.changes(line, older.id)
            told = f"{CARRIED} build {build.id}: nobody said anything of {older.revision[:12]} itself"
            saved = await store.builds.save(tx, older.to(BuildState.CANCELLED, now, told))
            await store.changes.mark(tx, covers, ChangeState.GREEN, build=build.id)
            facts = {"build": saved.id, "to": saved.state.value, "reason": told}
            tx.event("build", f"build {saved.id}", facts, now)


def _said(seconds: float) -> str:
    """A length of time in its largest whole unit."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
