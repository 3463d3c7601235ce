"""Carries out pushes: reads what is stored, does what `todo` says, saves what came of it.

One step reads the push and its hosts' rows, takes in the answers that arrived, lets the state machine count
them, saves, and sends the orders that the new state wants. Nothing is remembered between two steps that the
store does not hold, except which orders are under way in this process; after a crash there are none, and the
same orders are given again under the same ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from leuko.config.freeze import stricter
from leuko.config.model import Configuration
from leuko.config.quantities import share
from leuko.domain.errors import LeukoError
from leuko.domain.fleet import Host
from leuko.domain.order import Fence, Order, OrderKind, Outcome, Result
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
from leuko.runtime.ground import Ground
from leuko.runtime.orders import Frozen, Parts, order_id, orders_for, restore_kind
from leuko.runtime.planning import component_name
from leuko.runtime.saving import Background, background, save
from leuko.store.errors import Lost
from leuko.store.hosts import KnownHost

NEXT_LOOK = timedelta(seconds=1)
MOVING = {
    OrderKind.STAGE: HostState.WAITING,
    OrderKind.SWITCH: HostState.SWITCHING,
    OrderKind.RESTORE: HostState.RESTORING,
    OrderKind.STOP: HostState.RESTORING,
}


class Fleet(Protocol):
    """Where orders go. Never raises for a host's fault: that is an Outcome."""

    async def perform(self, host: Host, orders: Sequence[Order]) -> Outcome:
        """Gives one host its orders, one after the other, until one is not done."""
        ...

    async def abort(self, host: Host, orders: Sequence[Order]) -> None:
        """Kills what runs for these orders on the host, over a channel of its own."""
        ...


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


@dataclass(frozen=True, slots=True)
class _Flight:
    kind: OrderKind
    orders: tuple[Order, ...]
    task: asyncio.Task[None]


@dataclass(frozen=True, slots=True)
class _Answer:
    push: int
    host: str
    order: str
    kind: OrderKind
    outcome: Outcome


class Pusher:
    """Of one line. `step` may be called at any time; it returns when to look again at the latest."""

    def __init__(self, ground: Ground, fleet: Fleet, watch: Watch, admission: Admission) -> None:
        self._ground = ground
        self._fleet = fleet
        self._watch = watch
        self._admission = admission
        self._flights: dict[str, _Flight] = {}
        self._answers: list[_Answer] = []
        self._ear = ground.bell.ear()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._ear.clear()
            wake = await self.step()
            pause = max(0.0, (wake - self._ground.clock.now()).total_seconds())
            try:
                await asyncio.wait_for(self._ear.wait(), pause)
            except TimeoutError:
                continue

    async def close(self) -> None:
        """Lets go of orders under way: they are asked about again by whoever comes next."""
        for flight in self._flights.values():
            flight.task.cancel()
        await asyncio.gather(*(flight.task for flight in self._flights.values()), return_exceptions=True)

    async def step(self) -> datetime:
        """One look. Returns when the next one is due at the latest."""
        now = self._ground.clock.now()
        push = await self._current()
        if push is None:
            return now + NEXT_LOOK
        if push.state is State.PENDING:
            return await self._admit(push)
        try:
            return await self._carry_on(push)
        except Lost:
            return now  # an intent was faster: look again at what it made of the push

    async def _current(self) -> Push | None:
        pushes, line = self._ground.store.pushes, self._ground.line
        found = await pushes.active(line) or await pushes.pending(line)
        if found is not None:
            return found
        latest = await pushes.latest(line)
        return latest if latest is not None and latest.state is State.STUCK else None

    async def _admit(self, push: Push) -> datetime:
        event = await self._admission(push)
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
        changed = self._take_in(push, rows, now)
        after = push
        if changed or _awaits_hosts(push):
            after = await self._save(after, _progressed(list(rows.values())), changed, known)
        if push.deadline is not None and now >= push.deadline:
            after = await self._save(after, Expired(), [], known)
        if todo(after).judge:
            after = await self._judge(after, list(rows.values()), known)
        if after.state is not push.state:
            self._ground.bell.ring()
        await self._stop_flights_against(after)
        await self._send(after, rows)
        return _next_look(after, now)

    def _take_in(self, push: Push, rows: dict[str, HostProgress], now: datetime) -> list[HostProgress]:
        answers, self._answers = self._answers, []
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

    async def _judge(self, push: Push, rows: list[HostProgress], known: Background) -> Push:
        own, base = await self._configurations(push)
        verdict = await self._watch.look(push, rows, stricter(base, own))
        if verdict is None:
            return push
        now = self._ground.clock.now()
        event = Judged(push.phase, push.watch, verdict.decision, verdict.sentence)
        after = advance(push, event, now)
        if push.state is not State.WATCHING and after is push:
            return push  # besides a watch, only what moves the push is worth a row: a hold may last an hour
        async with self._ground.store.write(self._ground.line) as tx:
            await self._ground.store.findings.save(tx, push.number, push.phase, verdict, now)
            facts = {"push": push.number, "phase": push.phase, "decision": verdict.decision.value}
            facts |= {"ticks": verdict.ticks, "wanted": verdict.wanted, "sentence": verdict.sentence}
            tx.event("watch", push.name, facts, now)
            return await save(self._ground, tx, push, after, known, now)

    async def _save(self, push: Push, event: Event, rows: Sequence[HostProgress], known: Background) -> Push:
        now = self._ground.clock.now()
        after = advance(push, event, now)
        if after is push and not rows:
            return push
        async with self._ground.store.write(self._ground.line) as tx:
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

    async def _stop_flights_against(self, push: Push) -> None:
        """Going back: switches under way are killed on their hosts, then answered for, then restored."""
        if push.state is State.CANCELLED or push.state.ended:
            unwanted = [flight for flight in self._flights.values() if flight.kind is OrderKind.STAGE]
            for flight in unwanted:
                flight.task.cancel()
            return
        if push.state is not State.ROLLING_BACK:
            return
        for name, flight in list(self._flights.items()):
            host = self._ground.host(name)
            if flight.kind is OrderKind.SWITCH and host is not None:
                await self._fleet.abort(host, flight.orders)

    async def _send(self, push: Push, rows: dict[str, HostProgress]) -> None:
        due = self._due(push, list(rows.values()))
        if not due:
            return
        own, base = await self._configurations(push)
        frozen = Frozen(own, base, self._ground.secrets.values())
        parts = await self._parts(push)
        now = self._ground.clock.now()
        sent: list[tuple[HostProgress, OrderKind]] = []
        for row, which in due:
            sent.append((ordered(row, MOVING[which], order_id(push, which, row), now), which))
        async with self._ground.store.write(self._ground.line) as tx:
            if self._ground.lease is not None:
                await self._ground.store.leases.check(tx, self._ground.lease, now)
            await self._ground.store.hosts.save_progress(tx, push.number, [row for row, _ in sent])
            fences = [
                Fence(self._ground.store.installation, self._ground.epoch, await tx.next_sequence())
                for _ in sent
            ]
        for (row, which), fence in zip(sent, fences, strict=True):
            rows[row.host] = row
            host = self._ground.host(row.host) or Host(row.host, row.role)
            orders = orders_for(push, row, host, which, parts, frozen, fence)
            self._launch(push, row, which, host, tuple(orders))

    def _due(self, push: Push, rows: list[HostProgress]) -> list[tuple[HostProgress, OrderKind]]:
        now, in_flight = self._ground.clock.now(), frozenset(self._flights)
        healthy = share(self._ground.configuration.fleet.min_healthy)
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

    def _launch(
        self, push: Push, row: HostProgress, kind: OrderKind, host: Host, orders: tuple[Order, ...]
    ) -> None:
        async def fly() -> None:
            outcome = Outcome(Result.UNKNOWN, "the order was given up")
            try:
                outcome = await self._fleet.perform(host, orders)
            except LeukoError as error:
                outcome = Outcome(Result.FAILED, str(error))
            finally:
                self._flights.pop(row.host, None)
                self._answers.append(_Answer(push.number, row.host, row.order, kind, outcome))
                self._ground.bell.ring()

        self._flights[row.host] = _Flight(kind, orders, asyncio.create_task(fly(), name=row.order))

    async def flights(self) -> None:
        """Waits until nothing is under way: for tests that step by hand."""
        while self._flights:
            await asyncio.gather(*(flight.task for flight in self._flights.values()), return_exceptions=True)

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
    trouble = [row for row in rows if row.state in (HostState.FAILED, HostState.LEFT_OUT) and row.detail]
    shown = "; ".join(f"{row.host}: {row.detail}" for row in trouble[:3])
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
