"""Finds which change broke a red build: small builds of the revisions between, several at once.

A search is a row, saved with compare-and-set before and after each run; a restart reads it and goes on. What
its end brings (the changes before the culprit go on, a build that no change is to blame for is made again,
the lock) is saved with the answer, in one transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from leuko.cancellation import end
from leuko.domain import culprit_words as words
from leuko.domain.build import Build, BuildState
from leuko.domain.culprit import Inquiry, Probe, ProbeState, Suspect
from leuko.domain.errors import LeukoError
from leuko.domain.lock import Lock, LockKind, Severity
from leuko.runtime.ground import Ground
from leuko.runtime.probing import Prober, Seen
from leuko.runtime.suspects import Scope, failed_in, inquire, scope_of
from leuko.statistics.inquiry import assess
from leuko.store.changes import ChangeState
from leuko.store.culprits import CulpritSearch
from leuko.store.records import from_json, to_json
from leuko.store.transaction import Transaction
from leuko.vcs.mirror import Mirror

log = structlog.get_logger(__name__)

EVENT = "culprit"
KIND = "tests"
OPEN, ENDED, INHERITED = "open", "ended", "inherited"
OLD = timedelta(hours=24)
"""A build that ended longer ago is not looked into any more."""
RECENT = 20
AGAIN = 2
"""A revision whose failures were flakes is verified again so often at most."""


@dataclass
class Culprits:
    """Of one line. `step` begins a search where a build failed, and sees one through."""

    ground: Ground
    mirror: Mirror
    prober: Prober

    async def step(self) -> bool:
        """True where there was something to do."""
        if not self.ground.configuration.culprits.search:
            return False
        begun = await self.begin()
        found = await self.ground.store.culprits.open(self.ground.line)
        mine = [one for one in found if one.kind == KIND]
        if mine:
            await self.see_through(mine[-1])  # the oldest first
        return begun or bool(mine)

    # -- beginning --------------------------------------------------------------------------------------

    async def begin(self) -> bool:
        """A search for each build that failed and has none, oldest first."""
        store, line, now = self.ground.store, self.ground.line, self.ground.clock.now()
        begun = False
        for build in reversed(await store.builds.recent(line, limit=RECENT)):
            failed = build.state is BuildState.FAILED and now - build.since <= OLD
            if failed and not await store.culprits.of_build(line, build.id):
                begun = await self._begin(build) or begun
        return begun

    async def _begin(self, build: Build) -> bool:
        store, line = self.ground.store, self.ground.line
        scope = await scope_of(store, line, build)
        subjects = await failed_in(store, line, build.id)
        if scope.waits or not scope.suspects or not subjects:
            return False
        good = scope.suspects[0].change.parent
        before = await self._before(scope)
        new = [one for one in subjects if one.title not in before]
        if not new:
            return await self._inherit(build, scope)
        if good is None or not await self.mirror.history.has(good):
            return False
        changes = [one.change for one in scope.suspects]
        inquiry = await inquire(self.mirror.history, good, changes, new)
        now = self.ground.clock.now()
        async with self.ground.write() as tx:
            made = CulpritSearch(0, KIND, OPEN, now, build.id, record=to_json(inquiry))
            made = await store.culprits.create(tx, made)
            self._tell(tx, made, inquiry, "begun", words.progress(inquiry))
        self.ground.bell.ring()
        return True

    async def _before(self, scope: Scope) -> set[str]:
        """What failed already in the change before them: they only contain it."""
        if scope.before is None or scope.before.state is not ChangeState.RED or not scope.before.build:
            return set()
        failed = await failed_in(self.ground.store, self.ground.line, scope.before.build)
        return {one.title for one in failed}

    async def _inherit(self, build: Build, scope: Scope) -> bool:
        """Nothing new failed: these changes are red because of an earlier one, and the answer says so."""
        assert scope.before is not None
        store, now = self.ground.store, self.ground.clock.now()
        earlier = await store.culprits.of_build(self.ground.line, scope.before.build or 0)
        if earlier and earlier[0].ended_at is None:
            return False  # it is still being looked for
        known = earlier[0] if earlier else None
        culprit = known.culprit if known is not None else ""
        said = known.sentence if known is not None else f"{scope.before.revision[:8]} was red already."
        inquiry = Inquiry(scope.before.revision, tuple(Suspect(one.revision) for one in scope.suspects), ())
        async with self.ground.write() as tx:
            made = CulpritSearch(
                0, KIND, INHERITED, now, build.id, culprit, now, f"Nothing new failed. {said}",
                record=to_json(inquiry),
            )  # fmt: skip
            made = await store.culprits.create(tx, made)
            self._tell(tx, made, inquiry, INHERITED, made.sentence)
        self.ground.bell.ring()
        return True

    # -- searching --------------------------------------------------------------------------------------

    async def see_through(self, search: CulpritSearch) -> CulpritSearch:
        """Rounds of runs until there is an answer. Cancelled, it ends what runs; the row tells the rest."""
        inquiry = from_json(search.record, Inquiry).cut()
        section = self.ground.configuration.culprits
        workers = section.workers or self.ground.configuration.verify.workers
        while True:
            inquiry, versions = assess(inquiry, workers, most_runs=section.runs)
            if not versions:
                return await self._end(search, inquiry)
            before = len(inquiry.probes)
            inquiry = inquiry.began(versions, self.ground.clock.now())
            search = await self._save(search, inquiry)
            search, inquiry = await self._round(search, inquiry, inquiry.probes[before:])

    async def _round(
        self, search: CulpritSearch, inquiry: Inquiry, probes: Sequence[Probe]
    ) -> tuple[CulpritSearch, Inquiry]:
        tasks = [asyncio.create_task(self._probe(search.id, inquiry, probe)) for probe in probes]
        try:
            for task in asyncio.as_completed(tasks):
                inquiry = inquiry.ended(await task)
                search = await self._save(search, inquiry)
        finally:
            for one in tasks:
                await end(one)
        return search, inquiry

    async def _probe(self, search: int, inquiry: Inquiry, probe: Probe) -> Probe:
        revision = inquiry.revision(probe.version)
        try:
            seen = await self.prober.probe(f"culprit-{search}-{probe.number}", revision, inquiry.open)
        except LeukoError as error:
            seen = Seen(reason=str(error))
        except Exception as error:
            log.exception("a run of a search failed", search=search, revision=revision)
            seen = Seen(reason=f"{type(error).__name__}: {error}")
        state = ProbeState.DONE if seen.told else ProbeState.NOTHING
        return replace(
            probe, state=state, failed=seen.failed, passed=seen.passed, seconds=seen.seconds,
            reason=seen.reason[:300],
        )  # fmt: skip

    async def _save(self, search: CulpritSearch, inquiry: Inquiry) -> CulpritSearch:
        async with self.ground.write() as tx:
            saved = await self.ground.store.culprits.save(tx, replace(search, record=to_json(inquiry)))
            facts = {"search": saved.id, "runs": len(inquiry.probes), "reason": words.progress(inquiry)}
            tx.event(f"{EVENT}.run", f"culprit search {saved.id}", facts, self.ground.clock.now())
        self.ground.bell.ring()
        return saved

    # -- the answer -------------------------------------------------------------------------------------

    async def _end(self, search: CulpritSearch, inquiry: Inquiry) -> CulpritSearch:
        """Saves the answer and what follows from it, together."""
        store, now = self.ground.store, self.ground.clock.now()
        sentence = words.answer(inquiry)
        culprits = inquiry.culprits
        free = await self._free(inquiry)
        again = await self._worth_again(search, inquiry)
        healthy = await self._green_since(inquiry)
        covers = free or (tuple(one.revision for one in inquiry.suspects) if again else ())
        tree = await self.mirror.history.tree_of(covers[-1]) if covers else ""
        async with self.ground.write() as tx:
            if culprits and not healthy:
                inquiry = await self._lock(tx, search, inquiry, culprits)
            ended = replace(
                search, state=ENDED, culprit=culprits[0].revision if culprits else "", ended_at=now,
                sentence=sentence, record=to_json(inquiry),
            )  # fmt: skip
            saved = await store.culprits.save(tx, ended)
            self._tell(tx, saved, inquiry, "found" if culprits else "ended", sentence)
            if covers:
                why = "a flake" if again else "that it is not to blame"
                await self._verify(tx, covers, tree, f"search {saved.id} found {why}")
        self.ground.bell.ring()
        return saved

    async def _free(self, inquiry: Inquiry) -> tuple[str, ...]:
        """Changes before the first culprit that nothing is held against: they are verified by themselves."""
        if not inquiry.culprits or any(one.answer != "culprit" for one in inquiry.subjects):
            return ()
        first = min(version for one in inquiry.subjects for version in one.culprits)
        names = [one.revision for one in inquiry.suspects[: first - 1]]
        free = []
        for name in names:
            landed = await self.ground.store.changes.get(self.ground.line, name)
            if landed is not None and landed.state in (ChangeState.RED, ChangeState.BROKEN):
                free.append(name)
        return tuple(free) if names and names[-1] in free else ()

    async def _worth_again(self, search: CulpritSearch, inquiry: Inquiry) -> bool:
        """Where all was a flake the build is made again, but not for ever."""
        if any(one.answer != "flake" for one in inquiry.subjects) or not inquiry.subjects:
            return False
        store, line = self.ground.store, self.ground.line
        head = inquiry.revision(inquiry.last)
        landed = await store.changes.get(line, head)
        if landed is None or landed.build != search.build:
            return False  # another build has said something since
        builds = [one for one in await store.builds.recent(line, limit=100) if one.revision == head]
        return sum(one.state is BuildState.FAILED for one in builds) <= AGAIN

    async def _green_since(self, inquiry: Inquiry) -> bool:
        """True where a change after the culprit is green already: it was mended while we looked."""
        if not inquiry.culprits:
            return False
        later = await self.ground.store.changes.since(self.ground.line, inquiry.culprits[0].revision)
        return any(one.state is ChangeState.GREEN for one in later)

    async def _lock(
        self, tx: Transaction, search: CulpritSearch, inquiry: Inquiry, culprits: Sequence[Suspect]
    ) -> Inquiry:
        how, now = self.ground.configuration.culprits.lock, self.ground.clock.now()
        if how == "off":
            return inquiry
        expire = self.ground.configuration.locks.expire
        ids = []
        for culprit in culprits:
            reason = f"{words.warning(inquiry, culprit)} (search {search.id})"
            lock = await self.ground.store.locks.take(
                tx,
                Lock(
                    "", LockKind.COMMIT, Severity(how), "leuko", reason, now,
                    now + timedelta(seconds=expire) if expire else None, blocks=(culprit.revision,),
                ),
            )  # fmt: skip
            facts = {"lock": lock.id, "kind": lock.kind, "severity": lock.severity}
            tx.event("lock", lock.id, facts | {"owner": lock.owner, "reason": reason}, now)
            ids.append(lock.id)
        return replace(inquiry, locks=tuple(ids))

    async def _verify(self, tx: Transaction, covers: Sequence[str], tree: str, why: str) -> None:
        """A build of the last of these changes, covering all of them."""
        store, now = self.ground.store, self.ground.clock.now()
        revision = covers[-1]
        build = await store.builds.create(tx, revision, tree, covers, now)
        await store.changes.mark(tx, covers, ChangeState.VERIFYING, build=build.id)
        # what waits contains the culprit: a build of all together would say nothing about these
        await store.build_facts.set(tx, build.id, "asked", {"by": "leuko", "why": why}, now)
        facts = {"build": build.id, "to": "waiting", "revision": revision, "reason": why}
        tx.event("build", f"build {build.id}", facts, now)

    def _tell(self, tx: Transaction, search: CulpritSearch, inquiry: Inquiry, to: str, sentence: str) -> None:
        culprits = [
            {"revision": one.revision, "subject": one.subject, "author": one.author, "email": one.email}
            for one in inquiry.culprits
        ]
        facts = {
            "search": search.id,
            "build": search.build,
            "to": to,
            "reason": sentence,
            "culprits": culprits,
        }
        tx.event(EVENT, f"culprit search {search.id}", facts, self.ground.clock.now())
