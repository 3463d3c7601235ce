"""Checks of gauges, their sources and their limits."""

from __future__ import annotations

import re
from contextlib import suppress

from leuko.config.fleet_rules import known_roles, pushed_roles
from leuko.config.model import Configuration, Gauge, GaugeLimit
from leuko.config.notes import Notes, Path
from leuko.config.quantities import ticks
from leuko.config.ranges import unfold
from leuko.config.source_rules import check_asked, check_placeholders
from leuko.config.sources import SOURCES, HttpSource, LogSource
from leuko.domain.template import UNSEEN

_GAUGE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,62}$")
_METRIC = re.compile(
    r'^[a-zA-Z_:][a-zA-Z0-9_:]*(\{\s*([a-zA-Z_][a-zA-Z0-9_]*\s*=\s*"(\\.|[^"\\])*"\s*,?\s*)*\})?$'
)
_JSON_PATH = re.compile(r"^[^.\s]+(\.[^.\s]+)*$")
_NOT_POSIX = {
    r"\d": "[0-9]",
    r"\D": "[^0-9]",
    r"\w": "[[:alnum:]_]",
    r"\W": "[^[:alnum:]_]",
    r"\s": "[[:space:]]",
    r"\S": "[^[:space:]]",
    r"\b": "([^[:alnum:]]|$)",
    "(?": "a plain group",
    "*?": "*",
    "+?": "+",
}


def check_gauges(configuration: Configuration, notes: Notes) -> None:
    """Every gauge, and what is watched on the whole."""
    for name, gauge in configuration.gauges.items():
        path: Path = ("gauges", name)
        if not _GAUGE.match(name):
            rule = f'"{name[:80]}" should be at most 63 letters, digits, ., :, - and _'
            notes.say(path, "C017", rule, "It is a row, an address and a key.")
        if name + UNSEEN in configuration.gauges and gauge.log is not None and gauge.log.templates:
            rule = f"counts unseen kinds of lines as {name}{UNSEEN}, which is a gauge of its own here"
            notes.say((*path, "log", "templates"), "C017", rule, "Give that gauge another name.")
        for index, role in enumerate(gauge.roles):
            if role not in known_roles(configuration):
                notes.unknown_role((*path, "roles", index), role, known_roles(configuration))
        _check_source(configuration, gauge, path, notes)
        for index, limit in enumerate(gauge.limits):
            _check_limit(configuration, gauge, limit, (*path, "limits", index), notes)
    _check_coverage(configuration, notes)
    for index, log in enumerate(configuration.slow_queries):
        where: Path = ("slow_queries", index)
        _check_file(log.file, (*where, "file"), notes)
        for place, role in enumerate(log.roles):
            if role not in known_roles(configuration):
                notes.unknown_role((*where, "roles", place), role, known_roles(configuration))


def _check_source(configuration: Configuration, gauge: Gauge, path: Path, notes: Notes) -> None:
    found = [name for name in SOURCES if getattr(gauge, name) is not None]
    if len(found) != 1:
        has = " and ".join(found) if found else "none"
        rule = (
            f"should have exactly one source out of {', '.join(SOURCES[:-1])} and {SOURCES[-1]}; it has {has}"
        )
        notes.say(path, "C020", rule)
    if gauge.host is not None:
        if gauge.kind != "level":
            rule = f"a figure of the host is a level, not a {gauge.kind}"
            notes.say((*path, "kind"), "C021", rule, "Write `kind: level`.")
        if gauge.host.pid_file:
            _check_file(gauge.host.pid_file, (*path, "host", "pid_file"), notes)
    if gauge.log is not None:
        _check_log(gauge, gauge.log, (*path, "log"), notes)
    if gauge.http is not None:
        _check_http(configuration, gauge, gauge.http, (*path, "http"), notes)
    check_asked(configuration, gauge, path, notes)


def _check_log(gauge: Gauge, log: LogSource, path: Path, notes: Notes) -> None:
    _check_file(log.file, (*path, "file"), notes)
    for key in ("match", "of", "value"):
        text = getattr(log, key)
        if text:
            _check_expression(text, (*path, key), notes, groups=1 if key == "value" else None)
    if not log.match:
        notes.say((*path, "match"), "C044", "is empty", 'Every line is matched by ".".')
    if gauge.kind == "level" and not log.value:
        rule = "a level needs `value`: an expression with one group, around the number"
        notes.say(path, "C021", rule, "For how many lines match, write `kind: count`.")
    if gauge.kind != "level" and log.value:
        rule = f"is for levels, and this gauge is a {gauge.kind}"
        notes.say((*path, "value"), "C021", rule, "Take it out, or write `kind: level`.")
    if gauge.kind == "level" and log.templates:
        notes.say((*path, "templates"), "C021", "is for counts and ratios of lines, and this is a level")
    if gauge.kind != "ratio" and log.of:
        rule = f"is for ratios, and this gauge is a {gauge.kind}"
        notes.say((*path, "of"), "C021", rule, "Take it out, or write `kind: ratio`.")


def _check_http(
    configuration: Configuration, gauge: Gauge, http: HttpSource, path: Path, notes: Notes
) -> None:
    if not re.match(r"^https?://[^\s]+$", http.url):
        notes.say((*path, "url"), "C036", "should begin with http:// or https://, without spaces")
    else:
        check_placeholders(configuration, gauge, http.url, (*path, "url"), notes)
    if bool(http.json_path) == bool(http.metric):
        has = "both" if http.metric else "neither"
        notes.say(path, "C021", f"should have json_path or metric; it has {has}")
    pattern, kind = (_METRIC, "metric") if http.metric else (_JSON_PATH, "json_path")
    for key in (kind, "of"):
        text = getattr(http, key)
        if text and not pattern.match(text):
            example = 'http_errors_total{code="500"}' if http.metric else "queue.depth"
            notes.say((*path, key), "C022", f"cannot be read as a {kind}", f"It looks like `{example}`.")
    if gauge.kind == "ratio" and not http.of:
        rule = f"a ratio needs `of`: the {kind} of its denominator"
        notes.say(path, "C021", rule, "For a share that the endpoint works out itself, write `kind: level`.")
    if gauge.kind != "ratio" and http.of:
        rule = f"is for ratios, and this gauge is a {gauge.kind}"
        notes.say((*path, "of"), "C021", rule, "Take it out, or write `kind: ratio`.")


def _check_file(file: str, path: Path, notes: Notes) -> None:
    if not file.strip() or ".." in file.split("/") or "\n" in file or file.startswith("~"):
        rule = f'should be absolute, or below the folder of the application, not "{file}"'
        notes.say(path, "C040", rule, 'Write it as "/var/log/shop/access.log" or "shared/log/access.log".')


def _check_expression(text: str, path: Path, notes: Notes, *, groups: int | None = None) -> None:
    bare = re.sub(r"\\\\", "", re.sub(r"\[[^\]]*\[:[a-z]+:\][^\]]*\]", "[x]", text))
    for sign, instead in _NOT_POSIX.items():
        if sign in bare:
            rule = f"uses `{sign}`, which POSIX extended expressions do not have"
            notes.say(path, "C022", rule, f"Write {instead} instead.")
            return
    try:
        found = re.compile(bare).groups
    except re.error as error:
        if any(
            word in str(error) for word in ("parenthesis", "unterminated", "nothing to repeat", "bad escape")
        ):
            notes.say(path, "C022", f"is not a regular expression: {error}")
        return  # the rest are differences between Python's expressions and POSIX's
    if groups is not None and found != groups:
        rule = f"should have one group, around the number; it has {found or 'none'}"
        notes.say(path, "C022", rule, 'For example: "took ([0-9.]+) ms".')


def _check_limit(
    configuration: Configuration, gauge: Gauge, limit: GaugeLimit, path: Path, notes: Notes
) -> None:
    if limit.above is None and limit.below is None:
        notes.say(path, "C023", "bounds nothing: it has neither above nor below")
    elif limit.above is not None and limit.below is not None and limit.above < limit.below:
        rule = f"is broken by every value: above {limit.above:g} or below {limit.below:g}"
        notes.say(path, "C023", rule, "Is it the other way round?")
    if gauge.kind != "level" and limit.below is not None and limit.below <= 0:
        rule = f"bounds nothing: a {gauge.kind} is never below {limit.below:g}"
        notes.say((*path, "below"), "C024", rule)
    if limit.host:
        _check_limited_host(configuration, limit, path, notes)
    if not limit.role:
        return
    if limit.role not in known_roles(configuration):
        notes.unknown_role((*path, "role"), limit.role, known_roles(configuration))
    elif gauge.roles and limit.role not in gauge.roles:
        rule = f'the gauge is not read on hosts of the role "{limit.role}"'
        notes.say((*path, "role"), "C030", rule, "Add the role to the gauge, or take it out here.")


def _check_limited_host(configuration: Configuration, limit: GaugeLimit, path: Path, notes: Notes) -> None:
    if limit.role or limit.scope == "aggregate":
        rule = "names one host: a role, or an aggregate, beside it says something else"
        notes.say((*path, "host"), "C030", rule, "Take out `role` and `scope`.")
    names: set[str] = set()
    for role in configuration.fleet.roles.values():
        for entry in role.hosts:
            with suppress(ValueError):  # the fleet's own rules tell
                names |= set(unfold(entry.name))
    if configuration.fleet.inventory is None and limit.host not in names:
        notes.say((*path, "host"), "C030", f'no host of the fleet is called "{limit.host}"')


def _shows(gauge: Gauge, role: str) -> bool:
    return gauge.required and not gauge.hostless and (not gauge.roles or role in gauge.roles)


def _check_coverage(configuration: Configuration, notes: Notes) -> None:
    gauges = configuration.gauges
    if not gauges:
        rule = "nothing is watched: a push could not be judged, and would be held"
        notes.say(("gauges",), "W002", rule, "Add at least one: errors, requests, response time.")
        return
    for role in pushed_roles(configuration):
        if not any(_shows(gauge, role) for gauge in gauges.values()):
            rule = f'no required gauge is read on hosts of the role "{role}"'
            notes.say(("gauges",), "W003", rule, "A phase with such hosts could not pass, and would be held.")
    if all(gauge.host is not None for gauge in gauges.values()):
        rule = (
            "all are figures of the machine: a release that answers every customer with an error would pass"
        )
        way = "Add `requests` and `errors` from an access log; `leuko check --hosts` looks for one."
        notes.say(("gauges",), "W013", rule, way)
    for index, phase in enumerate(configuration.push.phases):
        wanted = ticks(phase.watch, configuration.tick)
        slow = [name for name, g in gauges.items() if any(limit.readings > wanted for limit in g.limits)]
        if slow:
            rule = f"lasts {wanted} ticks: too short for a limit of `{slow[0]}` to be broken"
            notes.say(
                ("push", "phases", index, "watch"), "W007", rule, "Watch longer, or ask for fewer readings."
            )
