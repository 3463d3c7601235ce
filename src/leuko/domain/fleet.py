"""The servers, and how a push is divided over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from types import MappingProxyType

from leuko.domain.errors import LeukoError

HOLD_BACK = -1
"""Phase number of hosts that stay on the base until every other phase has passed."""


@dataclass(frozen=True, slots=True)
class Host:
    """One server. `name` is unique in the fleet; `variables` reach its hooks as environment variables."""

    name: str
    role: str
    address: str = ""
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    pushed: bool = True
    """False for a role that is only watched (a database shard, a cache)."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many of a set: a count or a percentage (rounded up, at least one of a set that is not empty)."""

    count: int | None = None
    percent: float | None = None

    def of(self, total: int) -> int:
        """Number of hosts, never more than `total`."""
        if total == 0:
            return 0
        wanted = self.count if self.count is not None else ceil((self.percent or 0.0) * total / 100.0 - 1e-9)
        return min(total, max(1, wanted)) if wanted > 0 else 0

    def __str__(self) -> str:
        return str(self.count) if self.count is not None else f"{self.percent:g}%"


@dataclass(frozen=True, slots=True)
class PhaseRule:
    """Which hosts a phase takes: a share of each role, whole roles, or hosts by name."""

    share: Share | None = None
    roles: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def assign_phases(
    hosts: Sequence[Host], rules: Sequence[PhaseRule], hold_back: Share | None, *, rotation: int = 0
) -> dict[str, int]:
    """Gives each pushed host its phase, or HOLD_BACK: host name -> phase index.

    A share counts over each role, so that every phase covers every role it can, and is cumulative when it
    is a percentage ("10%, 50%, 100%" are the shares reached). Hosts that no rule took go into the last
    phase. `rotation` moves the start, so that not always the same hosts are the canaries. Held-back hosts
    are taken last, from roles that keep at least one host in some phase.
    """
    pushed = [host for host in hosts if host.pushed]
    by_role: dict[str, list[Host]] = {}
    for host in pushed:
        by_role.setdefault(host.role, []).append(host)
    order = {role: _rotated(members, rotation) for role, members in by_role.items()}
    phases: dict[str, int] = {}
    held = _held_back(order, hold_back)
    for index, rule in enumerate(rules):
        for host in _chosen(order, rule, phases, held):
            phases[host.name] = index
    last = len(rules) - 1
    for host in pushed:
        phases.setdefault(host.name, HOLD_BACK if host.name in held else last)
    empty = [index for index in range(len(rules)) if index not in phases.values()]
    if empty and pushed:
        raise LeukoError(
            f"phase {empty[0] + 1} has no hosts left: earlier phases took them all",
            where=f"push.phases[{empty[0]}]",
            way_out="make the earlier phases smaller or take this one out",
            code="F001",
        )
    return phases


def _rotated(members: list[Host], rotation: int) -> list[Host]:
    if not members:
        return []
    start = rotation % len(members)
    return members[start:] + members[:start]


def _held_back(order: Mapping[str, list[Host]], hold_back: Share | None) -> set[str]:
    if hold_back is None:
        return set()
    held: set[str] = set()
    total = sum(len(members) for members in order.values())
    wanted = hold_back.of(total)
    # the largest roles can spare a host first; a role keeps at least two that are pushed
    for role in sorted(order, key=lambda name: (-len(order[name]), name)):
        spare = len(order[role]) - 2
        for host in list(reversed(order[role]))[: max(0, min(spare, wanted - len(held)))]:
            held.add(host.name)
    return held


def _chosen(
    order: Mapping[str, list[Host]], rule: PhaseRule, taken: Mapping[str, int], held: set[str]
) -> list[Host]:
    free = {
        role: [host for host in members if host.name not in taken and host.name not in held]
        for role, members in order.items()
    }
    if rule.names:
        return [host for members in free.values() for host in members if host.name in rule.names]
    if rule.roles and rule.share is None:
        return [host for role in rule.roles for host in free.get(role, [])]
    chosen: list[Host] = []
    for role, members in free.items():
        if rule.roles and role not in rule.roles:
            continue
        share = rule.share or Share(percent=100.0)
        total = len(order[role])
        wanted = share.of(total)
        if share.percent is not None:  # cumulative: what earlier phases took of this role counts
            wanted -= sum(host.name in taken for host in order[role])
        chosen += members[: max(0, wanted)]
    return chosen


def room_to_take_out(serving: int, out: int, min_healthy: Share) -> int:
    """How many more hosts of a role may be taken out of service now: at least one, or nothing would move.

    `serving` is the role's size without quarantined hosts; `out` how many are out at this moment.
    """
    must_stay = min_healthy.of(serving) if min_healthy.percent is not None else (min_healthy.count or 0)
    room = max(1, serving - min(must_stay, serving))
    return max(0, room - out)
