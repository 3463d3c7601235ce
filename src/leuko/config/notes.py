"""Where the rules write down what they found, and the few forms that several of them ask for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from leuko.config.problems import Problem

Path = tuple[str | int, ...]
Where = Callable[[Path], str]

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")
"""What can be a folder, a column and a part of an address at once."""


class Notes:
    """Problems in the order they were found."""

    def __init__(self, where: Where) -> None:
        self.where = where
        self.problems: list[Problem] = []

    def say(self, path: Path, code: str, rule: str, way_out: str = "") -> None:
        """Writes one down."""
        self.problems.append(Problem(self.where(path), rule, way_out, code))

    def unknown_role(self, path: Path, role: str, known: Iterable[str]) -> None:
        """A role that does not exist, with the nearest that does."""
        self.say(path, "C030", f'there is no role "{role}"', near(role, known, "Roles"))


def near(word: str, known: Iterable[str], kind: str) -> str:
    """The way out for a word that is not known: the nearest one, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean `{close[0]}`?"
    shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return f"{kind}: {shown}." if known else f"{kind}: none yet."


def outside(path: str, *, itself: bool = False) -> bool:
    """True for a path that is not inside its folder; `.` is allowed where the folder itself may be meant."""
    pure = PurePosixPath(path)
    if not path.strip() or "\0" in path or "\n" in path or pure.is_absolute() or path.startswith("~"):
        return True
    return ".." in pure.parts or (not pure.parts and not itself)
