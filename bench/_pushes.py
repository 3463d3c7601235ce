"""Simulated pushes: a world, a fleet (who is switched) and meters (what is read) become readings.

A push depends on its world, fleet, meters, seed and fault alone; before the switch a sick push is nearly the
healthy one of its seed.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from _noise import Hosts, Mask, Part, Scene, Season, Values, Wander, White, lasting, summed
from _readings import counted, load_average, quantile_of
from _worlds import World

from leuko.domain.gauge import Direction, Gauge, Kind
from leuko.statistics.question import Question, Series

TICK = 5.0
WATCH = 300.0


@dataclass(frozen=True)
class Meter:
    """One gauge of the simulation. `what`: count, cpu, load, ratio or quantile."""

    name: str
    what: str
    per_minute: float = 0.0
    """Events a minute and host; requests for a ratio and a quantile."""
    direction: Direction = Direction.UP

    @property
    def gauge(self) -> Gauge:
        """As the configuration would declare it."""
        kind = {"count": Kind.COUNT, "ratio": Kind.RATIO}.get(self.what, Kind.LEVEL)
        return Gauge(
            self.name,
            kind,
            self.direction,
            unit="load" if self.what == "load" else "",
            smoothed=60.0 if self.what == "load" else 0.0,
        )


@dataclass(frozen=True)
class Fleet:
    """How many hosts there are, and how many of them are switched."""

    hosts: int
    canaries: int
    held_back: bool = False
    """The hosts that are not switched are those that the last phase leaves old on purpose."""

    def __str__(self) -> str:
        return f"{self.hosts}/{self.canaries}"


TEN: tuple[Meter, ...] = (
    *(Meter(f"errors{rate:g}", "count", rate) for rate in (0.24, 1.0, 3.0, 12.0)),
    *(Meter(f"cpu{number}", "cpu") for number in range(4)),
    *(Meter(f"load{number}", "load") for number in range(2)),
)
MIXED: tuple[Meter, ...] = (
    *(Meter(f"errors{rate:g}", "count", rate) for rate in (1.0, 12.0)),
    Meter("requests", "count", 600.0, Direction.DOWN),
    Meter("registrations", "count", 12.0, Direction.DOWN),
    Meter("error share", "ratio", 600.0),
    Meter("latency p99", "quantile", 600.0),
    Meter("cpu0", "cpu"),
    Meter("cpu1", "cpu", direction=Direction.BOTH),
    Meter("load0", "load"),
    Meter("load1", "load", direction=Direction.BOTH),
)
ERRORS = Meter("errors", "count", 2.1)  # with bursts and hiccups 2.4 are read
NEW = Meter("errors that are new", "count", 0.01)
CPU = Meter("cpu", "cpu")
LOAD = Meter("load", "load")
REGISTRATIONS = Meter("registrations", "count", 12.0, Direction.DOWN)
RATIO = Meter("error share", "ratio", 600.0)
QUANTILE = Meter("latency p99", "quantile", 600.0)
SHARE = 0.005
"""Of the requests that fail where all is well."""


@dataclass(frozen=True, eq=False)
class Push:
    """Readings of one push: [ticks, hosts] of each meter, of which the first `split` ticks came before it."""

    world: World
    fleet: Fleet
    meters: tuple[Meter, ...]
    times: Values
    canary: Mask
    roles: tuple[str, ...]
    switched_at: Values
    readings: Mapping[str, Series]

    @property
    def split(self) -> int:
        """Ticks that closed before the first switch."""
        return int(np.searchsorted(self.times, 1e-6, side="right"))

    def values(self, meter: Meter) -> Values:
        """What a tool without denominators reads: a ratio's share."""
        series = self.readings[meter.name]
        if series.denominators is None:
            return np.asarray(series.values, dtype=np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(series.values / series.denominators, dtype=np.float64)

    def question(self, budget: float = 0.005) -> Question:
        """What the verdict is asked when the watch is over."""
        watch_from = float(np.nanmax(self.switched_at))
        return Question(
            gauges=tuple(meter.gauge for meter in self.meters),
            hosts=tuple(f"www{number}" for number in range(self.fleet.hosts)),
            roles=self.roles,
            pushed_roles=frozenset(self.roles[number] for number in np.flatnonzero(self.canary)),
            tick=TICK,
            times=self.times,
            series=self.readings,
            switched_at=self.switched_at,
            watched=self.canary,
            watch_from=watch_from,
            wanted=round(WATCH / TICK),
            held_back=~self.canary if self.fleet.held_back else None,
            budget=budget,
        )


def push(
    world: World,
    fleet: Fleet,
    meters: tuple[Meter, ...],
    seed: int,
    faults: Mapping[str, Part] = MappingProxyType({}),
) -> Push:
    """One push of that world; `faults` are added to the meters that they name."""
    key = [seed, fleet.hosts, fleet.canaries, zlib.crc32(world.name.encode())]
    rng = np.random.default_rng(key)
    first, last = 1 - round(world.history / TICK), round((WATCH + world.spread) / TICK)
    times = np.arange(first, last + 1, dtype=np.float64) * TICK
    parts = [
        _role(world, meters, _scene(world, times, hosts, canaries, rng), faults, number)
        for number, (hosts, canaries) in enumerate(_divided(world, fleet))
    ]
    roles = [role for role, part in zip(world.roles, parts, strict=True) for _ in range(part.scene.hosts)]
    since = np.concatenate([part.scene.since for part in parts], axis=1)
    canary = np.concatenate([part.scene.canary for part in parts])
    switched_at = np.where(canary, times[-1] - since[-1], np.nan)
    readings = {
        meter.name: Series(
            np.concatenate([part.readings[meter.name].values for part in parts], axis=1),
            None
            if meter.what != "ratio"
            else np.concatenate([_denominators(part.readings[meter.name]) for part in parts], axis=1),
        )
        for meter in meters
    }
    return Push(world, fleet, meters, times, canary, tuple(roles), switched_at, MappingProxyType(readings))


def _denominators(series: Series) -> Values:
    assert series.denominators is not None
    return np.asarray(series.denominators, dtype=np.float64)


def _divided(world: World, fleet: Fleet) -> list[tuple[int, int]]:
    """Hosts and canaries of each role; every role has a canary where there are enough."""
    left, canaries = fleet.hosts, fleet.canaries
    found = []
    parts = list(world.roles.values())
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        hosts = left if last else round(fleet.hosts * part)
        mine = canaries if last else max(1, round(fleet.canaries * part))
        found.append((hosts, min(hosts, mine)))
        left, canaries = left - hosts, canaries - mine
    return found


def _scene(world: World, times: Values, hosts: int, canaries: int, rng: np.random.Generator) -> Scene:
    canary = np.arange(hosts) < canaries
    at = np.where(canary, 0.0, 1e9)
    if world.spread and canaries > 1:
        at[:canaries] = np.round(np.linspace(0.0, world.spread, canaries) / TICK) * TICK
    return Scene(1, times, TICK, times[:, None] - at[None, :], canary, rng)


@dataclass(frozen=True, eq=False)
class _Read:
    """One role's hosts."""

    scene: Scene
    readings: Mapping[str, Series]


def _role(
    world: World, meters: tuple[Meter, ...], scene: Scene, faults: Mapping[str, Part], number: int
) -> _Read:
    shared = summed(world.shared, scene)
    lost = np.zeros((scene.ticks, scene.hosts), dtype=np.bool_)
    for loss in world.losses:
        lost |= loss(scene)
    readings: dict[str, Series] = {}
    for what in dict.fromkeys(meter.what for meter in meters):
        mine = [meter for meter in meters if meter.what == what]
        wide = replace(scene, gauges=len(mine))
        fault = np.stack(
            [
                faults[meter.name](scene)[..., :, :].reshape(scene.ticks, scene.hosts)
                if meter.name in faults
                else np.zeros((scene.ticks, scene.hosts))
                for meter in mine
            ]
        )
        for meter, series in zip(mine, _READ[what](world, mine, wide, shared, fault, number), strict=True):
            readings[meter.name] = _as_read(world, meter, scene, series, lost)
    return _Read(scene, readings)


def _events(
    world: World, meters: list[Meter], scene: Scene, shared: Values, fault: Values, number: int
) -> list[Series]:
    logs = summed((*world.counts, *world.switched_counts), scene) + shared + fault
    usual = (
        np.array([meter.per_minute for meter in meters])[:, None, None] * TICK / 60 * world.busy * 0.2**number
    )
    events = counted(usual * np.exp(logs), world.phi, scene.rng)
    begins = lasting(scene.starts(world.burst_every, logs.shape), world.burst_ticks)
    size = np.clip(usual / (2.4 * TICK / 60) * world.burst, 3.0, max(world.burst, 3.0)) / world.burst_ticks
    events += scene.rng.poisson(begins * size)
    return [Series(one) for one in events]


def _cpu(
    world: World, meters: list[Meter], scene: Scene, shared: Values, fault: Values, number: int
) -> list[Series]:
    del meters
    parts = (*world.levels, White(world.white), *world.switched_levels)
    logs = summed(parts, scene) + shared + fault
    return [Series(one) for one in 20.0 * 3**number * np.exp(logs)]


def _load(
    world: World, meters: list[Meter], scene: Scene, shared: Values, fault: Values, number: int
) -> list[Series]:
    del meters
    parts = (*world.levels, White(world.queue), *world.switched_levels)
    queue = 2.0 * 3**number * np.exp(summed(parts, scene) + shared + fault)
    return [Series(one) for one in load_average(queue, TICK)]


def _requests(world: World, meters: list[Meter], scene: Scene, shared: Values) -> Values:
    usual = np.array([meter.per_minute for meter in meters])[:, None, None] * TICK / 60
    traffic = (Hosts(0.1), Wander(0.15, 120.0, common=True), Wander(0.05, 30.0), Season(0.3))
    return counted(usual * np.exp(summed(traffic, scene) + shared), max(2.0, world.phi), scene.rng)


def _shares(
    world: World, meters: list[Meter], scene: Scene, shared: Values, fault: Values, number: int
) -> list[Series]:
    del number
    requests = _requests(world, meters, scene, shared)
    logs = summed((*world.counts, *world.switched_counts), scene) + fault
    failed = np.minimum(counted(requests * SHARE * np.exp(logs), world.phi, scene.rng), requests)
    return [Series(one, asked) for one, asked in zip(failed, requests, strict=True)]


def _quantiles(
    world: World, meters: list[Meter], scene: Scene, shared: Values, fault: Values, number: int
) -> list[Series]:
    del number
    requests = _requests(world, meters, scene, shared)
    logs = summed((*world.levels, *world.switched_levels), scene) + fault
    return [Series(one) for one in 50.0 * quantile_of(logs, requests, 0.99, 0.6, scene.rng)]


_READ = MappingProxyType(
    {"count": _events, "cpu": _cpu, "load": _load, "ratio": _shares, "quantile": _quantiles}
)


def _as_read(world: World, meter: Meter, scene: Scene, series: Series, lost: Mask) -> Series:
    """As it comes in: rounded, reset, garbled, lost."""
    values = np.asarray(series.values, dtype=np.float64)
    level = meter.what in {"cpu", "load", "quantile"}
    if world.rounded and level:
        step = world.rounded * float(np.median(values))
        values = np.round(values / step) * step
    if world.resets and not level:
        reset = scene.starts(world.resets, values.shape)
        values = np.where(reset, np.floor(values * scene.rng.random(values.shape)), values)
    if world.wild:
        wild = scene.starts(scene.tick / world.wild, values.shape)
        garbage = np.where(scene.rng.random(values.shape) < 0.5, 1e6, -1.0)
        values = np.where(wild, garbage, values)
    return Series(np.where(lost, np.nan, values), series.denominators)
