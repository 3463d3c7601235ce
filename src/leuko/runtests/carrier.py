"""What a session asks for when tests shall run: a port, so that a page can be shown any stream of events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from leuko.domain.board_rows import RunState
from leuko.domain.case import Case, VerifyEvent

OnEvent = Callable[[VerifyEvent], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Tests to run. A case without a name is its file as a whole."""

    cases: tuple[Case, ...]
    whole: frozenset[tuple[str, str]] = frozenset()
    """(suite, file) of files of which every test is wanted."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended, in a sentence where there is something to say."""

    state: RunState
    reason: str = ""


class Carrier(Protocol):
    """Runs tests in a checkout."""

    @property
    def nodes(self) -> Sequence[str]:
        """Names of the set-up nodes, in their order."""

    def again(self) -> None:
        """The next run sets up anew, though the set-up has passed before."""

    async def run(self, wanted: Wanted, on_event: OnEvent) -> Ended:
        """Runs them and tells of each. Cancelled, it ends all that it started."""

    async def close(self) -> None:
        """Ends whatever was kept warm; twice is fine."""
