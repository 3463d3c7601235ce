"""`leuko drill`: would the verdict find a fault, and is the way back clean?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from leuko.cli.asking import why_option
from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_scene

if TYPE_CHECKING:
    from leuko.cli.desk import Desk

STARTING_SECONDS = 60.0
UNSEEN = 1
DIRTY = 2


@click.command(
    "drill",
    cls=Command,
    examples=[
        ("leuko drill", "error lines in the log of one canary"),
        ("leuko drill --fault silence", "one canary's readings stay away"),
        ("leuko drill --host www3 --gauge errors", "this canary, this gauge"),
        (
            "leuko drill --text 'ERROR drill'",
            "what is written to the log, where its newest error will not do",
        ),
    ],
)
@click.option("--fault", type=click.Choice(["errors", "silence"]), default="errors", help="What is planted.")
@click.option("--host", default="", help="Which canary; the first one's where not said.")
@click.option("--gauge", default="", help="Whose source is touched; the first that fits where not said.")
@click.option("--text", default="", help="The line that is appended to the log.")
@why_option
@with_scene
def drill(scene: Scene, fault: str, host: str, gauge: str, text: str, why: str) -> int:
    """Plant a fault on one canary, and report whether it was caught.

    What is live is pushed to the canaries once more; the fault lies in what their gauges read, so no customer
    meets it. It is taken out again whatever happens, nothing is convicted or locked, and a release that comes
    goes first. Exit code 0: caught and clean; 1: not caught; 2: the way back was not clean.
    """
    from leuko.cli.desk import acting
    from leuko.cli.show import plain, print_json

    given = {"fault": fault, "host": host, "gauge": gauge, "line": text}
    arguments: dict[str, Any] = {name: value for name, value in given.items() if value}
    with acting(scene) as desk:
        after = desk.get("status")["event"]
        begun = desk.wish("drill", arguments, why=why, wait=STARTING_SECONDS)
        scene.say(f"{fault} in {begun['gauge']} on {begun['host']}, in push {begun['push']}")
        found = _ended(scene, desk, begun["drill"], after)
    if scene.as_json:
        print_json(found)
    else:
        click.echo(plain(found["sentence"]))
        click.echo(f"exercised: {', '.join(found['exercised']) or 'nothing'}")
        click.echo(f"not exercised: {', '.join(found['spared']) or 'anything'}")
    return DIRTY if not found["clean"] else 0 if found["caught"] else UNSEEN


def _ended(scene: Scene, desk: Desk, number: int, after: int) -> dict[str, Any]:
    from leuko.cli import following
    from leuko.cli.narrators import Lines

    for event in following.events(desk, after, Lines()):
        if event is None or event["subject"] != f"drill {number}":
            continue
        scene.say(str(event["data"].get("reason", "")))
        if event["data"].get("to") == "ended":
            break
    found: dict[str, Any] = next(one for one in desk.get("drills") if one["id"] == number)
    return found
