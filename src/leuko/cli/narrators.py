"""Telling a push as it goes: lines for a log, a view drawn over itself for a terminal, nothing for JSON."""

from __future__ import annotations

import re
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import click

from leuko.cli import words
from leuko.cli.show import plain
from leuko.cli.story import Story
from leuko.web.words import count, short, stopped

if TYPE_CHECKING:
    from rich.live import Live

_DIGITS = re.compile(r"[0-9]+")
_TIMES = re.compile(r"\([^()]* ago\)|\(now\)")
"""How long ago something was, as sentences say it: it changes with every look."""
UNSEEN = "the controller has not looked at it yet"
"""So it is with every push, for a moment."""
EACH_TICKS = 6
"""A log gets a line about a watch that goes on unchanged every so many ticks."""


class Narrator(Protocol):
    """Told whenever the story has gone on."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def tell(self, story: Story) -> None:
        """How it stands now."""
        ...

    def remark(self, text: str) -> None:
        """Something beside the story."""
        ...


class Silent:
    """For `--json` and `--quiet`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing was opened."""

    def tell(self, story: Story) -> None:
        """Says nothing."""

    def remark(self, text: str) -> None:
        """Says nothing."""


class Lines(Silent):
    """One line for each thing that changed."""

    def __init__(self) -> None:
        self._said: set[str] = set()
        self._watch: tuple[Any, ...] = ()
        self._ticks = -EACH_TICKS

    def tell(self, story: Story) -> None:
        """Prints what was not said yet."""
        self._tell_build(story)
        if story.push is None:
            return
        push = story.push
        if story.waits and UNSEEN not in story.waits:
            self._once(f"  {story.waits}", f"waits {_TIMES.sub('', story.waits)}")
        if not story.over:
            mark = f"{push['state']} {push['phase']} {push['since']}"
            self._once(f"{words.headline(push)}{_extent(story)}", mark)
        for name, host in story.hosts.items():
            if host.state in words.BAD:
                self._once(f"  {name} {host.state}: {stopped(host.detail) or 'no reason was given'}")
        for said in push["spared"]:
            self._once(f"  observed, and goes on: {stopped(said)}")
        self._tell_watch(story)

    def remark(self, text: str) -> None:
        """A line on stderr."""
        click.echo(text, err=True)

    def _tell_build(self, story: Story) -> None:
        build = story.build
        if build is None:
            return
        self._once(f"verifying {short(build['revision'])} in build {build['id']}")
        for step in build["steps"]:
            mark = f"step {build['id']} {step['position']}"
            self._once(f"  {step['name']}: {words.step_end(step)}", mark)
        if build["state"] in ("passed", "broken"):
            self._once(f"build {build['id']} {build['state']}{_why(build['reason'])}")

    def _tell_watch(self, story: Story) -> None:
        watch = story.watch
        if not watch or story.state != "WATCHING" or story.push is None:
            return
        # figures change at every tick: what it says without them is what is news
        mark = (watch["phase"], watch["decision"], _DIGITS.sub("", watch["sentence"]))
        done = watch["ticks"] >= watch["wanted"]
        if mark == self._watch and not done and watch["ticks"] - self._ticks < EACH_TICKS:
            return
        self._watch, self._ticks = mark, watch["ticks"]
        phase = words.phase_name(watch["phase"], story.push["phases"])
        extent, said = words.ticks(watch), str(watch["sentence"])
        self._once(f"  {phase}: {extent}{_why(said.removeprefix(f'{extent} seen, '))}")

    def _once(self, text: str, mark: str = "") -> None:
        key = mark or text
        if key not in self._said:
            self._said.add(key)
            click.echo(plain(text))


class View(Silent):
    """Drawn over itself, several times a second: time goes on between events."""

    def __init__(self) -> None:
        self._story = Story()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        from rich.live import Live

        from leuko.cli.drawing import draw
        from leuko.cli.show import console

        self._live = Live(
            console=console(),
            get_renderable=lambda: draw(self._story),
            refresh_per_second=4,
            vertical_overflow="crop",
        )
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def tell(self, story: Story) -> None:
        """Draws it."""
        self._story = story
        if self._live is not None:
            self._live.refresh()

    def remark(self, text: str) -> None:
        """Above the view."""
        if self._live is not None:
            self._live.console.print(plain(text))


def _extent(story: Story) -> str:
    match story.state:
        case "STAGING":
            return f" to {count(len(story.hosts), 'host')}"
        case "SWITCHING" if story.push is not None:
            return f": {count(sum(story.counts(story.push['phase']).values()), 'host')}"
        case _:
            return ""


def _why(text: str) -> str:
    return f": {text}" if text else ""
