"""Limits in force: what the configuration says, and in its place what people set by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from leuko.domain.gauge import Limit


class Origin(StrEnum):
    """Where a limit comes from. What a revision says can only be stricter than the installation's file."""

    INSTALLATION = "installation"
    REVISION = "revision"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class InForce:
    """A limit that counts now, where it comes from, and what of the configuration it stands in place of."""

    limit: Limit
    origin: Origin
    instead_of: tuple[Limit, ...] = ()


def in_force(
    configured: Sequence[Limit], people: Sequence[Limit], installation: Iterable[Limit] | None = None
) -> tuple[InForce, ...]:
    """Limits of one gauge. `configured` is what the frozen configuration holds, the revision's included.

    A limit that a person set takes the place of the configured ones about the very same place. One about a
    single host, or a role, also takes the place of wider ones there: a person who sets www3 to 12 means 12.
    """
    places = {limit.place for limit in people}
    own = configured if installation is None else tuple(installation)
    found = [
        InForce(limit, Origin.INSTALLATION if limit in own else Origin.REVISION)
        for limit in configured
        if limit.place not in places
    ]
    found += [
        InForce(limit, Origin.PERSON, tuple(old for old in configured if old.place == limit.place))
        for limit in people
        if limit.above is not None or limit.below is not None
    ]
    return tuple(replace(one, limit=_narrowed(one.limit, people)) for one in found)


def _narrowed(limit: Limit, people: Sequence[Limit]) -> Limit:
    """The limit, without the hosts and roles that a person gave one of their own."""
    if limit.host:
        return limit
    same_scope = [other for other in people if other.scope == limit.scope]
    hosts = {other.host for other in same_scope if other.host}
    roles = {f"@{other.role}" for other in same_scope if other.role and not other.host and not limit.role}
    return replace(limit, besides=tuple(sorted(hosts | roles)))


def gauge_limits(configured: Sequence[Limit], people: Sequence[Limit]) -> tuple[Limit, ...]:
    """The same without origins: what the judge holds readings to."""
    return tuple(one.limit for one in in_force(configured, people))


def about(limit: Limit) -> str:
    """`on www3`, `on each www host`, `over www`, `on each host`, `over all hosts`."""
    if limit.host:
        return f"on {limit.host}"
    if limit.scope == "aggregate":
        return f"over {limit.role or 'all hosts'}"
    return f"on each {limit.role} host" if limit.role else "on each host"
