"""Looks after what no push is about: the fleet as it is, hosts left out, and what others changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from leuko.config.model import Configuration
from leuko.domain.fleet import Host
from leuko.domain.order import Fence, Order, OrderKind
from leuko.domain.push import Drifted, Push, State, advance
from leuko.domain.release import Release
from leuko.domain.rollout import HostProgress, HostState, again, answered, ordered
from leuko.hosts.facts import Facts
from leuko.runtime.fleet import RemoteFleet
from leuko.runtime.ground import Ground
from leuko.runtime.orders import Frozen, Parts, components_of, order_id, orders_for
from leuko.runtime.planning import component_name
from leuko.runtime.saving import background, save
from leuko.store.hosts import KnownHost

PROBED_AT_ONCE = 32


class Guard:
    """Of one line. `look` is one round over all hosts."""

    def __init__(self, ground: Ground, fleet: RemoteFleet) -> None:
        self._ground = ground
        self._fleet = fleet
        self._pruned: int | None = None

    async def look(self) -> None:
        """Probes every host, stores what changed, holds a push whose hosts others changed, and mends."""
        ground = self._ground
        live = await ground.store.pushes.live(ground.line)
        active = await ground.store.pushes.active(ground.line)
        configuration = await self._configuration(live)
        release = await ground.store.releases.get(ground.line, live.release) if live else None
        found = await self._seen(configuration, release)
        if active is not None:
            await self._notice_drift(active, found)
        elif live is not None and release is not None:
            await self._converge(live, release, configuration, dict(found))
            await self._prune(live, configuration, dict(found))

    async def note(self) -> None:
        """Only probes and stores what changed: nothing is held, and nothing mended."""
        await self._seen(self._ground.configuration, None)

    async def _seen(self, configuration: Configuration, release: Release | None) -> list[tuple[Host, Facts]]:
        ground = self._ground
        found = await self._probe_all(configuration)
        known = {host.name: host for host in await ground.store.hosts.all(ground.line)}
        rows = [self._row(host, known.get(host.name), facts, release) for host, facts in found]
        await self._save(rows, known)
        return found

    async def _configuration(self, live: Push | None) -> Configuration:
        if live is None:
            return self._ground.configuration
        return await self._ground.configuration_of(live)

    async def _probe_all(self, configuration: Configuration) -> list[tuple[Host, Facts]]:
        places = asyncio.Semaphore(PROBED_AT_ONCE)

        async def one(host: Host) -> tuple[Host, Facts]:
            async with places:
                component = (*components_of(configuration, host.role), "app")[0]
                running = configuration.fleet.running.command
                return host, await self._fleet.probe(host, component, running=running)

        pushed = [host for host in self._ground.hosts if host.pushed]
        return list(await asyncio.gather(*(one(host) for host in pushed)))

    def _row(self, host: Host, known: KnownHost | None, facts: Facts, live: Release | None) -> KnownHost:
        now = self._ground.clock.now()
        known = known or KnownHost(host.name, host.role, host.address, host.pushed)
        changed = known.reachable is not facts.reachable
        row = replace(
            known,
            role=host.role,
            address=host.address,
            reachable=facts.reachable,
            since=now if changed else known.since,
            desired=live.name if live else "",
        )
        if not facts.reachable:
            return replace(row, facts={"reason": facts.reason})
        return replace(
            row,
            current=facts.current if facts.current_kind != "none" else "",
            running=facts.runs.strip(),
            last_seen=now,
            clock_skew=_skew(facts.clock, now),
            free_bytes=facts.free_bytes,
            facts={"current_kind": facts.current_kind, "user": facts.user},
        )

    async def _save(self, rows: Sequence[KnownHost], known: dict[str, KnownHost]) -> None:
        now = self._ground.clock.now()
        gone = sorted(set(known) - {host.name for host in self._ground.hosts})
        async with self._ground.write() as tx:
            await self._ground.store.hosts.save(tx, rows)
            if gone:
                await self._ground.store.hosts.forget(tx, gone)
            for row in rows:
                before = known.get(row.name)
                if before is None or _shown(before) != _shown(row):
                    facts = {"host": row.name, "reachable": row.reachable, "current": row.current}
                    tx.event("fleet", row.name, facts | {"running": row.running, "role": row.role}, now)

    async def _notice_drift(self, push: Push, found: Sequence[tuple[Host, Facts]]) -> None:
        """A `current` that others changed holds the push: what it shows is not what it pushed."""
        if push.state is not State.WATCHING:
            return
        release = await self._ground.store.releases.get(self._ground.line, push.release)
        names = {component_name(release, part.name) for part in release.components} if release else set()
        rows = {
            row.host: row for row in await self._ground.store.hosts.progress(self._ground.line, push.number)
        }
        drifted = [
            f"{host.name} has {facts.current or 'nothing'} as current"
            for host, facts in found
            if facts.reachable
            and host.name in rows
            and rows[host.name].state is HostState.SWITCHED
            and facts.current not in names
        ]
        drifted += [
            f"{host.name} runs {facts.runs.strip()[:80]} although its link is right"
            for host, facts in found
            if facts.reachable
            and host.name in rows
            and rows[host.name].state is HostState.SWITCHED
            and facts.current in names
            and _runs_another(facts.runs, push, names)
        ]
        if not drifted:
            return
        known, now = await background(self._ground, push), self._ground.clock.now()
        detail = "somebody else changed " + "; ".join(drifted[:3])
        async with self._ground.write() as tx:
            await save(self._ground, tx, push, advance(push, Drifted(detail), now), known, now)
        self._ground.bell.ring()

    async def _converge(
        self, live: Push, release: Release, configuration: Configuration, found: dict[Host, Facts]
    ) -> None:
        """Hosts that the live push left out, and new ones, get the live release once they answer."""
        rows = {
            row.host: row for row in await self._ground.store.hosts.progress(self._ground.line, live.number)
        }
        names = {component_name(release, part.name) for part in release.components}
        wanting: list[tuple[Host, HostProgress]] = []
        for host, facts in found.items():
            row = rows.get(host.name) or HostProgress(host.name, host.role, 0, HostState.LEFT_OUT)
            # one that was switched and now has nothing was set up anew; what others put there is theirs
            never = row.state is not HostState.SWITCHED or facts.current_kind == "none"
            if facts.reachable and never and facts.current not in names:
                wanting.append((host, again(row)))
        # each by itself: one that hangs delays no other
        bringing = (self._bring(live, release, configuration, host, row) for host, row in wanting)
        await asyncio.gather(*bringing)

    async def _bring(
        self, live: Push, release: Release, configuration: Configuration, host: Host, row: HostProgress
    ) -> None:
        parts = Parts({part.name: component_name(release, part.name) for part in release.components}, {})
        frozen = Frozen(configuration, configuration, self._ground.secrets.values())
        for kind, state in ((OrderKind.STAGE, HostState.WAITING), (OrderKind.SWITCH, HostState.SWITCHING)):
            now = self._ground.clock.now()
            row = ordered(row, state, order_id(live, kind, row), now)
            fence = await self._fence(live, row)
            if fence is None:
                return  # a push began: this host is its business now
            outcome = await self._fleet.perform(host, orders_for(live, row, host, kind, parts, frozen, fence))
            row = answered(row, kind, outcome, self._ground.clock.now())
            if not outcome.done:
                row = replace(row, state=HostState.LEFT_OUT)
                break
        await self._keep_row(live, row, self._ground.clock.now())

    async def _fence(self, live: Push, row: HostProgress) -> Fence | None:
        """None once a push runs. Its orders have later sequences: a host that had one refuses this one."""
        async with self._ground.write() as tx:
            if not await self._ground.store.pushes.idle(tx):
                return None
            await self._ground.store.hosts.save_progress(tx, live.number, [row])
            sequence = await tx.next_sequence()
        return Fence(self._ground.store.installation, self._ground.epoch, sequence)

    async def _keep_row(self, live: Push, row: HostProgress, now: datetime) -> None:
        async with self._ground.write() as tx:
            await self._ground.store.hosts.save_progress(tx, live.number, [row])
            facts = {"push": live.number, "host": row.host, "state": row.state.value, "detail": row.detail}
            tx.event("host", row.host, facts, now)

    async def _prune(self, live: Push, configuration: Configuration, found: dict[Host, Facts]) -> None:
        """Once a push is live, hosts keep the good releases, what they run, and what it could go back to."""
        if self._pruned == live.number:
            return
        for host, facts in found.items():
            if not facts.reachable:
                continue
            for component in components_of(configuration, host.role):
                if await self._ground.store.pushes.active(self._ground.line) is not None:
                    return  # its turn comes when that has ended
                await self._fleet.perform(
                    host, [await self._prune_order(live, configuration, host, component)]
                )
        self._pruned = live.number

    async def _prune_order(
        self, live: Push, configuration: Configuration, host: Host, component: str
    ) -> Order:
        """The sequence is taken before the list is made: a staging that this list does not know of has a
        later sequence, and the host refuses whichever of the two comes out of turn.
        """
        store, line = self._ground.store, self._ground.line
        async with self._ground.write() as tx:
            sequence = await tx.next_sequence()
        good = await store.releases.recent(line, limit=configuration.fleet.keep, good=True)
        newest = await store.releases.recent(line, limit=configuration.fleet.keep)
        names = {component_name(one, component) for one in (*good, *newest)} - {""}
        return Order(
            id=f"p{live.number}-prune-{host.name}-{sequence}-{component}",
            kind=OrderKind.PRUNE,
            fence=Fence(store.installation, self._ground.epoch, sequence),
            component=component,
            keep=tuple(sorted(names)),
        )


def _runs_another(runs: str, push: Push, names: set[str]) -> bool:
    """What the processes say, by the rule that a switch goes by; nothing said is nothing known."""
    word = runs.strip()
    if not word or any(name in word for name in names):
        return False
    return not any(len(part) >= 7 and push.revision.startswith(part) for part in word.split())


def _skew(clock: int, now: datetime) -> float | None:
    """Seconds that a host's clock is off, as far as whole seconds can tell; None where it did not say."""
    if not clock:
        return None
    off = clock + 0.5 - now.timestamp()
    return 0.0 if abs(off) < 1.5 else round(off)


def _shown(host: KnownHost) -> tuple[object, ...]:
    return (host.reachable, host.current, host.running, host.desired, host.role)
