"""Obeys intents: each ends accepted, refused with the reason, or expired; none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from leuko.domain.errors import LeukoError, Refused
from leuko.domain.intent import Intent, IntentKind, IntentState
from leuko.runtime.answers import fault, refusal
from leuko.runtime.builder import Builder
from leuko.runtime.ground import Ground
from leuko.runtime.hotfixes import Hotfixes
from leuko.runtime.limiting import set_limit
from leuko.runtime.locking import release_lock, take_lock
from leuko.runtime.marking import mark
from leuko.runtime.observing import Observing
from leuko.runtime.planning import Planner
from leuko.runtime.quarantining import quarantine
from leuko.runtime.queue import Queue
from leuko.runtime.requests import Requests
from leuko.runtime.steering import Steering
from leuko.runtime.studies import Studies
from leuko.store.errors import Lost, StoreError
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


async def _nowhere(_intent: Intent) -> Answer:
    raise Refused(
        "this process reaches no hosts",
        way_out="ask the controller: `leuko status` says where it is",
        code="P044",
    )


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
        self._steering = Steering(self.ground, self.planner)
        self.hotfixes = Hotfixes(self.ground, self.mirror)
        self.requests = Requests(
            self.ground, self.queue, self.planner, self.builder, self.mirror, self.hotfixes, self.look
        )
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
            IntentKind.ABORT: self._steering.direct,
            IntentKind.HOLD: self._steering.direct,
            IntentKind.RESUME: self._steering.direct,
            IntentKind.PROMOTE: self._steering.direct,
            IntentKind.ROLLBACK: self._steering.roll_back,
            IntentKind.PUSH: self.requests.push,
            IntentKind.HOTFIX: self.requests.hotfix,
            IntentKind.PLAN: self.requests.plan,
            IntentKind.RETRY: self.requests.retry,
            IntentKind.LOCK: partial(take_lock, self.ground),
            IntentKind.UNLOCK: partial(release_lock, self.ground),
            IntentKind.ADOPT: self.adopt,
            IntentKind.VERIFY: self.requests.verify,
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

    async def _poke(self, _intent: Intent) -> Answer:
        self.poke()
        return {}

    async def _end(self, intent: Intent, state: IntentState, answer: Answer) -> None:
        now = self.ground.clock.now()
        async with self.ground.write() as tx:
            await self.ground.store.intents.answer(tx, intent.id, state, answer, now)
