"""Watches the branch: what landed becomes changes; which of them concern the application is settled here."""

from __future__ import annotations

from dataclasses import dataclass, field

from leuko.domain.errors import LeukoError
from leuko.runtime.ground import Ground
from leuko.vcs.landings import History
from leuko.vcs.mirror import Mirror

FIRST_LANDINGS = 50
"""Of a repository seen for the first time only the newest are kept: the rest is history."""


@dataclass
class Watcher:
    """`step` looks once. `trouble` is why the last look failed, empty when it did not."""

    ground: Ground
    mirror: Mirror
    history: History
    trouble: str = field(default="")

    async def step(self) -> int:
        """Fetches and stores what is new; returns how many changes that were."""
        try:
            fetched = await self.mirror.fetch()
        except LeukoError as error:
            await self._tell_trouble(str(error))
            return 0
        await self._tell_trouble("")
        store, line = self.ground.store, self.ground.line
        latest = await store.changes.latest(line)
        if latest is not None and latest.revision == fetched.head:
            return 0
        known = latest.revision if latest is not None and await self.history.has(latest.revision) else None
        limit = None if known else FIRST_LANDINGS
        landings = await self.history.landings(known, fetched.head, limit)
        patterns = self.ground.configuration.paths
        concerns = {
            change.revision: await self.history.concerns(change, patterns) if patterns else True
            for change in landings
        }
        now = self.ground.clock.now()
        added = 0
        async with self.ground.write() as tx:
            for change in landings:
                if await store.changes.add(tx, change, concerns=concerns[change.revision], at=now):
                    added += 1
                    facts = {"revision": change.revision, "subject": change.subject, "author": change.author}
                    tx.event("change", change.revision, facts | {"concerns": concerns[change.revision]}, now)
            if fetched.forced:
                facts = {"old": latest.revision if latest else "", "new": fetched.head}
                tx.event("branch.forced", self.ground.configuration.branch, facts, now)
        self.ground.bell.ring()
        return added

    async def _tell_trouble(self, trouble: str) -> None:
        """Once when it begins and once when it ends: not at every look."""
        if trouble == self.trouble:
            return
        self.trouble = trouble
        now = self.ground.clock.now()
        async with self.ground.write() as tx:
            facts = {"source": "repository", "ok": not trouble, "reason": trouble}
            tx.event("source", "repository", facts, now)
