"""The components of an application, and how each is released."""

from __future__ import annotations

from collections.abc import Mapping

from leuko.config.model import Component, Configuration, Release

ONLY = "app"
"""Name of the one component of an application that names none."""


def components(configuration: Configuration) -> Mapping[str, Component]:
    """Name -> component, in the order of the file; one called `app` when none is named."""
    return configuration.components or {ONLY: Component()}


def release_of(configuration: Configuration, component: str) -> Release:
    """How a component is built: what it does not say itself is as in `release` at the top level."""
    own = components(configuration)[component].release
    if own is None:
        return configuration.release
    said = {name: getattr(own, name) for name in own.model_fields_set}
    return configuration.release.model_copy(update=said)


def roles_of(configuration: Configuration, component: str) -> tuple[str, ...]:
    """Roles that get a component; empty: every pushed role."""
    return components(configuration)[component].roles
