"""Limits in force: global, for roles, for hosts; where each comes from, who set it and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from leuko.config.model import Configuration, GaugeLimit
from leuko.config.model import Gauge as GaugeSection
from leuko.domain.gauge import Limit
from leuko.domain.intent import IntentKind, IntentState
from leuko.domain.limits import InForce, about, in_force
from leuko.domain.line import Line
from leuko.store.limit_changes import LimitChange
from leuko.store.overrides import Override
from leuko.store.store import Store

MOST_HOSTS = 2000


class LimitView(msgspec.Struct, frozen=True):
    """One limit. `origin` is installation, revision or person; `by`, `why` and `at` are a person's."""

    text: str
    about: str
    above: float | None
    below: float | None
    scope: str
    role: str
    host: str
    readings: int
    origin: str
    by: str
    why: str
    at: datetime | None
    instead_of: list[str]
    """What the configuration says about the same place, and does not count while this one stands."""
    besides: list[str]
    """Hosts, and roles as @role, that have a narrower one."""


class GaugeLimits(msgspec.Struct, frozen=True):
    """A gauge. `change` is the number of the newest change of its limits: what `seen` names."""

    gauge: str
    kind: str
    unit: str
    direction: str
    roles: list[str]
    change: int
    limits: list[LimitView]


class LimitChangeView(msgspec.Struct, frozen=True):
    """One change. Empty `was` or `became`: as configured."""

    id: int
    gauge: str
    about: str
    was: str
    became: str
    by: str
    why: str
    at: datetime


class Limits(msgspec.Struct, frozen=True):
    """Everything that the page of limits shows."""

    event: int
    revision: str
    """Whose gauges these are, besides the installation's: the push that runs, or what is live."""
    gauges: list[GaugeLimits]
    roles: list[str]
    hosts: list[str]
    changes: list[LimitChangeView]


async def limits(store: Store, line: Line, *, changes: int = 20) -> Limits:
    """From stored rows alone."""
    event = await store.events.last_number(line)
    text = await store.lines.served(line)
    installation = Configuration.model_validate_json(text) if text else None
    live = await store.pushes.active(line) or await store.pushes.live(line)
    frozen = await _frozen(store, line, live.number) if live else None
    own: Mapping[str, GaugeSection] = installation.gauges if installation else {}
    everything = {**own, **(frozen.gauges if frozen else {})}
    overrides = await store.overrides.all(line)
    newest = await store.limit_changes.newest(line)
    known = await store.hosts.all(line)
    return Limits(
        event,
        live.revision if live else "",
        [
            _gauge(name, section, own.get(name), overrides, newest.get(name, 0))
            for name, section in everything.items()
        ],
        list(dict.fromkeys(host.role for host in known)),
        [host.name for host in known[:MOST_HOSTS]],
        await limit_changes(store, line, limit=changes),
    )


async def trial(store: Store, line: Line, number: int | None) -> Mapping[str, Any] | None:
    """What a trial of a limit came to: the answer to the intent of that number."""
    intent = await store.intents.get(line, number) if number is not None else None
    if intent is None or intent.kind is not IntentKind.TRY or intent.state is not IntentState.ACCEPTED:
        return None
    return intent.answer


async def limit_changes(
    store: Store, line: Line, *, gauge: str = "", limit: int = 50, before: int | None = None
) -> list[LimitChangeView]:
    """Newest first."""
    found = await store.limit_changes.recent(line, gauge=gauge, limit=limit, before=before)
    return [change_view(change) for change in found]


def change_view(change: LimitChange) -> LimitChangeView:
    """One row of the history."""
    meant = change.became or change.was
    return LimitChangeView(
        change.id,
        change.gauge,
        about(meant) if meant else "",
        str(change.was or ""),
        str(change.became or ""),
        change.by,
        change.why,
        change.at,
    )


async def _frozen(store: Store, line: Line, push: int) -> Configuration | None:
    own, _ = await store.pushes.configurations(line, push)
    text = await store.configurations.get(line, own) if own else None
    return Configuration.model_validate(text) if text else None


def _gauge(
    name: str, section: GaugeSection, own: GaugeSection | None, overrides: Sequence[Override], change: int
) -> GaugeLimits:
    people = {one.limit.place: one for one in overrides if one.gauge == name}
    configured = [_limit(limit) for limit in section.limits]
    installation = [_limit(limit) for limit in own.limits] if own else []
    found = in_force(configured, [one.limit for one in people.values()], installation)
    return GaugeLimits(
        name,
        section.kind,
        section.unit,
        section.direction,
        list(section.roles),
        change,
        [_view(one, people) for one in sorted(found, key=_width)],
    )


def _limit(section: GaugeLimit) -> Limit:
    return Limit(section.above, section.below, section.scope, section.role, section.readings, section.host)


def _width(one: InForce) -> tuple[bool, bool, str, str]:
    limit = one.limit
    return bool(limit.host), bool(limit.role), limit.role, limit.host


def _view(one: InForce, people: Mapping[tuple[str, str, str], Override]) -> LimitView:
    limit = one.limit
    set_by = people.get(limit.place)
    return LimitView(
        str(limit),
        about(limit),
        limit.above,
        limit.below,
        limit.scope,
        limit.role,
        limit.host,
        limit.readings,
        one.origin.value,
        set_by.by if set_by else "",
        set_by.why if set_by else "",
        set_by.at if set_by else None,
        [str(old) for old in one.instead_of],
        list(limit.besides),
    )
