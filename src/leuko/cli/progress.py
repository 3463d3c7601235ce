"""Says how far something is that takes longer than two seconds."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

import click

from leuko.cli.scene import Scene

QUIET_SECONDS = 2.0


class Progress:
    """`12 of 40 hosts answered`: drawn over itself on a terminal, a line every few seconds elsewhere."""

    def __init__(self, scene: Scene, what: str) -> None:
        self._silent = scene.as_json or scene.quiet
        self._what = what
        self._began = self._said = time.monotonic()
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn:
            click.echo("\r\033[K", nl=False, err=True)

    def step(self, done: int, of: int) -> None:
        """So many of so many."""
        now = time.monotonic()
        if self._silent or now - self._began < QUIET_SECONDS:
            return
        text = (
            f"{done} of {of} {self._what}" if of else f"{now - self._began:.0f} s: the controller works on it"
        )
        if sys.stderr.isatty():
            click.echo(f"\r\033[K{text}", nl=False, err=True)
            self._drawn = True
        elif now - self._said > QUIET_SECONDS:
            click.echo(text, err=True)
            self._said = now
