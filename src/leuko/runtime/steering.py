"""A person's hand on the push that runs: abort, hold, resume, promote, roll back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leuko.domain.errors import Refused
from leuko.domain.intent import Intent
from leuko.domain.push import Intent as PushIntent
from leuko.domain.push import Push, Resume, RollBack, State, advance
from leuko.domain.rollout import HostState, again
from leuko.runtime.answers import check_fresh, event_of
from leuko.runtime.going_back import GoingBack
from leuko.runtime.ground import Ground
from leuko.runtime.planning import Planner
from leuko.runtime.saving import background, save

NAMED = 12
"""Characters of the revision in a release's name."""
Answer = Mapping[str, Any]


class Steering:
    """Of one line; what is asked of it is decided by what is stored now."""

    def __init__(self, ground: Ground, planner: Planner) -> None:
        self._ground = ground
        self._going_back = GoingBack(ground, planner)

    async def direct(self, intent: Intent) -> Answer:
        """Aborts, holds, resumes or promotes. Raises Refused where there is no such push, or it moved on."""
        push = await self._meant(intent)
        check_fresh(intent, push)
        event = event_of(intent)
        if isinstance(event, Resume) and push.held_from in (State.SWITCHING, State.COMPLETING):
            await self._try_left_out_again(push)
        after = await self._advance(push, event)
        return {"push": after.number, "state": after.state.value}

    async def _meant(self, intent: Intent) -> Push:
        pushes, line = self._ground.store.pushes, self._ground.line
        if intent.push is not None:
            push = await pushes.get(line, intent.push)
        else:
            push = await pushes.active(line) or await pushes.pending(line)
        if push is None:
            raise Refused(
                "no push is running" if intent.push is None else f"there is no push {intent.push}",
                where=str(line),
                way_out="`leuko status` shows what runs",
                code="P002",
            )
        return push

    async def _advance(self, push: Push, event: PushIntent) -> Push:
        now = self._ground.clock.now()
        known = await background(self._ground, push)
        after = advance(push, event, now)
        async with self._ground.write() as tx:
            facts = {"push": push.number, "by": event.by, "why": event.why, "intent": type(event).__name__}
            tx.event("intent", push.name, facts, now)
            return await save(self._ground, tx, push, after, known, now)

    async def _try_left_out_again(self, push: Push) -> None:
        rows = await self._ground.store.hosts.progress(self._ground.line, push.number)
        left_out = [again(row) for row in rows if row.state is HostState.LEFT_OUT]
        async with self._ground.write() as tx:
            await self._ground.store.hosts.save_progress(tx, push.number, left_out)

    async def roll_back(self, intent: Intent) -> Answer:
        """Takes back the push that runs, else goes from what is live to an earlier release."""
        store, line = self._ground.store, self._ground.line
        wanted = str(intent.arguments.get("revision", ""))
        at_once = bool(intent.arguments.get("now", False))
        active = await store.pushes.active(line)
        if active is not None:
            back = active.revision.startswith(wanted) or (active.base or "").startswith(wanted[:NAMED])
            if wanted and not back:
                raise Refused(
                    f"{active.name} is {active.state}; going to {wanted} has to wait for its end",
                    where=str(line),
                    way_out="`leuko rollback` without a revision takes it back now",
                    code="P003",
                )
            after = await self._advance(active, RollBack(intent.by, intent.why, at_once))
            return {"push": after.number, "state": after.state.value}
        push = await self._going_back(wanted, intent, at_once=at_once)
        return {"push": push.number, "state": push.state.value}
