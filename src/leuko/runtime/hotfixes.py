"""Hotfixes: what is live plus one commit. The branch must get it, too, or the next push undoes it."""

from __future__ import annotations

from dataclasses import dataclass, field

from leuko.domain.errors import Refused
from leuko.runtime.ground import Ground
from leuko.vcs.hotfix import cherry_pick, landed
from leuko.vcs.mirror import Mirror

HOTFIX = "hotfix"
"""Kind of the events: subject is the picked revision; the newest tells whether the branch has the commit."""


@dataclass
class Hotfixes:
    """Of one line."""

    ground: Ground
    mirror: Mirror
    _looked: tuple[str, str] = field(default=("", ""))

    async def pick(self, name: str) -> tuple[str, str, str]:
        """The commit of that name, what is live plus it, and a warning while the branch has it not."""
        ground = self.ground
        live = await ground.store.pushes.live(ground.line)
        if live is None:
            raise Refused(
                "nothing is live to put a hotfix on",
                where=str(ground.line),
                way_out="`leuko push --first` pushes a revision as it is",
                code="P004",
            )
        commit = await self.mirror.history.resolve(name)
        revision = await cherry_pick(self.mirror, live.revision, commit)
        subject = (await self.mirror.history.landing(revision)).subject
        done = await landed(self.mirror, revision, commit)
        await self._tell(revision, commit, subject, landed=done)
        return commit, revision, "" if done else warning(commit, ground.configuration.branch)

    async def look(self) -> None:
        """After each look at the branch: tells once when it has what the hotfix that is live brought."""
        store, line = self.ground.store, self.ground.line
        live, newest = await store.pushes.live(line), await store.changes.latest(line)
        if live is None or newest is None or (live.revision, newest.revision) == self._looked:
            return
        told = await store.events.latest(line, kind=HOTFIX, subject=live.revision, limit=1)
        if told and not told[0].data.get("landed"):
            commit = str(told[0].data.get("commit") or live.revision)
            if await landed(self.mirror, live.revision, commit):
                await self._tell(live.revision, commit, str(told[0].data.get("subject", "")), landed=True)
        self._looked = (live.revision, newest.revision)

    async def _tell(self, revision: str, commit: str, subject: str, *, landed: bool) -> None:
        facts = {"revision": revision, "commit": commit, "subject": subject, "landed": landed}
        async with self.ground.write() as tx:
            tx.event(HOTFIX, revision, facts, self.ground.clock.now())


def warning(commit: str, branch: str) -> str:
    """What whoever pushes it is told."""
    return f"{commit[:12]} is not on {branch} yet: until it is, the next push of {branch} takes it away again"
