"""Obeys intents: each ends accepted, refused with the reason, or expired; none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from leuko.domain.build import BuildState
from leuko.domain.errors import LeukoError, Refused
from leuko.domain.intent import Intent, IntentKind, IntentState
from leuko.domain.push import Intent as PushIntent
from leuko.domain.push import (
    Origin,
    Push,
    Resume,
    RollBack,
    State,
    advance,
)
from leuko.domain.release import Release
from leuko.domain.rollout import HostState, again
from leuko.runtime.admission import Overrides
from leuko.runtime.answers import check_fresh, event_of, fault, refusal
from leuko.runtime.builder import Builder
from leuko.runtime.going_back import GoingBack
from leuko.runtime.ground import Ground
from leuko.runtime.hotfixes import Hotfixes
from leuko.runtime.limiting import set_limit
from leuko.runtime.locking import release_lock, take_lock
from leuko.runtime.marking import mark
from leuko.runtime.observing import Observing
from leuko.runtime.planning import Planner
from leuko.runtime.quarantining import quarantine
from leuko.runtime.queue import Queue
from leuko.runtime.saving import background, save
from leuko.runtime.studies import Studies
from leuko.store.errors import Lost, StoreError
from leuko.store.records import to_json
from leuko.vcs.mirror import Mirror

log = structlog.get_logger(__name__)

Answer = Mapping[str, Any]
QUICK = frozenset({
    IntentKind.ABORT, IntentKind.HOLD, IntentKind.RESUME, IntentKind.PROMOTE, IntentKind.LOCK,
    IntentKind.UNLOCK, IntentKind.POKE, IntentKind.LIMIT, IntentKind.OBSERVE,
    IntentKind.ROLLBACK,
})  # fmt: skip
"""A handful of rows each. A rollback of what is live also reads the commits since: that is quick enough."""
STUDIES = frozenset({IntentKind.TRY, IntentKind.REPLAY, IntentKind.CALIBRATE})
LONG = STUDIES | {IntentKind.ADOPT, IntentKind.READ}
TRIES = 10
LEASE_LOST = "S011"
RECENT = 100
NAMED = 12
"""Characters of the revision in a release's name."""


async def _nowhere(_intent: Intent) -> Answer:
    raise Refused("this process reaches no hosts", code="P044")


@dataclass
class Obeying:
    """Of one line. `adopt` and `poke` are done by others: they are handed over."""

    ground: Ground
    queue: Queue
    planner: Planner
    builder: Builder
    mirror: Mirror
    adopt: Callable[[Intent], Awaitable[Answer]]
    poke: Callable[[], None]
    look: Callable[[], Awaitable[object]]
    """Looks at the branch now."""
    drill: Callable[[Intent], Awaitable[Answer]]
    read: Callable[[Intent], Awaitable[Answer]] = _nowhere
    revert: Callable[[Intent], Awaitable[Answer]] = _nowhere

    def __post_init__(self) -> None:
        self._slow: dict[int, asyncio.Task[None]] = {}
        self._one_by_one = asyncio.Lock()
        self._going_back = GoingBack(self.ground, self.planner)
        self.hotfixes = Hotfixes(self.ground, self.mirror)
        self._studies = Studies(*self.ground.store.place)

    async def step(self) -> int:
        """Answers every waiting intent, or begins to; returns how many there were.

        What stops or lets go is done at once. What has to look at git or at hosts first goes on beside, one
        after the other, so that an abort never waits for it.
        """
        waiting = [
            intent
            for intent in await self.ground.store.intents.waiting(self.ground.line)
            if intent.id not in self._slow
        ]
        for intent in sorted(waiting, key=lambda one: one.kind not in QUICK):
            if intent.kind in QUICK:
                await self._answer(intent)
            else:
                self._slow[intent.id] = asyncio.create_task(self._in_turn(intent), name=f"intent {intent.id}")
        if waiting:
            self.ground.bell.ring()
        return len(waiting)

    async def settled(self) -> None:
        """Waits until nothing is under way: for tests that step by hand."""
        await asyncio.gather(*self._slow.values(), return_exceptions=True)

    async def close(self) -> None:
        """Lets go of what is under way: whoever acts next finds it unanswered."""
        for task in self._slow.values():
            task.cancel()
        await self.settled()

    async def _in_turn(self, intent: Intent) -> None:
        try:
            if intent.kind in LONG:  # may take half an hour, and is in nobody's way
                await self._answer(intent)
            else:
                async with self._one_by_one:
                    await self._answer(intent)
        except LeukoError as error:
            log.warning("an intent could not be answered; trying again", intent=intent.id, error=str(error))
        finally:
            self._slow.pop(intent.id, None)
            self.ground.bell.ring()

    async def _answer(self, intent: Intent) -> None:
        now_stored = await self.ground.store.intents.get(self.ground.line, intent.id)
        if now_stored is None or now_stored.state is not IntentState.WAITING:
            return  # the list of waiting ones was read just before it was answered
        if self.ground.clock.now() >= intent.expires_at:
            await self._end(intent, IntentState.EXPIRED, {"rule": "nobody obeyed it in time"})
            return
        try:
            answer = await self._obey_in_spite_of_others(intent)
        except StoreError:
            raise  # it is still waiting: it is tried again
        except LeukoError as error:
            if error.code == LEASE_LOST:
                raise
            await self._end(intent, IntentState.REFUSED, refusal(error))
            return
        except Exception as error:
            # one that cannot be obeyed must not keep those behind it waiting
            log.exception("an intent could not be obeyed", intent=intent.id, kind=intent.kind.value)
            await self._end(intent, IntentState.REFUSED, fault(error))
            return
        await self._end(intent, IntentState.ACCEPTED, answer)

    async def _obey_in_spite_of_others(self, intent: Intent) -> Answer:
        """The pusher may change the push between reading and saving: then look again, and decide again."""
        for _ in range(TRIES - 1):
            try:
                return await self._obey(intent)
            except Lost as error:
                if error.code == LEASE_LOST:
                    raise
        return await self._obey(intent)

    async def _obey(self, intent: Intent) -> Answer:
        ways: Mapping[IntentKind, Callable[[Intent], Awaitable[Answer]]] = {
            IntentKind.ABORT: self._direct,
            IntentKind.HOLD: self._direct,
            IntentKind.RESUME: self._direct,
            IntentKind.PROMOTE: self._direct,
            IntentKind.ROLLBACK: self._roll_back,
            IntentKind.PUSH: self._push,
            IntentKind.HOTFIX: self._hotfix,
            IntentKind.PLAN: self._plan,
            IntentKind.RETRY: self._retry,
            IntentKind.LOCK: partial(take_lock, self.ground),
            IntentKind.UNLOCK: partial(release_lock, self.ground),
            IntentKind.ADOPT: self.adopt,
            IntentKind.VERIFY: self._verify,
            IntentKind.POKE: self._poke,
            IntentKind.LIMIT: partial(set_limit, self.ground),
            IntentKind.MARK: partial(mark, self.ground),
            IntentKind.QUARANTINE: partial(quarantine, self.ground),
            IntentKind.READ: self.read,
            IntentKind.REVERT: self.revert,
            IntentKind.DRILL: self.drill,
            IntentKind.OBSERVE: Observing(self.ground).obey,
            **dict.fromkeys(STUDIES, partial(self._studies, self.ground.line)),
        }
        return await ways[intent.kind](intent)

    async def _verify(self, intent: Intent) -> Answer:
        revision = await self._revision(str(intent.arguments.get("revision", "")))
        return {"build": (await self.builder.request(revision)).id, "revision": revision}

    async def _poke(self, _intent: Intent) -> Answer:
        self.poke()
        return {}

    # -- about the push that runs -----------------------------------------------------------------------

    async def _direct(self, intent: Intent) -> Answer:
        push = await self._meant(intent)
        check_fresh(intent, push)
        event = event_of(intent)
        if isinstance(event, Resume) and push.held_from in (State.SWITCHING, State.COMPLETING):
            await self._try_left_out_again(push)
        after = await self._advance(push, event)
        return {"push": after.number, "state": after.state.value}

    async def _meant(self, intent: Intent) -> Push:
        pushes, line = self.ground.store.pushes, self.ground.line
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
        now = self.ground.clock.now()
        known = await background(self.ground, push)
        after = advance(push, event, now)
        async with self.ground.write() as tx:
            facts = {"push": push.number, "by": event.by, "why": event.why, "intent": type(event).__name__}
            tx.event("intent", push.name, facts, now)
            return await save(self.ground, tx, push, after, known, now)

    async def _try_left_out_again(self, push: Push) -> None:
        rows = await self.ground.store.hosts.progress(self.ground.line, push.number)
        left_out = [again(row) for row in rows if row.state is HostState.LEFT_OUT]
        async with self.ground.write() as tx:
            await self.ground.store.hosts.save_progress(tx, push.number, left_out)

    async def _roll_back(self, intent: Intent) -> Answer:
        store, line = self.ground.store, self.ground.line
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

    # -- new pushes -------------------------------------------------------------------------------------

    async def _push(self, intent: Intent) -> Answer:
        named = str(intent.arguments.get("revision", ""))
        if not named:
            await self.look()  # whoever pushed to the branch a moment ago means that
        revision = await self._revision(named)
        await self._refuse_live(revision, named=bool(named))
        under_way = await self._under_way(revision, intent)
        if under_way is not None:
            return {"push": under_way.number, "state": under_way.state.value}
        release = await self.ground.store.releases.get(self.ground.line, revision)
        if release is None:
            return await self._verify_first(revision)
        push = await self.queue.propose(
            release,
            Origin.PERSON,
            intent.by,
            intent.why,
            first=bool(intent.arguments.get("first", False)),
            overrides=overrides_of(intent),
        )
        return {"push": push.number, "state": push.state.value}

    async def _under_way(self, revision: str, intent: Intent) -> Push | None:
        """The push that carries it already, as continuous delivery often does: a second one would only wait.

        Who overrides something means more than that push does.
        """
        pushes, line = self.ground.store.pushes, self.ground.line
        if any(value for name, value in intent.arguments.items() if name != "revision"):
            return None
        for push in (await pushes.active(line), await pushes.pending(line)):
            going_back = push is not None and push.state is State.ROLLING_BACK
            if push is not None and push.revision == revision and not going_back:
                return push
        return None

    async def _refuse_live(self, revision: str, *, named: bool) -> None:
        """Pushing what runs by mistake would look like a success of something else."""
        live = await self.ground.store.pushes.live(self.ground.line)
        if live is not None and live.revision == revision and not named:
            raise Refused(
                f"the newest change, {revision[:12]}, is live already (push {live.number})",
                where=str(self.ground.line),
                way_out="name a revision to push another one, or this one again",
                code="P016",
            )

    async def _verify_first(self, revision: str) -> Answer:
        """The push follows by itself once it is green: `to_follow_up` finds this answer.

        A build that passed a moment ago may not have its release yet: that is no refusal either.
        """
        build = await self.ground.store.builds.of_revision(self.ground.line, revision)
        if build is not None and build.state.ended and build.state is not BuildState.PASSED:
            if build.state is not BuildState.BROKEN:
                raise Refused(
                    f"{revision[:12]} is {build.state}: {build.reason}",
                    where=f"build {build.id}",
                    way_out=f"`leuko log {revision[:12]}` shows its output; `leuko push` of a green one goes",
                    code="P006",
                )
            build = None
        if build is None:
            build = await self.builder.request(revision)
        return {"revision": revision, "state": "verifying", "build": build.id}

    async def to_follow_up(self) -> list[tuple[Intent, Release]]:
        """Accepted pushes and hotfixes that waited for a release which is there now, oldest first."""
        store, line = self.ground.store, self.ground.line
        waited = [
            intent
            for intent in await store.intents.recent(line, limit=RECENT)
            if intent.kind in (IntentKind.PUSH, IntentKind.HOTFIX)
            and intent.state is IntentState.ACCEPTED
            and intent.answer.get("state") == "verifying"
        ]
        if not waited:
            return []
        told = await store.events.latest(line, kind="push.refused", limit=RECENT)
        refused = {event.data.get("intent") for event in told}
        found = []
        for intent in reversed(waited):
            release = await store.releases.get(line, str(intent.answer.get("revision", "")))
            if release is None or intent.id in refused:
                continue
            pushes = await store.pushes.of_release(line, release.name)
            if not any(push.created_at >= intent.at for push in pushes):
                found.append((intent, release))
        return found

    async def _hotfix(self, intent: Intent) -> Answer:
        commit, revision, warning = await self.hotfixes.pick(str(intent.arguments.get("commit", "")))
        release = await self.ground.store.releases.get(self.ground.line, revision)
        more = {"commit": commit, "warning": warning}
        if release is None:
            return {**await self._verify_first(revision), **more}
        overrides = overrides_of(intent)
        push = await self.queue.propose(release, Origin.HOTFIX, intent.by, intent.why, overrides=overrides)
        return {"revision": revision, "push": push.number, "state": push.state.value, **more}

    async def _plan(self, intent: Intent) -> Answer:
        revision = await self._revision(str(intent.arguments.get("revision", "")))
        release = await self.ground.store.releases.get(self.ground.line, revision)
        if release is None:
            raise Refused(
                f"{revision[:12]} has no release yet: it is not verified, or not green",
                where=str(self.ground.line),
                way_out="`leuko status` shows what is verified; `leuko push` verifies it first",
                code="P007",
            )
        base = await self.planner.base()
        draft = await self.planner.draft(release, Origin.PERSON, intent.by, intent.why, first=base is None)
        return {
            "release": release.name,
            "revision": revision,
            "base": draft.push.base,
            "plan": to_json(draft.plan),
        }

    async def _retry(self, intent: Intent) -> Answer:
        pushes, line = self.ground.store.pushes, self.ground.line
        number = intent.push or intent.arguments.get("push")
        push = await pushes.get(line, _number(number)) if number else None
        if push is None and not number:
            ended = [one for one in await pushes.recent(line, limit=50) if one.state.ended]
            ended = [one for one in ended if one.origin is not Origin.DRILL]
            push = next((one for one in ended if one.state is not State.LIVE), None)
            await self._refuse_retried(push)
        release = await self.ground.store.releases.get(line, push.release) if push else None
        if push is None or release is None:
            raise Refused("there is no push to try again", where=str(line), code="P008")
        if not push.state.ended or push.state is State.LIVE or push.origin in (Origin.ROLLBACK, Origin.DRILL):
            raise Refused(f"{push.name} is {push.state}", where=str(line), code="P008")
        overrides = Overrides(blocks=intent.why or f"retry of {push.name}", window=True)
        new = await self.queue.propose(
            release, Origin.RETRY, intent.by, intent.why, first=push.base is None, overrides=overrides
        )
        return {"push": new.number, "state": new.state.value, "of": push.number}

    async def _refuse_retried(self, push: Push | None) -> None:
        """Nobody named it: a second `retry` must not push again what the first one made live."""
        live = await self.ground.store.pushes.live(self.ground.line)
        if push is not None and live is not None and live.release == push.release:
            raise Refused(
                f"what {push.name} carried is live with {live.name}",
                where=str(self.ground.line),
                way_out=f"`leuko retry {push.number}` pushes it all the same",
                code="P008",
            )

    async def _revision(self, name: str) -> str:
        """A full revision; the newest green one, or else the branch's head, where no name is given."""
        if name:
            return await self.mirror.history.resolve(name)
        latest = await self.ground.store.changes.latest(self.ground.line, concerning=True)
        if latest is None:
            raise Refused(
                "no change has been seen on the branch yet",
                where=str(self.ground.line),
                way_out="`leuko why` says whether the repository can be reached",
                code="P009",
            )
        return latest.revision

    async def _end(self, intent: Intent, state: IntentState, answer: Answer) -> None:
        now = self.ground.clock.now()
        async with self.ground.write() as tx:
            await self.ground.store.intents.answer(tx, intent.id, state, answer, now)


def _number(value: object) -> int:
    if not str(value).isdecimal():
        raise Refused(f"a push is named by its number, not by {value!r}", code="P014")
    return int(str(value))


def overrides_of(intent: Intent) -> Overrides:
    """What the author of a push said to override."""
    arguments = intent.arguments
    return Overrides(
        blocks=str(arguments.get("override_blocks", "")),
        window=bool(arguments.get("override_window", False)),
        approved=bool(arguments.get("approve", False)),
        limits=str(arguments.get("override_limits", "")),
        observe=bool(arguments.get("observe", False)),
    )
