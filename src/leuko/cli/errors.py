"""`leuko errors` and `leuko slow`: what hosts' logs say, now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_scene

if TYPE_CHECKING:
    from leuko.cli.desk import Desk

KINDS = 30
WAIT = 30.0


@click.command(
    "errors",
    cls=Command,
    examples=[
        ("leuko errors", "kinds of errors and lines of the last ten minutes, of every host"),
        ("leuko errors --host www3 --since 1h", "of one host"),
        ("leuko errors --slow", "the same as `leuko slow`"),
    ],
)
@click.option("--host", default="", metavar="HOST", help="Only this host.")
@click.option("--since", default="10m", metavar="DURATION", help="How far back: 10m, 2h.", show_default=True)
@click.option("--slow", is_flag=True, help="Slow queries instead.")
@with_scene
def errors(scene: Scene, host: str, since: str, slow: bool) -> int:
    """Show the most recent errors of the hosts.

    Kinds of lines, with the new ones first, are what hosts told of while they were sampled, from gauges with
    `templates: true`. The lines themselves are read from the ends of the hosts' logs at this moment; that
    needs a controller.
    """
    return _logs(scene, "slow" if slow else "errors", host, since)


@click.command(
    "slow",
    cls=Command,
    examples=[
        ("leuko slow", "of the last hour, those that took most time together first"),
        ("leuko slow --host db1 --since 1d --json", "of one database"),
    ],
)
@click.option("--host", default="", metavar="HOST", help="Only this host.")
@click.option("--since", default="1h", metavar="DURATION", help="How far back: 10m, 2h.", show_default=True)
@with_scene
def slow(scene: Scene, host: str, since: str) -> int:
    """Show slow queries, from the databases' own logs.

    `slow_queries` in leuko.yml names the logs. Queries are grouped by what is left of them without literals.
    The logs are read at this moment over the controller's connections.
    """
    return _logs(scene, "slow", host, since)


def _logs(scene: Scene, what: str, host: str, since: str) -> int:
    from leuko.cli.desk import reading
    from leuko.cli.failures import DONE, ERROR
    from leuko.cli.show import plain, print_json

    seconds = _seconds(since)
    with reading(scene) as desk:
        found = _found(scene, desk, what, host, seconds)
    if scene.as_json:
        print_json(found)
    else:
        for line in _slow_lines(found) if what == "slow" else _error_lines(found):
            click.echo(plain(line))
    return ERROR if found["logs"] and found["failed"] == found["logs"] else DONE


def _found(scene: Scene, desk: Desk, what: str, host: str, seconds: float) -> dict[str, Any]:
    """What is stored, and what the hosts say now where a controller asks them."""
    from leuko.domain.errors import Refused

    kinds = desk.get("errors", host=host, since=seconds)["kinds"] if what == "errors" else []
    nothing = {"what": what, "logs": 0, "failed": 0, "troubles": [], "lines": [], "queries": []}
    found: dict[str, Any] = dict(nothing)
    if desk.live:
        scene.say("reading the hosts' logs")
        try:
            found |= desk.wish("read", {"what": what, "host": host, "since": seconds}, wait=WAIT)
        except Refused:
            if not kinds:
                raise
    elif what == "slow":
        raise Refused(
            "logs are read by a controller, and none runs",
            where=desk.name,
            way_out="start one with `leuko serve`",
            code="X012",
        )
    return found | {"kinds": kinds}


def _seconds(text: str) -> float:
    from leuko.config.quantities import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from None


def _error_lines(found: Mapping[str, Any]) -> Iterator[str]:
    from leuko.cli.words import date_time

    yield f"{len(found['kinds'])} kinds of errors" if found["kinds"] else "No kind of error was told of."
    for one in found["kinds"][:KINDS]:
        during = f", in push {one['push']}" if one["push"] is not None else ""
        yield f"{one['gauge']}: {one['text']}"
        first = f"first at {date_time(one['first_seen'])} UTC{during}"
        yield f"    {one['seen']} lines, {first}: {_hosts(one['hosts'])}"
    yield from _troubles(found)
    if found["lines"]:
        yield ""
        yield f"Lines, of {found['logs']} logs, the newest first:"
    for one in found["lines"]:
        at = date_time(one["at"]) if one["at"] else "?"
        yield f"{at} {one['host']}: {one['text']}"


def _slow_lines(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["queries"]:
        yield f"No slow query in {found['logs']} logs."
    for one in found["queries"]:
        took = f"{one['total']:.2f} s, worst {one['worst']:.2f} s"
        yield f"{one['count']} times, {took}: {_hosts(one['hosts'])}"
        yield f"    {one['query']}"
    yield from _troubles(found)


def _troubles(found: Mapping[str, Any]) -> Iterator[str]:
    for one in found["troubles"]:
        yield f"not read: {one['host']}, {one['file']}: {one['reason']}"
    if found["failed"] > len(found["troubles"]):
        yield f"and {found['failed'] - len(found['troubles'])} more"


def _hosts(found: Mapping[str, int], most: int = 5) -> str:
    named: Sequence[str] = [f"{host} {count}" for host, count in found.items()][:most]
    return ", ".join(named) + (f" and {len(found) - most} more" if len(found) > most else "")
