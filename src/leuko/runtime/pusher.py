"""Carries out pushes: reads what is stored, does what `todo` says, saves what came of it.

One step reads the push and its hosts' rows, takes in the answers that arrived, lets the state machine count
them, saves, and sends the orders that the new state wants. Nothing is remembered between two steps that the
store does not hold, except which orders are under way in this process; after a crash there are none, and the
same orders are given again under the same ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from leuko.cancellation import apart, obey
from leuko.config.freeze import stricter
from leuko.config.model import Configuration
from leuko.config.quantities import share
from leuko.domain.fleet import Host
from leuko.domain.order import Fence, OrderKind
from leuko.domain.push import (
    Admitted,
    Event,
    Expired,
    Judged,
    NotAdmitted,
    Progressed,
    Push,
    State,
    Step,
    advance,
    todo,
)
from leuko.domain.rollout import (
    HostProgress,
    HostState,
    Tally,
    answered,
    ordered,
    to_restore,
    to_stage,
    to_switch,
)
from leuko.domain.verdict import Verdict
from leuko.runtime.flights import Answer, Fleet, Flights
from leuko.runtime.ground import Ground
from leuko.runtime.orders import Frozen, Parts, order_id, orders_for, restore_kind
from leuko.runtime.planning import component_name
from leuko.runtime.saving import Background, background, save
from leuko.store.errors import Lost
from leuko.store.hosts import KnownHost

log = structlog.get_logger(__name__)

NEXT_LOOK = timedelta(seconds=1)
MOVING = {
    OrderKind.STAGE: HostState.WAITING,
    OrderKind.SWITCH: HostState.SWITCHING,
    OrderKind.RESTORE: HostState.RESTORING,
    OrderKind.STOP: HostState.RESTORING,
}


class Watch(Protocol):
    """The judge: what do the stored readings say about this watch?"""

    async def look(
        self, push: Push, rows: Sequence[HostProgress], configuration: Configuration
    ) -> Verdict | None:
        """The verdict over the ticks closed so far; None when no tick closed since the last look."""
        ...


class Admission(Protocol):
    """May the pending push start now?"""

    async def __call__(self, push: Push) -> Admitted | NotAdmitted | None:
        """None: not yet; why is told in an event by whoever decides."""
        ...


class Pusher:
    """Of one line. `step` may be called at any time; it returns when to look again at the latest."""

    def __init__(
        self,
        ground: Ground,
        fleet: Fleet,
        watch: Watch,
        admission: Admission,
        held_up: Callable[[], bool] = lambda: False,
    ) -> None:
        """`held_up`: the event loop is late, so nothing new is begun; going back is never put off."""
        self._ground = ground
        self._held_up = held_up
        self._watch = watch
        self._admission = admission
        self._flights = Flights(fleet, ground.bell.ring)

    async def run(self) -> None:
        """Until cancelled. A step that fails is told and tried again: nothing else can carry the push on."""
        ear, failures = self._ground.bell.ear(), 0
        try:
            while True:
                ear.clear()
                wake = self._ground.clock.now() + NEXT_LOOK
                try:
                    wake = await apart(self.step())
                    failures = 0
                except Exception:
                    obey()
                    failures += 1
                    log.exception("the push could not be carried on; trying again", failures=failures)
                    wake += timedelta(seconds=min(10, failures))
                pause = (wake - self._ground.clock.now()).total_seconds()
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(0.01, pause)):
                        await ear.wait()
        finally:
            self._ground.bell.forget(ear)

    async def close(self) -> None:
        """Lets go of orders under way: they are asked about again by whoever comes next."""
        await self._flights.close()

    async def flights(self) -> None:
        """Waits until nothing is under way: for tests that step by hand."""
        await self._flights.settled()

    async def step(self) -> datetime:
        """One look. Returns when the next one is due at the latest."""
        now = self._ground.clock.now()
        pushes, line = self._ground.store.pushes, self._ground.line
        active = await pushes.active(line) or await self._stuck()
        self._flights.abort_others(active.number if active else None)
        try:
            wake = await self._carry_on(active) if active is not None else now + NEXT_LOOK
            if active is None or active.state is State.STUCK:
                pending = await pushes.pending(line)
                wake = await self._admit(pending) if pending is not None else wake
        except Lost:
            return now  # an intent was faster: look again at what it made of the push
        return wake

    async def _stuck(self) -> Push | None:
        """The last push whose hosts could not all be restored: tried on, until something is live after it."""
        pushes, line = self._ground.store.pushes, self._ground.line
        stuck = await pushes.stuck(line)
        if not stuck:
            return None
        later = await pushes.recent(line, limit=stuck[0].number + 50)
        newer = [push for push in later if push.number > stuck[0].number]
        over = any(push.state in (State.LIVE, State.ROLLED_BACK) for push in newer)
        return None if over else stuck[0]

    async def _admit(self, push: Push) -> datetime:
        event = None if self._held_up() else await self._admission(push)
        if event is not None:
            await self._save(push, event, [], await background(self._ground, push))
            self._ground.bell.ring()
        return self._ground.clock.now() + NEXT_LOOK

    async def _carry_on(self, push: Push) -> datetime:
        now = self._ground.clock.now()
        known = await background(self._ground, push)
        rows = {
            row.host: row for row in await self._ground.store.hosts.progress(self._ground.line, push.number)
        }
        answers = self._flights.take_answers()
        try:
            after = await self._advance(push, rows, answers, known, now)
        except BaseException:
            self._flights.give_back(answers)
            raise
        if after.state is not push.state:
            self._ground.bell.ring()
        if after.state is State.ROLLING_BACK:
            self._flights.abort_switches()
        await self._send(after, rows, known)
        return _next_look(after, now)

    async def _advance(
        self,
        push: Push,
        rows: dict[str, HostProgress],
        answers: Sequence[Answer],
        known: Background,
        now: datetime,
    ) -> Push:
        changed = _taken_in(push, rows, answers, now)
        after = push
        if changed or _awaits_hosts(push):
            after = await self._save(after, _progressed(list(rows.values())), changed, known)
        if push.deadline is not None and now >= push.deadline:
            after = await self._save(after, Expired(), [], known)
        if todo(after).judge:
            after = await self._judge(after, list(rows.values()), known)
        return after

    async def _judge(self, push: Push, rows: list[HostProgress], known: Background) -> Push:
        own, base = await self._configurations(push)
        verdict = await self._watch.look(push, rows, stricter(base, own))
        if verdict is None:
            return push
        now = self._ground.clock.now()
        full = verdict.ticks >= verdict.wanted
        event = Judged(push.phase, push.watch, verdict.decision, verdict.sentence, full)
        after = advance(push, event, now)
        if push.state is not State.WATCHING and after is push:
            return push  # besides a watch, only what moves the push is worth a row: a hold may last an hour
        async with self._ground.write() as tx:
            await self._ground.store.findings.save(tx, push.number, push.phase, verdict, now)
            facts: dict[str, object] = {"push": push.number, "phase": push.phase}
            facts |= {"decision": verdict.decision.value, "evidence": verdict.evidence}
            facts |= {"ticks": verdict.ticks, "wanted": verdict.wanted, "sentence": verdict.sentence}
            tx.event("watch", push.name, facts, now)
            # the version must not grow with every look: a promote names the one that its author saw
            return await save(self._ground, tx, push, after, known, now) if after is not push else push

    async def _save(self, push: Push, event: Event, rows: Sequence[HostProgress], known: Background) -> Push:
        now = self._ground.clock.now()
        after = advance(push, event, now)
        if after is push and not rows:
            return push
        async with self._ground.write() as tx:
            if rows:
                await self._ground.store.hosts.save_progress(tx, push.number, rows)
                await self._ground.store.hosts.save(tx, await self._now_running(push, rows))
                for row in rows:
                    tx.event("host", row.host, _host_told(push, row), now)
            return await save(self._ground, tx, push, after, known, now) if after is not push else push

    async def _now_running(self, push: Push, rows: Sequence[HostProgress]) -> list[KnownHost]:
        """What the fleet's table says of hosts that have just been switched or restored."""
        moved = {row.host: row for row in rows if row.state in (HostState.SWITCHED, HostState.RESTORED)}
        if not moved:
            return []
        now = self._ground.clock.now()
        known = {host.name: host for host in await self._ground.store.hosts.all(self._ground.line)}
        found = []
        for name, row in moved.items():
            host = known.get(name) or KnownHost(name, row.role)
            current = push.release if row.state is HostState.SWITCHED else push.base or ""
            found.append(replace(host, current=current, reachable=True, last_seen=now))
        return found

    # -- orders ---------------------------------------------------------------------------------------

    async def _send(self, push: Push, rows: dict[str, HostProgress], known: Background) -> None:
        if self._held_up() and push.state in (State.STAGING, State.SWITCHING, State.COMPLETING):
            return
        due = self._due(push, list(rows.values()), known.min_healthy)
        if not due:
            return
        own, base = await self._configurations(push)
        frozen = Frozen(own, base, self._ground.secrets.values())
        parts = await self._parts(push)
        now = self._ground.clock.now()
        sent: list[tuple[HostProgress, OrderKind]] = []
        for row, which in due:
            sent.append((ordered(row, MOVING[which], order_id(push, which, row), now), which))
        async with self._ground.write() as tx:
            # between reading and now a person may have stopped it: nothing is sent then
            await self._ground.store.pushes.check(tx, push)
            await self._ground.store.hosts.save_progress(tx, push.number, [row for row, _ in sent])
            fences = [
                Fence(self._ground.store.installation, self._ground.epoch, await tx.next_sequence())
                for _ in sent
            ]
        for (row, which), fence in zip(sent, fences, strict=True):
            rows[row.host] = row
            host = self._ground.host(row.host) or Host(row.host, row.role)
            orders = orders_for(push, row, host, which, parts, frozen, fence)
            self._flights.launch(push.number, row.order, which, host, tuple(orders))

    def _due(
        self, push: Push, rows: list[HostProgress], min_healthy: str
    ) -> list[tuple[HostProgress, OrderKind]]:
        now, in_flight = self._ground.clock.now(), self._flights.hosts
        healthy = share(min_healthy)
        back = restore_kind(push)
        do = todo(push)
        waiting = [(row, OrderKind.STAGE) for row in to_stage(rows, now) if row.host not in in_flight]
        match do.step:
            case Step.STAGE:
                return waiting
            case Step.SWITCH | Step.COMPLETE:
                # hosts that wait here were left out, and a person said: try them again
                failed = to_restore(rows, now, healthy, in_flight=in_flight, only_failed=True)
                due = to_switch(rows, do.phase, now, healthy, in_flight=in_flight)
                return waiting + [(row, back) for row in failed] + [(row, OrderKind.SWITCH) for row in due]
            case Step.RESTORE:
                due = to_restore(rows, now, healthy, in_flight=in_flight, at_once=push.at_once)
                return [(row, back) for row in due]
            case Step.ADMIT | Step.WATCH | Step.NOTHING:
                return []

    async def _configurations(self, push: Push) -> tuple[Configuration, Configuration]:
        own, base = await self._ground.store.pushes.configurations(self._ground.line, push.number)
        return await self._ground.frozen(own), await self._ground.frozen(base)

    async def _parts(self, push: Push) -> Parts:
        releases, line = self._ground.store.releases, self._ground.line
        target = await releases.get(line, push.release)
        base = await releases.get(line, push.base) if push.base else None
        return Parts(
            {part.name: component_name(target, part.name) for part in target.components} if target else {},
            {part.name: component_name(base, part.name) for part in base.components} if base else {},
        )


def _taken_in(
    push: Push, rows: dict[str, HostProgress], answers: Sequence[Answer], now: datetime
) -> list[HostProgress]:
    """Rows that changed; `rows` is brought up to date."""
    changed = []
    for answer in answers:
        row = rows.get(answer.host)
        if row is None or answer.push != push.number or row.order != answer.order:
            continue  # about an order that was given up
        if row.state is not MOVING[answer.kind]:
            continue
        rows[answer.host] = answered(row, answer.kind, answer.outcome, now)
        changed.append(rows[answer.host])
    return changed


def _next_look(push: Push, now: datetime) -> datetime:
    if push.deadline is not None and push.deadline > now:
        return min(now + NEXT_LOOK, push.deadline)
    return now + NEXT_LOOK


def _awaits_hosts(push: Push) -> bool:
    return push.state in (
        State.STAGING,
        State.SWITCHING,
        State.COMPLETING,
        State.ROLLING_BACK,
        State.STUCK,
        State.HELD,
    )


def _progressed(rows: Sequence[HostProgress]) -> Progressed:
    trouble = [
        row for row in rows if row.state in (HostState.FAILED, HostState.LEFT_OUT) and row.detail.strip()
    ]
    # the way out, on a line of its own, stays with the host
    shown = "; ".join(f"{row.host}: {row.detail.strip().splitlines()[0]}" for row in trouble[:3])
    more = f"; and {len(trouble) - 3} more" if len(trouble) > 3 else ""
    return Progressed(Tally.of(rows), shown + more)


def _host_told(push: Push, row: HostProgress) -> dict[str, object]:
    return {
        "push": push.number,
        "host": row.host,
        "role": row.role,
        "phase": row.phase,
        "state": row.state.value,
        "detail": row.detail,
        "seconds": round(row.seconds, 3),
        "link_seconds": round(row.link_seconds, 4),
    }
