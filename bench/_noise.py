"""What moves a gauge, in small parts that add up: each draws logarithms of a factor.

A world is a sum of parts; what is in it can be read from its list. Arrays are [gauges, ticks, hosts], and a
part may leave out an axis along which it does not vary. Time 0 is the canaries' switch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Scene:
    """Over what parts draw. `since`: seconds since each host's switch, [ticks, hosts], negative before it."""

    gauges: int
    times: Values
    tick: float
    since: Values
    canary: Mask
    rng: np.random.Generator

    @property
    def hosts(self) -> int:
        """How many there are."""
        return int(self.canary.size)

    @property
    def ticks(self) -> int:
        """History and watch."""
        return int(self.times.size)

    @property
    def first_switched(self) -> int:
        """The first tick in which some host runs what is new."""
        return int(np.argmax((self.since > 0).any(axis=1)))

    def starts(self, every: float, shape: tuple[int, ...]) -> Mask:
        """Where something begins that comes once in `every` seconds on average, at any time."""
        return np.asarray(self.rng.random(shape) < self.tick / every, dtype=np.bool_)


class Part(Protocol):
    """Something that moves gauges."""

    def __call__(self, scene: Scene) -> Values:
        """Logarithms of the factor."""
        ...


def summed(parts: Iterable[Part], scene: Scene) -> Values:
    """All parts together."""
    total = np.zeros((scene.gauges, scene.ticks, scene.hosts))
    for part in parts:
        total += part(scene)
    return total


def wandering(noise: Values, memory: float) -> Values:
    """AR(1) along the ticks with deviation 1, from the very start, out of independent noise."""
    noise[:, 1:] *= np.sqrt(1 - memory**2)
    return np.asarray(lfilter([1.0], [1.0, -memory], noise, axis=1))


def lasting(begins: Values | Mask, ticks: int) -> Values:
    """What began stays for so many ticks (those that overlap add up)."""
    summed_up = np.cumsum(begins, axis=1, dtype=np.float64)
    summed_up[:, ticks:] -= summed_up[:, :-ticks].copy()
    return summed_up


@dataclass(frozen=True)
class Hosts:
    """Hosts differ for good; their mean is 1."""

    sd: float

    def __call__(self, scene: Scene) -> Values:
        return scene.rng.normal(-(self.sd**2) / 2, self.sd, (scene.gauges, 1, scene.hosts))


@dataclass(frozen=True)
class Quiet:
    """A part of the hosts has little traffic."""

    part: float
    factor: float

    def __call__(self, scene: Scene) -> Values:
        quiet = scene.rng.random((1, 1, scene.hosts)) < self.part
        return np.where(quiet, np.log(self.factor), 0.0)


@dataclass(frozen=True)
class Wander:
    """A level that wanders by itself and remembers for `seconds`; one for all hosts, or each its own."""

    sd: float
    seconds: float
    common: bool = False

    def __call__(self, scene: Scene) -> Values:
        noise = scene.rng.standard_normal((scene.gauges, scene.ticks, 1 if self.common else scene.hosts))
        return self.sd * wandering(noise, float(np.exp(-scene.tick / self.seconds))) - self.sd**2 / 2


@dataclass(frozen=True)
class White:
    """Noise without memory; `freedom` below 30 has heavier tails than normal."""

    sd: float
    freedom: float = 30.0

    def __call__(self, scene: Scene) -> Values:
        shape = (scene.gauges, scene.ticks, scene.hosts)
        if self.freedom >= 30:
            return self.sd * scene.rng.standard_normal(shape)
        return self.sd * scene.rng.standard_t(self.freedom, shape)


@dataclass(frozen=True)
class Jumps:
    """Times `factor` for `seconds`, at random, once in `every` on average: hiccups of a fleet, jobs."""

    factor: float
    seconds: float
    every: float
    common: bool = False

    def __call__(self, scene: Scene) -> Values:
        shape = (scene.gauges, scene.ticks, 1 if self.common else scene.hosts)
        on = lasting(scene.starts(self.every, shape), max(1, round(self.seconds / scene.tick)))
        return np.asarray(np.log(self.factor) * (on > 0))


@dataclass(frozen=True)
class Cron:
    """As Jumps, each host by its clock; `together`: all by the same, as crontabs are."""

    factor: float
    seconds: float
    every: float
    together: bool = False

    def __call__(self, scene: Scene) -> Values:
        phase = scene.rng.uniform(0, self.every, (scene.gauges, 1, 1 if self.together else scene.hosts))
        turns = (scene.times[None, :, None] + phase) / self.every
        inside = turns - np.floor(turns) < self.seconds / self.every
        return np.asarray(np.log(self.factor) * inside)


@dataclass(frozen=True)
class Season:
    """The time of day: a sine with a period of a day, at any hour."""

    size: float

    def __call__(self, scene: Scene) -> Values:
        phase = scene.rng.uniform(0, 2 * np.pi)
        return (self.size * np.sin(2 * np.pi * scene.times / 86_400 + phase))[None, :, None]


@dataclass(frozen=True)
class Ramp:
    """Traffic grows by `factor` between two times; `uneven`: some hosts take more of it than others."""

    factor: float
    begins: float
    ends: float
    uneven: float = 0.0

    def __call__(self, scene: Scene) -> Values:
        slope = np.log(self.factor) * (1 + self.uneven * scene.rng.standard_normal((1, 1, scene.hosts)))
        grown = np.clip((scene.times - self.begins) / (self.ends - self.begins), 0.0, 1.0)
        return np.asarray(grown[None, :, None] * slope)


@dataclass(frozen=True)
class Restart:
    """What a switch costs for a while: `gain` at its end, fading over `seconds`; its size differs."""

    gain: float
    seconds: float = 15.0
    sd: float = 0.5

    def __call__(self, scene: Scene) -> Values:
        size = np.exp(self.sd * scene.rng.standard_normal((scene.gauges, 1, scene.hosts)))
        moved = np.zeros((scene.gauges, scene.ticks, scene.hosts))
        first = scene.first_switched
        since = scene.since[first:]
        left = np.exp(-np.maximum(since - scene.tick / 2, 0.0) / self.seconds) * (since > 0)
        moved[:, first:] = np.log1p(self.gain * size * left)
        return moved


@dataclass(frozen=True)
class Lasting:
    """What a healthy switch leaves behind for good, on each host another way."""

    sd: float = 0.03

    def __call__(self, scene: Scene) -> Values:
        size = self.sd * scene.rng.standard_normal((scene.gauges, 1, scene.hosts))
        moved = np.zeros((scene.gauges, scene.ticks, scene.hosts))
        moved[:, scene.first_switched :] = size * (scene.since[scene.first_switched :] > 0)
        return moved


@dataclass(frozen=True)
class Balancer:
    """A load balancer sends less to what just came back, or more; it evens out over `seconds`."""

    factor: float
    seconds: float

    def __call__(self, scene: Scene) -> Values:
        left = np.clip(1 - scene.since / self.seconds, 0.0, 1.0)
        return np.asarray(np.log(self.factor) * left * (scene.since > 0))


@dataclass(frozen=True)
class Restarts:
    """Hosts are restarted by others too, canary or not: for a while after it a gauge is higher."""

    every: float
    gain: float
    seconds: float = 15.0

    def __call__(self, scene: Scene) -> Values:
        begins = scene.starts(self.every, (1, scene.ticks, scene.hosts)).astype(np.float64)
        fading = lfilter([1.0], [1.0, -float(np.exp(-scene.tick / self.seconds))], begins, axis=1)
        return np.asarray(np.log1p(self.gain * fading))


@dataclass(frozen=True)
class Sawtooth:
    """Memory that grows and is collected: each host by its own clock."""

    factor: float
    every: float

    def __call__(self, scene: Scene) -> Values:
        period = self.every * np.exp(0.2 * scene.rng.standard_normal((scene.gauges, 1, scene.hosts)))
        phase = scene.rng.uniform(0, self.every, (scene.gauges, 1, scene.hosts))
        return np.asarray(np.log(self.factor) * np.mod(scene.times[None, :, None] + phase, period) / period)


# What a regression does to canaries.


@dataclass(frozen=True)
class Step:
    """Times `factor` from the switch on; below 1: a drop."""

    factor: float

    def __call__(self, scene: Scene) -> Values:
        return np.asarray(np.log(self.factor) * (scene.since > 0))


@dataclass(frozen=True)
class OnOne:
    """A regression that only one of the canaries shows."""

    part: Part

    def __call__(self, scene: Scene) -> Values:
        first = np.arange(scene.hosts) == int(np.argmax(scene.canary))
        return np.asarray(self.part(scene) * first)


@dataclass(frozen=True)
class Slow:
    """Grows steadily; reaches `factor` at `seconds`."""

    factor: float = 2.0
    seconds: float = 180.0

    def __call__(self, scene: Scene) -> Values:
        return np.asarray(np.log1p((self.factor - 1) * np.maximum(scene.since, 0.0) / self.seconds))
