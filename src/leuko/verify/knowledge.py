"""What a build is told when it begins, and by what it tells of its tests."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from leuko.domain.case import VerifyEvent
from leuko.domain.schedule import Known, NothingKnown

OnEvent = Callable[[VerifyEvent], None]


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known of earlier builds, of the change, and of who is in quarantine.

    `tested` says why no test needs to run ("the same tree passed in build 12"): set-up and release only.
    """

    history: Known = field(default_factory=NothingKnown)
    touched: frozenset[str] = frozenset()
    """Files, as paths from the top of the repository."""
    quarantined: Collection[str] = ()
    """Tests as `str(case)`."""
    tested: str = ""


NOTHING = Knowledge()


def unheard(_event: VerifyEvent) -> None:
    """Nobody listens."""
