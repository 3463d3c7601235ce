"""`leuko why`: why nothing moves, or why something happened."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from leuko.cli.asking import is_push, push_number
from leuko.cli.group import Command
from leuko.cli.scene import Scene, with_scene

if TYPE_CHECKING:
    from leuko.cli.desk import Desk

_REVISION = re.compile(r"[0-9a-f]{7,64}")


@click.command(
    "why",
    cls=Command,
    examples=[
        ("leuko why", "why is nothing moving"),
        ("leuko why 12", "why did push 12 end as it did"),
        ("leuko why 3f1a2b4", "what became of that change"),
        ("leuko why www3", "what is the matter with that host"),
    ],
)
@click.argument("about", metavar="[PUSH|REVISION|HOST]", default="")
@with_scene
def why(scene: Scene, about: str) -> int:
    """Say why nothing moves, or why something happened.

    The answer is made of stored rows alone: the same after a crash, and where no controller runs.
    """
    from leuko.cli.desk import reading
    from leuko.cli.show import plain, print_json

    with reading(scene) as desk:
        found = _answer(desk, about.strip())
    if scene.as_json:
        print_json(found)
    else:
        click.echo("\n".join(plain(sentence) for sentence in found["sentences"]))
    return 0


def _answer(desk: Desk, about: str) -> dict[str, Any]:
    from leuko.domain.errors import LeukoError

    wanted = _subjects(about)
    for subject in wanted[:-1]:
        try:
            found: dict[str, Any] = desk.get("why", about=subject)
        except LeukoError as error:
            if error.code != "W001":
                raise
        else:
            return found
    last: dict[str, Any] = desk.get("why", about=wanted[-1])
    return last


def _subjects(about: str) -> list[str]:
    """What it may be, the likeliest first: a host may be called like a revision."""
    if not about or about == "now":
        return ["now"]
    if about.startswith(("change:", "host:")):
        return [about]
    if is_push(about):
        return [f"push:{push_number(about)}"]
    if _REVISION.fullmatch(about):
        return [f"host:{about}", f"change:{about}"]
    return [f"host:{about}"]
