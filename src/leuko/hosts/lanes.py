"""A host's connection in the pool, as a source for `perform.Orders`: each program takes its lane's turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leuko.hosts.pool import HostPool, Lane
from leuko.hosts.port import Address, Channel, Connection


@dataclass(frozen=True, slots=True)
class PooledHost:
    """`Orders.perform(PooledHost(pool, address), ...)`; aborts go on the lane "abort", which never waits."""

    pool: HostPool
    address: Address
    lane: Lane = "orders"

    async def __call__(self) -> Connection:
        """Connects when it must: a host that cannot be reached is told apart from an order cut off."""
        await self.pool.connection(self.address)
        return self

    async def start(self, argv: Sequence[str]) -> Channel:
        """Starts a program in this lane. Raises Unreachable."""
        return await self.pool.start(self.address, argv, lane=self.lane)

    @property
    def alive(self) -> bool:
        """The pool sees to that."""
        return True

    async def close(self) -> None:
        """The pool keeps the connection."""
