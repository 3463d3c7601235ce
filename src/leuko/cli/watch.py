"""`leuko watch`: somebody else's deployment runs, and the verdict says what the readings show of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from leuko.cli.failures import BAD_END, DONE, INTERRUPTED
from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_scene

if TYPE_CHECKING:
    from leuko.cli.watching import Seen


@click.command(
    "watch",
    cls=Command,
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
    examples=[
        ("leuko watch -- cap production deploy", "any command, as it is"),
        ("leuko watch --canaries www1,www2 --for 10m -- ansible-playbook deploy.yml", "only these change"),
    ],
)
@click.option("--canaries", default="", metavar="HOST,...", help="The command changes only these hosts.")
@click.option(
    "--for", "duration", default="5m", show_default=True, help="How long it is watched after its end."
)
@click.argument("command", nargs=-1, required=True, metavar="COMMAND...")
@with_scene
def watch(scene: Scene, canaries: str, duration: str, command: tuple[str, ...]) -> int:
    """Run any deployment command, and judge it by the fleet's gauges.

    The command runs here, with its output passed through. The gauges of leuko.yml are looked at before,
    during and after it; then a sentence says whether the deployment made anything worse. Nothing is changed
    on hosts. A running controller's readings are used; where none runs, this command samples by itself, two
    minutes before yours begins.

    When a host was switched is seen where its `current` link or its `running` command tells, and else it is
    the moment at which the command ended. Without --canaries, and where nothing tells hosts apart, all are
    compared with their own past.

    The exit code is the command's own (128 and the signal's number where one ended it; 127 where it was not
    found, 126 where it could not be run), but 5 where the command succeeded and the verdict is that it made
    things worse.
    """
    from leuko.cli.watching import watched
    from leuko.config.quantities import parse_duration

    try:
        seconds = parse_duration(duration)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--for") from error
    names = [name for name in canaries.replace(",", " ").split() if name]
    seen = watched(scene, command, names, seconds)
    _print(scene, seen)
    return exit_code(seen)


def exit_code(seen: Seen) -> int:
    """The command's own, unless it succeeded and the verdict fails."""
    if seen.interrupted and not seen.exit_code:
        return INTERRUPTED
    if seen.exit_code:
        return seen.exit_code if seen.exit_code > 0 else 128 - seen.exit_code
    return BAD_END if seen.page and seen.page["decision"] == "fail" else DONE


def _print(scene: Scene, seen: Seen) -> None:
    from leuko.cli.show import plain, print_json

    if scene.as_json:
        print_json({"exit_code": seen.exit_code, "interrupted": seen.interrupted, "observation": seen.page})
        return
    if seen.page is None:
        return
    words = {"fail": "Worse", "pass": "Healthy", "hold": "Not clear", "unknown": "Not judged"}
    word = words.get(seen.page["decision"], "Not finished")
    click.echo(plain(f"{word}: {seen.page['sentence'] or 'nothing was seen yet'}"), err=True)
