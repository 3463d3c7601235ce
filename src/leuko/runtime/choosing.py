"""What is verified next, and what need not be verified any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leuko.domain.batching import next_batch, superseded
from leuko.domain.build import Build, BuildState
from leuko.domain.errors import LeukoError
from leuko.runtime.ground import Ground
from leuko.store.changes import ChangeState, Landed
from leuko.vcs.mirror import Mirror

SUPERSEDED = "superseded:"
GONE = "gone from the branch:"


@dataclass(frozen=True, slots=True)
class Choice:
    """A revision to verify, and the revisions of the changes that its build covers."""

    revision: str
    tree: str
    covers: tuple[str, ...]


class Choosing:
    """Of one line."""

    def __init__(self, ground: Ground, mirror: Mirror) -> None:
        self._ground = ground
        self._mirror = mirror

    async def next(self) -> Choice | None:
        """The changes that wait, oldest first: alone, or together where many wait."""
        waiting = await self._waiting()
        if not waiting:
            return None
        store, line = self._ground.store, self._ground.line
        first = await store.builds.latest(line) is None
        chosen = waiting
        if not first and not self._ground.configuration.outside.contexts:
            chosen = next_batch(waiting, self._ground.configuration.verify.alone)
        newest = chosen[-1].change
        if len(chosen) < len(waiting) and not await self._landed(newest.revision, waiting[-1].revision):
            chosen = waiting  # the branch was rewritten: what is gone is not verified by itself
            newest = chosen[-1].change
        return Choice(newest.revision, newest.tree, tuple(one.revision for one in chosen))

    async def useless(self, build: Build, done: float) -> str:
        """Why a build that runs should be given up; empty where it should go on."""
        store, line = self._ground.store, self._ground.line
        waiting = await self._waiting()
        if not waiting or await store.build_facts.get(line, build.id, "asked") is not None:
            return ""
        newest = waiting[-1].revision
        if not await self._landed(build.revision, newest):
            return f"{GONE} {newest[:12]} stands there now"
        covers = await store.builds.changes(line, build.id)
        before = await self._given_up(covers)
        if superseded(len(waiting), self._ground.configuration.verify.alone, done, before=before):
            return f"{SUPERSEDED} {len(waiting)} changes wait, and one build of {newest[:12]} covers them all"
        return ""

    async def _waiting(self) -> Sequence[Landed]:
        """Oldest first."""
        found = await self._ground.store.changes.recent(
            self._ground.line, states=(ChangeState.WAITING,), limit=1000
        )
        return found[::-1]

    async def _landed(self, revision: str, newest: str) -> bool:
        try:
            return await self._mirror.history.is_ancestor(revision, newest)
        except LeukoError:
            return True  # git could not be asked: nothing is given up for that

    async def _given_up(self, covers: Sequence[str]) -> bool:
        store, line = self._ground.store, self._ground.line
        for build in await store.builds.covering(line, covers):
            if build.state is BuildState.CANCELLED and build.reason.startswith(SUPERSEDED):
                return True
        return False
