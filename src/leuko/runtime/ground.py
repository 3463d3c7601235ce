"""What every loop of one line stands on: store, clock, configuration, and the bell that wakes the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leuko.clock import Clock
from leuko.config.fleet import hosts as hosts_of
from leuko.config.model import Configuration
from leuko.config.secrets import Secrets
from leuko.domain.fleet import Host
from leuko.domain.line import Line
from leuko.domain.push import Origin, Push
from leuko.store.errors import Lost
from leuko.store.leases import Lease
from leuko.store.store import Store
from leuko.store.transaction import Transaction


class Bell:
    """Wakes the loops of one line. Who was busy when it rang does not wait next time: no ring is lost."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Event] = set()

    def ring(self) -> None:
        """Something changed: look."""
        for event in self._waiting:
            event.set()

    def ear(self) -> asyncio.Event:
        """One loop's own event; it clears it before it looks."""
        event = asyncio.Event()
        self._waiting.add(event)
        return event

    def forget(self, ear: asyncio.Event) -> None:
        """Whoever listened has ended."""
        self._waiting.discard(ear)


@dataclass
class Ground:
    """Shared by the loops of one line in one process."""

    line: Line
    store: Store
    clock: Clock
    state: Path
    configuration: Configuration
    """The installation's own."""
    inventory: str | None = None
    secrets: Secrets = field(default_factory=lambda: Secrets({}))
    folder: Path = field(default_factory=Path)
    """Where the installation's own file lies: commands on the controller run there."""
    lease: Lease | None = None
    bell: Bell = field(default_factory=Bell)
    doubt: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a write found that the lease is not ours: whoever holds it looks at once."""

    @property
    def epoch(self) -> int:
        """Of the lease under which this process acts; 0 before it has one."""
        return self.lease.epoch if self.lease else 0

    def __post_init__(self) -> None:
        self._learn_fleet()

    def configure(self, configuration: Configuration, inventory: str | None, secrets: Secrets) -> None:
        """The installation's own file or inventory changed."""
        self.configuration, self.inventory, self.secrets = configuration, inventory, secrets
        self._learn_fleet()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Transaction]:
        """One transition of this line by whoever acts on it. Raises Lost when another has taken over.

        Everything that loops of the acting process write goes through here: that is the fence.
        """
        async with self.store.write(self.line) as tx:
            if self.lease is not None:
                try:
                    await self.store.leases.check(tx, self.lease, self.clock.now())
                except Lost:
                    self.doubt.set()
                    raise
            yield tx

    def _learn_fleet(self) -> None:
        self.hosts: tuple[Host, ...] = hosts_of(self.configuration, self.inventory)
        self._hosts = {host.name: host for host in self.hosts}

    def host(self, name: str) -> Host | None:
        """By name; None for one that left the fleet."""
        return self._hosts.get(name)

    async def configuration_of(self, push: Push) -> Configuration:
        """What a push was frozen with. What was adopted says nothing of itself: the installation's of now.

        A reload hook that was wrong when it was adopted would else keep the fleet from ever going back to it.
        """
        if push.origin is Origin.ADOPTED:
            return self.configuration
        own, _ = await self.store.pushes.configurations(self.line, push.number)
        return await self.frozen(own)

    async def frozen(self, digest: str) -> Configuration:
        """What a push or release was frozen with; the installation's where there is none."""
        text: Mapping[str, Any] | None = (
            await self.store.configurations.get(self.line, digest) if digest else None
        )
        return Configuration.model_validate(text) if text else self.configuration
