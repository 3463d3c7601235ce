"""From where a host stands in a push to its next order: pure, so that a restart gives the same one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from leuko.config.components import components, release_of
from leuko.config.fleet import component_root
from leuko.config.model import Configuration
from leuko.domain.fleet import Host
from leuko.domain.order import Fence, Order, OrderKind
from leuko.domain.push import Push
from leuko.domain.rollout import HostProgress


@dataclass(frozen=True, slots=True)
class Parts:
    """The components of the two releases of a push: component -> name of its release on a host."""

    target: Mapping[str, str]
    base: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Frozen:
    """What a push was frozen with: its own configuration and its base's; secrets by value, for hooks only."""

    own: Configuration
    base: Configuration
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)


def order_id(push: Push, kind: OrderKind, row: HostProgress) -> str:
    """The same for every try until the host has answered for good."""
    return f"p{push.number}-{kind}-{row.host}-{row.round}"


def components_of(configuration: Configuration, role: str) -> tuple[str, ...]:
    """Components that hosts of this role get."""
    return tuple(
        name
        for name, section in components(configuration).items()
        if not section.roles or role in section.roles
    )


def restore_kind(push: Push) -> OrderKind:
    """Without a base there is nothing to go back to: the application is stopped and its link removed."""
    return OrderKind.RESTORE if push.base else OrderKind.STOP


def orders_for(
    push: Push, row: HostProgress, host: Host, kind: OrderKind, parts: Parts, frozen: Frozen, fence: Fence
) -> list[Order]:
    """One order a component, in the order of the configuration.

    A restore runs the hooks of the release that is restored; a stop those of the release that is stopped.
    """
    back = kind is OrderKind.RESTORE
    configuration = frozen.base if back else frozen.own
    names = parts.base if back else parts.target
    orders = []
    for component in components_of(configuration, row.role):
        if component not in names:
            continue
        orders.append(
            Order(
                id=f"{order_id(push, kind, row)}-{component}",
                kind=kind,
                fence=fence,
                component=component,
                target=parts.target.get(component, ""),
                base=parts.base.get(component, ""),
                push=push.number,
                attempt=row.attempts,
                **_hooks(configuration, component),
                variables=_variables(configuration, push, host, component),
                secrets=frozen.secrets,
            )
        )
    return orders


def _hooks(configuration: Configuration, component: str) -> dict[str, Any]:
    fleet, release = configuration.fleet, release_of(configuration, component)
    hooks = fleet.hooks.model_dump(exclude={"timeout"})
    return {
        "hooks": {moment: command for moment, command in hooks.items() if command},
        "health": fleet.health.command,
        "health_timeout": fleet.health.timeout,
        "health_tries": fleet.health.tries,
        "health_pause": fleet.health.pause,
        "running": fleet.running.command,
        "hook_timeout": fleet.hooks.timeout,
        "linked_dirs": release.linked_dirs,
        "linked_files": release.linked_files,
        "deadline": max(60.0, configuration.push.switch_timeout),
    }


def _variables(configuration: Configuration, push: Push, host: Host, component: str) -> dict[str, str]:
    return {
        **host.variables,
        "LEUKO_APPLICATION": configuration.application,
        "LEUKO_ENVIRONMENT": configuration.environment,
        "LEUKO_HOST": host.name,
        "LEUKO_ROLE": host.role,
        "LEUKO_PUSH": str(push.number),
        "LEUKO_REVISION": push.revision,
        "LEUKO_ROOT": component_root(configuration, host, component),
    }
