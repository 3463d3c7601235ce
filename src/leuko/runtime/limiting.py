"""Limits that people set and take back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from leuko.config.model import Configuration
from leuko.domain.errors import Refused
from leuko.domain.gauge import Limit
from leuko.domain.intent import Intent
from leuko.domain.limits import about
from leuko.runtime.ground import Ground
from leuko.store.limit_changes import LimitChange
from leuko.store.overrides import Override

CODE = "P030"
LARGEST = 1e15
MOST_READINGS = 100


async def set_limit(ground: Ground, intent: Intent) -> Mapping[str, Any]:
    """A person sets a limit in one place, or takes theirs back; refused where others changed it meanwhile."""
    arguments, now = intent.arguments, ground.clock.now()
    gauge = str(arguments.get("gauge", ""))
    clear = bool(arguments.get("clear", False))
    wanted = _place(arguments) if clear else limit_of(arguments)
    check_place(
        await with_live_gauges(ground), gauge, wanted, {host.name: host.role for host in ground.hosts}
    )
    held = [one for one in await ground.store.overrides.all(ground.line) if one.gauge == gauge]
    was = next((one.limit for one in held if one.limit.place == wanted.place), None)
    if clear and was is None:
        raise Refused(
            f"nobody has set a limit of {gauge} {about(wanted)}",
            where=gauge,
            way_out="`leuko limits` shows those that people set; the file's are changed in the file",
            code=CODE,
        )
    became = None if clear else wanted
    seen = _seen(arguments)
    newest = (await ground.store.limit_changes.newest(ground.line)).get(gauge, 0)
    if seen is not None and newest > seen:
        changed = (await ground.store.limit_changes.recent(ground.line, gauge=gauge, limit=1))[0]
        raise Refused(
            f"limits of {gauge} were changed by {changed.by} since you looked",
            where=gauge,
            way_out="look at what they are now, and decide again",
            code="P031",
        )
    change = LimitChange(0, gauge, was, became, intent.by, intent.why, now)
    async with ground.write() as tx:
        change = await ground.store.limit_changes.add(tx, change, seen=seen)
        if became is None:
            await ground.store.overrides.clear(tx, gauge, *wanted.place)
            outcome = f"{gauge} {about(wanted)}: as configured again"
        else:
            await ground.store.overrides.set(tx, Override(gauge, became, intent.by, intent.why, now))
            outcome = f"{gauge} {about(became)}: {became}"
        facts = {"gauge": gauge, "limit": str(became or ""), "about": about(wanted), "by": intent.by}
        tx.event("limit", gauge, facts | {"why": intent.why, "change": change.id}, now)
        number = await ground.store.operations.start(tx, "Change limit", now, person=intent.by, subject=gauge)
        await ground.store.operations.finish(tx, number, outcome, now)
    return {"gauge": gauge, "change": change.id, "limit": str(became or ""), "about": about(wanted)}


async def with_live_gauges(ground: Ground) -> Configuration:
    """The installation's configuration, with the gauges of what is being pushed or live."""
    pushes, line = ground.store.pushes, ground.line
    push = await pushes.active(line) or await pushes.live(line)
    if push is None:
        return ground.configuration
    frozen = await ground.configuration_of(push)
    gauges = {**ground.configuration.gauges, **frozen.gauges}
    return ground.configuration.model_copy(update={"gauges": gauges})


def limit_of(arguments: Mapping[str, Any]) -> Limit:
    """The limit that arguments of an intent describe. Raises Refused for one that bounds nothing."""
    above, below = _bound(arguments, "above"), _bound(arguments, "below")
    if above is None and below is None:
        raise Refused("bounds nothing", where="limit", way_out="say above, below or both", code=CODE)
    if above is not None and below is not None and above < below:
        raise Refused(
            f"is broken by every value: above {above:g} or below {below:g}",
            where="limit",
            way_out="is it the other way round?",
            code=CODE,
        )
    readings = arguments.get("readings", 2)
    if isinstance(readings, bool) or not isinstance(readings, int) or not 1 <= readings <= MOST_READINGS:
        raise Refused(f"readings should be from 1 to {MOST_READINGS}, not {readings!r}", code=CODE)
    place = _place(arguments)
    return Limit(above, below, place.scope, place.role, readings, place.host)


def _place(arguments: Mapping[str, Any]) -> Limit:
    scope, role, host = (str(arguments.get(name, "")) for name in ("scope", "role", "host"))
    if host and (role or scope == "aggregate"):
        raise Refused("a host is named by itself, without a role and not as an aggregate", code=CODE)
    if scope not in ("", "host", "aggregate"):
        raise Refused(f"scope should be host or aggregate, not {scope!r}", code=CODE)
    return Limit(scope=scope or "host", role=role, host=host)


def check_place(configuration: Configuration, gauge: str, limit: Limit, hosts: Mapping[str, str]) -> None:
    """Raises Refused where there is no such gauge, role or host, or the gauge is not read there."""
    section = configuration.gauges.get(gauge)
    if section is None:
        known = ", ".join(configuration.gauges) or "none"
        raise Refused(f"there is no gauge {gauge!r}", where="limit", way_out=f"gauges: {known}", code=CODE)
    role = limit.role
    if limit.host:
        if limit.host not in hosts:
            raise Refused(
                f"no host of the fleet is called {limit.host!r}",
                where=gauge,
                way_out="`leuko hosts` lists them",
                code=CODE,
            )
        role = hosts[limit.host]
    elif role and role not in hosts.values():
        known = ", ".join(dict.fromkeys(hosts.values()))
        raise Refused(f"no host has the role {role!r}", where=gauge, way_out=f"roles: {known}", code=CODE)
    if role and section.roles and role not in section.roles:
        raise Refused(
            f"{gauge} is not read on hosts of the role {role}",
            where=gauge,
            way_out=f"it is read on hosts of: {', '.join(section.roles)}",
            code=CODE,
        )


def _bound(arguments: Mapping[str, Any], name: str) -> float | None:
    value = arguments.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Refused(f"{name} should be a number, not {value!r}", where="limit", code=CODE)
    if abs(value) > LARGEST:
        raise Refused(f"{name} should be between -1e15 and 1e15", where="limit", code=CODE)
    return float(value)


def _seen(arguments: Mapping[str, Any]) -> int | None:
    seen = arguments.get("seen")
    return seen if isinstance(seen, int) and not isinstance(seen, bool) else None
