"""`leuko culprit`: which change broke a test, or moved a number; `leuko revert`: take one back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from leuko.cli.asking import push_number, why_option
from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_scene
from leuko.domain.errors import LeukoError

if TYPE_CHECKING:
    from leuko.cli.seeking import Asked


@click.command(
    "culprit",
    cls=Command,
    examples=[
        ("leuko culprit v1.4..HEAD --command 'pytest -q tests/test_cart.py'", "in the checkout you are in"),
        ("leuko culprit v1.4..HEAD --test 'tests/test_cart.py::test_total'", "a test of verify.suites"),
        (
            "leuko culprit v1.4..HEAD --metric './bench.sh' --worse up",
            "the command prints a number; which commit moved it",
        ),
        ("leuko culprit --push 12 --metric './size.sh' --worse up", "among the commits of a push"),
        ("leuko culprit", "what the controller has looked for"),
        ("leuko culprit 3", "one of its searches, with its runs"),
    ],
)
@click.argument("range_", metavar="[GOOD..BAD|SEARCH]", default="")
@click.option("--command", default="", help="Fails where it exits with 1 to 124; 125 to 127 say nothing.")
@click.option(
    "--test", "case", default="", metavar="CASE", help="A test of a suite: FILE::NAME or SUITE: FILE::NAME."
)
@click.option("--metric", default="", help="A command that prints a number, the last it prints counts.")
@click.option(
    "--worse", type=click.Choice(["up", "down"]), default="up", help="Which way of the number is bad."
)
@click.option("--least", default=0.0, metavar="PERCENT", help="A smaller step of the number does not matter.")
@click.option("--setup", default="", help="Runs before each command, in the same fresh tree.")
@click.option(
    "--push", "push", default="", metavar="PUSH", help="The commits of a push, in place of a range."
)
@click.option("--mirror", is_flag=True, help="In the installation's mirror, not in the checkout you are in.")
@click.option("--workers", default=0, help="Runs at the same time; 2, or 1 for a number, where not said.")
@click.option("--runs", default=60, help="At most so many runs.")
@click.option("--timeout", default=900.0, metavar="SECONDS", help="Longest time of one run.")
@with_scene
def culprit(scene: Scene, range_: str, push: str, **given: Any) -> int:
    """Find the change that broke a test or moved a number.

    Each commit has a probability; each run of the command at a commit moves it. Tests that fail by chance are
    minded: how often is learned from the runs, the culprit and its parent are always run, and "no change: a
    flake" is an answer. Every run has a fresh tree of its own. Exit code 0: found; 1: no change is to blame;
    5: it cannot be told.
    """
    from leuko.cli import seeking

    if not range_ and not push:
        return _searches(scene)
    if range_.isdigit():
        return _search(scene, int(range_))
    good, bad = _ends(scene, range_, push)
    asked: Asked = seeking.Asked(good=good, bad=bad, **given)
    return seeking.seek(scene, asked)


def _ends(scene: Scene, range_: str, push: str) -> tuple[str, str]:
    if push:
        from leuko.cli.desk import reading

        with reading(scene) as desk:
            page = desk.get(f"pushes/{push_number(push)}")["push"]
        base = str(page.get("base") or "").partition("-")[0]
        if not base:
            raise LeukoError(
                "it was the first: there is nothing to compare it with", where=f"push {push}", code="X074"
            )
        return base, str(page["revision"])
    good, dots, bad = range_.partition("..")
    if not good or not dots:
        raise click.BadParameter("should be GOOD..BAD, for example v1.4..HEAD", param_hint="RANGE")
    return good, bad.lstrip(".") or "HEAD"


def _searches(scene: Scene) -> int:
    from leuko.cli.desk import reading
    from leuko.cli.show import print_json, print_table

    with reading(scene) as desk:
        found = desk.get("culprits")
    if scene.as_json:
        print_json(found)
    elif not found:
        click.echo("No build has been looked into yet.")
    else:
        rows = [
            (str(one["id"]), str(one["build"] or ""), one["state"], str(one["runs"]), one["sentence"])
            for one in found
        ]
        print_table(("search", "build", "state", "runs", "what it found"), rows)
    return 0


def _search(scene: Scene, number: int) -> int:
    from leuko.cli.desk import reading
    from leuko.cli.show import plain, print_json, print_table

    with reading(scene) as desk:
        found = desk.get(f"culprits/{number}")
    if scene.as_json:
        print_json(found)
        return 0
    click.echo(plain(found["sentence"]))
    for line in found["reverts"]:
        click.echo(plain(line))
    rows = [
        (one["revision"][:8], f"{one['probability']:.0%}", one["author"], one["subject"])
        for one in found["suspects"]
    ]
    print_table(("change", "", "author", "subject"), rows)
    runs = [(str(one["number"]), one["revision"][:8], one["said"], one["reason"]) for one in found["probes"]]
    print_table(("run", "at", "", ""), runs)
    return 0


@click.command(
    "revert",
    cls=Command,
    examples=[
        ("leuko revert 1a2b3c4", "makes the revert and pushes it to the branch"),
        ("leuko revert 1a2b3c4 --dry-run", "shows what it would be"),
    ],
)
@click.argument("revision", metavar="REVISION")
@click.option("--dry-run", is_flag=True, help="Prepare it in the mirror, and land nothing.")
@why_option
@with_scene
def revert(scene: Scene, revision: str, dry_run: bool, why: str) -> int:
    """Take a change back: its revert lands on the branch.

    The controller makes it on top of what the branch is now, a merge as a whole, and pushes it, never with
    force. One that does not come off cleanly is refused with the files that are in conflict.
    """
    from leuko.cli.desk import acting
    from leuko.cli.show import plain, print_json

    arguments: dict[str, Any] = {"revision": revision} | ({"prepare": True} if dry_run else {})
    with acting(scene) as desk:
        found = desk.wish("revert", arguments, why=why, wait=120.0)
    if scene.as_json:
        print_json(found)
        return 0
    what = "landed as" if found["landed"] else "would be"
    click.echo(plain(f"{found['subject']} {what} {found['revision'][:12]}"))
    for name, lines in found["files"].items():
        click.echo(plain(f"  {name}: {lines} lines"))
    return 0
