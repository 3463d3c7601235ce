"""How readings come from what a gauge does, and how they get lost on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from _noise import Mask, Scene, Values, lasting
from scipy.signal import lfilter
from scipy.special import ndtri


def counted(rate: Values, phi: float, rng: np.random.Generator) -> Values:
    """Events of a tick with mean `rate`; their variance is `phi` times that.

    A negative binomial: clumps come as Poisson has it, and their sizes are logarithmic.
    """
    if phi <= 1:
        return rng.poisson(rate).astype(np.float64)
    clumps = rng.poisson(rate * (np.log(phi) / (phi - 1))).ravel()
    sizes = rng.logseries(1 - 1 / phi, int(clumps.sum()))
    so_far = np.concatenate([[0], np.cumsum(sizes)])
    ends = np.cumsum(clumps)
    return np.asarray(so_far[ends] - so_far[ends - clumps], dtype=np.float64).reshape(rate.shape)


def load_average(queue: Values, tick: float) -> Values:
    """The kernel's one-minute average of a run queue."""
    kept = float(np.exp(-tick / 60))
    first = queue[:, :1].mean(axis=1, keepdims=True) if queue.shape[1] else queue[:, :1]
    smoothed, _ = lfilter(
        [1 - kept],
        [1.0, -kept],
        queue,
        axis=1,
        zi=kept * np.broadcast_to(first, (queue.shape[0], 1, queue.shape[2])).copy(),
    )
    return np.asarray(smoothed)


def quantile_of(
    logs: Values, requests: Values, part: float, spread: float, rng: np.random.Generator
) -> Values:
    """The `part` quantile of so many log-normal durations around exp(logs); absent where there were none."""
    number = np.maximum(requests, 1.0)
    rank = np.ceil(part * number)
    place = rng.beta(rank, number - rank + 1)  # where the order statistic falls
    found = np.exp(logs + spread * ndtri(np.clip(place, 1e-12, 1 - 1e-12)))
    return np.where(requests > 0, found, np.nan)


class Loss(Protocol):
    """A way for readings to get lost; True where they are."""

    def __call__(self, scene: Scene) -> Mask:
        """[ticks, hosts]"""
        ...


@dataclass(frozen=True)
class Lost:
    """Single readings, here and there."""

    part: float

    def __call__(self, scene: Scene) -> Mask:
        return np.asarray(scene.rng.random((scene.ticks, scene.hosts)) < self.part, dtype=np.bool_)


@dataclass(frozen=True)
class Gaps:
    """A host is not heard for a while; `common`: none is, for their collector is away."""

    seconds: float
    every: float
    common: bool = False

    def __call__(self, scene: Scene) -> Mask:
        begins = scene.starts(self.every, (1, scene.ticks, 1 if self.common else scene.hosts))
        away = lasting(begins, max(1, round(self.seconds / scene.tick)))[0] > 0
        return np.broadcast_to(away, (scene.ticks, scene.hosts))


@dataclass(frozen=True)
class Late:
    """Some hosts are slow to answer, and much of what they say comes after the tick is closed."""

    hosts: float
    part: float

    def __call__(self, scene: Scene) -> Mask:
        slow = scene.rng.random(scene.hosts) < self.hosts
        return np.asarray(slow & (scene.rng.random((scene.ticks, scene.hosts)) < self.part), dtype=np.bool_)


@dataclass(frozen=True)
class SwitchGap:
    """No readings of a host around its own switch: its process is away."""

    seconds: float

    def __call__(self, scene: Scene) -> Mask:
        return np.asarray((scene.since > -self.seconds) & (scene.since <= self.seconds), dtype=np.bool_)


@dataclass(frozen=True)
class Newcomers:
    """Some hosts are younger than the history."""

    part: float
    seconds: float

    def __call__(self, scene: Scene) -> Mask:
        young = scene.rng.random(scene.hosts) < self.part
        return np.asarray(young & (scene.times[:, None] < -self.seconds), dtype=np.bool_)
