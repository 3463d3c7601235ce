"""`leuko completion`, `schema` and `demo`."""

from __future__ import annotations

from pathlib import Path

import click

from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_output

INSTALL = {
    "bash": 'eval "$(leuko completion bash)"       # in ~/.bashrc',
    "zsh": 'eval "$(leuko completion zsh)"        # in ~/.zshrc',
    "fish": "leuko completion fish > ~/.config/fish/completions/leuko.fish",
}


@click.command(
    "completion",
    cls=Command,
    examples=[
        ("leuko completion bash", "its first line says how to install it"),
        ("leuko completion fish > ~/.config/fish/completions/leuko.fish", "installed, for fish"),
    ],
)
@click.argument("shell", type=click.Choice(list(INSTALL)))
@with_output
@click.pass_context
def completion(context: click.Context, scene: Scene, shell: str) -> int:
    """Print the completion script of a shell, and how to install it."""
    from click.shell_completion import get_completion_class

    from leuko.cli.show import print_json

    made = get_completion_class(shell)
    assert made is not None
    text = made(context.find_root().command, {}, "leuko", "_LEUKO_COMPLETE").source()
    if scene.as_json:
        print_json({"shell": shell, "script": text, "install": INSTALL[shell]})
    else:
        click.echo(f"# install with: {INSTALL[shell]}\n{text}")
    return 0


@click.command(
    "schema",
    cls=Command,
    examples=[("leuko schema > leuko.schema.json", "for an editor: completion and red lines")],
)
@with_output
def schema(scene: Scene) -> int:  # noqa: ARG001 - it is JSON with and without --json
    """Print the JSON Schema of leuko.yml, for editors."""
    from leuko.cli.show import print_json
    from leuko.config.schema import json_schema

    print_json(json_schema())
    return 0


@click.command(
    "demo",
    cls=Command,
    examples=[
        ("leuko demo", "a good push, a bad one rolled back, and its fix"),
        ("leuko demo --keep", "and then it is yours: commit what you like, and watch"),
        ("leuko demo --json", "the facts as the last line"),
    ],
)
@click.option("--keep", is_flag=True, help="Leave it all running, and say how to go on.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where it lives. [default: a new one in /tmp]",
)
@click.option("--hosts", type=click.IntRange(2, 64), default=8, show_default=True, help="Hosts of the fleet.")
@with_output
def demo(scene: Scene, keep: bool, folder: Path | None, hosts: int) -> int:
    """Play the main job on an embedded fleet, under real traffic.

    A good commit goes live; a bad one is caught on the canaries and rolled back; its fix lifts the lock.
    With --json the last line is one JSON object with the facts.
    """
    from leuko.cli.demo import run

    return run(as_json=scene.as_json, keep=keep, folder=folder, hosts=hosts)
