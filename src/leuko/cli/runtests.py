"""`leuko runtests`: a developer's own tests in the developer's own browser."""

from __future__ import annotations

from pathlib import Path

import click

from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_output


@click.command(
    "runtests",
    cls=Command,
    examples=[
        ("leuko runtests", "open the page for the checkout here"),
        ("leuko runtests --watch", "and run what each saved file touches"),
        ("leuko runtests --run", "no page: run all once, for a hook; exit code 5 where one fails"),
        ("leuko runtests --run tests/orders", "only below this folder"),
        ("leuko runtests --no-open --port 8500", "on another machine, through `ssh -L 8500:localhost:8500`"),
    ],
)
@click.argument("path", type=click.Path(path_type=Path), default=Path())
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port of the page; 0: any that is free."
)
@click.option("--open/--no-open", "opened", default=True, help="Open the page in the browser.")
@click.option("--watch", is_flag=True, help="Run what each saved file touches.")
@click.option("--run", "once", is_flag=True, help="Run all once and end, without a page.")
@click.option("--workers", type=click.IntRange(1, 256), help="Workers; default as in verify.workers.")
@with_output
def runtests(
    scene: Scene, path: Path, port: int, opened: bool, watch: bool, once: bool, workers: int | None
) -> int:
    """Run your tests on a page of your own: pick, read, run again.

    Takes suites, tags and set-up from leuko.yml, or looks for tests where there is none. Tests run in your
    working tree, as you. Nothing leaves this machine: the page listens on the loopback address, and only the
    printed address opens it. Ctrl-C ends everything it started.
    """
    import asyncio

    from leuko.cli.testing import Wanted, begin

    if once and watch:
        raise click.UsageError("--run ends after one run; --watch goes on")
    return asyncio.run(begin(scene, Wanted(path, port, opened, watch, once, workers)))
