"""What landed together on the branch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

_TRAILER = re.compile(r"^(?P<key>[A-Za-z][A-Za-z-]*):[ \t]*(?P<value>\S.*)$")
_REVERTS = re.compile(r"^This reverts commit (?P<revision>[0-9a-f]{7,64})", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit as git tells it."""

    revision: str
    author: str
    email: str
    committed_at: datetime
    message: str

    @property
    def subject(self) -> str:
        """First line of the message."""
        return self.message.split("\n", 1)[0]

    @property
    def fixes(self) -> tuple[str, ...]:
        """Lock ids named by `Leuko-Fix:` trailers."""
        return self.trailers("Leuko-Fix")

    @property
    def overrides(self) -> tuple[str, ...]:
        """Reasons named by `Leuko-Override:` trailers; they count only from an authenticated identity."""
        return self.trailers("Leuko-Override")

    @property
    def reverts(self) -> tuple[str, ...]:
        """Revisions this commit takes back, by git's own sentence."""
        return tuple(_REVERTS.findall(self.message))

    def trailers(self, key: str) -> tuple[str, ...]:
        """Values of the trailers called `key` (any case), in order."""
        found = (_TRAILER.match(line.strip()) for line in self.message.splitlines()[1:])
        return tuple(
            match["value"].strip() for match in found if match and match["key"].lower() == key.lower()
        )


@dataclass(frozen=True, slots=True)
class Change:
    """One first-parent landing: its head and every commit it brought, newest first."""

    revision: str
    tree: str
    parent: str | None
    landed_at: datetime
    commits: tuple[Commit, ...] = field(default=())

    @property
    def subject(self) -> str:
        """Subject of the landing commit."""
        return self.commits[0].subject if self.commits else ""

    @property
    def author(self) -> str:
        """Author of the landing commit."""
        return self.commits[0].author if self.commits else ""
