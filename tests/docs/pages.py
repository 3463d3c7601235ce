"""The documentation as data: its pages, their fenced blocks, their commands and their links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_RUN = "<!-- not run"

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<word>\w*) *(?P<info>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S
)
_SAVED = re.compile(r"\bthis as `(?P<path>[^`]+)`[^`]*$")


def pages() -> list[Path]:
    """Everything that is written for people, generated reference pages included."""
    top = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, its text, and what stands right before it."""

    page: Path
    line: int
    word: str
    info: str
    """What follows the language, such as `partial` for a piece of a configuration."""
    text: str
    before: str

    @property
    def saved_as(self) -> str:
        """The path that the sentence before it says to save it as; empty for none."""
        found = _SAVED.search(self.before)
        return found["path"] if found else ""

    @property
    def run(self) -> bool:
        """False where a comment before it says that tests leave it out."""
        return NOT_RUN not in self.before

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text()
    end = 0
    for found in _FENCE.finditer(text):
        indent = found["indent"]
        body = "".join(line.removeprefix(indent) for line in found["text"].splitlines(keepends=True))
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, found["word"], found["info"], body, text[end : found.start()].strip())
        end = found.end()


def commands(block: Block) -> list[tuple[str, str]]:
    """(command, what it is shown to print) of a `console` block."""
    made: list[tuple[str, str]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            made.append((line[2:], ""))
        elif made:
            command, shown = made[-1]
            if command.endswith("\\"):
                made[-1] = (f"{command}\n{line}", shown)
            else:
                made[-1] = (command, f"{shown}{line}\n")
    return made
