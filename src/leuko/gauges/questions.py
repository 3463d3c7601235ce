"""Which questions the gauges of a line make, so that nothing is asked twice in a tick."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path

from leuko.clock import Clock
from leuko.config.model import Gauge
from leuko.config.secrets import Secrets
from leuko.gauges.asking import Question
from leuko.gauges.command import AT_ONCE, ControllerCommand, HostCommand
from leuko.gauges.fetching import Fetcher
from leuko.gauges.graphite import GraphiteQuestion
from leuko.gauges.prometheus import PrometheusQuestion
from leuko.gauges.source import Start, Target

Gauges = Mapping[str, Gauge]


def questions_of(
    gauges: Gauges,
    targets: Sequence[Target],
    *,
    tick: float,
    clock: Clock,
    start: Start,
    secrets: Secrets,
    folder: Path,
    fetcher: Fetcher,
) -> tuple[Question, ...]:
    """Prometheus: one a gauge; Graphite and databases: one a server; commands: one a program and place."""
    room = asyncio.Semaphore(AT_ONCE)
    found: list[Question] = [
        PrometheusQuestion(name, gauge, targets, tick=tick, secrets=secrets, fetcher=fetcher)
        for name, gauge in gauges.items()
        if gauge.prometheus is not None
    ]
    found += [
        GraphiteQuestion(group, targets, tick=tick, clock=clock, secrets=secrets, fetcher=fetcher)
        for group in _groups(gauges, _graphite)
    ]
    found += [_database(group, targets, secrets) for group in _groups(gauges, _sql)]
    for group in _groups(gauges, _command):
        first = next(iter(group.values()))
        if first.command is not None and first.command.on == "controller":
            found.append(ControllerCommand(group, targets, folder, room))
        else:
            found += _on_hosts(group, targets, start, room)
    return tuple(found)


def _database(group: Gauges, targets: Sequence[Target], secrets: Secrets) -> Question:
    from leuko.gauges.sql import SqlQuestion

    return SqlQuestion(group, targets, secrets=secrets)


def _on_hosts(
    group: Gauges, targets: Sequence[Target], start: Start, room: asyncio.Semaphore
) -> list[Question]:
    found: list[Question] = []
    for target in targets:
        own = {name: gauge for name, gauge in group.items() if not gauge.roles or target.role in gauge.roles}
        if own:
            found.append(HostCommand(own, target, start, room))
    return found


def _groups(gauges: Gauges, key: Callable[[Gauge], Hashable]) -> list[Gauges]:
    """Gauges of the same key together; those of none are left out."""
    found: dict[Hashable, dict[str, Gauge]] = {}
    for name, gauge in gauges.items():
        if (asked := key(gauge)) is not None:
            found.setdefault(asked, {})[name] = gauge
    return list(found.values())


def _graphite(gauge: Gauge) -> Hashable:
    source = gauge.graphite
    return None if source is None else (source.url, tuple(sorted(source.headers.items())))


def _sql(gauge: Gauge) -> Hashable:
    return None if gauge.sql is None else gauge.sql.address


def _command(gauge: Gauge) -> Hashable:
    source = gauge.command
    return None if source is None else (source.argv, source.on, source.by, source.timeout)
