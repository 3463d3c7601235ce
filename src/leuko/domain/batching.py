"""Which of the changes that wait one build covers, and when a build that runs has become useless."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

PAST_HALF = 0.5
"""A build that is further than this is seen to its end: its answer is near."""


def next_batch(waiting: Sequence[T], alone: int, *, together: bool = False) -> Sequence[T]:
    """Of what waits, oldest first, what the next build covers: its last one is what is verified.

    Up to `alone` get a build each, the oldest first; more, or `together`, have one for all.
    """
    return waiting if together or len(waiting) > alone else waiting[:1]


def superseded(waiting: int, alone: int, done: float, *, before: bool) -> bool:
    """True where the next build will cover what this one does, and more.

    `waiting` changes landed since; `done` is the part of this build that is done, 0 to 1; `before`: a build
    of the same changes was given up already. Each change is put off at most once, so that a branch on which
    something lands every minute is still verified.
    """
    return waiting > alone and done < PAST_HALF and not before
