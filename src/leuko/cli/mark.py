"""`leuko mark`: was a rollback right?"""

from __future__ import annotations

import click

from leuko.cli.asking import push_number, reason, why_option
from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_scene


@click.command(
    "mark",
    cls=Command,
    examples=[
        ("leuko mark 12 true", "the release was bad: the verdict was right"),
        ("leuko mark 12 false --why 'the database was down'", "it was healthy: a false rollback"),
    ],
)
@click.argument("which", metavar="PUSH")
@click.argument("word", metavar="true|false", type=click.Choice(["true", "false"]))
@why_option
@with_scene
def mark(scene: Scene, which: str, word: str, why: str) -> int:
    """Say whether a push that the verdict stopped was really bad.

    The tally stands beside the promised rate in `leuko status` and on the console, and the verdict raises an
    alarm about itself when the two part. Who thinks better of it marks it again.
    """
    from leuko.cli.desk import acting
    from leuko.cli.show import print_json

    number = push_number(which)
    why = reason(scene, why)
    with acting(scene) as desk:
        answer = desk.wish("mark", {"push": number, "correct": word == "true"}, why=why)
    if scene.as_json:
        print_json(answer)
        return 0
    click.echo(f"push {number} is marked {word}; {answer['tally']}")
    for alarm in answer["alarms"]:
        click.echo(f"alarm: {alarm}")
    return 0
