"""`leuko quarantine`: flaky tests that do not count for a while."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from leuko.cli.asking import reason, why_option
from leuko.cli.group import Command, Noun
from leuko.cli.scene import Scene, with_scene


@click.group(
    "quarantine",
    cls=Noun,
    examples=[
        ("leuko quarantine list", "who owns each, why, and until when"),
        ("leuko quarantine add 'unit: tests/test_cart.py::test_total' --why 'races'", "for 14 days"),
        ("leuko quarantine remove tests/test_cart.py::test_total --why 'mended'", "it counts again"),
    ],
)
@with_scene
def quarantine(scene: Scene) -> int:
    """List, add and remove tests whose failures redden no build.

    Each has an owner, a reason and an end; past its end the test counts again by itself.
    """
    if click.get_current_context().invoked_subcommand is not None:
        return 0
    return _list(scene)


@quarantine.command(
    "list",
    cls=Command,
    examples=[("leuko quarantine list --json", "those that hold, and those that did")],
)
@with_scene
def list_(scene: Scene) -> int:
    """List those that hold, and those that did."""
    return _list(scene)


@quarantine.command(
    "add",
    cls=Command,
    examples=[
        ("leuko quarantine add 'unit: tests/test_cart.py::test_total' --why 'races'", "as lists print it"),
        ("leuko quarantine add tests/test_cart.py --owner ann --days 3 --why 'see issue 7'", "a whole file"),
    ],
)
@click.argument("test")
@click.option("--owner", default="", help="Who mends it.  [default: the suite's owner, else you]")
@click.option(
    "--days", type=click.FloatRange(0, 90, min_open=True), default=14.0, show_default=True, help="Its end."
)
@why_option
@with_scene
def add(scene: Scene, test: str, owner: str, days: float, why: str) -> int:
    """Put a test into quarantine, with a reason and an end."""
    from leuko.cli.words import date_time

    answer = _ask(scene, {"test": test, "owner": owner, "days": days}, why)
    if not scene.as_json:
        until = date_time(answer["until"])
        click.echo(f"{answer['test']} is in quarantine until {until} UTC; its owner is {answer['owner']}")
    return 0


@quarantine.command(
    "remove",
    cls=Command,
    examples=[
        ("leuko quarantine remove 'unit: tests/test_cart.py::test_total' --why 'mended'", "it counts again")
    ],
)
@click.argument("test")
@why_option
@with_scene
def remove(scene: Scene, test: str, why: str) -> int:
    """End a test's quarantine: its failures count again."""
    answer = _ask(scene, {"test": test, "end": True}, why)
    if not scene.as_json:
        click.echo(f"{answer['test']} counts again")
    return 0


def _ask(scene: Scene, arguments: Mapping[str, Any], why: str) -> dict[str, Any]:
    from leuko.cli.desk import acting
    from leuko.cli.show import print_json

    why = reason(scene, why)
    with acting(scene) as desk:
        answer = desk.wish("quarantine", arguments, why=why)
    if scene.as_json:
        print_json(answer)
    return answer


def _list(scene: Scene) -> int:
    from leuko.cli.desk import reading
    from leuko.cli.show import print_json, print_table
    from leuko.cli.words import date_time

    with reading(scene) as desk:
        found = desk.get("quarantines", limit=100)
    if scene.as_json:
        print_json(found)
    elif not found:
        click.echo("No test is, or was, in quarantine.")
    else:
        rows = [
            (one["test"], one["state"], one["owner"], date_time(one["ended_at"] or one["until"]), one["why"])
            for one in found
        ]
        print_table(("test", "state", "owner", "until (UTC)", "why"), rows)
    return 0
