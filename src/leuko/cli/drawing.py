"""The view of a push that is drawn over itself in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from leuko.cli import words
from leuko.cli.show import plain, table
from leuko.cli.story import HOLD_BACK, Story
from leuko.clock import Clock, SystemClock
from leuko.web.words import cut, short, span

DONE, NOW, LATER, WRONG = "✓", "●", "·", "✗"
BAR = 24
MOST_HOSTS = 6
STYLES = {DONE: "green", NOW: "cyan", LATER: "dim", WRONG: "bold red"}


def draw(story: Story, clock: Clock | None = None) -> RenderableType:
    """As many lines as there is to tell: at most about twenty."""
    return Group(*_lines(story, clock or SystemClock()))


def _lines(story: Story, clock: Clock) -> Iterator[RenderableType]:
    yield from _build(story)
    push = story.push
    if push is None:
        return
    yield _head(story, clock)
    if story.waits:
        yield Text(f"  {plain(story.waits)}", "yellow")
    for phase in story.phases:
        yield _phase(story, phase)
    for name, host in [item for item in story.hosts.items() if item[1].state in words.BAD][:MOST_HOSTS]:
        yield Text(f"  {WRONG} {name} {host.state}: {cut(plain(host.detail), 160)}", "red")
    if story.watch.get("sentence"):
        yield Text(f"  {plain(story.watch['sentence'])}", "red" if story.watch["decision"] == "fail" else "")
    found = words.failing(story.page) if story.page else []
    if found:
        yield table(words.FINDING_COLUMNS, map(words.finding_row, found[:10]), indent=2)


def _build(story: Story) -> Iterator[Text]:
    build = story.build
    if build is None:
        return
    of = f" of {build['of']}" if build["of"] else ""
    mark = (
        DONE if build["state"] == "passed" else (NOW if build["state"] in ("waiting", "running") else WRONG)
    )
    took = f", {span(build['seconds'])}" if build["seconds"] is not None else ""
    done = f"{build['done']}{of} commands{took}"
    yield _marked(mark, f"build {build['id']} of {short(build['revision'])} {build['state']}: {done}")
    if story.push is None:
        for step in build["steps"][-8:]:
            yield _marked(DONE if step["passed"] else WRONG, f"{step['name']}: {words.step_end(step)}", 2)
        if build["doing"]:
            yield _marked(NOW, f"{build['doing']} ...", 2)


def _head(story: Story, clock: Clock) -> Text:
    push = story.push
    assert push is not None
    began = words.moment(push["started_at"] or push["created_at"])
    ended = words.moment(push["ended_at"]) or clock.now()
    took = f"  {span(max(0.0, (ended - began).total_seconds()))}" if began else ""
    bad = push["state"] in ("ROLLING_BACK", "ROLLED_BACK", "STUCK", "CANCELLED")
    mark = WRONG if bad else (DONE if push["state"] == "LIVE" else NOW)
    return _marked(mark, f"{words.headline(push)}{took}")


def _phase(story: Story, phase: int) -> Text:
    push = story.push
    assert push is not None
    here = push["phase"] == phase or (phase == HOLD_BACK and push["state"] == "COMPLETING")
    passed = push["state"] == "LIVE" or (phase != HOLD_BACK and phase < push["phase"])
    name = words.phase_name(phase, push["phases"])
    text = f"{name}: {words.hosts_done(story, phase)}"
    if here and push["state"] in ("WATCHING", "HELD") and story.watch:
        text += f"  {_bar(story)} {words.ticks(story.watch)}"
    mark = DONE if passed else (NOW if here else LATER)
    return _marked(mark, text, 2)


def _bar(story: Story) -> str:
    wanted = max(1, int(story.watch["wanted"]))
    full = min(BAR, BAR * int(story.watch["ticks"]) // wanted)
    return "━" * full + "─" * (BAR - full)


def _marked(mark: str, text: str, indent: int = 0) -> Text:
    made = Text(" " * indent)
    made.append(mark, STYLES[mark])
    made.append(f" {plain(text)}")
    return made
