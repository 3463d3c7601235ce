"""Orders that are under way in this process: one a host, each a task of its own; and their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from leuko.domain.errors import LeukoError
from leuko.domain.fleet import Host
from leuko.domain.order import Order, OrderKind, Outcome, Result

log = structlog.get_logger(__name__)


class Fleet(Protocol):
    """Where orders go. Never raises for a host's fault: that is an Outcome."""

    async def perform(self, host: Host, orders: Sequence[Order]) -> Outcome:
        """Gives one host its orders, one after the other, until one is not done."""
        ...

    async def abort(self, host: Host, orders: Sequence[Order]) -> None:
        """Kills what runs for these orders on the host, over a channel of its own."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of the orders that a row of a push was given under the id `order`."""

    push: int
    host: str
    order: str
    kind: OrderKind
    outcome: Outcome


@dataclass(slots=True)
class _Flight:
    push: int
    host: Host
    kind: OrderKind
    orders: tuple[Order, ...]
    task: asyncio.Task[None]
    abort: asyncio.Task[None] | None = None


class Flights:
    """Nothing here is stored: after a crash the same orders are given again under the same ids."""

    def __init__(self, fleet: Fleet, ring: Callable[[], None]) -> None:
        self._fleet = fleet
        self._ring = ring
        self._flying: dict[str, _Flight] = {}
        self._answers: list[Answer] = []

    @property
    def hosts(self) -> frozenset[str]:
        """Hosts that have not answered yet."""
        return frozenset(self._flying)

    def take_answers(self) -> list[Answer]:
        """Those that came since they were last taken."""
        answers, self._answers = self._answers, []
        return answers

    def give_back(self, answers: Sequence[Answer]) -> None:
        """They could not be saved: they are counted next time."""
        self._answers = [*answers, *self._answers]

    def launch(self, push: int, order: str, kind: OrderKind, host: Host, orders: tuple[Order, ...]) -> None:
        """Gives the orders; the answer is there when the bell rings."""

        async def fly() -> None:
            outcome = Outcome(Result.UNKNOWN, "the order was given up")
            try:
                outcome = await self._fleet.perform(host, orders)
            except LeukoError as error:
                outcome = Outcome(Result.FAILED, str(error))
            except Exception as error:
                log.exception("an order ended with an error of ours", host=host.name, order=order)
                outcome = Outcome(Result.UNKNOWN, f"{type(error).__name__}: {error}")
            finally:
                self._flying.pop(host.name, None)
                self._answers.append(Answer(push, host.name, order, kind, outcome))
                self._ring()

        task = asyncio.create_task(fly(), name=order)
        self._flying[host.name] = _Flight(push, host, kind, orders, task)

    def abort_switches(self) -> None:
        """Switches under way are killed on their hosts, then answered for, then restored."""
        for flight in self._flying.values():
            if flight.kind is OrderKind.SWITCH:
                self._abort(flight)

    def abort_others(self, push: int | None) -> None:
        """What runs for another push ends on the host, too: this one's orders wait for that."""
        for flight in self._flying.values():
            if flight.push != push:
                self._abort(flight)

    def _abort(self, flight: _Flight) -> None:
        """Once a flight, and beside everything else: a host that hangs delays no other."""

        async def kill() -> None:
            try:
                await self._fleet.abort(flight.host, flight.orders)
            except Exception:
                log.exception("an order could not be aborted; its deadline ends it", host=flight.host.name)
            if flight.kind is OrderKind.STAGE:
                flight.task.cancel()  # whatever came of the copy, nobody wants to know any more

        if flight.abort is None:
            flight.abort = asyncio.create_task(kill(), name=f"abort on {flight.host.name}")

    async def settled(self) -> None:
        """Waits until nothing is under way: for tests that step by hand."""
        while self._flying:
            tasks = [flight.task for flight in self._flying.values()]
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Lets go of everything: it is asked about again by whoever comes next."""
        tasks = [task for flight in self._flying.values() for task in (flight.task, flight.abort) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._answers.clear()
