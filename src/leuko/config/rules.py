"""Checks between fields: what each field allows by itself, but the whole does not.

The rules of one section stand together, here or in `gauge_rules.py` and `fleet_rules.py`; each says what it
found to a `Notes`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import combinations, islice, pairwise
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from leuko.config.fleet_rules import check_fleet, check_phases, check_reach, known_roles, pushed_roles
from leuko.config.gauge_rules import check_gauges
from leuko.config.model import Configuration, Release, Window
from leuko.config.notes import NAME, Notes, Path, Where, near, outside
from leuko.config.problems import Problem
from leuko.config.quantities import portion, ticks
from leuko.config.secrets import REFERENCE
from leuko.config.trend_rules import check_trends
from leuko.config.verify_rules import check_verify
from leuko.domain.fleet import Host

_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_BRANCH = re.compile(r"^(?![-/.])(?!.*(\.\.|//|@\{|/\.|\.lock$|[/.]$))[^\x00-\x20\x7f~^:?*\[\\]+$")
_USER = re.compile(r"^[a-z_][a-z0-9_-]{0,31}$")
_SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)
_LONGEST_GAP = 400  # starts of a window that are looked at


def broken_rules(configuration: Configuration, where: Where) -> list[Problem]:
    """Every rule that a configuration breaks, warnings (W...) among them."""
    notes = Notes(where)
    _check_source(configuration, notes)
    check_verify(configuration, notes)
    _check_release(configuration.release, ("release",), notes)
    _check_components(configuration, notes)
    check_fleet(configuration, notes)
    check_phases(configuration, notes)
    _check_times(configuration, notes)
    _check_budget(configuration, notes)
    for index, window in enumerate(configuration.push.windows):
        _check_window(window, ("push", "windows", index), notes)
    check_gauges(configuration, notes)
    check_trends(configuration, notes)
    _check_secrets(configuration, notes)
    _check_notify(configuration, notes)
    return notes.problems


def fleet_problems(configuration: Configuration, hosts: Sequence[Host], where: Where) -> list[Problem]:
    """What only the real hosts show, once an inventory was read: hosts never reached, phases left empty."""
    notes = Notes(where)
    if not any(host.pushed for host in hosts):
        notes.say(("fleet",), "C033", "has no host to push to", "Look at the inventory and its groups.")
        return notes.problems
    names = {host.name for host in hosts if host.pushed}
    for index, phase in enumerate(configuration.push.phases):
        for position, name in enumerate(phase.names):
            if name not in names:
                rule = f'there is no pushed host "{name}"'
                way_out = near(name, sorted(names), "Hosts")
                notes.say(("push", "phases", index, "names", position), "C031", rule, way_out)
    if not notes.problems:
        check_reach(configuration, hosts, notes)
    return notes.problems


def _check_source(configuration: Configuration, notes: Notes) -> None:
    if not configuration.repository.strip() or configuration.repository.startswith("-"):
        notes.say(("repository",), "C044", "should be a path or an address that git can fetch from")
    if not _BRANCH.match(configuration.branch):
        rule = f'should be the name of a branch, not "{configuration.branch}"'
        notes.say(("branch",), "C017", rule, "Without `origin/` and without `refs/heads/`.")
    if not _USER.match(configuration.verify_user):
        notes.say(("verify_user",), "C017", f'should be a user name, not "{configuration.verify_user}"')
    if outside(configuration.revision_file):
        notes.say(("revision_file",), "C040", "should be a path inside the repository")
    for index, pattern in enumerate(configuration.paths):
        if not pattern or pattern.startswith("/") or ".." in PurePosixPath(pattern).parts:
            rule = "should be a pattern inside the repository, such as shop/**"
            notes.say(
                ("paths", index), "C040", rule, "Patterns begin at the top of the repository, without /."
            )


def _check_release(release: Release, path: Path, notes: Notes) -> None:
    if outside(release.path, itself=True):
        rule = f'should be a folder inside the checkout, not "{release.path}"'
        notes.say((*path, "path"), "C040", rule)
    for index, pattern in enumerate(release.exclude):
        if not pattern.strip():
            notes.say((*path, "exclude", index), "C044", "is empty", "Take the line out.")
    linked = [
        ((*path, key, index), entry)
        for key in ("linked_dirs", "linked_files")
        for index, entry in enumerate(getattr(release, key))
    ]
    for at, entry in linked:
        if outside(entry) or PurePosixPath(entry).parts[0] in (".git", ".leuko"):
            notes.say(at, "C040", f'should be a path inside the release, not "{entry}"')
    inside = [(at, entry) for at, entry in linked if not outside(entry)]
    for (_, one), (at, other) in combinations(inside, 2):
        first, second = PurePosixPath(one), PurePosixPath(other)
        if first == second:
            notes.say(at, "C041", f'"{other}" stands twice', "Keep one of the two.")
        elif first in second.parents or second in first.parents:
            outer, inner = sorted((one, other), key=len)
            rule = f'"{inner}" lies inside "{outer}", which is linked already'
            notes.say(at, "C041", rule, "Link only the outer one.")


def _check_components(configuration: Configuration, notes: Notes) -> None:
    for name, component in configuration.components.items():
        path: Path = ("components", name)
        if not NAME.match(name):
            notes.say(path, "C017", f'"{name}" cannot be a folder name', "Use letters, digits, - and _.")
        if component.release is not None:
            _check_release(component.release, (*path, "release"), notes)
        for index, role in enumerate(component.roles):
            if role not in known_roles(configuration):
                notes.unknown_role((*path, "roles", index), role, known_roles(configuration))
            elif role not in pushed_roles(configuration):
                rule = f'the role "{role}" is only watched (pushed: false)'
                notes.say((*path, "roles", index), "C030", rule)


def _check_budget(configuration: Configuration, notes: Notes) -> None:
    """Above a tenth it is no budget any more, and one in 100,000 would need weeks of watching."""
    text = configuration.push.false_rollbacks
    if not 1e-5 <= portion(text) <= 0.1:
        rule = f"{text} lies outside 0.001% to 10%"
        notes.say(
            ("push", "false_rollbacks"), "C046", rule, "0.5% is one wrong rollback in 200 healthy pushes."
        )


def _check_times(configuration: Configuration, notes: Notes) -> None:
    push, hooks, health = configuration.push, configuration.fleet.hooks, configuration.fleet.health
    asking = health.tries * (health.timeout + health.pause) if health.command else 0.0
    for key, limit in (("switch_timeout", push.switch_timeout), ("restore_timeout", push.restore_timeout)):
        if limit < hooks.timeout:
            rule = f"is {limit:g} s, less than one hook may take (fleet.hooks.timeout, {hooks.timeout:g} s)"
            notes.say(("push", key), "C042", rule, "Make it longer, or the hooks' limit shorter.")
        elif limit < asking:
            rule = f"is {limit:g} s, less than the health check may take ({health.tries} tries, {asking:g} s)"
            notes.say(("push", key), "C042", rule, "Make it longer, or try less often.")
    for index, phase in enumerate(push.phases):
        path: Path = ("push", "phases", index, "watch")
        wanted = ticks(phase.watch, configuration.tick)
        if wanted * configuration.tick > push.watch_timeout:
            rule = (
                f"lasts {wanted} ticks of {configuration.tick:g} s, longer than push.watch_timeout "
                f"({push.watch_timeout:g} s) lets it: it could only be held"
            )
            notes.say(path, "C042", rule, "Watch for a shorter time, or make watch_timeout longer.")


def _check_window(window: Window, path: Path, notes: Notes) -> None:
    zone = _zone(window.timezone)
    if zone is None:
        rule = f'"{window.timezone}" is not a time zone'
        notes.say((*path, "timezone"), "C043", rule, 'Write it as "Europe/Berlin" or "UTC".')
    try:
        if len(window.start.split()) != 5:
            raise CronSimError(f"it has {len(window.start.split())} fields")  # noqa: TRY301 - one message for both
        starts = list(islice(CronSim(window.start, _SOME_DAY.astimezone(zone)), _LONGEST_GAP))
    except (CronSimError, ValueError) as error:
        rule = f'"{window.start}" is not five cron fields: {str(error).lower()}'
        way_out = 'Minute, hour, day, month, weekday: "0 16 * * FRI" is Friday at 16:00.'
        notes.say((*path, "start"), "C043", rule, way_out)
        return
    gaps = [(after - before).total_seconds() for before, after in pairwise(starts)]
    if gaps and window.lasts >= max(gaps):
        rule = "begins again before it has ended: no push could ever start"
        notes.say((*path, "lasts"), "W011", rule, "Make it shorter, or use `continuous: false`.")


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _check_secrets(configuration: Configuration, notes: Notes) -> None:
    for name, secret in configuration.secrets.items():
        path: Path = ("secrets", name)
        sources = [key for key in ("env", "file", "command") if getattr(secret, key)]
        if len(sources) != 1:
            found = " and ".join(sources) if sources else "none"
            rule = f"should have exactly one of env, file and command; it has {found}"
            notes.say(path, "C050", rule)
        if not _VARIABLE.match(name) or name.startswith("LEUKO_"):
            rule = f'"{name}" cannot be the name of an environment variable of yours'
            notes.say(path, "C052", rule, "Use letters, digits and _, and do not begin with LEUKO_.")
        if secret.command and not secret.command[0].strip():
            notes.say((*path, "command"), "C044", "names no program")


def _check_notify(configuration: Configuration, notes: Notes) -> None:
    notify = configuration.notify
    for index, url in enumerate(notify.urls):
        _check_url(configuration, url, ("notify", "urls", index), notes)
    if notify.command and not notify.command[0].strip():
        notes.say(("notify", "command"), "C044", "names no program")
    if not notify.urls and not notify.command:
        rule = "nobody is told when a push is rolled back"
        notes.say(("notify",), "W010", rule, "Add `notify: {urls: [secret:NAME]}`.")
    for index, identity in enumerate(configuration.locks.override):
        if not identity.strip():
            notes.say(("locks", "override", index), "C044", "is empty", "Take the line out.")


def _check_url(configuration: Configuration, url: str, path: Path, notes: Notes) -> None:
    references = REFERENCE.findall(url)
    for name in references:
        if name not in configuration.secrets:
            notes.say(path, "C051", f'there is no secret "{name}"', "Name its source under `secrets`.")
    if not references and "://" not in url:
        notes.say(path, "C044", "is not an address", "They look like `slack://...`; write `secret:NAME`.")
    elif not references:
        rule = "stands in plain text, and such addresses hold a key"
        notes.say(path, "W006", rule, "Move it to `secrets` and write `secret:NAME` here.")
