"""A fleet that keeps what the host's program promises: absolute targets, recorded answers, a fence.

The hosts outlive the controller, as real ones do. Their faults are set per host.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from leuko.domain.fleet import Host
from leuko.domain.order import Order, OrderKind, Outcome, Result


class Crash(BaseException):
    """The controller dies here. Not an Exception: nothing may catch it."""


@dataclass
class Effects:
    """Counts effects; at number `crash_at` the controller dies, before it or after it."""

    crash_at: int = -1
    after: bool = False
    count: int = 0
    log: list[str] = field(default_factory=list)

    def before_effect(self, name: str) -> None:
        self.count += 1
        self.log.append(name)
        if self.count == self.crash_at and not self.after:
            raise Crash(name)

    def after_effect(self, name: str) -> None:
        if self.count == self.crash_at and self.after:
            raise Crash(name)


@dataclass
class ModelHost:
    staged: set[str] = field(default_factory=set)
    current: str = ""
    epoch: int = 0
    answered: dict[str, Outcome] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)


@dataclass
class ModelFleet:
    """`fails` names (host, order kind) pairs whose orders fail after their effect."""

    hosts: dict[str, ModelHost] = field(default_factory=dict)
    fails: set[tuple[str, OrderKind]] = field(default_factory=set)
    unreachable: set[str] = field(default_factory=set)
    unknown_once: set[tuple[str, OrderKind]] = field(default_factory=set)
    effects: Effects = field(default_factory=Effects)
    hangs: set[tuple[str, OrderKind]] = field(default_factory=set)
    """Orders that go on until they are aborted or `let_go` is called."""
    deaf: bool = False
    """An abort does not get through."""
    aborted: list[tuple[str, str]] = field(default_factory=list)
    given: list[tuple[str, OrderKind]] = field(default_factory=list)
    out: set[str] = field(default_factory=set)
    most_out: int = 0
    _hanging: dict[str, asyncio.Event] = field(default_factory=dict)

    async def perform(self, host: Host, orders: Sequence[Order]) -> Outcome:
        moves = any(order.kind is not OrderKind.STAGE for order in orders)
        if moves:
            self.out.add(host.name)
            self.most_out = max(self.most_out, len(self.out))
        try:
            outcome = Outcome(Result.DONE)
            for order in orders:
                self.given.append((host.name, order.kind))
                if (host.name, order.kind) in self.hangs and not await self._hang(host.name):
                    return Outcome(Result.FAILED, "it was aborted")
                await asyncio.sleep(0)
                outcome = self._obey(host.name, order)
                if not outcome.done:
                    break
            return outcome
        finally:
            self.out.discard(host.name)

    async def _hang(self, name: str) -> bool:
        """False when it was aborted."""
        count = len(self.aborted)
        self._hanging[name] = asyncio.Event()
        await self._hanging[name].wait()
        return all(host != name for host, _ in self.aborted[count:])

    async def abort(self, host: Host, orders: Sequence[Order]) -> None:
        self.aborted.extend((host.name, order.id) for order in orders)
        if not self.deaf and host.name in self._hanging:
            self._hanging[host.name].set()

    def let_go(self, *hosts: str) -> None:
        """Hosts stop hanging, and what hung goes on."""
        for name in hosts:
            self.hangs = {hang for hang in self.hangs if hang[0] != name}
            if name in self._hanging:
                self._hanging[name].set()

    def _obey(self, name: str, order: Order) -> Outcome:
        if name in self.unreachable:
            return Outcome(Result.UNREACHABLE, "no route")
        host = self.hosts.setdefault(name, ModelHost())
        if order.fence.epoch < host.epoch:
            return Outcome(Result.REFUSED, "older epoch")
        host.epoch = order.fence.epoch
        if order.id in host.answered:
            return host.answered[order.id]
        self.effects.before_effect(f"{order.kind} {name}")
        outcome = self._act(host, name, order)
        host.answered[order.id] = outcome
        host.times[order.id] = host.times.get(order.id, 0) + 1
        self.effects.after_effect(f"{order.kind} {name}")
        if (name, order.kind) in self.unknown_once:
            self.unknown_once.discard((name, order.kind))
            return Outcome(Result.UNKNOWN, "the connection died")
        return outcome

    def _act(self, host: ModelHost, name: str, order: Order) -> Outcome:
        match order.kind:
            case OrderKind.STAGE:
                host.staged |= {order.target, order.base} - {""}
            case OrderKind.SWITCH:
                assert order.target in host.staged, "switched to what was never staged"
                host.current = order.target
            case OrderKind.RESTORE:
                assert order.base, "a restore needs an absolute target"
                host.current = order.base
            case OrderKind.STOP:
                host.current = ""
            case _:
                raise AssertionError(order.kind)
        if (name, order.kind) in self.fails:
            return Outcome(Result.FAILED, f"{order.kind} failed on purpose")
        return Outcome(Result.DONE)
