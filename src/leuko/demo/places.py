"""Where the demo finds the shop and the commits that people make to it."""

from __future__ import annotations

from pathlib import Path

from leuko.domain.errors import LeukoError

_EXAMPLES = Path(__file__).parents[3] / "examples"


def shop_folder() -> Path:
    """The shop as it is at its first commit."""
    return _there(_EXAMPLES / "shop")


def changes_folder() -> Path:
    """Patches in the form that `git am` takes: commits to the shop, by several people."""
    return _there(_EXAMPLES / "shop-changes")


def _there(folder: Path) -> Path:
    if not folder.is_dir():
        raise LeukoError(
            "the demo needs the project's examples, and they are not there",
            where=str(folder),
            way_out="run it from a clone of the project: `make demo`",
            code="D001",
        )
    return folder
