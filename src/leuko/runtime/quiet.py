"""The fleet's own quiet hours, as questions: what a push would be judged by if one began then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from leuko.config.fleet import hold_back, phase_rules, watch_ticks
from leuko.config.model import Configuration
from leuko.config.quantities import portion
from leuko.domain.errors import Refused
from leuko.domain.fleet import Host, assign_phases
from leuko.domain.gauge import HOSTLESS, Gauge
from leuko.domain.line import Line
from leuko.runtime.questions import LONGEST_WATCH, SETTLED, gauges_of, series_of
from leuko.statistics.question import Question
from leuko.store.series import Series
from leuko.store.store import Store

HOUR = timedelta(hours=1)
FEWEST = 60
"""Ticks of quiet below which nothing is said."""
MOST_HOSTS = 120
"""Hosts of one role that are looked at: the verdict itself compares no more, and memory stays bounded."""


@dataclass(frozen=True, slots=True)
class Usual:
    """How pushes of this line are judged: by its configuration as it is served, and by what is live."""

    configuration: Configuration
    gauges: tuple[Gauge, ...]
    roles: dict[str, str]
    """Host -> role, of the hosts that are looked at."""
    canaries: frozenset[str]
    wanted: int
    """Ticks that the first phase is watched."""

    @property
    def budget(self) -> float:
        """Part of healthy pushes that may be rolled back by chance."""
        return portion(self.configuration.push.false_rollbacks)


async def usual(store: Store, line: Line) -> Usual:
    """From what is stored. Raises Refused where no controller ever served this line."""
    text = await store.lines.served(line)
    if not text:
        raise Refused(
            "no controller has served this line yet, so it has neither gauges nor readings",
            where=str(line),
            way_out="`leuko serve` samples; or `leuko calibrate --prometheus` with a Prometheus you have",
            code="P043",
        )
    configuration = await _with_live_gauges(store, line, Configuration.model_validate_json(text))
    known = await store.hosts.all(line)
    hosts = [Host(host.name, host.role, host.address, pushed=host.pushed) for host in known]
    phases = assign_phases(hosts, phase_rules(configuration), hold_back(configuration))
    canaries = frozenset(name for name, phase in phases.items() if phase == 0)
    gauges = gauges_of(configuration, await store.overrides.all(line))
    return Usual(configuration, gauges, _some(hosts, canaries), canaries, watch_ticks(configuration)[0])


async def _with_live_gauges(store: Store, line: Line, own: Configuration) -> Configuration:
    live = await store.pushes.active(line) or await store.pushes.live(line)
    digest = (await store.pushes.configurations(line, live.number))[0] if live else ""
    text = await store.configurations.get(line, digest) if digest else None
    if not text:
        return own
    return own.model_copy(update={"gauges": {**own.gauges, **Configuration.model_validate(text).gauges}})


def _some(hosts: list[Host], canaries: frozenset[str]) -> dict[str, str]:
    """At most MOST_HOSTS of each role, the canaries among them."""
    found: dict[str, str] = {}
    taken: dict[str, int] = {}
    for host in sorted(hosts, key=lambda one: one.name not in canaries):
        if taken.get(host.role, 0) < MOST_HOSTS:
            taken[host.role] = taken.get(host.role, 0) + 1
            found[host.name] = host.role
    return found


async def quiet_question(
    store: Store, line: Line, end: datetime, *, span: timedelta = HOUR, by: Usual | None = None
) -> Question | None:
    """The hour before `end`, as the history of a push that would begin then; None where it is too little.

    Ticks in which a push moved hosts are left out: they are not quiet.
    """
    by = by or await usual(store, line)
    names = [gauge.name for gauge in by.gauges]
    hosts = (*by.roles, HOSTLESS)
    read = await store.readings.read(line, names, end - span, end, hosts)
    await _leave_out_pushes(store, line, read, by.configuration.tick)
    if _ticks_with_data(read) < max(FEWEST, 2 * by.wanted):
        return None
    return question_of(read, by)


def question_of(read: Series, by: Usual) -> Question:
    """A push of the usual canaries that would begin after the last tick."""
    roles = {**by.roles, HOSTLESS: HOSTLESS}
    watched = np.array([name in by.canaries for name in read.hosts], dtype=np.bool_)
    return Question(
        gauges=by.gauges,
        hosts=read.hosts,
        roles=tuple(roles[name] for name in read.hosts),
        pushed_roles=frozenset(by.roles[name] for name in by.canaries),
        tick=by.configuration.tick,
        times=read.times,
        series=series_of(read, by.gauges),
        switched_at=np.full(len(read.hosts), np.nan),
        watched=watched,
        watch_from=float(read.times[-1]) + by.configuration.tick,
        wanted=by.wanted,
        longest=by.wanted * LONGEST_WATCH,
        budget=by.budget,
    )


async def _leave_out_pushes(store: Store, line: Line, read: Series, tick: float) -> None:
    if not len(read.times):
        return
    for push in await store.pushes.recent(line, limit=1000):
        if push.started_at is None:
            continue
        until = push.ended_at.timestamp() + SETTLED * tick if push.ended_at else float("inf")
        if until < read.times[0]:
            break
        _blank(read, (read.times >= push.started_at.timestamp()) & (read.times <= until))


def _blank(read: Series, ticks: NDArray[np.bool_]) -> None:
    for values in (*read.values.values(), *read.denominators.values()):
        values[ticks] = np.nan


def _ticks_with_data(read: Series) -> int:
    if not len(read.times):
        return 0
    seen = np.zeros(len(read.times), dtype=np.bool_)
    for values in read.values.values():
        seen |= ~np.isnan(values).all(axis=1)
    return int(seen.sum())
