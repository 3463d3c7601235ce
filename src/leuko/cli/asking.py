"""Small questions that several commands have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from leuko.cli.scene import Scene
from leuko.domain.errors import LeukoError, Refused

if TYPE_CHECKING:
    from leuko.cli.desk import Desk

why_option = click.option("--why", default="", help="The reason, for everybody who reads it later.")


def reason(scene: Scene, why: str, question: str = "Why") -> str:
    """The reason given; asked for where somebody sits there. May stay empty."""
    if why or not scene.interactive:
        return why
    said: str = click.prompt(
        f"{question}? (others will read it; Enter for none)", default="", show_default=False, err=True
    )
    return said.strip()


def running_push(desk: Desk, number: int | None = None) -> Mapping[str, Any]:
    """The push that is meant: the one named, else the one that runs, else the one that waits."""
    if number is not None:
        page: Mapping[str, Any] = desk.get(f"pushes/{number}")["push"]
        return page
    status = desk.get("status")
    found: Mapping[str, Any] | None = status["active"] or status["pending"]
    if found is None:
        raise Refused(
            "no push is running", where=desk.name, way_out="`leuko status` shows what there is", code="P002"
        )
    return found


def push_number(text: str) -> int:
    """`12`, `#12`, `push:12` and `push 12` are the same."""
    bare = text.strip().lower().removeprefix("push").strip(" :#")
    if not (bare.isascii() and bare.isdigit() and 0 < len(bare) < 10):
        raise LeukoError(
            f"should be a push's number, not {text[:60]!r}", way_out="`leuko log` lists them", code="X016"
        )
    return int(bare)


def is_push(text: str) -> bool:
    """True for what can only be a push's number: a revision is at least seven characters long."""
    bare = text.strip().lower().removeprefix("push").strip(" :#")
    return bare.isascii() and bare.isdigit() and len(bare) < 7
