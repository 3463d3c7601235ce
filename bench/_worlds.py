"""Worlds: what moves the gauges of a simulated fleet, and how readings get lost.

The first is the one that the detector's design was studied in; the others are what it was not tuned on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from _noise import (
    Balancer,
    Cron,
    Hosts,
    Jumps,
    Lasting,
    Part,
    Quiet,
    Ramp,
    Restart,
    Restarts,
    Sawtooth,
    Season,
    Wander,
    White,
)
from _readings import Gaps, Late, Loss, Lost, Newcomers, SwitchGap

COUNTS: tuple[Part, ...] = (
    Hosts(0.3),
    Wander(0.2, 120.0, common=True),
    Wander(0.3, 120.0),
    Jumps(3.0, 30.0, 1800.0, common=True),
    Season(0.3),
)
LEVELS: tuple[Part, ...] = (
    Hosts(0.25),
    Wander(0.1, 120.0, common=True),
    Wander(0.12, 30.0),
    Cron(1.5, 20.0, 1200.0),
    Season(0.3),
)


@dataclass(frozen=True)
class World:
    """What moves the gauges of a fleet, and how their readings come in."""

    name: str
    about: str
    counts: tuple[Part, ...] = COUNTS
    levels: tuple[Part, ...] = LEVELS
    white: float = 0.08
    """Independent noise of a cpu-like level; a run queue has `queue` instead."""
    queue: float = 0.25
    shared: tuple[Part, ...] = ()
    """Drawn once: it moves every gauge of a host alike."""
    switched_counts: tuple[Part, ...] = (Restart(0.5), Lasting())
    switched_levels: tuple[Part, ...] = (Restart(0.3), Lasting())
    phi: float = 1.5
    busy: float = 1.0
    """Factor on all rates of events."""
    burst: float = 10.0
    burst_ticks: int = 1
    burst_every: float = 3600.0
    losses: tuple[Loss, ...] = ()
    resets: float = 0.0
    """Seconds between two resets of a host's counters: a reading that is too small, not an absent one."""
    wild: float = 0.0
    """Part of the readings that are garbage: far too large, or negative."""
    rounded: float = 0.0
    """Levels come in multiples of this part of what is usual."""
    history: float = 1800.0
    spread: float = 0.0
    """Seconds over which the canaries are switched."""
    roles: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({"web": 1.0}))
    """Part of the hosts in each role; the rates of each further role are a fifth, its levels three times."""


STUDY = World("study", "the world of the detector's design")


def _with(name: str, about: str, **other: object) -> World:
    return replace(STUDY, name=name, about=about, **other)  # type: ignore[arg-type]  # fields of World by name


STRESS: tuple[World, ...] = (
    _with(
        "wander 300 s",
        "each host's level wanders slowly",
        counts=(*COUNTS, Wander(0.25, 300.0)),
        levels=(*LEVELS, Wander(0.15, 300.0)),
    ),
    _with(
        "wander 20 min",
        "the same over 20 minutes: history of half an hour sees one and a half of them",
        counts=(*COUNTS, Wander(0.25, 1200.0)),
        levels=(*LEVELS, Wander(0.15, 1200.0)),
    ),
    _with("white x4", "four times as much noise without memory", white=0.32, queue=1.0),
    _with(
        "common shocks",
        "the whole fleet is shaken, sd 0.4 with a memory of 20 s",
        counts=(*COUNTS, Wander(0.4, 20.0, common=True)),
        levels=(*LEVELS, Wander(0.4, 20.0, common=True)),
    ),
    _with("quiet hosts", "half of the hosts have a tenth of the traffic", shared=(Quiet(0.5, 0.1),)),
    _with("phi 2", "events come in clumps: variance twice the mean", phi=2.0),
    _with(
        "phi 15", "busy errors in clumps: 20 times as many, variance 15 times the mean", phi=15.0, busy=20.0
    ),
    _with("rare errors", "a tenth of the events, bursts as before", busy=0.1),
    _with(
        "spiking hosts",
        "each host at three times its level for 20 s, every 5 minutes",
        counts=(*COUNTS, Cron(3.0, 20.0, 300.0)),
        levels=(*LEVELS, Cron(3.0, 20.0, 300.0)),
    ),
)

REAL: tuple[World, ...] = (
    _with(
        "missing ticks",
        "3 % of the readings are lost, hosts are silent for 20 s, the collector for 10 s",
        losses=(Lost(0.03), Gaps(20.0, 1200.0), Gaps(10.0, 900.0, common=True)),
    ),
    _with(
        "late readings", "a third of the hosts is late with 30 % of its readings", losses=(Late(0.34, 0.3),)
    ),
    _with("gap at the switch", "no readings for 10 s around a host's own switch", losses=(SwitchGap(10.0),)),
    _with(
        "restarted hosts",
        "hosts restart once in 30 minutes: counters reset, gauges up by half for a while",
        resets=1800.0,
        shared=(Restarts(1800.0, 0.5),),
    ),
    _with("wild readings", "one reading in 2,000 is garbage", wild=0.0005),
    _with("newcomers", "a fifth of the hosts is 8 minutes old", losses=(Newcomers(0.2, 480.0),)),
    _with(
        "traffic ramp",
        "traffic doubles within ten minutes around the push, unevenly (sd 0.15 of the rise)",
        shared=(Ramp(2.0, -300.0, 300.0, uneven=0.15),),
    ),
    _with(
        "daily rise",
        "traffic grows by half within an hour around the push, unevenly (sd 0.2)",
        shared=(Ramp(1.5, -1800.0, 1800.0, uneven=0.2),),
    ),
    _with(
        "mixed roles",
        "two roles: the second has a fifth of the events and three times the level",
        roles=MappingProxyType({"web": 0.6, "worker": 0.4}),
    ),
    _with(
        "correlated gauges",
        "a host's gauges move together",
        shared=(Wander(0.2, 120.0), Wander(0.1, 30.0), Jumps(1.5, 60.0, 1800.0)),
    ),
    _with(
        "heavy tails",
        "noise without memory is Student's t with 2.5 degrees of freedom",
        levels=(*LEVELS, White(0.1, 2.5)),
    ),
    _with(
        "jobs of hosts",
        "a job of four minutes doubles all levels of one host, once in two hours",
        shared=(Jumps(2.0, 240.0, 7200.0),),
    ),
    _with("storms of errors", "a burst is 30 events in 30 s", burst=30.0, burst_ticks=6),
    _with("crontab", "all hosts at once, every 5 minutes", shared=(Cron(2.0, 15.0, 300.0, together=True),)),
    _with(
        "slow start",
        "a restart costs 80 % and fades over a minute",
        switched_counts=(Restart(0.8, 60.0), Lasting()),
        switched_levels=(Restart(0.8, 60.0), Lasting()),
    ),
    _with(
        "uneven balancer",
        "a switched host gets twice the traffic at first, less over a minute",
        switched_counts=(Restart(0.5), Lasting(), Balancer(2.0, 60.0)),
        switched_levels=(Restart(0.3), Lasting(), Balancer(1.4, 60.0)),
    ),
    _with(
        "hosts that stay moved",
        "a healthy switch leaves +-8 % behind, not +-3 %",
        switched_counts=(Restart(0.5), Lasting(0.08)),
        switched_levels=(Restart(0.3), Lasting(0.08)),
    ),
    _with(
        "back into rotation",
        "a switched host gets 30 % of its traffic at first, all of it after a minute",
        shared=(Balancer(0.3, 60.0),),
    ),
    _with(
        "errors at the switch",
        "requests on their way fail: six times the errors, fading over 5 s",
        switched_counts=(Restart(5.0, 5.0), Lasting()),
    ),
    _with(
        "outage of everybody",
        "100 s after the switch everything is eight times as much on all hosts, not quite evenly",
        shared=(Ramp(8.0, 100.0, 110.0, uneven=0.05),),
    ),
    _with(
        "still gauges", "levels hardly move", levels=(Hosts(0.25), Wander(0.002, 30.0)), white=0.0, queue=0.01
    ),
    _with("nearly always zero", "levels are rounded to two and a half times the usual", rounded=2.5),
    _with("short history", "six minutes of it", history=360.0),
    _with("switched one by one", "the canaries are switched over 60 s", spread=60.0),
    _with("whole numbers", "levels are rounded to a quarter of what is usual", rounded=0.25),
    _with(
        "sawtooth",
        "levels grow by half and fall back, each host by its clock",
        levels=(*LEVELS, Sawtooth(1.5, 600.0)),
    ),
)
WORLDS: Mapping[str, World] = MappingProxyType({world.name: world for world in (STUDY, *STRESS, *REAL)})
