"""Which readings lie before the push, and which after a host's switch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from leuko.domain.gauge import HOSTLESS, Gauge
from leuko.statistics.question import Chosen, Mask, Question, Series, Values

HISTORY = (180, 400)
"""Fewest and most ticks of history that are looked at: many hosts tell in few ticks what few tell in many."""
CELLS = 120_000
"""Readings of one gauge's history above which fewer ticks are looked at."""


@dataclass(frozen=True)
class Windows:
    """Masks over the question's ticks and hosts."""

    question: Question

    @cached_property
    def switched(self) -> Mask:
        """Hosts that run the new release."""
        return np.isfinite(self.question.switched_at)

    @cached_property
    def push_began(self) -> float:
        """The first switch, or the watch's start where nothing was switched."""
        at = self.question.switched_at[self.switched]
        return float(min(at.min(), self.question.watch_from)) if at.size else self.question.watch_from

    @cached_property
    def before(self) -> slice:
        """Ticks that closed before the push's first switch, the last of them."""
        most = int(np.clip(CELLS // max(1, len(self.question.hosts)), *HISTORY))
        end = int(np.searchsorted(self.question.times, self.push_began + 1e-6, side="right"))
        return slice(max(0, end - most), end)

    @cached_property
    def watch(self) -> slice:
        """Ticks that lie wholly inside this phase's watch."""
        begin = self.question.watch_from + self.question.tick - 1e-6
        return slice(int(np.searchsorted(self.question.times, begin)), len(self.question.times))

    @cached_property
    def span(self) -> slice:
        """Ticks whose readings are evidence: the watch's, and those of a watch that this one goes on with."""
        since = self.question.evidence_from
        begin = (since if np.isfinite(since) else self.question.watch_from) + self.question.tick - 1e-6
        return slice(int(np.searchsorted(self.question.times, begin)), len(self.question.times))

    def after(self, wait: float) -> Mask:
        """[watch ticks, hosts]: the tick lies wholly after the host's switch and `wait` seconds more."""
        if wait not in self._later:
            self._later[wait] = self._after(wait)
        return self._later[wait]

    @cached_property
    def _later(self) -> dict[float, Mask]:
        return {}

    def _after(self, wait: float) -> Mask:
        times = self.question.times[self.watch][:, None]
        at = self.question.switched_at[None, :]
        with np.errstate(invalid="ignore"):
            return np.asarray(times - self.question.tick >= at + wait - 1e-6, dtype=np.bool_)

    @cached_property
    def _roles(self) -> NDArray[np.str_]:
        return np.array(self.question.roles, dtype=np.str_)

    @cached_property
    def by_name(self) -> Chosen:
        """The hosts' places in the order of their names."""
        hosts = self.question.hosts
        return np.array(sorted(range(len(hosts)), key=hosts.__getitem__), dtype=np.intp)

    def reports(self, gauge: Gauge) -> Mask:
        """Hosts of the roles that the gauge is about; what belongs to no host only where it says so."""
        if not gauge.roles:
            return np.asarray(self._roles != HOSTLESS, dtype=np.bool_)
        return np.asarray(np.isin(self._roles, gauge.roles), dtype=np.bool_)

    def of_role(self, role: str) -> Mask:
        """Hosts of one role."""
        return np.asarray(self._roles == role, dtype=np.bool_)


def readings(question: Question, gauge: Gauge) -> tuple[Values, Values | None]:
    """The gauge's values and denominators; infinite and negative-count garbage is absence."""
    shape = (len(question.times), len(question.hosts))
    series = question.series.get(gauge.name)
    if series is None:
        return np.full(shape, np.nan), None
    values = _finite(series.values)
    if series.denominators is None:
        return values, None
    denominators = _finite(series.denominators)
    absent = np.isnan(values) | np.isnan(denominators)
    return np.where(absent, np.nan, values), np.where(absent, np.nan, denominators)


def _finite(values: NDArray[np.floating]) -> Values:
    taken = np.asarray(values, dtype=np.float64)
    return np.where(np.isinf(taken), np.nan, taken) if np.isinf(taken).any() else taken


def recent(question: Question) -> Question:
    """The question without the ticks before its history."""
    begin = Windows(question).before.start
    if begin <= 0:
        return question
    series = {
        name: Series(one.values[begin:], None if one.denominators is None else one.denominators[begin:])
        for name, one in question.series.items()
    }
    return replace(question, times=question.times[begin:], series=series)
