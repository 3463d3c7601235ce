"""What a push runs under: the installation's file, with what the revision may say itself, frozen.

A commit may change how it is tested, built, reloaded and watched. It may not choose its hosts, its phases or
its secrets, and it may not loosen the limits it is judged by.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from leuko.config.components import components
from leuko.config.loading import checked_model, overlay_name, spelled_out
from leuko.config.model import Component, Configuration, Gauge, GaugeLimit
from leuko.config.notes import Notes
from leuko.config.problems import ConfigurationInvalid, dotted
from leuko.config.rules import broken_rules
from leuko.config.section import Section
from leuko.config.source_rules import check_revisions_sources
from leuko.config.sources import SOURCES
from leuko.config.tree import EMPTY, Tree, merge, read

Path = tuple[str | int, ...]
Kind = Literal["hooks", "gauges", "limits", "fleet", "other"]
_Section = TypeVar("_Section", bound=Section)

_KINDS: tuple[tuple[tuple[str, ...], Kind], ...] = (
    (("fleet", "hooks"), "hooks"),
    (("fleet", "health"), "hooks"),
    (("fleet", "running"), "hooks"),
    (("fleet",), "fleet"),
    (("gauges",), "gauges"),
)
_REVISIONS_OWN = (("verify",), ("release",), ("gauges",), *(path for path, kind in _KINDS if kind == "hooks"))


@dataclass(frozen=True, slots=True)
class Frozen:
    """A configuration that no longer changes, its digest, and what the revision's file said in vain."""

    configuration: Configuration
    digest: str
    ignored: tuple[str, ...] = ()
    """Dotted paths that the revision's file sets otherwise than the installation's, in vain."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs between two configurations; None where a side does not have it."""

    path: str
    old: str | None
    new: str | None
    kind: Kind

    def __str__(self) -> str:
        if self.old is None:
            return f"{self.path}: {self.new} (new)"
        if self.new is None:
            return f"{self.path}: {self.old} (taken out)"
        return f"{self.path}: {self.old} -> {self.new}"


def freeze(
    installation: Configuration,
    revision_text: str | bytes | None,
    revision_name: str = "",
    overlay_text: str | bytes | None = None,
) -> Frozen:
    """The configuration of a push. Raises ConfigurationInvalid when the revision's file is wrong.

    `revision_text` is the content of `revision_file` in the revision's tree, None when it has none;
    `revision_name` is how errors call it, for example `leuko.yml@4f2a9c1`; `overlay_text` the content of
    `loading.overlay_name(revision_file, environment)` beside it, if there.
    """
    if revision_text is None:
        return Frozen(installation, digest(installation))
    tree = spelled_out(read(revision_text, revision_name or installation.revision_file))
    if [problem.rule for problem in tree.problems] == [EMPTY]:
        tree.problems.clear()  # an empty file says nothing, which it may
    if overlay_text is not None:
        tree = merge(tree, spelled_out(read(overlay_text, overlay_name(tree.name, installation.environment))))
    for key in ("application", "environment", "repository"):
        tree.data.setdefault(key, getattr(installation, key))
    revision = checked_model(tree)
    notes = Notes(tree.where)
    check_revisions_sources(installation, revision, notes)
    if notes.problems:
        raise ConfigurationInvalid(notes.problems)
    mixed = _mixed(installation, revision)
    wrong = [problem for problem in broken_rules(mixed, tree.where) if not problem.warning]
    if wrong:
        raise ConfigurationInvalid(wrong)
    return Frozen(mixed, digest(mixed), tuple(_ignored(installation, revision, tree)))


def frozen_text(configuration: Configuration) -> str:
    """Canonical JSON: the same text for the same configuration. Secrets stand in it as references only."""
    data = configuration.model_dump(mode="json")
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def thaw(text: str) -> Configuration:
    """The configuration of a frozen text."""
    return Configuration.model_validate(json.loads(text))


def digest(configuration: Configuration) -> str:
    """SHA-256 of the frozen text, hex."""
    return hashlib.sha256(frozen_text(configuration).encode()).hexdigest()


def _mixed(installation: Configuration, revision: Configuration) -> Configuration:
    fleet, own = installation.fleet, revision.fleet
    return installation.model_copy(
        update={
            "verify": _over(installation.verify, revision.verify),
            "release": _over(installation.release, revision.release),
            "components": _components(installation, revision),
            "fleet": fleet.model_copy(
                update={
                    "hooks": _over(fleet.hooks, own.hooks),
                    "health": _over(fleet.health, own.health),
                    "running": _over(fleet.running, own.running),
                }
            ),
            "gauges": _with_floor(installation.gauges, revision.gauges),
        }
    )


def _over(section: _Section, said: _Section) -> _Section:
    """The section with every field that the other one says."""
    return section.model_copy(update={name: getattr(said, name) for name in said.model_fields_set})


def _components(installation: Configuration, revision: Configuration) -> dict[str, Component]:
    result = dict(installation.components)
    for name, component in result.items():
        said = revision.components.get(name)
        if said is not None and said.release is not None:
            release = said.release if component.release is None else _over(component.release, said.release)
            result[name] = component.model_copy(update={"release": release})
    return result


def _with_floor(floor: Mapping[str, Gauge], said: Mapping[str, Gauge]) -> dict[str, Gauge]:
    """The revision's gauges, none of them looser than the installation's, and none of those missing."""
    result = dict(floor)
    for name, gauge in said.items():
        result[name] = _stricter_gauge(floor[name], gauge) if name in floor else gauge
    return result


def stricter(old: Configuration, new: Configuration) -> Configuration:
    """The new configuration, watched by everything that the old or the new one watches.

    A gauge taken out stays. One that now reads something else is read both ways: the old one keeps its name,
    and with it its history; the new one is called `<name>.new` for this one push.
    """
    gauges = dict(old.gauges)
    for name, gauge in new.gauges.items():
        before = old.gauges.get(name)
        if before is None:
            gauges[_free(name, old.gauges, new.gauges)] = gauge
        elif _same_reading(before, gauge):
            gauges[name] = _stricter_gauge(before, gauge)
        else:
            gauges[_free(f"{name}.new", old.gauges, new.gauges)] = gauge
    return new.model_copy(update={"gauges": gauges})


def _free(name: str, *taken: Mapping[str, Gauge]) -> str:
    if not name.endswith(".new"):
        return name
    while any(name in gauges for gauges in taken):
        name += ".new"
    return name


def _same_reading(one: Gauge, other: Gauge) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in ("kind", "direction", *SOURCES))


def _stricter_gauge(old: Gauge, new: Gauge) -> Gauge:
    seen = [gauge.must_see for gauge in (old, new) if gauge.must_see is not None]
    everywhere = not old.roles or not new.roles
    return new.model_copy(
        update={
            "limits": _strictest((*old.limits, *new.limits)),
            "required": old.required or new.required,
            "must_see": min(seen, default=None),
            "roles": () if everywhere else tuple(dict.fromkeys((*old.roles, *new.roles))),
        }
    )


def _strictest(limits: tuple[GaugeLimit, ...]) -> tuple[GaugeLimit, ...]:
    """All limits, without those that another one makes needless."""
    distinct = tuple(dict.fromkeys(limits))
    return tuple(
        limit for limit in distinct if not any(other != limit and _covers(other, limit) for other in distinct)
    )


def _covers(strict: GaugeLimit, loose: GaugeLimit) -> bool:
    """True when whatever breaks `loose` breaks `strict` as well."""
    if _place(strict) != _place(loose) or strict.readings > loose.readings:
        return False
    above = loose.above is None or (strict.above is not None and strict.above <= loose.above)
    below = loose.below is None or (strict.below is not None and strict.below >= loose.below)
    return above and below


def _place(limit: GaugeLimit) -> tuple[str, str, str]:
    return limit.scope, limit.role, limit.host


def _ignored(installation: Configuration, revision: Configuration, tree: Tree) -> Iterator[str]:
    have = installation.model_dump(mode="json")
    said = revision.model_dump(mode="json", exclude_unset=True)
    for difference in _differences(have, said, (), only_said=True):
        path = difference[0]
        if not _is_revisions_own(path, installation) and (path[:1] in tree.places or len(path) > 1):
            yield dotted(path)


def _is_revisions_own(path: Path, installation: Configuration) -> bool:
    if path[:1] == ("components",):
        return len(path) > 2 and path[1] in components(installation) and path[2] == "release"
    return any(path[: len(own)] == own for own in _REVISIONS_OWN)


def differences(old: Configuration, new: Configuration) -> tuple[Difference, ...]:
    """What the new configuration changes, in the order of the model."""
    found = _differences(old.model_dump(mode="json"), new.model_dump(mode="json"), ())
    return tuple(
        Difference(dotted(path), _shown(before), _shown(after), _kind(path)) for path, before, after in found
    )


def _differences(
    old: Any, new: Any, path: Path, *, only_said: bool = False
) -> Iterator[tuple[Path, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = list(new) if only_said else list(dict.fromkeys([*old, *new]))
        for key in keys:
            yield from _differences(old.get(key), new.get(key), (*path, key), only_said=only_said)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _differences(before, after, (*path, index), only_said=only_said)
    elif old != new:
        yield path, old, new


def _kind(path: Path) -> Kind:
    if path[0] == "gauges" and len(path) > 2 and path[2] in ("limits", "must_see", "required"):
        return "limits"
    return next((kind for beginning, kind in _KINDS if path[: len(beginning)] == beginning), "other")


def _shown(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, dict):
        value = _without_empty(value)
    return json.dumps(value, ensure_ascii=False)


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, "", [], {})}
    return value
