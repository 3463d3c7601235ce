"""`leuko status`: the line at this moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_scene


@click.command(
    "status",
    cls=Command,
    examples=[
        ("leuko status", "locks, what is live, what runs, what waits"),
        ("leuko status --follow", "follow the push that runs to its end"),
        ("leuko status --json", "the same as one JSON object"),
    ],
)
@click.option("-f", "--follow", is_flag=True, help="Follow the push that runs, or else every event.")
@with_scene
def status(scene: Scene, follow: bool) -> int:
    """Show locks, what is live, what runs and what waits.

    Answers from stored rows: the same from any process, and also where no controller runs.
    """
    from leuko.cli.desk import acting, reading
    from leuko.cli.show import print_json

    if follow:
        with acting(scene) as desk:
            return _follow(scene, desk)
    with reading(scene) as desk:
        found = desk.get("status")
    if scene.as_json:
        print_json(found)
    else:
        click.echo("\n".join(_page(found)))
        _changes(found)
    return 0


def _follow(scene: Scene, desk: Any) -> int:
    from leuko.cli import following
    from leuko.cli.log import follow_events
    from leuko.cli.story import Story

    found = desk.get("status")
    push = found["active"] or found["pending"]
    if push is None:
        scene.say("No push is running; this is what happens (Ctrl-C ends it):")
        return follow_events(scene, desk, found["event"])
    story = Story(revision=push["revision"])
    story.take_page(desk.get(f"pushes/{push['number']}"))
    return following.follow(scene, desk, story, found["event"])


def _page(found: Mapping[str, Any]) -> Iterator[str]:
    from leuko.cli.show import plain
    from leuko.cli.words import date_time, headline
    from leuko.web.words import short, stopped

    yield f"{found['application']}/{found['environment']}"
    for name in ("commit_lock", "push_lock"):
        yield f"  {name.replace('_', ' '):12} {_lock(found[name])}"
    live = found["live"]
    yield "  live         " + (
        f"{short(live['revision'])} since {date_time(live['since'])} UTC (push {live['push']})"
        if live
        else "nothing yet"
    )
    for name in ("active", "pending"):
        if found[name]:
            yield f"  {name:12} {headline(found[name])}"
    last = found["last"]
    if last and not found["active"]:
        yield f"  {'last':12} {headline(last)}, {date_time(last['ended_at'])} UTC"
    fleet = found["fleet"]
    away = f", {fleet['unreachable']} unreachable" if fleet["unreachable"] else ""
    yield f"  hosts        {fleet['reachable']} of {fleet['total']} reachable{away}"
    if found["tally"] and found["tally"]["healthy"] + found["tally"]["stopped"]:
        yield f"  verdict      {found['tally']['sentence']}"
    yield ""
    for sentence in found["why"]:
        yield plain(stopped(sentence))


def _lock(lock: Mapping[str, Any] | None) -> str:
    from leuko.cli.show import plain
    from leuko.cli.words import date_time
    from leuko.web.words import cut

    if lock is None:
        return "open"
    until = f", until {date_time(lock['expires_at'])} UTC" if lock["expires_at"] else ""
    head = "LOCKED" if lock["severity"] == "hard" else "warning"
    return f"{head} {lock['id']} by {lock['owner']}{until}: {cut(plain(lock['reason']), 140)}"


def _changes(found: Mapping[str, Any]) -> None:
    from leuko.cli.show import print_table
    from leuko.web.words import cut, short

    rows = [
        (short(change["revision"]), change["author"], cut(change["subject"], 50), change["standing"])
        for change in found["changes"][:8]
    ]
    if rows:
        click.echo()
        print_table(("change", "author", "subject", ""), rows)
