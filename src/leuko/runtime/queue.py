"""The queue of pushes: at most one runs and one waits; a newer release takes the waiting one's place."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from leuko.domain.errors import LeukoError, Refused
from leuko.domain.lock import blocked, lifted_by
from leuko.domain.plan import Plan
from leuko.domain.push import Admitted, Cause, NotAdmitted, Origin, Push, Superseded, advance
from leuko.domain.release import Release
from leuko.runtime.admission import Overrides, admit
from leuko.runtime.ground import Ground
from leuko.runtime.planning import Draft, Planner, stored_plan
from leuko.runtime.questions import judged_by
from leuko.runtime.saving import addresses_of, background, save
from leuko.store.errors import Lost, StoreError

KEPT = 20
"""Sentences remembered, so that none is told twice in a row."""
NO_BASE = (
    "nothing is live yet, so there is nothing to go back to, and continuous delivery waits for a person: "
    "`leuko push --first` pushes without a way back, `leuko adopt` takes over what runs"
)


class Queue:
    """Makes pushes and decides when the waiting one may start."""

    def __init__(self, ground: Ground, planner: Planner) -> None:
        self._ground = ground
        self._planner = planner
        self._told: dict[str, str] = {}
        self._looked: tuple[str, ...] = ()
        self._turn = asyncio.Lock()

    async def propose(
        self,
        release: Release,
        origin: Origin,
        by: str,
        why: str = "",
        *,
        first: bool = False,
        overrides: Overrides | None = None,
    ) -> Push:
        """Puts a push of `release` into the queue. Raises Refused where it may never start."""
        overrides = overrides or Overrides()
        async with self._turn:  # two at once would both find the queue empty, and one would be forgotten
            draft = await self._planner.draft(release, origin, by, why, first=first)
            if not overrides.blocks:
                await self._refuse_blocked(draft)
            push = await self._enqueue(with_overrides(draft, overrides, by))
        self._ground.bell.ring()
        return push

    async def continuous(self, release: Release) -> Push | None:
        """What continuous delivery does with the newest green release: nothing twice, nothing blocked."""
        ground = self._ground
        if not ground.configuration.continuous or await self._went(release):
            return None
        base = await self._planner.base()
        if base is None:
            await self._tell("waits", release.revision, NO_BASE)
            return None  # the first push of all is a person's decision
        if base.revision == release.revision:
            return None  # what runs need not come again
        blocking = await ground.store.locks.blocking(ground.line)
        looked = (release.name, base.release, *(lock.id for lock in blocking))
        if looked == self._looked:
            return None  # nothing that it was refused for has changed
        try:
            push = await self.propose(release, Origin.CONTINUOUS, "leuko")
        except (Lost, StoreError):
            raise
        except LeukoError as error:
            await self._tell("blocked", release.revision, str(error))
            push = None
        self._looked = looked
        return push

    async def _went(self, release: Release) -> bool:
        """True where it had its turn. One that was refused at its start may: blocks are forgotten."""
        pushes = await self._ground.store.pushes.of_release(self._ground.line, release.name)
        return any(push.stop is None or push.stop.cause is not Cause.REFUSED for push in pushes)

    async def admission(self, push: Push) -> Admitted | NotAdmitted | None:
        """May the waiting push start now? Also looks after what changed since it was asked for."""
        ground = self._ground
        now = ground.clock.now()
        plan = await stored_plan(ground, push.number)
        overrides = overrides_of_plan(push, plan)
        base = await self._planner.base()
        if (base.release if base else None) != push.base:
            return await self._base_moved(push, base, overrides)
        answer = admit(
            push,
            plan.commits,
            await ground.store.locks.held(ground.line, None, now),
            await ground.store.locks.blocking(ground.line),
            ground.configuration.push.windows,
            now,
            overrides,
        )
        if answer.refused:
            return NotAdmitted(answer.refused)
        waits = answer.waits or self._wants_approver(push, plan.differences, overrides)
        waits = waits or await self._broken_already(push, plan, overrides)
        waits = waits or await self._sees_nothing_yet(push, plan, overrides)
        waits = waits or await self._shared(push, plan)
        if waits:
            await self._tell("waits", push.name, waits)
            return None
        self._told.pop(push.name, None)
        return Admitted()

    def _wants_approver(self, push: Push, differences: tuple[str, ...], overrides: Overrides) -> str:
        if not self._ground.configuration.push.approver or not differences or overrides.approved:
            return ""
        return f"{push.name} changes {differences[0]}: a person must let it start (`leuko push --approve`)"

    async def _shared(self, push: Push, plan: Plan) -> str:
        """A push of another line that is under way on the same machines."""
        if push.origin is Origin.ROLLBACK:
            return ""
        ground = self._ground
        found = await ground.store.neighbours.of(ground.line, addresses_of(ground, plan))
        return found.sentence if found is not None else ""

    async def _broken_already(self, push: Push, plan: Plan, overrides: Overrides) -> str:
        """A limit that is broken before the push: it would be blamed for what was there, or hide its own."""
        ground = self._ground
        if overrides.limits or overrides.observe or await self._mends(push, plan):
            return ""
        configuration = await judged_by(ground.store, ground.line, push)
        broken = await self._planner.foresight.broken(plan, configuration)
        if not broken:
            return ""
        more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
        way = f"`leuko push {push.revision[:12]} --override-limits WHY` starts it all the same"
        return f"{broken[0]} already{more}, before anything was pushed; {way}"

    async def _sees_nothing_yet(self, push: Push, plan: Plan, overrides: Overrides) -> str:
        """Just after the first push of all nothing could be compared: a minute later it can."""
        if overrides.observe or push.rules.drill or await self._mends(push, plan):
            return ""
        configuration = await judged_by(self._ground.store, self._ground.line, push)
        latest = await self._planner.foresight.too_young(plan, configuration, push)
        if latest is None:
            return ""
        return (
            "there is too little history yet for its watch to show anything; it starts as soon as there is "
            f"enough, at {latest:%H:%M:%S} UTC at the latest (`leuko push --observe` does not wait)"
        )

    async def _mends(self, push: Push, plan: Plan) -> bool:
        """What mends must not wait: hotfixes, what goes back, and fixes of what a lock is about."""
        if push.origin in (Origin.HOTFIX, Origin.ROLLBACK) or push.base is None:
            return True
        ground = self._ground
        return bool(
            lifted_by(plan.commits, await ground.store.locks.held(ground.line, None, ground.clock.now()))
        )

    async def _base_moved(self, push: Push, base: Push | None, overrides: Overrides) -> NotAdmitted | None:
        """An earlier push became LIVE or was convicted since it was asked for: it is made anew, or ends.

        The new one has the base of now, so that this does not go on for ever.
        """
        if push.rules.drill:
            return NotAdmitted("another release became live: `leuko drill` asks for one again")
        if base is None:
            return NotAdmitted(
                f"its base {push.base} was convicted, and nothing else that was live is good: "
                "`leuko push --first` goes without a way back"
            )
        if base.release == push.release:
            return NotAdmitted(f"{push.release} is live already: `leuko push REVISION` pushes it once more")
        release = await self._ground.store.releases.get(self._ground.line, push.release)
        if release is None:
            return NotAdmitted(
                f"{push.release} is not kept any more: `leuko push {push.revision[:12]}` builds it again"
            )
        try:
            await self.propose(release, push.origin, push.by, push.why, overrides=overrides)
        except (Lost, StoreError):
            raise
        except LeukoError as error:
            return NotAdmitted(str(error))
        return None

    async def _refuse_blocked(self, draft: Draft) -> None:
        found = blocked(draft.plan.commits, await self._ground.store.locks.blocking(self._ground.line))
        if found is not None:
            raise Refused(
                f"{draft.push.revision[:12]} {found.sentence}",
                where=str(self._ground.line),
                way_out="`leuko push --override 'why'` pushes it all the same",
                code="P011",
            )

    async def _enqueue(self, draft: Draft) -> Push:
        ground = self._ground
        waiting = await ground.store.pushes.pending(ground.line)
        known = await background(ground, waiting) if waiting else None
        now = ground.clock.now()
        async with ground.write() as tx:
            push = await self._planner.keep(tx, draft)
            if waiting is not None and known is not None:
                after = advance(waiting, Superseded(push.number), now)
                await save(ground, tx, waiting, after, known, now)
        return push

    async def _tell(self, kind: str, subject: str, reason: str) -> None:
        """Once, not at every look."""
        text = f"{kind}: {reason}"
        if self._told.get(subject) == text:
            return
        async with self._ground.write() as tx:
            tx.event(f"push.{kind}", subject, {"reason": reason}, self._ground.clock.now())
        self._told = {subject: text, **dict(list(self._told.items())[:KEPT])}


def with_overrides(draft: Draft, overrides: Overrides, by: str) -> Draft:
    """The draft with what a person said to override, kept in its plan."""
    plan = replace(
        draft.plan,
        override_blocks=overrides.blocks,
        override_window=overrides.window,
        override_limits=overrides.limits,
        approved_by=by if overrides.approved else "",
    )
    rules = replace(draft.push.rules, observe=draft.push.rules.observe or overrides.observe)
    return replace(draft, plan=plan, push=replace(draft.push, rules=rules))


def overrides_of_plan(push: Push, plan: Plan) -> Overrides:
    """What its author said to override, as it was kept."""
    return Overrides(
        plan.override_blocks,
        plan.override_window,
        bool(plan.approved_by),
        plan.override_limits,
        push.rules.observe,
    )
