"""Readings of the past out of a Prometheus, as the questions of deployments that were made then."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from leuko.domain.gauge import HOSTLESS, Gauge, Kind
from leuko.gauges.prometheus_range import Line, PrometheusHistory
from leuko.runtime.deploys import Deploy
from leuko.runtime.server_gauges import Watched
from leuko.statistics.question import Question, Series, Values

ROLE = "host"
HISTORY = 1800.0
"""Seconds before a deployment that are looked at."""
MOST_HOSTS = 120
"""Hosts that pretend pushes are made on."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Readings of all gauges over one stretch of time."""

    times: Values
    hosts: tuple[str, ...]
    gauges: tuple[Gauge, ...]
    series: Mapping[str, Series]
    missing: tuple[str, ...] = ()
    """Gauges that the server gave nothing of."""

    @property
    def empty(self) -> bool:
        """True where there is not one reading."""
        return not any(np.isfinite(one.values).any() for one in self.series.values())


@dataclass(frozen=True, slots=True)
class Way:
    """How the server is asked."""

    server: PrometheusHistory
    watched: tuple[Watched, ...]
    by: str
    step: float
    lookback: float


async def stretch(way: Way, begin: float, end: float) -> Stretch:
    """Everything between two times, on a grid of whole steps."""
    first, last = np.floor(begin / way.step) - 1, np.ceil(end / way.step)
    times = np.arange(first, last + 1) * way.step
    found: dict[str, tuple[dict[str, Values], dict[str, Values] | None]] = {}
    for one in way.watched:
        above = await _by_host(way, one, one.query, times)
        below = await _by_host(way, one, one.of, times) if one.of else None
        found[one.gauge.name] = (above, below)
    names = sorted({host for above, _ in found.values() for host in above if host != HOSTLESS})
    hosts = (*names, HOSTLESS) if any(HOSTLESS in above for above, _ in found.values()) else tuple(names)
    gauges, series, missing = [], {}, []
    for one in way.watched:
        above, below = found[one.gauge.name]
        if not above:
            missing.append(one.gauge.name)
            continue
        alone = set(above) == {HOSTLESS}
        gauges.append(replace(one.gauge, roles=(HOSTLESS,)) if alone else one.gauge)
        series[one.gauge.name] = _table(hosts, above, below, times[1:])
    return Stretch(times[1:], hosts, tuple(gauges), series, tuple(missing))


async def _by_host(way: Way, one: Watched, query: str, times: Values) -> dict[str, Values]:
    lines = await way.server.range(query, times, lookback=way.lookback)
    grouped: dict[str, list[Values]] = {}
    for line in lines:
        host = host_of(line, one, way.by)
        if host:
            values = increases(line.values) if one.counter else line.values[1:]
            grouped.setdefault(host, []).append(values)
    summed = one.gauge.kind is not Kind.LEVEL
    return {host: _together(values, summed=summed) for host, values in grouped.items()}


def host_of(line: Line, one: Watched, by: str) -> str:
    """The host that a series is of, without a port; HOSTLESS without the label; empty: nobody's."""
    label = line.labels.get(by if one.by is None else one.by, "")
    if one.host:
        found = re.fullmatch(one.host, label)
        return found[1] if found and found[1] else ""
    name, colon, port = label.rpartition(":")
    return (name if colon and port.isdigit() else label) or HOSTLESS


def increases(values: Values) -> Values:
    """What a counter counted in each step; one that began anew has counted what it says since then.

    After a gap nobody knows in which step things happened: that step is absent, too.
    """
    grown = np.diff(values)
    return np.where(grown < 0, values[1:], grown)


def _together(values: Sequence[Values], *, summed: bool) -> Values:
    if len(values) == 1:
        return values[0]
    table = np.array(values)
    there = np.isfinite(table)
    total = np.where(there, table, 0.0).sum(axis=0)
    number = there.sum(axis=0)
    return np.where(number > 0, total if summed else total / np.maximum(number, 1), np.nan)


def _table(
    hosts: Sequence[str], above: Mapping[str, Values], below: Mapping[str, Values] | None, times: Values
) -> Series:
    absent = np.full(len(times), np.nan)
    values = np.array([above.get(host, absent) for host in hosts]).T
    if below is None:
        return Series(values)
    return Series(values, np.array([below.get(host, absent) for host in hosts]).T)


def hosts_meant(names: Sequence[str], hosts: Sequence[str]) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Which hosts these names are, and the names that are nobody's: with a port, or without the domain."""
    short = {host.partition(".")[0]: host for host in hosts}
    found, unknown = set(), []
    for name in names:
        bare = name.rpartition(":")[0] if name.rpartition(":")[2].isdigit() and ":" in name else name
        host = bare if bare in hosts else short.get(bare.partition(".")[0])
        if host is None:
            unknown.append(name)
        else:
            found.add(host)
    return np.array([host in found for host in hosts], dtype=np.bool_), tuple(unknown)


def question_of(
    past: Stretch,
    way: Way,
    switched: NDArray[np.bool_],
    began: float,
    ended: float,
    watch: float,
    budget: float,
) -> Question:
    """The deployment as a push: its hosts were switched when it ended; what lies between is left out."""
    kept = past.times <= ended + watch + 1e-6
    during = (past.times > began) & (past.times - way.step < ended)
    series = {name: _without(one, kept, during) for name, one in past.series.items()}
    own = np.array([host != HOSTLESS for host in past.hosts], dtype=np.bool_)
    moved = switched & own if own.any() else np.ones_like(own)
    moved = moved | ~own  # what belongs to no host changed with the first of them
    hostless = not own.any()
    seen = (past.times >= ended + way.step - 1e-6) & kept
    wanted = max(1, int(seen.sum()) or int(watch // way.step))
    return Question(
        gauges=past.gauges,
        hosts=past.hosts,
        roles=tuple(HOSTLESS if host == HOSTLESS else ROLE for host in past.hosts),
        pushed_roles=frozenset({HOSTLESS if hostless else ROLE}),
        tick=way.step,
        times=past.times[kept],
        series=series,
        switched_at=np.where(moved, ended, np.nan),
        watched=moved,
        watch_from=ended,
        wanted=wanted,
        longest=wanted,
        budget=budget,
    )


def _without(one: Series, kept: NDArray[np.bool_], during: NDArray[np.bool_]) -> Series:
    values = np.where(during[:, None], np.nan, one.values)[kept]
    if one.denominators is None:
        return Series(values)
    return Series(values, np.where(during[:, None], np.nan, one.denominators)[kept])


def quiet_of(
    past: Stretch, way: Way, deploys: Sequence[Deploy], canaries: int, watch: float, budget: float
) -> Question:
    """The stretch as the history of a push of so many canaries; deployments in it are left out."""
    busy = np.zeros(len(past.times), dtype=np.bool_)
    for one in deploys:
        until = one.ended.timestamp() + max(watch, HISTORY if one.bad else 0.0)
        busy |= (past.times > one.began.timestamp()) & (past.times <= until)
    names = [index for index, host in enumerate(past.hosts) if host != HOSTLESS][:MOST_HOSTS]
    columns = np.array([*names, *(i for i, host in enumerate(past.hosts) if host == HOSTLESS)], dtype=np.intp)
    hosts = tuple(past.hosts[index] for index in columns)
    series = {
        name: Series(
            np.where(busy[:, None], np.nan, one.values)[:, columns],
            None
            if one.denominators is None
            else np.where(busy[:, None], np.nan, one.denominators)[:, columns],
        )
        for name, one in past.series.items()
    }
    smaller = replace(past, hosts=hosts, series=series)
    chosen = np.arange(len(hosts)) < (canaries or len(hosts))
    end = float(past.times[-1]) + way.step
    asked = question_of(smaller, way, chosen, end, end, watch, budget)
    return replace(asked, switched_at=np.full(len(hosts), np.nan))
