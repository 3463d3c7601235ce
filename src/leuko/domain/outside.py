"""Statuses that another CI posts about a revision, and what they come to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from leuko.domain.build import BuildState


class StatusState(StrEnum):
    """As GitHub's commit statuses have them. An error is the CI's own fault, a failure the commit's."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Status:
    """The newest word of one context about one revision. `first_at`: when that context was heard first."""

    revision: str
    context: str
    state: StatusState
    at: datetime
    url: str = ""
    description: str = ""
    by: str = ""
    first_at: datetime | None = None

    def __str__(self) -> str:
        said = f": {self.description}" if self.description else ""
        where = f" ({self.url})" if self.url else ""
        return f"{self.context} says {self.state}{said}{where}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the contexts come to. `state` None: some have not said yet, `missing` names them."""

    state: BuildState | None
    reason: str
    missing: tuple[str, ...] = ()


def answer(contexts: Collection[str], statuses: Sequence[Status], *, silent_for: str = "") -> Answer:
    """All green is green; one failure is red, at once; an error of theirs, or silence, is broken.

    `silent_for` says how long was waited when the patience is over; empty while it is not.
    """
    said = {status.context: status for status in statuses if status.context in contexts}
    failed = [status for status in said.values() if status.state is StatusState.FAILURE]
    if failed:
        return Answer(BuildState.FAILED, "; ".join(str(status) for status in failed))
    missing = tuple(name for name in contexts if name not in said or said[name].state is StatusState.PENDING)
    errors = [status for status in said.values() if status.state is StatusState.ERROR]
    if errors and not missing:
        return Answer(BuildState.BROKEN, "; ".join(str(status) for status in errors))
    if not missing:
        return Answer(BuildState.PASSED, "verified by " + ", ".join(said))
    waited = "waits for " + ", ".join(missing)
    if silent_for:
        told = f"no answer from {', '.join(missing)} within {silent_for}"
        return Answer(BuildState.BROKEN, told, missing)
    return Answer(None, waited, missing)
