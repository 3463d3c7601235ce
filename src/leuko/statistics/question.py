"""What the verdict is asked: readings, who was switched when, and what the watch wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from leuko.domain.gauge import Gauge, Kind, Limit

if TYPE_CHECKING:
    from leuko.statistics.placebo import Placebo
    from leuko.statistics.transient import Transient

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]
Chosen = NDArray[np.intp]

WARM_UP: Mapping[Kind, float] = MappingProxyType({Kind.COUNT: 0.0, Kind.LEVEL: 5.0, Kind.RATIO: 0.0})
"""Seconds after a switch in which readings of a kind are not compared: caches fill, processes start.

The fall of a count or ratio waits for the longest of them: a restart is a gap in traffic.
"""


@dataclass(frozen=True, slots=True)
class Series:
    """Readings of one gauge, [ticks, hosts]; NaN is absence. A ratio has its denominators."""

    values: NDArray[np.floating]
    denominators: NDArray[np.floating] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """Everything the verdict depends on; the same question has the same answer.

    `times` are the closing times of the ticks in seconds, rising. `switched_at` says for each host when its
    switch to this release (reload and health check included) was done; NaN: it still runs the base.
    `watched` are the hosts of this phase. `pushed_roles` are the roles that this phase must cover.
    """

    gauges: tuple[Gauge, ...]
    hosts: tuple[str, ...]
    roles: tuple[str, ...]
    pushed_roles: frozenset[str]
    tick: float
    times: Values
    series: Mapping[str, Series]
    switched_at: Values
    watched: Mask
    watch_from: float
    wanted: int
    longest: int = 0
    """Most ticks that `must_see` may extend the watch to; below `wanted`: three times that."""
    held_back: Mask | None = None
    warm_up: Mapping[Kind, float] = field(default_factory=lambda: WARM_UP)
    first: bool = False
    """The first push of all: there is no release before it to compare with, and a person asked for it."""
    limits: Mapping[str, tuple[Limit, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Overrides of gauges' limits, by name of gauge."""
    budget: float = 0.005
    """Part of healthy pushes that may be rolled back: of this phase, or of the push where `share` is used."""
    evidence_from: float = float("nan")
    """Evidence counts from here, the phase's first watch; NaN: from `watch_from`. A resumed watch goes on."""
    carried: float = 0.0
    """Sum of share times e-value that the earlier phases of this push ended with."""
    share: float = 1.0
    """This phase's weight in the push's e-process: it fails when carried + share * E reaches 1 / budget."""
    placebo: Placebo | None = None
    """What pretend pushes on this fleet's own history came to."""
    transients: Mapping[str, Transient] = field(default_factory=lambda: MappingProxyType({}))
    """By gauge, what healthy switches look like in their first seconds."""

    def limits_of(self, gauge: Gauge) -> tuple[Limit, ...]:
        """The gauge's limits as they are in force."""
        return self.limits.get(gauge.name, gauge.limits)

    @property
    def most_ticks(self) -> int:
        """The longest that the watch may be extended to."""
        return self.longest if self.longest >= self.wanted else 3 * self.wanted
