"""What was learned from a push's history, kept from look to look: only the watch grows between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Learned = TypeVar("Learned")
Given = NDArray[Any] | float | str | None


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    given: tuple[Given, ...]
    learned: Any


class Memory:
    """Belongs to one push at a time. What is kept was computed from the very same bits, or is computed anew.

    So a verdict with a memory is the verdict without one, to the last digit. A late reading of the history, a
    host that joins or another push makes other inputs, and with them another answer. Holds a copy of its
    inputs: as much as the history itself. Two threads at once learn the same twice, and that is all.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, ...], _Kept] = {}

    def of(self, what: tuple[str, ...], given: tuple[Given, ...], learn: Callable[[], Learned]) -> Learned:
        """What `learn` makes of `given`; `what` names it, and nothing else may be named so."""
        kept = self._kept.get(what)
        if kept is None or not _same(kept.given, given):
            kept = _Kept(tuple(_copied(one) for one in given), learn())
            self._kept[what] = kept
        learned: Learned = kept.learned
        return learned


class Forgetful(Memory):
    """Keeps nothing: for a question that is asked once."""

    def of(self, what: tuple[str, ...], given: tuple[Given, ...], learn: Callable[[], Learned]) -> Learned:
        """Learns."""
        del what, given
        return learn()


def _copied(given: Given) -> Given:
    return given.copy() if isinstance(given, np.ndarray) else given


def _same(kept: tuple[Given, ...], given: tuple[Given, ...]) -> bool:
    return len(kept) == len(given) and all(_equal(*both) for both in zip(kept, given, strict=True))


def _equal(one: Given, other: Given) -> bool:
    """To the bit: absence equals absence."""
    if not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray):
        return type(one) is type(other) and one == other
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    width = np.dtype(np.int64) if one.dtype.itemsize == 8 else np.dtype(np.uint8)
    mine, theirs = (np.ascontiguousarray(each).view(width) for each in (one, other))
    return bool(np.array_equal(mine, theirs))
