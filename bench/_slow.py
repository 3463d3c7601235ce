"""Worlds of slow failures: ten-minute cells of hosts over weeks, and what was done to them when.

The day's wave, noise that lasts for an hour (AR), nightly backups, restarts that empty a process's memory and
caches that fill it again. Seeds are fixed. A world's fault begins at `fault`, hours after its begin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from leuko.statistics.trends_question import CELLS, History, Landing, Watched

Floats = NDArray[np.float64]
START = 490_000
"""The first hour of every world, since 1970; an hour at midnight UTC."""
START -= START % 24


@dataclass(frozen=True)
class World:
    """Cells [6 * hours, hosts] and the truth about them."""

    name: str
    watched: Watched
    cells: Floats
    roles: tuple[str, ...]
    landings: tuple[Landing, ...] = ()
    restarts: Mapping[str, Floats] = field(default_factory=dict)
    fault: float | None = None
    """Hours after the begin."""
    culprit: int | None = None
    """The push that brought the fault."""
    full: float | None = None
    """Hours after the begin at which the capacity is used up."""

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(f"h{index:03}" for index in range(self.cells.shape[1]))

    @property
    def hours(self) -> int:
        return len(self.cells) // CELLS

    def at(self, hour: int, window: int = 168) -> History:
        """What is known at an hour after the begin."""
        first = max(0, hour - window)
        return History(
            self.watched,
            self.hosts,
            self.roles,
            START + first,
            self.cells[first * CELLS : hour * CELLS],
            {name: times[times < START + hour] for name, times in self.restarts.items()},
            tuple(each for each in self.landings if START + first <= each.at < START + hour),
        )


def times(hours: int) -> Floats:
    """Of the cells' middles, in hours after the begin."""
    return (np.arange(hours * CELLS) + 0.5) / CELLS


def wave(rng: np.random.Generator, hours: int, hosts: int, height: float, jitter: float = 0.05) -> Floats:
    """Customers' day, of another height each day; with a weekend that is quieter."""
    t = times(hours)
    day = (t // 24).astype(int)
    heights = height * (1.0 + jitter * rng.normal(size=day.max() + 1))
    shape = np.sin(2 * np.pi * (t - 8.0) / 24.0) + 0.3 * np.sin(4 * np.pi * (t - 8.0) / 24.0)
    each = 1.0 + 0.1 * rng.normal(size=hosts)
    return np.asarray((heights[day] * shape)[:, None] * each)


def noise(rng: np.random.Generator, hours: int, hosts: int, size: float, lasting: float) -> Floats:
    """AR(1) of the given deviation and correlation time in hours."""
    n, phi = hours * CELLS, float(np.exp(-1.0 / CELLS / lasting))
    steps = rng.normal(size=(n, hosts)) * size * np.sqrt(1.0 - phi**2)
    steps[0] /= np.sqrt(1.0 - phi**2)
    out = np.empty((n, hosts))
    held = np.zeros(hosts)
    for index in range(n):
        held = phi * held + steps[index]
        out[index] = held
    return out


def backups(rng: np.random.Generator, hours: int, hosts: int, size: float) -> Floats:
    """From about three at night a file grows for an hour and is gone an hour later."""
    t, out = times(hours), np.zeros((hours * CELLS, hosts))
    for day in range(hours // 24 + 1):
        begin = day * 24 + 3.0 + 0.3 * rng.normal()
        up = np.clip((t - begin) / 1.0, 0.0, 1.0)
        out += (size * (1.0 + 0.15 * rng.normal()) * up * (t < begin + 2.0))[:, None]
    return out


def busy_days(rng: np.random.Generator, hours: int, a_day: int = 50) -> Floats:
    """Moments of pushes, from nine to seven on working days (the first day is a Monday)."""
    found = [
        day * 24 + 9.0 + np.sort(rng.uniform(0.0, 10.0, a_day))
        for day in range(hours // 24 + 1)
        if day % 7 < 5
    ]
    moments = np.concatenate(found) if found else np.array([])
    return moments[moments < hours]


def uptime(moments: Floats, hours: int) -> Floats:
    """Hours since the last of these moments, at each cell."""
    t, began = times(hours), np.concatenate([[-100.0], moments])
    return np.asarray(t - began[np.searchsorted(began, t, side="right") - 1])


def restarted(moments: Floats, hosts: int) -> dict[str, Floats]:
    """The same restarts, hosts a few seconds apart."""
    return {f"h{index:03}": START + moments + index * 0.002 for index in range(hosts)}


def pushes(moments: Floats) -> tuple[Landing, ...]:
    """Numbered from 1."""
    return tuple(Landing(number, START + float(at)) for number, at in enumerate(moments, 1))
