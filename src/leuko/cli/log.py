"""`leuko log`: what was done, one push, one change, or the events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from leuko.cli.asking import is_push, push_number
from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_scene

if TYPE_CHECKING:
    from leuko.cli.desk import Desk


@click.command(
    "log",
    cls=Command,
    examples=[
        ("leuko log", "the operations: what was done, by whom, for how long"),
        ("leuko log 12", "push 12: its states, phases, hosts, commits and locks"),
        ("leuko log 3f1a2b4 --output", "a change, with everything that its build printed"),
        ("leuko log --events --follow", "every event as it happens"),
    ],
)
@click.argument("about", metavar="[PUSH|REVISION]", default="")
@click.option("--events", is_flag=True, help="The events, oldest first.")
@click.option("--watched", is_flag=True, help="Deployments of others that were watched.")
@click.option("--output", is_flag=True, help="With a revision: all that its build's commands printed.")
@click.option(
    "-f", "--follow", is_flag=True, help="With --events: go on as they happen. With a push: follow it."
)
@click.option(
    "-n", "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many rows."
)
@click.option("--after", type=click.IntRange(0), help="With --events: those past this number.")
@with_scene
def log(
    scene: Scene,
    about: str,
    events: bool,
    watched: bool,
    output: bool,
    follow: bool,
    limit: int,
    after: int | None,
) -> int:
    """Show what was done: operations, a push, a change, or events.

    A number is a push; a revision, or the beginning of one, is a change with its build.
    """
    from leuko.cli.desk import acting, reading

    if after is not None and not events:
        raise click.UsageError("--after goes with --events")
    if output and (not about or is_push(about)):
        raise click.UsageError("--output needs a revision: builds print, pushes do not")
    if follow:
        if about and not is_push(about):
            raise click.UsageError("--follow goes with a push or with --events")
        with acting(scene) as desk:
            return _follow(scene, desk, about, after)
    with reading(scene) as desk:
        if events:
            return _events(scene, desk, limit, after)
        if watched:
            return _watched(scene, desk, limit)
        if not about:
            return _operations(scene, desk, limit)
        return _push(scene, desk, about) if is_push(about) else _change(scene, desk, about, output=output)


def follow_events(scene: Scene, desk: Desk, after: int) -> int:
    """Prints events until Ctrl-C."""
    from leuko.cli.failures import INTERRUPTED
    from leuko.cli.following import events
    from leuko.cli.narrators import Lines

    try:
        for event in events(desk, after, Lines()):
            if event is not None:
                click.echo(json.dumps(event, ensure_ascii=False) if scene.as_json else event_line(event))
    except KeyboardInterrupt:
        scene.say("Following stopped; everything goes on.")
    return INTERRUPTED


def event_line(event: Mapping[str, Any]) -> str:
    """`1234 14:36:40 push 12: to SWITCHING, phase 0 ...`, without what is empty."""
    from leuko.cli.show import plain
    from leuko.cli.words import clock_time

    facts = ", ".join(f"{name} {value}" for name, value in event["data"].items() if value not in ("", None))
    return plain(
        f"{event['number']:>6} {clock_time(event['at'])} {event['kind']} {event['subject']}: {facts}"
    )


def _follow(scene: Scene, desk: Desk, about: str, after: int | None) -> int:
    from leuko.cli import following
    from leuko.cli.story import Story

    if not about:
        return follow_events(scene, desk, desk.get("status")["event"] if after is None else after)
    story = Story()
    story.take_page(desk.get(f"pushes/{push_number(about)}"))
    assert story.page is not None
    return following.follow(scene, desk, story, story.page["event"], again=f"leuko log {about} --follow")


def _events(scene: Scene, desk: Desk, limit: int, after: int | None) -> int:
    from leuko.cli.show import print_json

    if after is None:
        after = max(0, desk.get("status")["event"] - limit)
    found = desk.get("events", after=after, limit=limit)
    if scene.as_json:
        print_json(found)
    else:
        for event in found:
            click.echo(event_line(event))
    return 0


def _operations(scene: Scene, desk: Desk, limit: int) -> int:
    from leuko.cli.show import print_json, print_table
    from leuko.cli.words import date_time
    from leuko.web.words import short, span

    found = desk.get("operations", limit=limit)
    if scene.as_json:
        print_json(found)
        return 0
    rows = [
        (
            row["operation"],
            date_time(row["started_at"]),
            span(row["seconds"]) if row["finished_at"] else "running",
            row["person"],
            short(row["revision"]),
            row["subject"],
            row["outcome"],
        )
        for row in found
    ]
    if not rows:
        click.echo("Nothing was done here yet.")
        return 0
    print_table(("operation", "started (UTC)", "took", "person", "revision", "about", "outcome"), rows)
    return 0


def _watched(scene: Scene, desk: Desk, limit: int) -> int:
    from leuko.cli.show import print_json, print_table
    from leuko.cli.words import date_time

    found = desk.get("observations", limit=limit)
    if scene.as_json:
        print_json(found)
        return 0
    if not found:
        click.echo("No deployment of others was watched yet: `leuko watch -- COMMAND` does.")
        return 0
    rows = [
        (
            str(one["id"]),
            date_time(one["started_at"]),
            " ".join(one["command"])[:60],
            "" if one["exit_code"] is None else str(one["exit_code"]),
            one["state"],
            one["decision"],
            one["by"],
            one["sentence"],
        )
        for one in found
    ]
    print_table(("", "started (UTC)", "command", "exit", "state", "verdict", "by", "because"), rows)
    return 0


def _push(scene: Scene, desk: Desk, about: str) -> int:
    from leuko.cli.pages import print_push
    from leuko.cli.show import print_json

    page = desk.get(f"pushes/{push_number(about)}")
    if scene.as_json:
        print_json(page)
    else:
        print_push(page)
    return 0


def _change(scene: Scene, desk: Desk, about: str, *, output: bool) -> int:
    from leuko.cli.pages import print_change
    from leuko.cli.show import print_json

    page = desk.get(f"changes/{quote(about, safe='')}")
    build = page["build"]
    if output and build:
        for step in build["steps"]:
            step["text"] = _text(desk, build["id"], step["position"])
    if scene.as_json:
        print_json(page)
    else:
        print_change(page)
    return 0


def _text(desk: Desk, build: int, position: int) -> str:
    from leuko.domain.errors import LeukoError

    try:
        return desk.text(f"builds/{build}/steps/{position}/output")
    except LeukoError as error:
        if error.code != "W001":
            raise
        return ""  # it has expired: the page says that there is none
