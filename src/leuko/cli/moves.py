"""`leuko abort`, `hold`, `resume` and `promote`: a person's hand on the push that runs."""

from __future__ import annotations

import click

from leuko.cli.asking import push_number, reason, why_option
from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_scene


@click.command(
    "abort",
    cls=Command,
    examples=[
        ("leuko abort --why 'wrong branch'", "the push that runs, or the one that waits"),
        ("leuko abort 12", "only if it is push 12"),
    ],
)
@click.argument("which", metavar="[PUSH]", default="")
@why_option
@with_scene
def abort(scene: Scene, which: str, why: str) -> int:
    """Stop the push that runs, and restore what it switched.

    Nothing is convicted and nothing locked: that is what `leuko rollback` does.
    """
    return _move(scene, "abort", which, reason(scene, why))


@click.command(
    "hold",
    cls=Command,
    examples=[("leuko hold --why 'let me look at the logs'", "it goes on watching, and switches no further")],
)
@click.argument("which", metavar="[PUSH]", default="")
@why_option
@with_scene
def hold(scene: Scene, which: str, why: str) -> int:
    """Stop the push that runs where it stands, still watched.

    A failing verdict still rolls it back, and so does its deadline when nobody resumes or promotes it.
    """
    return _move(scene, "hold", which, reason(scene, why))


@click.command(
    "resume",
    cls=Command,
    examples=[
        ("leuko resume", "watch the phase again, then go on"),
        ("leuko resume 12", "only if it is push 12"),
    ],
)
@click.argument("which", metavar="[PUSH]", default="")
@why_option
@with_scene
def resume(scene: Scene, which: str, why: str) -> int:
    """Let a held push go on, watching its phase again first."""
    return _move(scene, "resume", which, why)


@click.command(
    "promote",
    cls=Command,
    examples=[("leuko promote --why 'the gauge is new'", "this phase counts as passed")],
)
@click.argument("which", metavar="[PUSH]", default="")
@why_option
@with_scene
def promote(scene: Scene, which: str, why: str) -> int:
    """Let the present phase pass by a person's word.

    Refused when the push has moved since: look at it again, and decide again.
    """
    return _move(scene, "promote", which, reason(scene, why))


def _move(scene: Scene, kind: str, which: str, why: str) -> int:
    from leuko.cli.asking import running_push
    from leuko.cli.desk import acting
    from leuko.cli.show import print_json

    number = push_number(which) if which else None
    with acting(scene) as desk:
        answer = desk.wish(kind, why=why, push=running_push(desk, number))
    if scene.as_json:
        print_json(answer)
    else:
        click.echo(f"push {answer['push']} is {answer['state']}; `leuko status --follow` follows it")
    return 0
