"""Takes what is live back to what was live before: restores, locks and pins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from leuko.domain.errors import Refused
from leuko.domain.intent import Intent
from leuko.domain.plan import PlannedHost
from leuko.domain.push import Push, RollBack, State, begin_back
from leuko.domain.rollout import HostProgress, HostState
from leuko.runtime.ground import Ground
from leuko.runtime.planning import Planner
from leuko.runtime.saving import convict, operation_name
from leuko.store.errors import Lost

NEVER_SWITCHED = frozenset({HostState.WAITING, HostState.STAGED, HostState.LEFT_OUT, HostState.RESTORED})


class GoingBack:
    """Of one line."""

    def __init__(self, ground: Ground, planner: Planner) -> None:
        self._ground = ground
        self._planner = planner

    async def __call__(self, wanted: str, intent: Intent, *, at_once: bool) -> Push:
        """A push that starts going back at once; what was live in between is convicted, too."""
        store, line = self._ground.store, self._ground.line
        live = await store.pushes.live(line)
        if live is None:
            raise Refused("nothing is live", where=str(line), way_out="`leuko log`", code="P004")
        passed = await self._lives_since(live, wanted)
        if not passed:
            raise Refused(
                f"no earlier release {wanted or 'that was live and good'} is known",
                where=str(line),
                way_out="`leuko log` lists what was live",
                code="P005",
            )
        target = passed[-1]
        draft = await self._planner.rollback(live, target, intent.by, intent.why)
        now = self._ground.clock.now()
        rows = await self._as_they_stand(live, draft.plan.hosts, now)
        async with self._ground.write() as tx:
            push = await self._planner.keep(tx, draft)
            await store.hosts.save_progress(tx, push.number, rows)
            after = begin_back(push, RollBack(intent.by, intent.why, at_once), now)
            saved = await store.pushes.save(tx, after)
            if not await store.pushes.idle(tx, besides=push.number):
                raise Lost("a push began in the meantime", where=str(line), code="S010")
            # a person who names a release that was convicted once wants it all the same
            await store.releases.mark_good(tx, target.release)
            for between in passed[:-1]:
                await store.releases.convict(tx, between.release, f"rolled back past it by {intent.by}", now)
            await convict(self._ground, tx, saved, draft.plan.commits, now)
            facts = {"push": push.number, "to": saved.state.value, "by": intent.by, "why": intent.why}
            tx.event("push", saved.name, facts, now)
            name = operation_name(saved)
            revision = target.revision
            await store.operations.start(
                tx, name, now, person=intent.by, revision=revision, subject=saved.name
            )
        return saved

    async def _as_they_stand(
        self, live: Push, hosts: Sequence[PlannedHost], now: datetime
    ) -> list[HostProgress]:
        """All that may serve the live release; hosts that it never reached have nothing to go back from."""
        progress = await self._ground.store.hosts.progress(self._ground.line, live.number)
        never = {row.host for row in progress if row.state in NEVER_SWITCHED}
        return [
            HostProgress(host.name, host.role, host.phase, HostState.LEFT_OUT)
            if host.name in never
            else HostProgress(host.name, host.role, host.phase, HostState.SWITCHED, switched_at=now)
            for host in hosts
        ]

    async def _lives_since(self, live: Push, wanted: str) -> list[Push]:
        """Pushes that were LIVE and good before `live`, newest first, up to the one wanted (or the first)."""
        store, line = self._ground.store, self._ground.line
        found: list[Push] = []
        for push in await store.pushes.recent(line, limit=500):
            if push.state is not State.LIVE or push.number >= live.number or push.release == live.release:
                continue
            release = await store.releases.get(line, push.release)
            if release is None or (release.convicted and not wanted):
                continue
            found.append(push)
            if not wanted or wanted == push.release or push.revision.startswith(wanted):
                return found
        return []
