"""Takes over what runs: the first base of a fleet that others deployed to until now."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from leuko.domain.errors import LeukoError, Refused
from leuko.domain.fleet import Host
from leuko.domain.intent import Intent
from leuko.domain.order import Fence, Order, OrderKind, Outcome
from leuko.domain.plan import Plan, PlannedHost
from leuko.domain.push import Origin, Push, Rules, State
from leuko.domain.release import Component, Release
from leuko.domain.rollout import HostProgress, HostState
from leuko.runtime.fleet import RemoteFleet
from leuko.runtime.ground import Ground
from leuko.runtime.orders import components_of
from leuko.runtime.planning import to_text
from leuko.store.records import to_json
from leuko.vcs.landings import History

COPY_SECONDS = 1800.0


class Adopting:
    """Of one line: hosts become this installation's, and what all of them run becomes LIVE."""

    def __init__(self, ground: Ground, fleet: RemoteFleet, history: History) -> None:
        self._ground = ground
        self._fleet = fleet
        self._history = history

    async def __call__(self, intent: Intent) -> Mapping[str, Any]:
        """Adopts one host, or all; the fleet's base is made only when all of it runs the same."""
        chosen = self._chosen(str(intent.arguments.get("host", "")))
        running = await self._ground.store.pushes.active(self._ground.line)
        if running is not None:
            raise Refused(
                f"{running.name} is {running.state}",
                where=str(self._ground.line),
                way_out="adopt when it has ended, or abort it",
                code="P020",
            )
        outcomes = dict(await asyncio.gather(*(self._adopt(host) for host in chosen)))
        told = {name: f"{one.result}: {one.reason}" for name, one in outcomes.items()}
        failed = [name for name, one in outcomes.items() if not one.done]
        if failed:
            shown = "; ".join(f"{name}: {outcomes[name].reason}" for name in failed[:3])
            raise Refused(
                f"not every host could be adopted: {shown}",
                where=str(self._ground.line),
                way_out="`leuko check --hosts` says what is wrong; adopting twice does no harm",
                code="P021",
            )
        answer: dict[str, Any] = {"hosts": told, "release": ""}
        if len(chosen) == len([host for host in self._ground.hosts if host.pushed]):
            answer["release"] = await self._make_base(outcomes, intent)
        return answer

    def _chosen(self, name: str) -> list[Host]:
        pushed = [host for host in self._ground.hosts if host.pushed]
        chosen = [host for host in pushed if not name or host.name == name]
        if not chosen:
            known = ", ".join(host.name for host in pushed[:20])
            raise Refused(f"there is no host {name!r}", way_out=f"the fleet has: {known}", code="P022")
        return chosen

    async def _adopt(self, host: Host) -> tuple[str, Outcome]:
        component = (*components_of(self._ground.configuration, host.role), "app")[0]
        async with self._ground.write() as tx:
            sequence = await tx.next_sequence()
        order = Order(
            id=f"adopt-{host.name}-{sequence}",
            kind=OrderKind.ADOPT,
            fence=Fence(self._ground.store.installation, self._ground.epoch, sequence),
            component=component,
            deadline=COPY_SECONDS,
        )
        return host.name, await self._fleet.perform(host, [order])

    async def _make_base(self, outcomes: Mapping[str, Outcome], intent: Intent) -> str:
        """What every host runs becomes LIVE; nothing where nothing runs anywhere yet."""
        found = Counter(one.facts.get("release", "") for one in outcomes.values())
        if set(found) == {""}:
            return ""
        if len(found) > 1:
            shown = ", ".join(f"{name or 'nothing'} on {number}" for name, number in found.most_common())
            raise Refused(
                f"the hosts do not run the same: {shown}",
                where=str(self._ground.line),
                way_out="bring them to one release with your old tool, then adopt again",
                code="P023",
            )
        live = await self._ground.store.pushes.live(self._ground.line)
        name = next(iter(found))
        if live is not None and live.release == name:
            return name
        release = await self._release(name, next(iter(outcomes.values())).facts.get("digest", ""))
        await self._store(release, intent)
        return release.name

    async def _release(self, name: str, digest: str) -> Release:
        revision = name.rpartition("-")[0]
        with suppress(LeukoError):  # else: it was not built from this repository, and its name has to do
            revision = await self._history.resolve(revision)
        component = Component("app", digest or name.rpartition("-")[2], 0, 0)
        return Release(revision, (component,), self._ground.clock.now())

    async def _store(self, release: Release, intent: Intent) -> None:
        ground, now = self._ground, self._ground.clock.now()
        hosts = tuple(PlannedHost(host.name, host.role, 0) for host in ground.hosts if host.pushed)
        push = Push(
            number=0,
            line=ground.line,
            release=release.name,
            revision=release.revision,
            base=None,
            rules=Rules(phases=1),
            state=State.LIVE,
            since=now,
            created_at=now,
            started_at=now,
            ended_at=now,
            origin=Origin.ADOPTED,
            by=intent.by,
            why=intent.why or "adopted: it ran before Leuko came",
        )
        async with ground.write() as tx:
            digest = await ground.store.configurations.keep(tx, to_text(ground.configuration), now)
            await ground.store.releases.add(tx, release, configuration=digest)
            await ground.store.releases.mark_good(tx, release.name)
            plan = Plan(hosts=hosts, watches=(1,), tick=ground.configuration.tick)
            push = await ground.store.pushes.create(
                tx, push, plan=to_json(plan), configuration=digest, base_configuration=digest
            )
            rows = [
                HostProgress(host.name, host.role, 0, HostState.SWITCHED, switched_at=now) for host in hosts
            ]
            await ground.store.hosts.save_progress(tx, push.number, rows)
            number = await ground.store.operations.start(
                tx, "Adopt", now, person=intent.by, revision=release.revision, subject=push.name
            )
            await ground.store.operations.finish(tx, number, "live", now)
            facts = {"push": push.number, "to": "LIVE", "release": release.name, "by": intent.by}
            tx.event("push", push.name, facts, now)
