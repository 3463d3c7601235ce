"""One gauge in one role: what its comparison is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np

from leuko.domain.gauge import Gauge
from leuko.statistics.clocks import NOTHING, Evidence, Trace
from leuko.statistics.groups import Group
from leuko.statistics.memory import Forgetful, Given, Memory
from leuko.statistics.question import Question
from leuko.statistics.windows import Windows

Learned = TypeVar("Learned")


@dataclass(frozen=True)
class Case:
    """The question, and which hosts of it are compared for which gauge."""

    windows: Windows
    gauge: Gauge
    group: Group
    threshold: float
    """Log of the e-value from which on the gauge alone stops the push."""
    memory: Memory = field(default_factory=Forgetful)
    """Of what earlier looks learned from the history."""

    def learned(self, what: str, given: tuple[Given, ...], learn: Callable[[], Learned]) -> Learned:
        """What the history teaches about this gauge in this role; learned once for the same history."""
        return self.memory.of((self.gauge.name, self.group.role, what), given, learn)

    @property
    def question(self) -> Question:
        """The question."""
        return self.windows.question

    @cached_property
    def ticks(self) -> int:
        """Ticks of the span so far."""
        return int(self.windows.span.stop - self.windows.span.start)

    @cached_property
    def planned(self) -> int:
        """Ticks of the watch, those to come too."""
        return max(self.ticks, self.question.wanted)

    def nothing(self, basis: str) -> Trace:
        """Where nothing can be compared: why."""
        nan = np.full(self.ticks, np.nan)
        return Trace(np.zeros(self.ticks), nan, nan, nan, Evidence(NOTHING.log, NOTHING.effect, basis=basis))
