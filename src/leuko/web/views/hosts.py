"""Hosts and what each runs."""

from __future__ import annotations

from datetime import datetime

import msgspec

from leuko.domain.line import Line
from leuko.store.hosts import KnownHost
from leuko.store.store import Store


class HostView(msgspec.Struct, frozen=True):
    """One host. `standing`: `ok`, `unreachable`, `quarantined`, `differs` or `unknown`."""

    name: str
    role: str
    address: str
    pushed: bool
    runs: str
    desired: str
    current: str
    running: str
    reachable: bool | None
    since: datetime | None
    last_seen: datetime | None
    quarantined: str
    clock_skew: float | None
    free_bytes: int | None
    standing: str


class FleetView(msgspec.Struct, frozen=True):
    """The fleet in figures; `releases` counts hosts by what they run."""

    total: int
    reachable: int
    unreachable: int
    unknown: int
    releases: dict[str, int]


_ORDER = {"unreachable": 0, "quarantined": 1, "differs": 2, "unknown": 3, "ok": 4}


def host_view(host: KnownHost) -> HostView:
    """A host as it was last seen."""
    return HostView(
        host.name,
        host.role,
        host.address,
        host.pushed,
        host.runs,
        host.desired,
        host.current,
        host.running,
        host.reachable,
        host.since,
        host.last_seen,
        host.quarantined,
        host.clock_skew,
        host.free_bytes,
        _standing(host),
    )


def fleet(hosts: tuple[KnownHost, ...]) -> FleetView:
    """Figures of all hosts together."""
    releases: dict[str, int] = {}
    for host in hosts:
        releases[host.runs] = releases.get(host.runs, 0) + 1
    return FleetView(
        len(hosts),
        sum(host.reachable is True for host in hosts),
        sum(host.reachable is False for host in hosts),
        sum(host.reachable is None for host in hosts),
        dict(sorted(releases.items(), key=lambda item: -item[1])),
    )


def troubled_first(hosts: tuple[KnownHost, ...]) -> list[HostView]:
    """Those that something is wrong with lead; else by role and name."""
    return sorted((host_view(host) for host in hosts), key=lambda view: _ORDER[view.standing])


async def hosts(store: Store, line: Line, now: datetime) -> list[HostView]:  # noqa: ARG001 - every view has it
    """All, in order of role and name."""
    return [host_view(host) for host in await store.hosts.all(line)]


def _standing(host: KnownHost) -> str:
    if host.reachable is False:
        return "unreachable"
    if host.quarantined:
        return "quarantined"
    if host.pushed and (host.differs or host.strays):
        return "differs"
    return "unknown" if host.reachable is None else "ok"
