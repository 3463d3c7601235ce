"""A test whose failures do not redden a build, for a while: somebody owns it, and it ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from leuko.domain.case import Case

LONGEST = timedelta(days=90)
USUAL = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Quarantine:
    """`case.name` empty: all tests of the file. It ends by itself at `until`, or when a person ends it."""

    id: int
    case: Case
    owner: str
    why: str
    by: str
    since: datetime
    until: datetime
    ended_at: datetime | None = None
    ended_by: str = ""
    ended_why: str = ""

    def holds(self, at: datetime) -> bool:
        """True while failures do not count."""
        return self.ended_at is None and self.since <= at < self.until

    def covers(self, case: Case) -> bool:
        """True for the test itself, and for all of a file that is quarantined whole."""
        same = (self.case.suite, self.case.file) == (case.suite, case.file)
        return same and self.case.name in ("", case.name)
