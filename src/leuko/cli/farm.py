"""`leuko farm`: many machines that run the tests, by Buildbot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_files, with_output

if TYPE_CHECKING:
    from leuko.cli.farm_looking import Told

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group("farm")
def farm() -> None:
    """Run tests on many machines, carried by Buildbot.

    Leuko decides which tests go together and what their results mean; a Buildbot master and its workers carry
    them, as processes of their own. docs/how-to/farm.md tells it from the beginning.
    """


@farm.command(
    "init",
    cls=Command,
    examples=[
        ("leuko farm init", "a master and two workers for a try, in ./farm"),
        ("leuko farm init /srv/farm --workers 16 --listen 10.0.0.5", "reached by other machines"),
    ],
)
@click.argument("folder", type=FOLDER, default=Path("farm"))
@click.option(
    "--workers", type=click.IntRange(1, 1000), default=2, show_default=True, help="How many workers."
)
@click.option(
    "--repository", default="", metavar="URL", help="Where workers fetch from, if not as leuko.yml says."
)
@click.option(
    "--listen", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address of the master."
)
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8010, show_default=True, help="Of its web pages and API."
)
@click.option(
    "--workers-port",
    type=click.IntRange(1, 65535),
    default=9989,
    show_default=True,
    help="Where workers connect to.",
)
@with_output
def init(scene: Scene, folder: Path, **given: Any) -> int:
    """Write the configuration of a master and its workers.

    Nothing is started or installed. Each worker has a folder of its own, which can be copied to the machine
    it is for; passwords are made up, and stand in files that only their owner can read.
    """
    from leuko.cli.farm_files import leuko_yml, write
    from leuko.cli.show import print_json
    from leuko.verify.buildbot.layout import VERSION, Plan

    plan = Plan(given["workers"], given["listen"], given["port"], given["workers_port"], given["repository"])
    written = write(plan, folder)
    section = leuko_yml(plan, folder)
    if scene.as_json:
        print_json({"folder": str(folder), "files": written, "url": plan.url, "leuko_yml": section})
        return 0
    click.echo(f"Wrote a master and {plan.workers} workers into {folder}/ (Buildbot {VERSION}).")
    scene.say(
        f"\nNext:\n  leuko farm up {folder}      starts them all, for a try\nand into leuko.yml:\n\n{section}"
    )
    return 0


@farm.command(
    "up",
    cls=Command,
    examples=[
        ("leuko farm up", "that of ./farm, until Ctrl-C"),
        ("leuko farm up farm --programs /opt/buildbot/bin", "with the Buildbot that is there"),
    ],
)
@click.argument("folder", type=FOLDER, default=Path("farm"))
@click.option(
    "--programs",
    type=FOLDER,
    help="Folder with `buildbot` and `twistd`. [default: venv/bin of the farm, made if missing]",
)
@with_output
def up(scene: Scene, folder: Path, programs: Path | None) -> int:
    """Start a farm's master and workers on this machine, for a try.

    In the foreground: Ctrl-C ends them all. Buildbot is installed into FOLDER/venv the first time, unless
    --programs says where it is. For good, start each by your init system: the same two programs, one by one.
    """
    from leuko.cli.farm_up import run

    return run(scene, folder, programs)


@farm.command(
    "check",
    cls=Command,
    examples=[
        ("leuko farm check", "the farm of ./leuko.yml: master, builder, each worker"),
        ("leuko farm check farm --json", "of a folder that `leuko farm init` wrote"),
    ],
)
@click.argument("folder", type=FOLDER, required=False)
@with_files
def check(scene: Scene, folder: Path | None) -> int:
    """Try a farm: master, builder, and every worker.

    Of the master it tells: does it answer and let us in, its version, is the builder there. Each worker that
    is connected and free gets a small order: does it arrive, how soon, are lines of its log seen live, does
    its clock agree, can it fetch from the repository. Exit code 0: at least one worker, and nothing wrong.
    """
    from leuko.cli.farm_looking import find, tried

    return _show(scene, tried(scene, find(scene, folder)))


@farm.command(
    "status",
    cls=Command,
    examples=[
        ("leuko farm status", "workers and what they do, of the farm of ./leuko.yml"),
        ("leuko farm status farm --json", "of a folder that `leuko farm init` wrote"),
    ],
)
@click.argument("folder", type=FOLDER, required=False)
@with_files
def status(scene: Scene, folder: Path | None) -> int:
    """Show a farm's workers, what they do, and what waits."""
    from leuko.cli.farm_looking import find, seen

    return _show(scene, seen(scene, find(scene, folder)))


def _show(scene: Scene, told: Told) -> int:
    from leuko.cli.show import plain, print_json, print_table

    if scene.as_json:
        print_json(told.facts)
        return told.code
    for line in told.lines:
        click.echo(plain(line))
    if told.rows:
        print_table(told.columns, told.rows)
    for line in told.problems:
        click.echo(plain(line))
    return told.code
