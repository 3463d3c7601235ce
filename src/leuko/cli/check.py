"""`leuko check`: is the configuration valid, and can its hosts be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_files

if TYPE_CHECKING:
    from leuko.cli.inspection import Found
    from leuko.config.loading import Loaded
    from leuko.gauges.trial import Given


@click.command(
    "check",
    cls=Command,
    examples=[
        ("leuko check", "every problem, with file, line, column and a way out"),
        ("leuko check --hosts", "and try every host"),
        ("leuko check -e staging --json", "of another environment, for an editor or a pipeline"),
    ],
)
@click.option(
    "--hosts",
    is_flag=True,
    help="Also try every host and every gauge, and print the sudoers lines that hooks need.",
)
@with_files
def check(scene: Scene, hosts: bool) -> int:
    """Validate the configuration, and with --hosts try every host.

    Of each host it tells: is it reached and with which driver, round trip, free disk, clock, rights, missing
    programs, login shell, and what `current` is there. Then every gauge is read for a few seconds, and what
    it gives is shown. Where only figures of the machine are watched, access logs are looked for on the hosts.
    Nothing is changed. No controller is needed.
    """
    from leuko.cli.failures import problem_object
    from leuko.cli.show import print_json

    loaded, warnings = _load(scene)
    told: dict[str, Any] = _summary(loaded) | {"warnings": [problem_object(one) for one in warnings]}
    if not scene.as_json:
        for warning in warnings:
            click.echo(f"warning: {warning}")
        click.echo(_sentence(told))
    if not hosts:
        if scene.as_json:
            print_json(told)
        return 0
    found, sudoers = _try(scene, loaded)
    gauges = _try_gauges(scene, loaded)
    if scene.as_json:
        tried = {"hosts": [one.as_json() for one in found], "sudoers": sudoers}
        print_json(told | tried | {"gauges_tried": [asdict(one) for one in gauges]})
    else:
        from leuko.cli.trying import print_gauges

        _print_hosts(found, sudoers)
        print_gauges(gauges, loaded)
        _print_advice(loaded, found)
    return _code(found)


def _load(scene: Scene) -> tuple[Loaded, list[Any]]:
    """The configuration, everything about it that the file alone does not tell included."""
    import asyncio

    from leuko.config.fleet import hold_back, phase_rules
    from leuko.config.fleet import hosts as hosts_of
    from leuko.config.inventory import read_inventory
    from leuko.config.loading import load
    from leuko.config.problems import ConfigurationInvalid, Problem
    from leuko.domain.errors import LeukoError
    from leuko.domain.fleet import assign_phases
    from leuko.verify.account import warnings as account_warnings

    loaded = load(scene.config, scene.environment)
    configuration = loaded.configuration
    try:
        text = asyncio.run(read_inventory(configuration, scene.config.resolve().parent))
        fleet = hosts_of(configuration, text)
        assign_phases(fleet, phase_rules(configuration), hold_back(configuration))
    except ConfigurationInvalid:
        raise
    except LeukoError as error:
        where = f"{loaded.at(error.where)} {error.where}" if error.where else str(scene.config)
        raise ConfigurationInvalid([Problem(where, error.rule, error.way_out, error.code)]) from error
    own = [
        Problem(loaded.at("verify_user"), rule, code="A004")
        for rule in account_warnings(configuration.verify_user)
    ]
    return loaded, [*loaded.warnings, *own]


def _summary(loaded: Loaded) -> dict[str, Any]:
    configuration = loaded.configuration
    return {
        "valid": True,
        "application": configuration.application,
        "environment": configuration.environment,
        "files": [str(path) for path in loaded.files],
        "phases": len(configuration.push.phases),
        "gauges": len(configuration.gauges),
    }


def _sentence(told: dict[str, Any]) -> str:
    from leuko.web.words import count

    name = " and ".join(told["files"])
    line = f"{told['application']}/{told['environment']}"
    verb = "is" if len(told["files"]) == 1 else "are"
    return f"{name} {verb} valid: {line}, {count(told['phases'], 'phase')}, {count(told['gauges'], 'gauge')}"


def _try(scene: Scene, loaded: Loaded) -> tuple[list[Found], list[str]]:
    import asyncio

    from leuko.cli.inspection import inspect
    from leuko.cli.progress import Progress
    from leuko.hosts.orders import sudoers_lines

    with Progress(scene, "hosts answered") as progress:
        ours = _installation(scene)
        found = asyncio.run(inspect(loaded, scene.config, scene.state, progress.step, installation=ours))
    hooks = {
        moment: command
        for moment, command in loaded.configuration.fleet.hooks.model_dump(exclude={"timeout"}).items()
        if command
    }
    users = dict.fromkeys(one.user for one in found if one.user and one.user != "root")
    return found, [line for user in users for line in sudoers_lines(user, hooks)]


def _try_gauges(scene: Scene, loaded: Loaded) -> Sequence[Given]:
    import asyncio

    from leuko.cli.trying import try_gauges

    if loaded.configuration.gauges:
        scene.say("reading every gauge, for up to eight seconds")
    return asyncio.run(try_gauges(loaded, scene.config, scene.state))


def _installation(scene: Scene) -> str:
    """Our own id, where a store tells it."""
    import os

    from leuko.cli.desk import DATABASE
    from leuko.domain.errors import LeukoError

    address = os.environ.get(DATABASE, "")
    if not address and not (scene.state / "leuko.sqlite").exists():
        return ""
    from leuko.cli.offline import Rows

    try:
        rows = Rows(address or scene.state / "leuko.sqlite", scene.state)
    except LeukoError as error:
        scene.say(f"which installation this is could not be read: {error}")
        return ""
    try:
        return rows.installation
    finally:
        rows.close()


def _print_hosts(found: Sequence[Found], sudoers: Sequence[str]) -> None:
    from leuko.cli.show import plain, print_table
    from leuko.web.words import count

    columns = ("host", "role", "reached by", "round trip", "free", "clock", "as", "current", "")
    click.echo()
    print_table(columns, map(_row, found))
    for one in found:
        for text in one.errors:
            click.echo(plain(f"error: {one.host}: {text}"))
    grouped = Counter(text.replace(one.host, "HOST") for one in found for text in one.warnings)
    for text, number in grouped.items():
        on = [one.host for one in found if text in [told.replace(one.host, "HOST") for told in one.warnings]]
        where = on[0] if number == 1 else f"{', '.join(on[:4])}{' ...' if number > 4 else ''}"
        click.echo(plain(f"warning: {where}: {text.replace('HOST', on[0]) if number == 1 else text}"))
    for driver, why in dict.fromkeys((one.driver, one.driver_why) for one in found):
        click.echo(f"{driver}: {why}")
    if sudoers:
        click.echo("\nWhat the hooks need in sudoers on the hosts (visudo -f /etc/sudoers.d/leuko):")
        for line in sudoers:
            click.echo(f"  {line}")
    bad = sum(bool(one.errors) for one in found)
    click.echo(f"\n{count(len(found) - bad, 'host')} can be pushed to" + (f", {bad} cannot" if bad else ""))


def _print_advice(loaded: Loaded, found: Sequence[Found]) -> None:
    from leuko.cli.access_logs import advice
    from leuko.cli.inspection import CUSTOMERS_UNSEEN
    from leuko.cli.show import plain

    if any(warning.code == CUSTOMERS_UNSEEN for warning in loaded.warnings):
        click.echo()
        for line in advice(found):
            click.echo(plain(line))


def _row(one: Found) -> tuple[str, ...]:
    from leuko.cli.plan import size

    if not one.reachable:
        return (one.host, one.role, one.driver, "", "", "", "", "", "UNREACHABLE")
    skew = "" if one.clock_skew is None else f"{one.clock_skew:+.0f} s"
    current = one.current or {"none": "nothing", "folder": "a directory"}.get(
        one.current_kind, one.current_kind
    )
    return (
        one.host,
        one.role,
        one.driver,
        f"{one.latency_ms:.0f} ms",
        size(one.free_bytes or 0),
        skew,
        one.user,
        current,
        "error" if one.errors else ("warning" if one.warnings else "ok"),
    )


def _code(found: Sequence[Found]) -> int:
    from leuko.cli.failures import DONE, ERROR, UNREACHABLE

    if any(not one.reachable for one in found):
        return UNREACHABLE
    return ERROR if any(one.errors for one in found) else DONE
