"""`leuko lock`, `unlock` and `locks`: what stops commits and pushes."""

from __future__ import annotations

from typing import Any

import click

from leuko.cli.asking import reason, why_option
from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_scene


@click.command(
    "lock",
    cls=Command,
    examples=[
        ("leuko lock --why 'the database is being moved'", "no push starts"),
        ("leuko lock commit --warn --expires 2h --why 'demo at four'", "commits are warned, for two hours"),
    ],
)
@click.argument("kind", type=click.Choice(["push", "commit"]), default="push")
@click.option("--warn", is_flag=True, help="Only warn: nothing is stopped.")
@click.option("--expires", metavar="DURATION", help="Ends by itself after this time: 30m, 2h, 1d.")
@why_option
@with_scene
def lock(scene: Scene, kind: str, warn: bool, expires: str | None, why: str) -> int:
    """Take the push lock or the commit lock, with a reason.

    The push lock keeps pushes from starting; the commit lock keeps commits from landing on the branch,
    where the git server has Leuko's hook (`leuko hook install`).
    """
    from leuko.cli.desk import acting
    from leuko.cli.show import print_json

    arguments: dict[str, Any] = {"kind": kind, "severity": "warn" if warn else "hard"}
    if expires:
        arguments["expires_in"] = _seconds(expires)
    why = reason(scene, why)
    with acting(scene) as desk:
        answer = desk.wish("lock", arguments, why=why)
    if scene.as_json:
        print_json(answer)
    else:
        click.echo(f"{kind} lock {answer['lock']} is held; `leuko unlock {answer['lock']}` releases it")
    return 0


@click.command(
    "unlock",
    cls=Command,
    examples=[
        ("leuko unlock L12 --why 'fixed by hand'", "one lock"),
        ("leuko unlock all", "every lock that is held"),
        ("leuko unlock L12 --forget", "and the commits that it blocked may be pushed again"),
    ],
)
@click.argument("which", metavar="LOCK|push|commit|all")
@click.option("--forget", is_flag=True, help="Also let the commits go that the lock blocks.")
@why_option
@with_scene
def unlock(scene: Scene, which: str, forget: bool, why: str) -> int:
    """Release a lock by its name, all of a kind, or every one.

    Commits that a rollback found bad stay blocked all the same, until they are reverted or fixed; --forget
    lets them go.
    """
    from leuko.cli.desk import acting
    from leuko.cli.show import print_json

    why = reason(scene, why)
    with acting(scene) as desk:
        answer = desk.wish("unlock", {"lock": which, **({"forget": True} if forget else {})}, why=why)
    if scene.as_json:
        print_json(answer)
    else:
        click.echo(f"released: {', '.join(answer.get('locks') or [answer['lock']])}")
    return 0


@click.command(
    "locks",
    cls=Command,
    examples=[("leuko locks", "those that are held"), ("leuko locks --all", "and those of the past")],
)
@click.option(
    "-a", "--all", "everything", is_flag=True, help="Also locks that were released or have expired."
)
@with_scene
def locks(scene: Scene, everything: bool) -> int:
    """List the locks that are held: whose, why, until when."""
    from leuko.cli.desk import reading
    from leuko.cli.show import print_json, print_table

    with reading(scene) as desk:
        found = desk.get("locks", limit=100)
    found = [one for one in found if everything or one["held"]]
    if scene.as_json:
        print_json(found)
    elif not found:
        click.echo("No lock is held." if not everything else "There never was a lock.")
    else:
        print_table(("lock", "kind", "", "owner", "since (UTC)", "ends", "reason"), map(_row, found))
    return 0


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    from leuko.cli.words import date_time

    if one["released_at"]:
        ends = f"released {date_time(one['released_at'])} by {one['released_by']}"
    elif one["expires_at"]:
        ends = date_time(one["expires_at"]) if one["held"] else f"expired {date_time(one['expires_at'])}"
    else:
        ends = "when released"
    return (
        one["id"],
        one["kind"],
        one["severity"],
        one["owner"],
        date_time(one["since"]),
        ends,
        one["reason"],
    )


def _seconds(text: str) -> float:
    from leuko.config.quantities import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--expires") from error
    if not seconds > 0:
        raise click.BadParameter("should be longer than nothing", param_hint="--expires")
    return seconds
