"""The queue of pushes: at most one runs and one waits; a newer release takes the waiting one's place."""

from __future__ import annotations

from dataclasses import replace

from leuko.domain.errors import Refused
from leuko.domain.lock import blocked
from leuko.domain.push import Admitted, NotAdmitted, Origin, Push, Superseded, advance
from leuko.domain.release import Release
from leuko.runtime.admission import Overrides, admit
from leuko.runtime.ground import Ground
from leuko.runtime.planning import Draft, Planner, stored_plan
from leuko.runtime.saving import background, save


class Queue:
    """Makes pushes and decides when the waiting one may start."""

    def __init__(self, ground: Ground, planner: Planner) -> None:
        self._ground = ground
        self._planner = planner
        self._told = ""
        self._looked: tuple[str, ...] = ()

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
        draft = await self._planner.draft(release, origin, by, why, first=first)
        if not overrides.blocks:
            await self._refuse_blocked(draft)
        plan = replace(
            draft.plan,
            override_blocks=overrides.blocks,
            override_window=overrides.window,
            approved_by=by if overrides.approved else "",
        )
        push = await self._enqueue(replace(draft, plan=plan))
        self._ground.bell.ring()
        return push

    async def continuous(self, release: Release) -> Push | None:
        """What continuous delivery does with a new green release: nothing twice, nothing blocked."""
        ground = self._ground
        base = await self._planner.base()
        if not ground.configuration.continuous or base is None or base.revision == release.revision:
            return None  # the first push of all is a person's decision; what runs need not come again
        if await ground.store.pushes.of_release(ground.line, release.name):
            return None
        blocking = await ground.store.locks.blocking(ground.line)
        looked = (release.name, base.release, *(lock.id for lock in blocking))
        if looked == self._looked:
            return None  # nothing that it was refused for has changed
        self._looked = looked
        try:
            return await self.propose(release, Origin.CONTINUOUS, "leuko")
        except Refused as error:
            await self._tell("blocked", release.revision, str(error))
            return None

    async def admission(self, push: Push) -> Admitted | NotAdmitted | None:
        """May the waiting push start now? Also looks after what changed since it was asked for."""
        ground = self._ground
        now = ground.clock.now()
        plan = await stored_plan(ground, push.number)
        overrides = Overrides(plan.override_blocks, plan.override_window, bool(plan.approved_by))
        if push.base is not None and await self._stale(push):
            await self._draft_again(push, overrides)
            return None
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
        if waits:
            await self._tell("waits", push.name, waits)
            return None
        self._told = ""
        return Admitted()

    def _wants_approver(self, push: Push, differences: tuple[str, ...], overrides: Overrides) -> str:
        if not self._ground.configuration.push.approver or not differences or overrides.approved:
            return ""
        return f"{push.name} changes {differences[0]}: a person must let it start (`leuko push --approve`)"

    async def _stale(self, push: Push) -> bool:
        """The base moved since the push was drafted: an earlier push became LIVE or was convicted."""
        base = await self._planner.base()
        return base is not None and base.release != push.base

    async def _draft_again(self, push: Push, overrides: Overrides) -> None:
        release = await self._ground.store.releases.get(self._ground.line, push.release)
        if release is None:
            raise Refused(f"release {push.release} is not kept any more", where=push.name, code="P012")
        await self.propose(release, push.origin, push.by, push.why, overrides=overrides)

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
        text = f"{kind} {subject} {reason}"
        if text == self._told:
            return
        self._told = text
        async with self._ground.write() as tx:
            tx.event(f"push.{kind}", subject, {"reason": reason}, self._ground.clock.now())
