"""A farm in simulation: uneven machines, two of them late, a cost for each hand-out; policies of others."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leuko.domain.schedule import Schedule, Unit

Floats = NDArray[np.float64]
SUITE = "unit"


@dataclass(frozen=True)
class Farm:
    """`speeds`: work done in a second, of each machine; `late`: seconds after which it is there."""

    speeds: Floats
    late: Floats
    handing_out: float

    def bound(self, work: Floats) -> float:
        """No schedule ends sooner: all work by all machines that are there, or the longest by the fastest."""
        low, high = 0.0, float(work.sum() / self.speeds.max() + self.late.max())
        for _ in range(100):
            middle = (low + high) / 2
            done = float((self.speeds * np.maximum(0.0, middle - self.late)).sum())
            low, high = (middle, high) if done < work.sum() else (low, middle)
        return max(high, float(work.max() / self.speeds.max()))


@dataclass(frozen=True)
class Tests:
    """Seconds of each test on a machine of speed 1: as they are, and as history has them."""

    real: Floats
    expected: Floats


def farm(rng: np.random.Generator, machines: int = 35, handing_out: float = 0.4) -> Farm:
    """Speeds spread by a third; two machines come a minute late."""
    speeds = np.exp(rng.normal(0.0, 0.3, machines))
    late = np.zeros(machines)
    late[:2] = 60.0
    return Farm(speeds, late, handing_out)


def tests(rng: np.random.Generator, number: int, sigma: float, surprise: float) -> Tests:
    """Lognormal, 1.26 s on average; history is off by a factor of about `surprise`."""
    real = np.exp(rng.normal(0.0, sigma, number))
    real *= 1.26 / real.mean()
    return Tests(real, real * np.exp(rng.normal(0.0, surprise, number)))


def pulled(farm_: Farm, next_batch: Callable[[int], Sequence[int]], real: Floats) -> tuple[float, int]:
    """Whoever is idle takes the next batch: seconds until the last ended, and how many hand-outs."""
    free = [(float(late), machine) for machine, late in enumerate(farm_.late)]
    heapq.heapify(free)
    last, pulls = 0.0, 0
    while free:
        at, machine = heapq.heappop(free)
        batch = next_batch(machine)
        if not batch:
            continue
        pulls += 1
        ended = at + farm_.handing_out + float(real[list(batch)].sum() / farm_.speeds[machine])
        last = max(last, ended)
        heapq.heappush(free, (ended, machine))
    return last, pulls


def leuko(farm_: Farm, given: Tests) -> tuple[float, int]:
    """The product's own schedule: longest first, batches of what remains / (2 x machines)."""
    names = [f"{index:06d}" for index in range(given.real.size)]
    schedule = Schedule({SUITE: ()})
    schedule.add(
        Unit(SUITE, name, expected=float(each)) for name, each in zip(names, given.expected, strict=True)
    )
    schedule.open(SUITE)
    machines = [f"m{index}" for index in range(farm_.speeds.size)]

    def take(machine: int) -> list[int]:
        return [int(unit.file) for unit in schedule.take(machines[machine], machines)]

    return pulled(farm_, take, given.real)


def one_by_one(farm_: Farm, given: Tests, order: Sequence[int]) -> tuple[float, int]:
    """A pull for each test, in this order."""
    left = list(order)[::-1]
    return pulled(farm_, lambda _machine: [left.pop()] if left else [], given.real)


def planned(farm_: Farm, given: Tests, shares: Sequence[Sequence[int]]) -> tuple[float, int]:
    """Everything handed out before the start."""
    ends = [
        late + farm_.handing_out + given.real[list(share)].sum() / speed
        for share, speed, late in zip(shares, farm_.speeds, farm_.late, strict=True)
    ]
    return float(max(ends)), len(ends)


def counted(given: Tests, machines: int) -> list[list[int]]:
    """Equal numbers of tests."""
    return [list(range(given.real.size))[machine::machines] for machine in range(machines)]


def chunks(given: Tests, machines: int) -> list[list[int]]:
    """pytest-split's default: neighbours, of equal expected time."""
    parts = np.floor(np.cumsum(given.expected) / given.expected.sum() * machines - 1e-9).astype(int)
    return [np.flatnonzero(parts == machine).tolist() for machine in range(machines)]


def longest_first(given: Tests, machines: int) -> list[list[int]]:
    """pytest-split's `least_duration`: the next longest to whoever has least, speeds unknown."""
    heap = [(0.0, machine) for machine in range(machines)]
    shares: list[list[int]] = [[] for _ in range(machines)]
    for index in np.argsort(-given.expected).tolist():
        total, machine = heapq.heappop(heap)
        shares[machine].append(index)
        heapq.heappush(heap, (total + float(given.expected[index]), machine))
    return shares


def everybody(seed: int, number: int, sigma: float, surprise: float) -> dict[str, tuple[float, int]]:
    """Each policy on the same farm and tests: times the lower bound, and hand-outs."""
    rng = np.random.default_rng(seed)
    farm_, given = farm(rng), tests(rng, number, sigma, surprise)
    machines = farm_.speeds.size
    shuffled = rng.permutation(number).tolist()
    ran = {
        "equal counts": planned(farm_, given, counted(given, machines)),
        "pytest-split chunks": planned(farm_, given, chunks(given, machines)),
        "least_duration": planned(farm_, given, longest_first(given, machines)),
        "pull one, random": one_by_one(farm_, given, shuffled),
        "pull one, longest first": one_by_one(farm_, given, np.argsort(-given.expected).tolist()),
        "Leuko": leuko(farm_, given),
    }
    bound = farm_.bound(given.real)
    return {name: (seconds / bound, pulls) for name, (seconds, pulls) in ran.items()}
