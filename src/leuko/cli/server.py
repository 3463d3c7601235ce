"""`leuko serve`: the controller."""

from __future__ import annotations

from pathlib import Path

import click

from leuko.cli.group import Command
from leuko.cli.scene import CONFIGURATION, STATE, STATE_OPTION, Scene, with_output


@click.command(
    "serve",
    cls=Command,
    examples=[
        ("leuko serve", "in the foreground, until Ctrl-C"),
        ("leuko serve --detach", "in the background; its log is serve.log in the state directory"),
        ("leuko serve -c shop.yml -c chat.yml --state /var/lib/leuko", "several lines, one controller"),
        ("leuko serve --name leuko.example.org", "behind a proxy that passes this name on"),
        ("leuko serve --stop", "end it; what runs goes on when it starts again"),
    ],
)
@click.option(
    "-c",
    "--config",
    "files",
    type=click.Path(path_type=Path),
    multiple=True,
    envvar="LEUKO_CONFIG",
    help=f"Configuration file, once for each line. [env LEUKO_CONFIG; default ./{CONFIGURATION}]",
)
@click.option("-e", "--environment", envvar="LEUKO_ENVIRONMENT", help="Environment. [env LEUKO_ENVIRONMENT]")
@STATE_OPTION
@click.option(
    "--database",
    envvar="LEUKO_DATABASE",
    default="",
    help="postgresql:// address instead of the embedded store. [env LEUKO_DATABASE]",
)
@click.option(
    "--listen",
    envvar="LEUKO_LISTEN",
    default="127.0.0.1:8420",
    show_default=True,
    help="Console and API; port 0 takes any that is free.",
)
@click.option(
    "--name",
    "names",
    metavar="HOST",
    multiple=True,
    help="Host name that browsers reach it by, besides localhost and addresses; repeatable.",
)
@click.option("--detach", is_flag=True, help="Return once it answers, leaving it in the background.")
@click.option("--stop", is_flag=True, help="End the one that runs.")
@with_output
def serve(
    scene: Scene,
    files: tuple[Path, ...],
    database: str,
    listen: str,
    names: tuple[str, ...],
    detach: bool,
    stop: bool,
) -> int:
    """Run the controller, with console and API.

    It verifies, pushes and watches.

    Exactly one acts for an installation. It can be ended at any moment, kill -9 included: the next one goes
    on where it stopped.
    """
    from leuko.cli import serve as controller
    from leuko.cli.show import print_json

    if detach and stop:
        raise click.UsageError("--detach and --stop are opposites")
    paths = list(files) or [Path(CONFIGURATION)]
    folder = scene.state_given or paths[0].parent / STATE
    code = controller.run(
        paths,
        state=folder,
        environment=scene.environment,
        database=database,
        listen=listen,
        names=names,
        detach=detach,
        stop=stop,
    )
    if stop or detach:
        told = {
            "running": detach,
            "state": str(folder),
            "address": controller.read_address(folder) if detach else "",
        }
        if scene.as_json:
            print_json(told)
        elif detach:
            log = folder / controller.LOG
            scene.say(f"serving at {told['address']}; `leuko serve --stop` ends it; its log is {log}")
        else:
            scene.say("no controller runs here now")
    return code
