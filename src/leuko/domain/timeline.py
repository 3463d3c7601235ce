"""What a push was doing at any moment of its life, as its row tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from leuko.domain.push import Push, State

JUDGED = (State.SWITCHING, State.WATCHING, State.COMPLETING)


@dataclass(frozen=True, slots=True)
class Judging:
    """What there was to judge: a watch, or the hosts that a later phase had switched by then."""

    phase: int
    began: datetime
    """Of the watch, or of the switching."""
    evidence_from: datetime
    """The phase's first watch: a resume begins a new watch, but gets no fresh budget."""
    watching: bool


def judging(push: Push, at: datetime) -> Judging | None:
    """What was judged just before `at`; None while nothing was switched yet.

    What a verdict led to has its very time, and is none of what it was about. A hold goes on with what it
    interrupted, and the completion with the last watch.
    """
    past = [entered for entered in push.history if entered.at < at and entered.state in JUDGED]
    if not past:
        return None
    now = past[-1]
    watching = now.state is not State.SWITCHING
    same = [one for one in past if one.phase == now.phase and (one.state is not State.SWITCHING) is watching]
    watches = [one for one in same if one.state is not State.COMPLETING] or same
    began = watches[-1].at if watching else same[0].at
    return Judging(now.phase, began, watches[0].at, watching)
