"""A kind of log line: what is left of it without its names and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

UNSEEN = ".unseen"
"""Ending of the gauge that counts lines of kinds first seen lately: `errors` and `errors.unseen`."""


@dataclass(frozen=True, slots=True)
class Template:
    """`id` stays the same when the text becomes more general. `push` ran when it was first seen."""

    gauge: str
    id: str
    text: str
    example: str
    first_seen: datetime
    last_seen: datetime
    seen: int
    hosts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    """How many of its lines came from where; of many hosts only some."""
    push: int | None = None


def appeared(templates: list[Template], switched: Mapping[str, datetime | None], push: int) -> list[Template]:
    """First seen since a push's first switch, on a host that has the new release; the most seen first."""
    times = [at for at in switched.values() if at is not None]
    if not times:
        return []
    since = min(times)
    found = [
        template
        for template in templates
        if template.push == push
        and template.first_seen >= since
        and any(switched.get(host) is not None for host in template.hosts)
    ]
    return sorted(found, key=lambda template: (-template.seen, template.first_seen, template.id))
