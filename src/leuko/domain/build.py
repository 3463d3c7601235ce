"""One verification of a tree."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from leuko.domain.errors import Refused


class BuildState(StrEnum):
    """Broken is not the tests' fault: it counts neither as red nor as green, and is tried again."""

    WAITING = "waiting"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    BROKEN = "broken"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """True where nothing more will happen to the build."""
        return self not in (BuildState.WAITING, BuildState.RUNNING)


ALLOWED = MappingProxyType(
    {
        BuildState.WAITING: frozenset({BuildState.RUNNING, BuildState.CANCELLED}),
        BuildState.RUNNING: frozenset(
            {
                BuildState.PASSED,
                BuildState.FAILED,
                BuildState.BROKEN,
                BuildState.CANCELLED,
                BuildState.WAITING,  # the controller died under it: it runs again from the start
            }
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Build:
    """A verification of `revision`'s tree, covering the changes it is the first to contain."""

    id: int
    revision: str
    tree: str
    state: BuildState
    since: datetime
    reason: str = ""
    attempt: int = 1
    version: int = 0

    def to(self, state: BuildState, at: datetime, reason: str = "") -> Build:
        """The build in its next state; refused when the table does not allow it."""
        if state not in ALLOWED.get(self.state, frozenset()):
            raise Refused(f"a build that is {self.state} cannot become {state}", where=f"build {self.id}")
        attempt = self.attempt + (state is BuildState.WAITING)
        return replace(self, state=state, since=at, reason=reason, attempt=attempt)


@dataclass(frozen=True, slots=True)
class StepResult:
    """One command of a build: set-up, test, or release. `output` is a file below the state directory."""

    name: str
    kind: str
    exit_code: int | None
    seconds: float
    output: str
    reason: str = ""

    @property
    def passed(self) -> bool:
        """True only for a plain exit 0: a kill, a timeout or a missing code is never a pass."""
        return self.exit_code == 0 and not self.reason
