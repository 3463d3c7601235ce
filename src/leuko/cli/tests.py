"""`leuko tests`: the flaky, the slow and the failing, over many builds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_scene

_MARKS = {"passed": ".", "failed": "F", "flaky": "f", "skipped": "s", "broken": "b", "none": " "}


@click.command(
    "tests",
    cls=Command,
    examples=[
        ("leuko tests --flaky", "those that failed and passed elsewhere, with their rate"),
        ("leuko tests --slow -n 10", "the ten slowest"),
        ("leuko tests --failing --json", "those that failed in the newest build of their suite"),
        ("leuko tests cart", "those with cart in file or name"),
    ],
)
@click.argument("text", default="")
@click.option("--flaky", "order", flag_value="flaky", help="Those that were ever flaky, the latest first.")
@click.option("--slow", "order", flag_value="slow", help="The slowest first.")
@click.option("--failing", "order", flag_value="failing", help="Those that failed last.")
@click.option("--suite", default="", help="Of this suite only.")
@click.option(
    "-n", "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many rows."
)
@with_scene
def tests(scene: Scene, text: str, order: str | None, suite: str, limit: int) -> int:
    """List tests over builds: flaky, slow, failing, or by name.

    The last column has their last runs, the newest on the right: a dot passed, F failed, f flaky, s skipped,
    b broken. A test is flaky when it failed and then passed on another worker.
    """
    from leuko.cli.desk import reading
    from leuko.cli.show import print_json, print_table

    with reading(scene) as desk:
        found = desk.get("tests", order=order or "name", text=text, suite=suite, limit=limit)
    if scene.as_json:
        print_json(found)
    elif not found:
        click.echo(_none(order, text))
    else:
        print_table(
            ("test", "state", "seconds", "flaky", "failed", "runs", "owner", "last runs"),
            [_row(one) for one in found],
        )
    return 0


def _none(order: str | None, text: str) -> str:
    if text:
        return f"No test has {text!r} in its file or name."
    return {"flaky": "No test was flaky yet.", "failing": "No test failed last."}.get(
        order or "", "No test is known yet: they are after the first build with `verify.suites`."
    )


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    held = " (held)" if one["quarantine"] else ""
    return (
        one["test"],
        one["state"] + held,
        f"{one['seconds']:.2f}",
        f"{one['flakes']} ({one['rate']:.1%})" if one["flakes"] else "",
        str(one["failures"] or ""),
        str(one["runs"]),
        one["owner"],
        "".join(_MARKS.get(run["state"], "?") for run in one["strip"][-20:]),
    )
