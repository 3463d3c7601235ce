"""Jump hosts, logged into once however many hosts lie behind them: two hundred logins would be dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from leuko.hosts.port import Address, Connection

C = TypeVar("C", bound=Connection)
Chain = tuple[Address, ...]
"""Jump hosts from the nearest to the farthest."""


@dataclass(slots=True)
class _Hop(Generic[C]):
    making: asyncio.Task[C]
    users: int = 0

    @property
    def usable(self) -> bool:
        if not self.making.done():
            return True
        failed = self.making.cancelled() or self.making.exception() is not None
        return not failed and self.making.result().alive


class Hops(Generic[C]):
    """Connections to jump hosts, each kept while somebody uses it."""

    def __init__(self, connect: Callable[[Chain], Awaitable[C]]) -> None:
        self._connect = connect
        self._hops: dict[Chain, _Hop[C]] = {}

    async def take(self, chain: Chain) -> tuple[C, Callable[[], Awaitable[None]]]:
        """The connection to the last of the chain, and how to give it back."""
        hop = self._hops.get(chain)
        if hop is None or not hop.usable:
            hop = self._hops[chain] = _Hop(asyncio.ensure_future(self._make(chain)))
        hop.users += 1
        taken = hop

        async def give_back() -> None:
            await self._give_back(chain, taken)

        try:
            return await asyncio.shield(hop.making), give_back
        except BaseException:
            await give_back()
            raise

    async def _make(self, chain: Chain) -> C:
        return await self._connect(chain)

    async def _give_back(self, chain: Chain, hop: _Hop[C]) -> None:
        hop.users -= 1
        if hop.users:
            return
        if self._hops.get(chain) is hop:
            del self._hops[chain]
        hop.making.cancel()
        made = (await asyncio.gather(hop.making, return_exceptions=True))[0]
        if not isinstance(made, BaseException):
            await made.close()
