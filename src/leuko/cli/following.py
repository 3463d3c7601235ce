"""Follows a push, from its build to its end, over the stream of events; survives a controller's restart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import click

from leuko.cli import words
from leuko.cli.desk import Desk
from leuko.cli.failures import INTERRUPTED, NoController
from leuko.cli.narrators import Lines, Narrator, Silent, View
from leuko.cli.scene import Scene
from leuko.cli.show import plain, print_json, print_table, terminal
from leuko.cli.story import Story

AWAY_SECONDS = 120.0
"""So long a controller that went away is waited for."""
AGAIN_SECONDS = 0.5


def follow(
    scene: Scene,
    desk: Desk,
    story: Story,
    after: int,
    *,
    back: bool = False,
    again: str = "leuko status --follow",
) -> int:
    """Tells the story until it is over; prints how it ended; the exit code."""
    try:
        with _narrator(scene) as narrator:
            _to_the_end(desk, story, after, narrator)
    except KeyboardInterrupt:
        return _interrupted(scene, story, again)
    code = words.exit_code(story, back=back)
    if scene.as_json:
        print_json(outcome(story, code))
    else:
        _last_words(scene, story)
    return code


def outcome(story: Story, code: int) -> dict[str, Any]:
    """The JSON that a command that follows ends with."""
    return {
        "exit_code": code,
        "state": story.state or ("refused" if story.refused else "not pushed"),
        "sentences": words.ending(story),
        "build": story.build,
        "push": story.page,
    }


def events(desk: Desk, after: int, narrator: Narrator) -> Iterator[dict[str, Any] | None]:
    """Every event past a number, once, and None for heartbeats, whatever becomes of the connection."""
    since: float | None = None
    while True:
        try:
            with desk.client.stream(desk.stream_path, after) as stream:
                for event in stream:
                    since = None
                    if event is not None:
                        if event["number"] <= after:
                            continue
                        after = event["number"]
                    yield event
        except NoController as error:
            lost = error
        else:
            lost = NoController("the stream ended", where=desk.name, code="X012")
        if since is None:
            since = time.monotonic()
            narrator.remark("The controller went away; waiting for it. What it did goes on when it is back.")
        if time.monotonic() - since > AWAY_SECONDS:
            raise lost
        time.sleep(AGAIN_SECONDS)


def _to_the_end(desk: Desk, story: Story, after: int, narrator: Narrator) -> None:
    if story.number is None and story.build is not None:
        _ask(desk, story, f"build {story.build['id']}")
    narrator.tell(story)
    stream = events(desk, after, narrator)
    wanted: list[str] = []
    while not story.over:
        event = next(stream)
        if event is not None and (what := story.take_event(event)) and what not in wanted:
            wanted.append(what)
        # a controller that went away in between is waited for by the stream; what was wanted is kept
        with suppress(NoController):
            if event is None:
                _look_again(desk, story)
            while wanted:
                _ask(desk, story, wanted[0])
                wanted.pop(0)
        narrator.tell(story)


def _look_again(desk: Desk, story: Story) -> None:
    """Nothing was heard for a while: an event may have told of something in words that we do not know."""
    if story.number is not None:
        _ask(desk, story, f"push {story.number}")
    elif story.build is not None and story.build["state"] == "broken":
        story.refused = f"it could not be verified: {story.build['reason']}"


def _ask(desk: Desk, story: Story, what: str) -> None:
    kind, _, number = what.partition(" ")
    if kind == "push":
        story.take_page(desk.get(f"pushes/{number}"))
    elif kind == "build":
        story.build = desk.get(f"builds/{number}")


def _narrator(scene: Scene) -> Narrator:
    if scene.as_json or scene.quiet:
        return Silent()
    return View() if terminal() else Lines()


def _last_words(scene: Scene, story: Story) -> None:
    lines = words.ending(story)
    click.echo("\n".join(plain(line) for line in (lines[:1] if scene.quiet else lines)))
    found = words.failing(story.page) if story.page and story.state != "LIVE" else []
    if found and not scene.quiet and not terminal():
        print_table(words.FINDING_COLUMNS, map(words.finding_row, found[:10]), indent=2)


def _interrupted(scene: Scene, story: Story, again: str) -> int:
    what = f"push {story.number}" if story.number else "what was asked for"
    if scene.as_json:
        print_json(outcome(story, INTERRUPTED))
    click.echo(
        f"Following stopped; {what} goes on. `{again}` follows it again, `leuko abort` takes it back.",
        err=True,
    )
    return INTERRUPTED
