"""`leuko limits`: hard bounds on gauges, who set them, and what others would have done."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import click

from leuko.cli.asking import reason, why_option
from leuko.cli.group import Command, Noun
from leuko.cli.scene import Scene, with_scene

_Function = Callable[..., Any]
BOUNDS = (
    click.option("--above", type=float, help="Broken by readings above this. Counts are events a minute."),
    click.option("--below", type=float, help="Broken by readings below this."),
    click.option("--readings", type=click.IntRange(1, 100), help="Readings in a row.  [default: 2]"),
)
PLACE = (
    click.option("--role", default="", help="Only hosts of this role."),
    click.option("--host", default="", help="Only this host."),
    click.option("--aggregate", is_flag=True, help="Of the role together, not of each host."),
)


def _with(options: tuple[Callable[[_Function], _Function], ...]) -> Callable[[_Function], _Function]:
    def decorate(function: _Function) -> _Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


@click.group(
    "limits",
    cls=Noun,
    examples=[
        ("leuko limits", "every limit in force, and where it comes from"),
        ("leuko limits set load --above 12 --host www3 --why 'a larger machine'", "of one host"),
        ("leuko limits try load --above 4", "which of the last pushes it would have stopped"),
    ],
)
@with_scene
def limits(scene: Scene) -> int:
    """List the limits in force, by role and host, and who set them.

    A limit is a hard bound that an operator wrote: a push whose hosts break it is rolled back, whatever the
    comparison says. Those of the file come first; a person's stands in place of the file's about the same
    place, and one for a role or host in place of wider ones there.
    """
    from leuko.cli.desk import reading
    from leuko.cli.show import print_json

    if click.get_current_context().invoked_subcommand is not None:
        return 0
    with reading(scene) as desk:
        found = desk.get("limits")
    if scene.as_json:
        print_json(found)
    else:
        _print(found)
    return 0


@limits.command(
    "set",
    cls=Command,
    examples=[
        ("leuko limits set errors --above 6 --why 'as in the old days'", "on each host"),
        ("leuko limits set load --above 12 --host www3 --why 'a larger machine'", "on one host"),
        ("leuko limits set errors --above 40 --role www --aggregate --why 'all of them'", "of a role"),
    ],
)
@click.argument("gauge")
@_with(BOUNDS + PLACE)
@why_option
@with_scene
def set_(
    scene: Scene,
    gauge: str,
    above: float | None,
    below: float | None,
    readings: int | None,
    role: str,
    host: str,
    aggregate: bool,
    why: str,
) -> int:
    """Set a limit on each host, a role or one host, until it is cleared.

    It counts at once, for a push that runs, too. Where somebody else changed the gauge's limits since they
    were read, nothing is changed.
    """
    wanted = {"gauge": gauge, **bounds(above, below, readings), **place(role, host, aggregate)}
    return _change(scene, wanted, why)


@limits.command(
    "clear",
    cls=Command,
    examples=[("leuko limits clear load --host www3 --why 'replaced'", "as the file says again")],
)
@click.argument("gauge")
@_with(PLACE)
@why_option
@with_scene
def clear(scene: Scene, gauge: str, role: str, host: str, aggregate: bool, why: str) -> int:
    """Take back a limit that a person set: the file's counts again."""
    return _change(scene, {"gauge": gauge, "clear": True, **place(role, host, aggregate)}, why)


@limits.command(
    "try",
    cls=Command,
    examples=[
        ("leuko limits try load --above 4", "which of the last pushes it would have stopped"),
        ("leuko limits try --budget 1%", "the same of a larger budget of false rollbacks"),
    ],
)
@click.argument("gauge", default="")
@_with(BOUNDS + PLACE)
@click.option("--budget", metavar="SHARE", help="Part of healthy pushes that may be rolled back: 0.5%.")
@click.option(
    "--pushes",
    type=click.IntRange(1, 1000),
    default=50,
    show_default=True,
    help="How many of the last pushes are judged again.",
)
@with_scene
def try_(
    scene: Scene,
    gauge: str,
    above: float | None,
    below: float | None,
    readings: int | None,
    role: str,
    host: str,
    aggregate: bool,
    budget: str | None,
    pushes: int,
) -> int:
    """Say what a limit or budget would have done to the last pushes.

    From stored readings: which pushes it would have stopped, when, on which host, and whether they were
    really bad; and in what part of quiet windows it would have fired with nothing pushed. Raw readings are
    kept for 48 hours; the minutes after that are too coarse to judge by, and that is said.
    """
    from leuko.cli.desk import reading
    from leuko.cli.progress import Progress
    from leuko.cli.show import print_json

    if (budget is None) == (above is None and below is None) or bool(gauge) == (budget is not None):
        raise click.UsageError("try GAUGE with --above or --below, or try --budget alone")
    wanted: dict[str, Any] = {"pushes": pushes}
    if budget is None:
        wanted |= {"gauge": gauge, **bounds(above, below, readings), **place(role, host, aggregate)}
    else:
        wanted["budget"] = part(budget)
    with reading(scene) as desk, Progress(scene, "pushes judged again") as progress:
        found = desk.study("try", wanted, progress.step)
    if scene.as_json:
        print_json(found)
    else:
        _print_trial(found)
    return 0


@limits.command(
    "log",
    cls=Command,
    examples=[
        ("leuko limits log", "who changed what, when and why"),
        ("leuko limits log load -n 5", "of one"),
    ],
)
@click.argument("gauge", default="")
@click.option(
    "-n", "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many rows."
)
@with_scene
def log(scene: Scene, gauge: str, limit: int) -> int:
    """Show who changed which limit, when and why."""
    from leuko.cli.desk import reading
    from leuko.cli.show import print_json, print_table
    from leuko.cli.words import date_time

    with reading(scene) as desk:
        found = desk.get("limits/changes", gauge=gauge, limit=limit)
    if scene.as_json:
        print_json(found)
    elif not found:
        click.echo("Nobody has changed a limit yet.")
    else:
        rows = [
            (
                date_time(one["at"]),
                one["gauge"],
                one["about"],
                one["was"] or "as configured",
                one["became"] or "as configured",
                one["by"],
                one["why"],
            )
            for one in found
        ]
        print_table(("when (UTC)", "gauge", "where", "was", "became", "by", "why"), rows)
    return 0


def bounds(above: float | None, below: float | None, readings: int | None) -> dict[str, Any]:
    """Arguments of an intent; what was not given is left out."""
    given = {"above": above, "below": below, "readings": readings}
    for name in ("above", "below"):
        if given[name] is not None and not math.isfinite(given[name] or 0.0):
            raise click.BadParameter("should be a number", param_hint=f"--{name}")
    return {name: value for name, value in given.items() if value is not None}


def place(role: str, host: str, aggregate: bool) -> dict[str, Any]:
    """Where a limit holds, as arguments of an intent."""
    if host and (role or aggregate):
        raise click.UsageError("--host names one host: --role and --aggregate say something else")
    given = {"role": role, "host": host, "scope": "aggregate" if aggregate else "host"}
    return {name: value for name, value in given.items() if value}


def part(text: str) -> float:
    """`1%`, or `0.01`, as a part of one."""
    from leuko.config.quantities import portion

    try:
        found = portion(text) if text.strip().endswith("%") else float(text)
    except ValueError as error:
        raise click.BadParameter(
            f"should be a share such as 0.5%, not {text!r}", param_hint="--budget"
        ) from error
    if not 0 < found < 1:
        raise click.BadParameter("should be between 0 and 100 %", param_hint="--budget")
    return found


def _change(scene: Scene, arguments: dict[str, Any], why: str) -> int:
    from leuko.cli.desk import acting
    from leuko.cli.show import print_json

    if not arguments.get("clear") and not {"above", "below"} & arguments.keys():
        raise click.UsageError("say --above, --below or both")
    why = reason(scene, why)
    if not why:
        raise click.UsageError("a limit needs a reason: others will read it. Say --why")
    with acting(scene) as desk:
        known = {one["gauge"]: one for one in desk.get("limits")["gauges"]}
        seen = known.get(arguments["gauge"], {}).get("change", 0)
        answer = desk.wish("limit", {**arguments, "seen": seen}, why=why)
    if scene.as_json:
        print_json(answer)
    else:
        now = f"is {answer['limit']}" if answer["limit"] else "is as configured again"
        click.echo(f"the limit of {answer['gauge']} {answer['about']} {now} (change {answer['change']})")
    return 0


def _print_trial(found: Mapping[str, Any]) -> None:
    from leuko.cli.show import print_table
    from leuko.cli.words import date_time
    from leuko.web.words import figure

    click.echo(f"{found['what']}:")
    for sentence in found["sentences"]:
        click.echo(sentence)
    if found["stopped"]:
        click.echo()
        rows = [
            (
                f"push {one['push']}",
                one["state"].replace("_", " ").lower(),
                f"{date_time(one['at'])}, {one['seconds']} s into phase {one['phase'] + 1}",
                f"{one['gauge']} {one['subject']}".strip(),
                "" if one["value"] is None else figure(one["value"]),
                one["bad"],
            )
            for one in found["stopped"]
        ]
        print_table(("push", "ended", "would have stopped (UTC)", "where", "value", "was it bad"), rows)


def _print(found: Mapping[str, Any]) -> None:
    from leuko.cli.show import print_table
    from leuko.cli.words import date_time

    rows = []
    for gauge in found["gauges"]:
        for index, one in enumerate(gauge["limits"] or [None]):
            name = gauge["gauge"] if index == 0 else ""
            if one is None:
                rows.append((name, "no limit", "", "", "", "", ""))
                continue
            who = f"{one['by']}, {date_time(one['at'])}" if one["at"] else ""
            origin = f"instead of {', '.join(one['instead_of'])}" if one["instead_of"] else one["origin"]
            unit = "a minute" if gauge["kind"] == "count" else gauge["unit"]
            rows.append(
                (
                    name,
                    f"{one['text']} {unit}".strip(),
                    _where(one),
                    f"{one['readings']} in a row",
                    origin,
                    who,
                    one["why"],
                )
            )
    if not rows:
        click.echo("Nothing is watched yet: no controller has served a configuration with gauges here.")
        return
    print_table(("gauge", "limit", "where", "readings", "from", "set by (UTC)", "why"), rows)


def _where(one: Mapping[str, Any]) -> str:
    besides = ", ".join(f"{name[1:]} hosts" if name.startswith("@") else name for name in one["besides"])
    return f"{one['about']}, but {besides}" if besides else str(one["about"])
