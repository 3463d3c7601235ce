"""Checks of the sources that the controller asks: Prometheus, Graphite, databases and commands."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping

from leuko.config.model import Configuration, Gauge
from leuko.config.notes import Notes, Path
from leuko.config.secrets import REFERENCE
from leuko.config.sources import (
    PLACEHOLDER,
    CommandSource,
    GraphiteSource,
    PrometheusSource,
    SqlSource,
)

DATABASES = ("postgresql", "postgres", "mysql", "mariadb", "sqlite")
_HEADER = re.compile(r"^[A-Za-z0-9-]{1,64}$")
_KNOWN_FIELDS = ("address", "name", "role", "node", "port")
"""Placeholders that every host has, besides its variables."""


def check_asked(configuration: Configuration, gauge: Gauge, path: Path, notes: Notes) -> None:
    """The gauge's source, where it is one of those that the controller asks."""
    if gauge.prometheus is not None:
        _check_prometheus(configuration, gauge, gauge.prometheus, (*path, "prometheus"), notes)
    if gauge.graphite is not None:
        _check_graphite(configuration, gauge, gauge.graphite, (*path, "graphite"), notes)
    if gauge.sql is not None:
        _check_sql(configuration, gauge.sql, (*path, "sql"), notes)
    if gauge.command is not None:
        _check_command(gauge.command, (*path, "command"), notes)
    if gauge.hostless:
        _check_hostless(gauge, path, notes)


def _check_hostless(gauge: Gauge, path: Path, notes: Notes) -> None:
    if gauge.roles:
        rule = "is of the whole and belongs to no host, so it has no roles"
        notes.say((*path, "roles"), "C030", rule, "Take them out, or say `by` which label or column it is.")
    for index, limit in enumerate(gauge.limits):
        if limit.role:
            rule = "is of the whole and belongs to no host, so its limits have no role"
            notes.say((*path, "limits", index, "role"), "C030", rule, "Take the role out.")


def _check_prometheus(
    configuration: Configuration, gauge: Gauge, source: PrometheusSource, path: Path, notes: Notes
) -> None:
    _check_server(configuration, source, path, notes)
    _check_asked_for(gauge, "query", source.query, source.of, path, notes)
    if source.host and not source.by:
        rule = "finds the host in a label, but `by` names no label"
        notes.say((*path, "host"), "C021", rule, "Write `by: instance`, or take it out.")
    if source.host:
        _check_group(source.host, (*path, "host"), notes)


def _check_graphite(
    configuration: Configuration, gauge: Gauge, source: GraphiteSource, path: Path, notes: Notes
) -> None:
    _check_server(configuration, source, path, notes)
    _check_asked_for(gauge, "target", source.target, source.of, path, notes)
    if source.of and bool(PLACEHOLDER.search(source.of)) is gauge.hostless:
        rule = "is not of the same hosts as `target`"
        notes.say((*path, "of"), "C021", rule, "Name the host in both, as {name}, or in neither.")
    for key in ("target", "of"):
        for name in PLACEHOLDER.findall(getattr(source, key)):
            check_known(configuration, gauge, name, (*path, key), notes)


def _check_server(
    configuration: Configuration, source: PrometheusSource | GraphiteSource, path: Path, notes: Notes
) -> None:
    references = check_references(configuration, source.url, (*path, "url"), notes)
    if not re.match(r"^https?://[^\s]+$", source.url) and not references:
        notes.say((*path, "url"), "C036", "should begin with http:// or https://, without spaces")
    for name, value in source.headers.items():
        if not _HEADER.match(name) or "\n" in value or "\r" in value:
            notes.say((*path, "headers", name), "C036", "cannot be sent as a header")
        check_references(configuration, value, (*path, "headers", name), notes)


def _check_asked_for(gauge: Gauge, key: str, text: str, of: str, path: Path, notes: Notes) -> None:
    if not text.strip():
        notes.say((*path, key), "C044", "is empty", f"It says what is asked: one {key}.")
    if gauge.kind == "ratio" and not of.strip():
        rule = f"a ratio needs `of`: the {key} of its denominator"
        notes.say(path, "C021", rule, "For a share that the server works out itself, write `kind: level`.")
    if gauge.kind != "ratio" and of:
        rule = f"is for ratios, and this gauge is a {gauge.kind}"
        notes.say((*path, "of"), "C021", rule, "Take it out, or write `kind: ratio`.")


def _check_group(text: str, path: Path, notes: Notes) -> None:
    try:
        groups = re.compile(text).groups
    except re.error as error:
        notes.say(path, "C022", f"is not a regular expression: {error}")
        return
    if groups != 1:
        rule = f"should have one group, around the host's name; it has {groups or 'none'}"
        notes.say(path, "C022", rule, "For example: '(.+)-metrics:9100'.")


def _check_sql(configuration: Configuration, source: SqlSource, path: Path, notes: Notes) -> None:
    references = check_references(configuration, source.address, (*path, "address"), notes)
    scheme, found, _ = source.address.partition("://")
    if not references and (not found or scheme not in DATABASES):
        rule = "is not the address of a database"
        way_out = "They look like `postgresql://user@host/name`, `mysql://...` and `sqlite:////file`."
        notes.say((*path, "address"), "C036", rule, way_out)
    query = source.query.strip()
    if not query:
        notes.say((*path, "query"), "C044", "is empty", "It is one SELECT.")
    elif ";" in query.rstrip(";").rstrip():
        rule = "holds more than one statement"
        notes.say((*path, "query"), "C022", rule, "Write one SELECT, without a semicolon in it.")


def _check_command(source: CommandSource, path: Path, notes: Notes) -> None:
    if not source.argv or not source.argv[0].strip():
        notes.say((*path, "argv"), "C044", "names no program")
    if any("\0" in word for word in source.argv):
        notes.say((*path, "argv"), "C036", "holds a zero byte, which no program can be given")
    if source.by and source.on == "host":
        rule = "is for a command on the controller; on a host it prints that host's number"
        notes.say((*path, "by"), "C021", rule, "Take it out, or write `on: controller`.")


def check_references(configuration: Configuration, text: str, path: Path, notes: Notes) -> list[str]:
    """Names of the secrets that a text refers to; one that does not exist is said."""
    references = REFERENCE.findall(text)
    for name in references:
        if name not in configuration.secrets:
            notes.say(path, "C051", f'there is no secret "{name}"', "Name its source under `secrets`.")
    return references


def check_placeholders(
    configuration: Configuration, gauge: Gauge, text: str, path: Path, notes: Notes
) -> None:
    """Every `{name}` of an address is known for every host."""
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    except ValueError:
        notes.say(path, "C022", "has a brace without its partner", "Placeholders look like {address}.")
        return
    for name in names:
        check_known(configuration, gauge, name, path, notes)


def check_known(configuration: Configuration, gauge: Gauge, name: str, path: Path, notes: Notes) -> None:
    """One placeholder is known for every host that the gauge is read on."""
    inventory = configuration.fleet.inventory
    if name in _KNOWN_FIELDS or (inventory and name in inventory.vars):
        return
    without = [host for host, known in _variables(configuration, gauge) if name not in known]
    if without:
        rule = f"{{{name}}} is not known for {without[0]}"
        more = f" and {len(without) - 1} more" if len(without) > 1 else ""
        notes.say(path, "C022", rule + more, "Known: {address}, {name}, and the `vars` of the host.")


def _variables(configuration: Configuration, gauge: Gauge) -> Iterator[tuple[str, frozenset[str]]]:
    for role, section in configuration.fleet.roles.items():
        if not gauge.roles or role in gauge.roles:
            for host in section.hosts:
                yield host.name, frozenset(host.vars)


def check_revisions_sources(installation: Configuration, revision: Configuration, notes: Notes) -> None:
    """What a commit may not name by itself: what runs on the controller, and where secrets are sent.

    It may use, with queries of its own, what the installation's file uses already.
    """
    allowed = {_trusted(gauge) for gauge in installation.gauges.values()}
    for name, gauge in revision.gauges.items():
        asked = _trusted(gauge)
        if asked is not None and asked not in allowed:
            path = ("gauges", name, asked[0], {"sql": "address", "command": "argv"}.get(asked[0], "url"))
            rule = "is not in the installation's own file, and a commit cannot bring it"
            notes.say(path, "C025", rule, "Use it there in a gauge first; then a commit may use it as well.")


def _trusted(gauge: Gauge) -> tuple[str, ...] | None:
    """What must be the installation's own word, as a value that can be compared; None: nothing."""
    if gauge.sql is not None:
        return ("sql", gauge.sql.address)
    if gauge.command is not None and gauge.command.on == "controller":
        return ("command", *gauge.command.argv)
    if gauge.prometheus is not None and _secret(gauge.prometheus.url, gauge.prometheus.headers):
        return ("prometheus", gauge.prometheus.url, *_flat(gauge.prometheus.headers))
    if gauge.graphite is not None and _secret(gauge.graphite.url, gauge.graphite.headers):
        return ("graphite", gauge.graphite.url, *_flat(gauge.graphite.headers))
    return None


def _flat(headers: Mapping[str, str]) -> Iterator[str]:
    return (word for pair in sorted(headers.items()) for word in pair)


def _secret(url: str, headers: Mapping[str, str]) -> bool:
    return any(REFERENCE.search(text) for text in (url, *headers.values()))
