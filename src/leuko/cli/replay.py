"""`leuko replay`: a stored push judged again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import click

from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_scene

SHOWN = 20


@click.command(
    "replay",
    cls=Command,
    examples=[
        ("leuko replay 12", "are all its verdicts found again?"),
        ("leuko replay 12 --limit 'load>4' --watch 10m", "what if"),
        ("leuko replay 12 --budget 1%", "with a larger budget of false rollbacks"),
    ],
)
@click.argument("push", metavar="PUSH")
@click.option("--budget", metavar="SHARE", help="Part of healthy pushes that may be rolled back: 0.5%.")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="LIMIT",
    help="'GAUGE > NUMBER', '<' as well; also 'load@www3 > 12' and 'errors@role:www > 6'.",
)
@click.option("--watch", metavar="DURATION", help="How long each phase is watched: 5m, or ticks: 60.")
@click.option("-v", "--verbose", is_flag=True, help="Every tick.")
@with_scene
def replay(
    scene: Scene, push: str, budget: str | None, limits: tuple[str, ...], watch: str | None, verbose: bool
) -> int:
    """Judge a stored push again, as it was or with other settings.

    Tick by tick, from stored readings. Without options the same states and findings must come out, to 6
    digits; where they do not, the rows that differ are printed and the exit code is 1. With options it
    tells what would have happened. Needs no controller. Raw readings are kept for 48 hours.
    """
    from leuko.cli.asking import push_number
    from leuko.cli.desk import reading
    from leuko.cli.failures import DONE, ERROR
    from leuko.cli.limits import part
    from leuko.cli.progress import Progress
    from leuko.cli.show import print_json

    wanted: dict[str, Any] = {"push": push_number(push)}
    if budget is not None:
        wanted["budget"] = part(budget)
    if limits:
        wanted["limits"] = [limit_in_words(text) for text in limits]
    with reading(scene) as desk, Progress(scene, "ticks judged again") as progress:
        if watch is not None:
            wanted["watch"] = _ticks(watch, desk.get(f"pushes/{wanted['push']}")["plan"]["tick"])
        found = desk.study("replay", wanted, progress.step)
    if scene.as_json:
        print_json(found)
    else:
        _print(found, verbose=verbose)
    return DONE if found["changed"] or found["same"] else ERROR


def limit_in_words(text: str) -> dict[str, Any]:
    """`load@www3 > 12`, `errors@role:www > 6`, `requests < 1` as arguments of an intent."""
    for sign, name in ((">", "above"), ("<", "below")):
        left, found, right = text.partition(sign)
        if not found:
            continue
        gauge, _, where = left.strip().partition("@")
        try:
            bound = float(right.strip().lstrip("="))
        except ValueError:
            break
        if not math.isfinite(bound):
            break
        role = where.removeprefix("role:") if where.startswith("role:") else ""
        made = {"gauge": gauge.strip(), name: bound, "role": role, "host": "" if role else where}
        return {key: value for key, value in made.items() if value != ""}
    raise click.BadParameter(f"should be such as 'load > 4', not {text!r}", param_hint="--limit")


def _ticks(text: str, tick: float) -> int:
    from leuko.config.quantities import parse_duration

    if text.isdigit():
        return max(1, int(text))
    try:
        return max(1, round(parse_duration(text) / tick))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--watch") from error


def _print(found: Mapping[str, Any], *, verbose: bool) -> None:
    from leuko.cli.show import print_table
    from leuko.cli.words import clock_time

    click.echo(found["sentence"])
    for look in [one for one in found["looks"] if one["differs"]][:SHOWN]:
        click.echo(f"  {clock_time(look['at'])} phase {look['phase'] + 1}")
        for text in look["differs"][:SHOWN]:
            click.echo(f"    {text}")
    if verbose:
        rows = [
            (
                clock_time(one["at"]),
                str(one["phase"] + 1),
                one["decision"],
                f"{one['ticks']} of {one['wanted']}",
                f"{one['evidence']:g}",
                one["sentence"],
            )
            for one in found["looks"]
        ]
        print_table(("tick (UTC)", "phase", "says", "ticks", "evidence", "because"), rows)
