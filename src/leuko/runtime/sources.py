"""Tells when a kind of source begins to fail on hosts of a line, and when it gives readings again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from leuko.domain.gauge import HOSTLESS
from leuko.gauges.source import Health
from leuko.runtime.ground import Ground

NAMED = 20
"""Hosts named in one event."""
LOOKS = 3
"""A source is told of when it was found so this often in a row: one missed reading is nobody's business."""


@dataclass
class Sources:
    """`look` is called about once a tick with what the sampler knows."""

    ground: Ground
    _told: dict[str, frozenset[str]] = field(default_factory=dict)
    _seen: dict[str, tuple[frozenset[str], int]] = field(default_factory=dict)
    _learned: bool = False

    async def look(self, found: Iterable[Health]) -> None:
        """One event a kind of source whose failing hosts changed, and stayed so."""
        await self._learn()
        failing: dict[str, dict[str, str]] = {}
        for health in found:
            reasons = failing.setdefault(health.source, {})
            if health.reason:
                reasons[health.host] = health.reason
        for source in {*failing, *self._told}:
            await self._settle(source, failing.get(source, {}))

    async def _settle(self, source: str, reasons: dict[str, str]) -> None:
        hosts = frozenset(reasons)
        before, looks = self._seen.get(source, (frozenset(), 0))
        looks = looks + 1 if hosts == before else 1
        self._seen[source] = (hosts, looks)
        if looks < LOOKS or hosts == self._told.get(source, frozenset()):
            return
        named = sorted(hosts)[:NAMED]
        reason = _said(named[0], reasons[named[0]]) if named else ""
        others = hosts - {HOSTLESS, *named[:1]}
        more = "1 more host" if len(others) == 1 else f"{len(others)} more hosts"
        reason += f"; and {more}" if others else ""
        facts = {"source": source, "ok": not hosts, "reason": reason, "hosts": named, "failing": len(hosts)}
        async with self.ground.write() as tx:
            tx.event("source", source, facts, self.ground.clock.now())
        self._told[source] = hosts

    async def _learn(self) -> None:
        """What was told before this process began: what failed then may have mended since."""
        if self._learned:
            return
        for event in await self.ground.store.events.latest(self.ground.line, kind="source", limit=200):
            if event.subject not in self._told and "hosts" in event.data:
                self._told[event.subject] = frozenset(event.data["hosts"])
        self._learned = True


def _said(host: str, reason: str) -> str:
    """A source of the whole speaks for itself."""
    return reason if host == HOSTLESS else f"{host}: {reason}"
