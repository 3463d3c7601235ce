"""The fleet that a configuration describes: hosts, how each is reached, and the rules of the phases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from leuko.config.inventory import Machine, machines
from leuko.config.model import Configuration, HostEntry
from leuko.config.quantities import share, ticks
from leuko.config.ranges import unfold
from leuko.domain.errors import LeukoError
from leuko.domain.fleet import Host, PhaseRule, Share


@dataclass(frozen=True, slots=True)
class Reach:
    """Where and as whom a host is reached, and below which folder its applications live."""

    host: str
    port: int = 22
    user: str = ""
    identity: str = ""
    known_hosts: str = ""
    jump: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    driver: str = "auto"
    """auto | asyncssh | openssh | local"""
    root: str = "/srv"
    connect_timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class _Listed:
    host: Host
    port: int | None
    user: str
    root: str


def hosts(configuration: Configuration, inventory_text: str | None = None) -> tuple[Host, ...]:
    """Every host, in the order of the file; those of the inventory follow.

    `inventory_text` is what `inventory.read_inventory` gave; it must be given when there is an inventory, for
    a fleet with hosts missing is worse than an error.
    """
    return tuple(listed.host for listed in _listed(configuration, inventory_text))


def addresses(configuration: Configuration, inventory_text: str | None = None) -> Mapping[str, Reach]:
    """Host name -> how it is reached."""
    fleet, ssh = configuration.fleet, configuration.fleet.ssh
    local = fleet.transport == "local"
    return MappingProxyType(
        {
            listed.host.name: Reach(
                host=listed.host.address,
                port=listed.port or ssh.port,
                user=listed.user or ssh.user,
                identity=ssh.identity,
                known_hosts=ssh.known_hosts,
                jump=ssh.jump,
                options=tuple(ssh.options.items()),
                driver="local" if local else ssh.driver,
                root=_root(configuration, listed.root, listed.host.name),
                connect_timeout=ssh.connect_timeout,
            )
            for listed in _listed(configuration, inventory_text)
        }
    )


def component_root(configuration: Configuration, host: str | Host, component: str) -> str:
    """`<root>/<application>/<component>` on a host."""
    name = host if isinstance(host, str) else host.name
    own = next((entry.root for entry in _entries(configuration) if _stands_for(entry.name, name)), "")
    return f"{_root(configuration, own, name)}/{configuration.application}/{component}"


def phase_rules(configuration: Configuration) -> tuple[PhaseRule, ...]:
    """The phases, as the domain divides a fleet by them."""
    return tuple(
        PhaseRule(share=share(phase.hosts) if phase.hosts else None, roles=phase.roles, names=phase.names)
        for phase in configuration.push.phases
    )


def hold_back(configuration: Configuration) -> Share | None:
    """How many hosts stay on the old release until the last phase has passed."""
    text = configuration.push.hold_back
    return share(text) if text else None


def watch_ticks(configuration: Configuration) -> tuple[int, ...]:
    """How many closed ticks with data each phase is watched for."""
    return tuple(ticks(phase.watch, configuration.tick) for phase in configuration.push.phases)


def _listed(configuration: Configuration, inventory_text: str | None) -> list[_Listed]:
    found = [*_inline(configuration), *_from_inventory(configuration, inventory_text)]
    seen: set[str] = set()
    for listed in found:
        if listed.host.name in seen:
            raise LeukoError(
                f'the host "{listed.host.name}" is listed twice',
                where="fleet",
                way_out="A host has one role; take it out of the file or out of the inventory.",
                code="C032",
            )
        seen.add(listed.host.name)
    return found


def _inline(configuration: Configuration) -> Iterator[_Listed]:
    for role, section in configuration.fleet.roles.items():
        for entry in section.hosts:
            for name, address in unfold_entry(entry):
                variables = MappingProxyType(dict(entry.vars))
                host = Host(name, role, address, variables, section.pushed)
                yield _Listed(host, entry.port, entry.user, entry.root)


def unfold_entry(entry: HostEntry) -> list[tuple[str, str]]:
    """(name, address) of each host an entry stands for. Raises ValueError with the rule."""
    names = unfold(entry.name)
    if not entry.address:
        return [(name, name) for name in names]
    found = unfold(entry.address)
    if len(found) == 1:
        found *= len(names)
    if len(found) != len(names):
        raise ValueError(f"stands for {len(names)} hosts, but its address for {len(found)}")
    return list(zip(names, found, strict=True))


def _from_inventory(configuration: Configuration, text: str | None) -> Iterator[_Listed]:
    inventory = configuration.fleet.inventory
    if inventory is None:
        return
    if text is None:
        raise LeukoError("the inventory was not read", where="fleet.inventory", code="C060")
    for machine, role in _with_roles(configuration, machines(text)):
        section = configuration.fleet.roles.get(role)
        kept = {name: value for name, value in machine.variables.items() if name in inventory.vars}
        host = Host(
            machine.name,
            role,
            machine.address or machine.name,
            MappingProxyType(kept),
            section.pushed if section else True,
        )
        yield _Listed(host, machine.port, machine.user, "")


def _with_roles(configuration: Configuration, found: tuple[Machine, ...]) -> Iterator[tuple[Machine, str]]:
    inventory = configuration.fleet.inventory
    assert inventory is not None
    known = sorted({group for machine in found for group in machine.groups})
    for group in inventory.groups:
        if group not in known:
            raise LeukoError(
                f'the inventory has no host in a group "{group}"',
                where="fleet.inventory.groups",
                way_out=f"Its groups: {', '.join(known) or 'none'}.",
                code="C062",
            )
    for machine in found:
        roles = {inventory.groups[group]: group for group in machine.groups if group in inventory.groups}
        if len(roles) > 1:
            raise LeukoError(
                f'the host "{machine.name}" is in {" and ".join(sorted(roles.values()))}, '
                "which are different roles",
                where="fleet.inventory.groups",
                way_out="A host has one role: name only one of these groups.",
                code="C062",
            )
        for role in roles:
            yield machine, role


def _entries(configuration: Configuration) -> Iterator[HostEntry]:
    for section in configuration.fleet.roles.values():
        yield from section.hosts


def _stands_for(pattern: str, name: str) -> bool:
    return pattern == name or ("[" in pattern and name in unfold(pattern))


def _root(configuration: Configuration, own: str, name: str) -> str:
    root = (own or configuration.fleet.root).replace("{name}", name)
    return root.rstrip("/")
