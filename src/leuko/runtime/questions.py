"""The question of a push at a moment, from stored values alone.

The judge puts it once a tick. Whoever looks back (`leuko replay`, `leuko limits try`) puts the same question
again: the same readings, rows and configuration give the same question, on any machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from leuko.config.freeze import stricter
from leuko.config.model import Configuration, GaugeLimit
from leuko.config.model import Gauge as GaugeSection
from leuko.config.quantities import portion
from leuko.domain.fleet import HOLD_BACK
from leuko.domain.gauge import HOSTLESS, Direction, Gauge, Kind, Limit
from leuko.domain.limits import gauge_limits
from leuko.domain.line import Line
from leuko.domain.plan import Plan
from leuko.domain.push import Origin, Push, State
from leuko.domain.rollout import HostProgress, HostState
from leuko.domain.template import UNSEEN
from leuko.domain.timeline import Judging, judging
from leuko.statistics.placebo import Placebo
from leuko.statistics.question import Question, Series
from leuko.statistics.transient import Curve, Transient, learned
from leuko.store.overrides import Override
from leuko.store.series import Series as ReadSeries
from leuko.store.store import Store
from leuko.store.studies import PLACEBO, SWITCH

HISTORY = timedelta(minutes=30)
WATCHES = 0.9
"""Part of a push's e-process that its watches share; the switching between them has the rest."""
SETTLED = 3
"""Ticks after a rollback until a host's readings are the base's again."""
LONGEST_WATCH = 3
"""A watch that could not see enough may last this many times its length."""
SWITCHES = 40
"""Good switches, the newest, that a warm-up is learned from."""
LOAD_FILTER = 60.0
"""Seconds of the kernel's filter behind the one-minute load average."""
JUST_CLOSED = timedelta(microseconds=1)


async def of_push(
    store: Store,
    line: Line,
    push: Push,
    rows: Sequence[HostProgress],
    configuration: Configuration,
    upto: datetime,
    *,
    at: datetime | None = None,
    overrides: Sequence[Override] | None = None,
) -> Question | None:
    """What the judge is asked about `push` with the ticks that closed by `upto`; None where there is nothing.

    `rows` are its hosts as they are stored now, `configuration` is what `judged_by` gives. `at` is when a
    stored verdict was given (ticks are stored a moment after they closed; `upto` where not given), and
    `overrides` are the limits set by people that were in force then; those of now where not given.
    """
    at = upto if at is None else at
    now = judging(push, at)
    plan = await store.pushes.plan(line, push.number)
    if now is None or plan is None:
        return None
    if overrides is None:
        overrides = await store.overrides.all(line)
    gauges = gauges_of(configuration, overrides)
    switched = {row.host: switched_at(row, at) for row in rows}
    first = min((at for at in switched.values() if at is not None), default=now.began)
    names = [gauge.name for gauge in gauges]
    read = await store.readings.read(line, names, first - HISTORY, upto + JUST_CLOSED)
    if not len(read.times):
        return None
    read = await leave_out_spoiled(store, line, push.number, read, configuration.tick)
    if not len(read.times):
        return None
    since = _since(read.hosts, switched)
    if push.base is None:
        _blank_before_first(read, since)
    asked = _question(push, plan, rows, configuration, gauges, read, now, np.array(since))
    return replace(
        asked,
        carried=await _carried(store, line, push.number, now.phase),
        placebo=await _placebo(store, line, push.number, at),
        transients=await _transients(store, line, push),
    )


async def _placebo(store: Store, line: Line, push: int, at: datetime) -> Placebo | None:
    """What pretend pushes came to, if that was known when the verdict was given."""
    study = await store.studies.get(line, push, PLACEBO)
    found = study.read(Placebo) if study is not None and study.at <= at else None
    return found if found is not None and found.pushes else None


async def _transients(store: Store, line: Line, push: Push) -> Mapping[str, Transient]:
    """What the good switches before this push looked like: what was known when it began, and no later."""
    studies = await store.studies.recent(line, SWITCH, before=push.number, by=push.started_at, limit=SWITCHES)
    return learned([study.read(dict[str, Curve]) for study in studies])


async def judged_by(store: Store, line: Line, push: Push) -> Configuration:
    """What a stored push is judged by: the stricter of its own configuration and its base's."""
    own, base = await store.pushes.configurations(line, push.number)
    before, mine = [
        Configuration.model_validate(await store.configurations.get(line, digest)) for digest in (base, own)
    ]
    return stricter(before, mine)


def gauges_of(configuration: Configuration, overrides: Sequence[Override]) -> tuple[Gauge, ...]:
    """The gauges with the limits that are in force."""
    found = [gauge_of(name, section) for name, section in configuration.gauges.items()]
    found += [unseen_of(gauge) for gauge in found if has_templates(configuration.gauges[gauge.name])]
    return tuple(overridden(gauge, overrides) for gauge in found)


def has_templates(section: GaugeSection) -> bool:
    """True where lines of kinds never seen before are counted beside the gauge."""
    return section.log is not None and section.log.templates


def unseen_of(gauge: Gauge) -> Gauge:
    """The count of lines of kinds that were first seen lately."""
    return Gauge(gauge.name + UNSEEN, Kind.COUNT, Direction.UP, "lines", gauge.roles, required=False)


def gauge_of(name: str, section: GaugeSection) -> Gauge:
    """The domain's gauge."""
    return Gauge(
        name=name,
        kind=Kind(section.kind),
        direction=Direction(section.direction),
        unit=section.unit,
        roles=(HOSTLESS,) if section.hostless else section.roles,
        required=section.required,
        limits=tuple(_limit(limit) for limit in section.limits),
        must_see=section.must_see,
        smoothed=LOAD_FILTER if section.host is not None and section.host.figure == "load" else 0.0,
    )


def _limit(section: GaugeLimit) -> Limit:
    return Limit(section.above, section.below, section.scope, section.role, section.readings, section.host)


def overridden(gauge: Gauge, overrides: Sequence[Override]) -> Gauge:
    """The gauge with the limits that people set by hand."""
    own = [override.limit for override in overrides if override.gauge == gauge.name]
    return replace(gauge, limits=gauge_limits(gauge.limits, own)) if own else gauge


def switched_at(row: HostProgress, at: datetime) -> datetime | None:
    """When the host's switch was done; None: at `at` it ran the base, or nobody could say what."""
    if row.switched_at is None or row.switched_at > at:
        return None
    moved_on = row.state is not HostState.SWITCHED and (row.at is None or row.at < at)
    return None if moved_on else row.switched_at


def _since(hosts: Sequence[str], switched: Mapping[str, datetime | None]) -> list[float]:
    """In seconds, NaN where nothing was switched; what belongs to no host changed with the first of them."""
    found = {name: at.timestamp() for name, at in switched.items() if at is not None}
    if found:
        found[HOSTLESS] = min(found.values())
    return [found.get(name, float("nan")) for name in hosts]


def portable(question: Question) -> Question:
    """The same for another process: read-only views of mappings do not travel."""
    return replace(
        question,
        warm_up=dict(question.warm_up),
        limits=dict(question.limits),
        transients=dict(question.transients),
    )


def roles_of(plan: Plan) -> dict[str, str]:
    """By host, as they were when the push was made."""
    watched = {one.name: one.role for one in plan.watched}
    return watched | {one.name: one.role for one in plan.hosts} | {HOSTLESS: HOSTLESS}


def series_of(read: ReadSeries, gauges: Sequence[Gauge]) -> Mapping[str, Series]:
    """Stored readings as the question holds them; a gauge that was never read is absent everywhere."""
    absent = np.full((len(read.times), len(read.hosts)), np.nan)
    return {
        gauge.name: Series(
            read.values.get(gauge.name, absent),
            read.denominators.get(gauge.name, absent) if gauge.kind is Kind.RATIO else None,
        )
        for gauge in gauges
    }


async def leave_out_spoiled(
    store: Store, line: Line, before: int | None, read: ReadSeries, tick: float
) -> ReadSeries:
    """History must be of what was good: readings under a release that was taken back become absent.

    What lies before the end of the first push of all, when nothing ran yet, is no history at all. `before`:
    the number of the push that is asked about; None for all.
    """
    for earlier in await store.pushes.recent(line, limit=50, before=before):
        if earlier.ended_at is None or earlier.started_at is None:
            continue
        settled = earlier.ended_at.timestamp() + SETTLED * tick
        if not len(read.times) or read.times[0] > settled:
            return read
        if earlier.state is State.LIVE and _since_begin(earlier):
            return _after(read, settled)
        if earlier.state in (State.ROLLED_BACK, State.STUCK):
            began = await _switches(store, line, earlier)
            for index, name in enumerate(read.hosts):
                if name in began:
                    spoiled = (read.times >= began[name].timestamp()) & (read.times <= settled)
                    _blank(read, spoiled, np.arange(len(read.hosts)) == index)
    return read


async def _switches(store: Store, line: Line, back: Push) -> dict[str, datetime]:
    """Since when each host ran what a push took back: where that was live before, since it became so."""
    pushes = [back]
    if back.origin is Origin.ROLLBACK:
        same = await store.pushes.of_release(line, back.release)
        pushes += [push for push in same if push.state is State.LIVE and push.number < back.number][:1]
    found: dict[str, datetime] = {}
    for push in pushes:
        for row in await store.hosts.progress(line, push.number):
            if row.switched_at is not None:
                found[row.host] = min(row.switched_at, found.get(row.host, row.switched_at))
    return found


def _after(read: ReadSeries, moment: float) -> ReadSeries:
    first = int(np.searchsorted(read.times, moment, side="right"))
    return replace(
        read,
        times=read.times[first:],
        values={name: values[first:] for name, values in read.values.items()},
        denominators={name: values[first:] for name, values in read.denominators.items()},
        resets={name: values[first:] for name, values in read.resets.items()},
    )


def _question(
    push: Push,
    plan: Plan,
    rows: Sequence[HostProgress],
    configuration: Configuration,
    gauges: tuple[Gauge, ...],
    read: ReadSeries,
    now: Judging,
    switched: NDArray[np.float64],
) -> Question:
    phases = {row.host: row.phase for row in rows}
    roles = roles_of(plan)
    held_back = np.array([phases.get(name) == HOLD_BACK for name in read.hosts], dtype=bool)
    reached = np.array([phases.get(name, now.phase + 1) <= now.phase for name in read.hosts], dtype=bool)
    reached |= np.array([name == HOSTLESS for name in read.hosts], dtype=bool) & reached.any()
    wanted = plan.watches[min(now.phase, len(plan.watches) - 1)]
    return Question(
        gauges=gauges,
        hosts=read.hosts,
        roles=tuple(roles.get(name, "") for name in read.hosts),
        pushed_roles=frozenset(row.role for row in rows if row.phase == now.phase),
        tick=configuration.tick,
        times=read.times,
        series=series_of(read, gauges),
        switched_at=switched,
        watched=reached & ~held_back,
        watch_from=now.began.timestamp(),
        wanted=wanted,
        longest=wanted * LONGEST_WATCH,
        held_back=held_back,
        first=push.base is None,
        budget=portion(configuration.push.false_rollbacks),
        evidence_from=now.evidence_from.timestamp(),
        share=_share(push.rules.phases, watching=now.watching),
    )


def _share(phases: int, *, watching: bool) -> float:
    """Weights of one e-process over the whole push, one sum however often it is held and resumed."""
    if phases == 1:
        return 1.0
    return WATCHES / phases if watching else (1.0 - WATCHES) / (phases - 1)


async def _carried(store: Store, line: Line, push: int, phase: int) -> float:
    """What the watches before this phase left: each stopped at the verdict that ended it.

    What the switching between them came to is dropped: leaving evidence out can only make the push safer
    from a false rollback. So is that of phases that a person let through before anything was judged.
    """
    found = await store.findings.latest(line, push, phase - 1) if phase else None
    return found.verdict.evidence if found is not None else 0.0


def _blank(read: ReadSeries, ticks: NDArray[np.bool_], hosts: NDArray[np.bool_]) -> None:
    for values in (*read.values.values(), *read.denominators.values()):
        values[np.ix_(ticks, hosts)] = np.nan


def _blank_before_first(read: ReadSeries, switched: Sequence[float]) -> None:
    """Where nothing of the application ran yet, readings are of something else: no control, no history."""
    for index, since in enumerate(switched):
        nothing_ran = read.times <= since if np.isfinite(since) else np.ones(len(read.times), dtype=bool)
        _blank(read, nothing_ran, np.arange(len(read.hosts)) == index)


def _since_begin(push: Push) -> bool:
    """A real first push: before its end nothing ran. An adopted release ran before it was adopted."""
    return push.base is None and push.started_at != push.ended_at
