"""`leuko hosts` and `adopt`: the servers and what each runs."""

from __future__ import annotations

from typing import Any

import click

from leuko.cli.asking import reason, why_option
from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_scene

ADOPTING_SECONDS = 120.0


@click.command(
    "hosts",
    cls=Command,
    examples=[
        ("leuko hosts", "what each runs, and whether it answers"),
        ("leuko hosts --verify", "hash every file of what they run, and compare"),
    ],
)
@click.option("--verify", is_flag=True, help="Ask each host to hash every file of the release it runs.")
@with_scene
def hosts(scene: Scene, verify: bool) -> int:
    """List the hosts: what each runs, and whether it answers.

    --verify connects to the hosts from here, as the configuration says, and changes nothing on them. With
    --state alone the configuration is that of the controller there.
    """
    from leuko.cli.desk import reading
    from leuko.cli.show import print_json, print_table

    if verify:
        return _verify(scene)
    with reading(scene) as desk:
        found = desk.get("hosts")
    if scene.as_json:
        print_json(found)
    elif not found:
        click.echo("No host was looked at yet; `leuko check --hosts` tries them now.")
    else:
        print_table(("host", "role", "", "runs", "free", "clock", "last seen (UTC)"), map(_row, found))
    return 0


@click.command(
    "adopt",
    cls=Command,
    examples=[
        ("leuko adopt --all", "what the whole fleet runs now becomes the base to go back to"),
        ("leuko adopt www3 --why 'its disk was replaced'", "one host, known to another installation before"),
    ],
)
@click.argument("host", default="")
@click.option("-a", "--all", "everything", is_flag=True, help="Every host of the fleet.")
@why_option
@with_scene
def adopt(scene: Scene, host: str, everything: bool, why: str) -> int:
    """Take over what hosts run, and hosts of another installation.

    A `current` that is a real directory or another tool's link is never overwritten; adopting turns what it
    holds into the first release, which pushes can go back to.
    """
    from leuko.cli.desk import acting
    from leuko.cli.show import print_json

    if bool(host) == everything:
        raise click.UsageError("name one HOST, or give --all")
    why = reason(scene, why)
    with acting(scene) as desk:
        answer = desk.wish("adopt", {"host": host} if host else {}, why=why, wait=ADOPTING_SECONDS)
    if scene.as_json:
        print_json(answer)
        return 0
    for name, told in answer["hosts"].items():
        click.echo(f"{name}: {told}")
    if answer.get("release"):
        click.echo(f"{answer['release']} is the base now: `leuko push` can go back to it")
    return 0


def _row(host: dict[str, Any]) -> tuple[str, ...]:
    from leuko.cli.plan import size
    from leuko.cli.words import date_time

    free = size(host["free_bytes"]) if host["free_bytes"] is not None else ""
    skew = f"{host['clock_skew']:+.0f} s" if host["clock_skew"] is not None else ""
    standing = host["standing"] + (f": {host['quarantined']}" if host["quarantined"] else "")
    return (
        host["name"],
        host["role"],
        standing,
        host["runs"] or "nothing",
        free,
        skew,
        date_time(host["last_seen"]),
    )


def _verify(scene: Scene) -> int:
    import asyncio

    from leuko.cli.failures import DONE, ERROR, UNREACHABLE
    from leuko.cli.inspection import verify
    from leuko.cli.progress import Progress
    from leuko.cli.served import configuration_of
    from leuko.cli.show import print_json, print_table

    loaded, path = configuration_of(scene)
    with Progress(scene, "hosts verified") as progress:
        found = asyncio.run(verify(loaded, path, scene.state, progress.step))
    if scene.as_json:
        print_json([one.as_json() for one in found])
    else:
        print_table(("host", "role", "component", "result", ""), [one.row() for one in found])
    if any(one.result == "unreachable" for one in found):
        return UNREACHABLE
    return DONE if all(one.good for one in found) else ERROR
