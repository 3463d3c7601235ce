"""What follows when a culprit is known: its revert is prepared, and landed if configured; locks end.

Landing is two saved steps around one push: that it is about to be pushed, and what became of it. A controller
that dies between them finds out from the branch itself, which never gets a second revert of the same change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from leuko.domain import culprit_words as words
from leuko.domain.culprit import Inquiry, Reversal, Suspect
from leuko.domain.errors import LeukoError, Refused
from leuko.domain.intent import Intent
from leuko.domain.lock import Lock
from leuko.runtime.ground import Ground
from leuko.store.changes import ChangeState
from leuko.store.culprits import CulpritSearch
from leuko.store.records import from_json, to_json
from leuko.vcs.mirror import Mirror
from leuko.vcs.reverts import Revert, RevertedError, land, prepare

EVENT = "revert"
DAY = timedelta(hours=24)
YOUNG = timedelta(days=7)
"""A culprit found longer ago is left to people."""
RECENT = 100
BY = "leuko"


@dataclass
class Reverting:
    """Of one line. `step` looks after the culprits found lately; `ask` does what a person asks for."""

    ground: Ground
    mirror: Mirror

    async def step(self) -> None:
        """One look."""
        store, line, now = self.ground.store, self.ground.line, self.ground.clock.now()
        found = [
            one for one in await store.culprits.recent(line, limit=RECENT) if one.culprit and one.ended_at
        ]
        for search in found:
            inquiry = from_json(search.record, Inquiry)
            await self._let_go(inquiry)
            if search.ended_at is not None and now - search.ended_at <= YOUNG:
                for culprit in inquiry.culprits:
                    search, inquiry = await self._look_after(search, inquiry, culprit)  # noqa: PLW2901 - the row as it is now

    # -- locks ------------------------------------------------------------------------------------------

    async def _let_go(self, inquiry: Inquiry) -> None:
        """A later change that is green has mended it, whatever it says of itself."""
        if not inquiry.locks or not inquiry.culprits:
            return
        store, line, now = self.ground.store, self.ground.line, self.ground.clock.now()
        held = [lock for lock in await store.locks.held(line, None, now) if lock.id in inquiry.locks]
        for lock in held:
            later = await store.changes.since(line, lock.blocks[0] if lock.blocks else "")
            green = next((one for one in later if one.state is ChangeState.GREEN), None)
            if green is not None and lock.blocks:
                await self._release(lock, f"{green.revision[:8]}, which came after it, is green", now)

    async def _release(self, lock: Lock, why: str, now: datetime) -> None:
        async with self.ground.write() as tx:
            await self.ground.store.locks.release(tx, lock.id, BY, why, now, forget=True)
            tx.event("unlock", lock.id, {"lock": lock.id, "by": BY, "why": why}, now)
        self.ground.bell.ring()

    # -- reverts ----------------------------------------------------------------------------------------

    async def _look_after(
        self, search: CulpritSearch, inquiry: Inquiry, culprit: Suspect
    ) -> tuple[CulpritSearch, Inquiry]:
        known = inquiry.reversal(culprit.revision)
        if known is None:
            made = await self._prepared(search, inquiry, culprit)
            return await self._keep(search, inquiry, made)
        if known.landed_at is not None or known.trouble:
            return search, inquiry
        begun = known.landing_at is not None
        if not begun and not await self._may_land(inquiry, culprit):
            return search, inquiry
        if not begun and (over := await self._over_the_cap()):
            return await self._keep(search, inquiry, replace(known, trouble=over))
        if not begun:
            about = replace(known, landing_at=self.ground.clock.now(), by=BY, automatic=True)
            search, inquiry = await self._keep(search, inquiry, about)
            known = about
        landed = await self._landed(search, inquiry, culprit, known)
        return await self._keep(search, inquiry, landed)

    async def _may_land(self, inquiry: Inquiry, culprit: Suspect) -> bool:
        """By itself: only if so configured, not where it was mended already, and no revert is reverted."""
        if not self.ground.configuration.reverts.automatic or not inquiry.culprits:
            return False
        later = await self.ground.store.changes.since(self.ground.line, culprit.revision)
        mended = any(one.state is ChangeState.GREEN for one in later)
        return not mended and not culprit.subject.startswith("Revert ")

    async def _over_the_cap(self) -> str:
        searches = await self.ground.store.culprits.recent(self.ground.line, limit=RECENT)
        now, most = self.ground.clock.now(), self.ground.configuration.reverts.a_day
        reversals = [one for search in searches for one in from_json(search.record, Inquiry).reversals]
        lately = sum(
            one.automatic and one.landing_at is not None and now - one.landing_at <= DAY for one in reversals
        )
        if lately < most:
            return ""
        return (
            f"{lately} reverts landed by themselves in the last 24 hours, the most that may: a person decides"
        )

    async def _prepared(self, search: CulpritSearch, inquiry: Inquiry, culprit: Suspect) -> Reversal:
        at = search.ended_at or self.ground.clock.now()
        try:
            revert = await prepare(self.mirror, culprit.revision, at, notes(search, inquiry, culprit))
        except RevertedError as error:
            return Reversal(culprit.revision, landed_at=at, landed_as=error.by, by="somebody")
        except LeukoError as error:
            return Reversal(culprit.revision, trouble=str(error))
        return Reversal(culprit.revision, revert.revision, revert.subject)

    async def _landed(
        self, search: CulpritSearch, inquiry: Inquiry, culprit: Suspect, known: Reversal
    ) -> Reversal:
        now = self.ground.clock.now()
        at = known.landing_at or now
        try:
            revert = await land(self.mirror, culprit.revision, at, notes(search, inquiry, culprit))
        except RevertedError as error:
            return replace(known, landed_at=now, landed_as=error.by)
        except LeukoError as error:
            return replace(known, trouble=str(error))
        return replace(known, revision=revert.revision, landed_at=now, landed_as=revert.revision)

    async def _keep(
        self, search: CulpritSearch, inquiry: Inquiry, reversal: Reversal
    ) -> tuple[CulpritSearch, Inquiry]:
        inquiry, now = inquiry.reversed(reversal), self.ground.clock.now()
        kept = replace(search, revert=reversal.landed_as or reversal.revision, record=to_json(inquiry))
        async with self.ground.write() as tx:
            saved = await self.ground.store.culprits.save(tx, kept)
            tx.event(EVENT, reversal.of, told(search.id, reversal), now)
        self.ground.bell.ring()
        return saved, inquiry

    # -- a person's hand --------------------------------------------------------------------------------

    async def ask(self, intent: Intent) -> Mapping[str, Any]:
        """Prepares the revert of a change, and lands it unless only that was asked for."""
        name = str(intent.arguments.get("revision", ""))
        if not name:
            raise Refused("says no revision to revert", way_out="`leuko revert 1a2b3c4`", code="P060")
        await self.mirror.fetch()
        commit = await self.mirror.history.resolve(name)
        found = await self._search_of(commit)
        said = [f"Asked for by {intent.by}." + (f" {intent.why}" if intent.why else "")]
        if found is not None:
            search, inquiry = found
            culprit = next(one for one in inquiry.culprits if one.revision == commit)
            said += notes(search, inquiry, culprit)
        now = self.ground.clock.now()
        if intent.arguments.get("prepare"):
            revert = await prepare(self.mirror, commit, now, said)
            return await self._shown(revert)
        revert = await land(self.mirror, commit, now, said)
        reversal = Reversal(commit, revert.revision, revert.subject, "", now, now, revert.revision, intent.by)
        if found is not None:
            await self._keep(*found, reversal)
        else:
            async with self.ground.write() as tx:
                tx.event(EVENT, commit, told(None, reversal), now)
        return {**await self._shown(revert), "landed": True}

    async def _search_of(self, commit: str) -> tuple[CulpritSearch, Inquiry] | None:
        for search in await self.ground.store.culprits.recent(self.ground.line, limit=RECENT):
            inquiry = from_json(search.record, Inquiry)
            if any(one.revision == commit for one in inquiry.culprits):
                return search, inquiry
        return None

    async def _shown(self, revert: Revert) -> dict[str, Any]:
        lines = await self.mirror.history.lines_changed(revert.onto, revert.revision)
        return {
            "of": revert.of,
            "revision": revert.revision,
            "onto": revert.onto,
            "subject": revert.subject,
            "files": lines,
            "landed": False,
        }


def notes(search: CulpritSearch, inquiry: Inquiry, culprit: Suspect) -> list[str]:
    """Paragraphs of the message of a revert: why, and which locks it is for."""
    found = [f"{words.warning(inquiry, culprit).partition(';')[0]} (culprit search {search.id})."]
    if inquiry.locks:
        found.append("\n".join(f"Leuko-Fix: {lock}" for lock in inquiry.locks))
    return found


def told(search: int | None, reversal: Reversal) -> dict[str, object]:
    """The event of a revert."""
    to = "landed" if reversal.landed_at else "refused" if reversal.trouble else "prepared"
    to = "landing" if to == "prepared" and reversal.landing_at else to
    return {
        "search": search,
        "to": to,
        "of": reversal.of,
        "revision": reversal.landed_as or reversal.revision,
        "by": reversal.by,
        "automatic": reversal.automatic,
        "reason": reversal.trouble,
    }
