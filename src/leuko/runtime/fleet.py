"""Gives orders to real hosts, over the one connection that each has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from leuko.config.fleet import Reach, addresses
from leuko.domain.fleet import Host
from leuko.domain.order import Order, OrderKind, Outcome, Result
from leuko.domain.payload import Payload
from leuko.domain.release import Component
from leuko.hosts.facts import Facts
from leuko.hosts.lanes import PooledHost
from leuko.hosts.orders import Reach as Place
from leuko.hosts.perform import Orders
from leuko.hosts.pool import HostPool, Lane
from leuko.hosts.port import Address, Channel, Unreachable
from leuko.releases.archives import Archives
from leuko.runtime.ground import Ground
from leuko.runtime.planning import component_name


def address_of(reach: Reach) -> Address:
    """The port's address of a host of the configuration."""
    return Address(
        host=reach.host,
        port=reach.port,
        user=reach.user,
        identity=reach.identity,
        known_hosts=reach.known_hosts,
        jump=reach.jump,
        options=reach.options,
        driver=reach.driver,
        connect_timeout=reach.connect_timeout,
    )


class RemoteFleet:
    """Of one line. Keeps what probes told of each host in `seen`."""

    def __init__(self, ground: Ground, pool: HostPool, orders: Orders, archives: Archives) -> None:
        self._ground = ground
        self._pool = pool
        self._orders = orders
        self._archives = archives
        self._reach: Mapping[str, Reach] = {}
        self._learned_from: object = None
        self.seen: dict[str, Facts] = {}
        self._readers: dict[str, Channel] = {}
        self._silenced: dict[str, str] = {}

    async def perform(self, host: Host, orders: Sequence[Order]) -> Outcome:
        """One after the other; the first that is not done ends it. Seconds add up."""
        total: Outcome | None = None
        for order in orders:
            outcome = await self._one(host, order)
            if total is not None:
                outcome = replace(
                    outcome,
                    seconds=outcome.seconds + total.seconds,
                    link_seconds=max(outcome.link_seconds, total.link_seconds),
                )
            total = outcome
            if not outcome.done:
                return outcome
        return total or Outcome(Result.DONE, "no component of the release goes to this role")

    async def abort(self, host: Host, orders: Sequence[Order]) -> None:
        """Kills what runs for these orders; what came of them is told by their own outcome."""
        for order in orders:
            await self._orders.abort(
                self._source(host, "abort"),
                self._place(host),
                order.component,
                order.id,
                fence=order.fence,
                why="the push goes back",
            )

    async def probe(self, host: Host, component: str, *, running: str = "") -> Facts:
        """What the host says of itself."""
        outcome = await self._orders.probe(
            self._source(host, "orders"), self._place(host), component, running=running
        )
        facts = Facts.of(outcome)
        self.seen[host.name] = facts
        return facts

    async def start(self, host_name: str, argv: Sequence[str]) -> Channel:
        """Starts a program beside all orders: the sampler's reader."""
        host = self._ground.host(host_name)
        if host is None:
            raise Unreachable(f"{host_name} is not in the fleet", where=host_name)
        if host_name in self._silenced:
            raise Unreachable(self._silenced[host_name], where=host_name)
        channel = await self._pool.start(self._address(host), argv, lane="readings")
        self._readers[host_name] = channel
        return channel

    async def silence(self, host: Host, why: str) -> None:
        """Nothing is read from the host any more, until `hear`: its reader is let go of."""
        self._silenced[host.name] = why
        reader = self._readers.pop(host.name, None)
        if reader is not None:
            await reader.close()

    def hear(self, host: Host) -> None:
        """The host is read again, as soon as its reader is tried next."""
        self._silenced.pop(host.name, None)

    async def begin(self, host: Host, argv: Sequence[str]) -> Channel:
        """Starts a program that is neither an order nor a reader."""
        return await self._pool.start(self._address(host), argv, lane="readings")

    async def _one(self, host: Host, order: Order) -> Outcome:
        if order.kind is OrderKind.RESTORE:
            return await self._restore(host, order)
        if order.kind is not OrderKind.STAGE:
            return await self._orders.perform(self._source(host, "orders"), self._place(host), order)
        facts = await self.probe(host, order.component)
        if not facts.reachable:
            return Outcome(Result.UNREACHABLE, facts.reason)
        theirs = _not_ours(facts, host)
        if theirs:
            return Outcome(Result.REFUSED, theirs)
        if order.base and order.base not in facts.releases:
            base = replace(order, id=f"{order.id}-base", target=order.base, base="")
            outcome = await self._stage(host, base, facts)
            if not outcome.done:
                return outcome
        return await self._stage(host, order, facts)

    async def _restore(self, host: Host, order: Order) -> Outcome:
        """The base is on every host; where it is not any more, it is copied there first."""
        outcome = await self._orders.perform(self._source(host, "orders"), self._place(host), order)
        if outcome.result is not Result.FAILED or order.base not in outcome.reason:
            return outcome
        facts = await self.probe(host, order.component)
        if not facts.reachable or order.base in facts.releases:
            return outcome
        base = replace(
            order, id=f"{order.id}-copy", kind=OrderKind.STAGE, target=order.base, base="", hooks={}
        )
        staged = await self._stage(host, base, facts)
        if not staged.done:
            return replace(outcome, reason=f"{outcome.reason}; it could not be copied: {staged.reason}")
        again = replace(order, id=f"{order.id}-again")
        return await self._orders.perform(self._source(host, "orders"), self._place(host), again)

    async def _stage(self, host: Host, order: Order, facts: Facts) -> Outcome:
        payload = await self._payload(order, facts.releases)
        if payload is None:
            if order.target in facts.releases:
                return Outcome(Result.DONE, "already there")
            return Outcome(Result.REFUSED, f"{order.target} has no archive here and the host lacks it")
        return await self._orders.perform(self._source(host, "orders"), self._place(host), order, payload)

    async def _payload(self, order: Order, present: Sequence[str]) -> Payload | None:
        """None for a release that was adopted: it has no archive, and only the host it came from has it."""
        component = await self._component(order.component, order.target)
        if component is None or not self._archives.path(component.digest).exists():
            return None
        wanted = [order.base] if order.base in present else list(present[-3:])
        return await self._archives.payload(component, order.target, wanted)

    async def _component(self, name: str, on_host: str) -> Component | None:
        revision = on_host.split("-", 1)[0]
        found = await self._ground.store.releases.get(self._ground.line, revision)
        # the same revision may have been built twice, with different trees
        others = await self._ground.store.releases.recent(self._ground.line, limit=200)
        for release in [found, *others] if found else others:
            if component_name(release, name) == on_host:
                return next(part for part in release.components if part.name == name)
        return None

    def _source(self, host: Host, lane: Lane) -> PooledHost:
        return PooledHost(self._pool, self._address(host), lane)

    def _address(self, host: Host) -> Address:
        address = address_of(self._known()[host.name])
        # hosts on this very machine share its address, but not their turns
        return replace(address, host=host.name) if address.driver == "local" else address

    def _place(self, host: Host) -> Place:
        reach = self._known().get(host.name)
        line = self._ground.line
        root = reach.root if reach else self._ground.configuration.fleet.root
        return Place(line.application, line.environment, host.name, host.role, root)

    def _known(self) -> Mapping[str, Reach]:
        if self._learned_from is not self._ground.hosts:
            self._reach = addresses(self._ground.configuration, self._ground.inventory)
            self._learned_from = self._ground.hosts
        return self._reach


def _not_ours(facts: Facts, host: Host) -> str:
    """Why nothing may be pushed to this host yet. Asked before anything is switched anywhere: a switch that
    is refused would look like a fault of the release, and going back could not mend it."""
    what = {"folder": "a real folder", "file": "a file", "link": f"a link to {facts.current}"}
    if facts.current_kind not in what:
        return ""
    return (
        f"current is {what[facts.current_kind]}, which is not Leuko's: "
        f"`leuko adopt {host.name}` makes what runs there the first base"
    )
