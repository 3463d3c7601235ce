"""Deployments of the past, judged from a Prometheus alone: which of them would have been rolled back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from statistics import median
from typing import Any

import numpy as np

from leuko.domain.verdict import Decision, Verdict
from leuko.runtime.calibration import Calibration, Terms, summary
from leuko.runtime.deploys import Deploy
from leuko.runtime.replaying import Progress, silent
from leuko.runtime.server_past import HISTORY, ROLE, Stretch, Way, hosts_meant, question_of, quiet_of, stretch
from leuko.statistics.judge import judge
from leuko.statistics.path import path
from leuko.statistics.placebo import Placebo, placebo
from leuko.statistics.question import Question, Series, Values
from leuko.statistics.sight import Sight, sight

CHUNK = 7200.0
"""Seconds of history that are held in memory at once."""
MOST_CHUNKS = 24
"""Of them that are looked at."""
MONTH = timedelta(days=30)
FEWEST = 40
"""Steps with data before a deployment below which it is not judged."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How deployments are judged."""

    budget: float
    watch: float
    """Seconds."""
    pretend: int
    canaries: int = 0
    """Of pretend pushes; 0: as in the deployments, or a tenth of the hosts."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One deployment. `decision` is pass, fail, hold, or `unknown` where there is nothing to judge."""

    deploy: Deploy
    decision: str
    sentence: str
    seconds: float | None
    """After its end, when it would have been stopped."""
    evidence: float
    hosts: int
    controls: int
    remarks: tuple[str, ...] = ()

    @property
    def stopped(self) -> bool:
        """True where it would have been rolled back."""
        return self.decision == Decision.FAIL.value


@dataclass(frozen=True, slots=True)
class Retrospect:
    """All of them, and what the verdict does on this server's quiet hours."""

    deploys: tuple[Judged, ...]
    calibration: Calibration
    canaries: int
    hosts: int
    missing: tuple[str, ...]
    sentences: tuple[str, ...] = ()


def ends_of(now: float, since: float) -> Values:
    """When the stretches end that are looked at: all of a short past, and some all over a long one."""
    ends = np.arange(now, now - since, -CHUNK)
    if len(ends) <= MOST_CHUNKS:
        return ends
    return ends[np.linspace(0, len(ends) - 1, MOST_CHUNKS).round().astype(np.intp)]


async def look_back(
    way: Way, deploys: Sequence[Deploy], terms: Manner, now: float, since: float, progress: Progress = silent
) -> Retrospect:
    """Pretend pushes on quiet stretches first, for they set the gate; then each deployment."""
    ends = ends_of(now, since)
    steps = len(ends) + len(deploys)
    alone = any(not one.canaries and not one.hosts for one in deploys)
    gates: dict[bool, list[Placebo]] = {False: [], True: []}
    seen: tuple[Sight, ...] = ()
    canaries = hosts = 0
    quiet = 0.0
    missing: set[str] | None = None
    gauges: Mapping[str, Any] = {}
    for index, end in enumerate(ends):
        progress(index, steps)
        past = await stretch(way, float(end) - CHUNK, float(end))
        if past.empty or _with_data(past) < FEWEST:
            continue
        hosts = max(hosts, len(past.hosts))
        canaries = canaries or _canaries(deploys, terms, len(past.hosts))
        missing = set(past.missing) if missing is None else missing & set(past.missing)
        gauges = {**{one.name: one for one in past.gauges}, **gauges}
        quiet += len(past.times) * way.step / 3600
        for everybody in (False, True) if alone else (False,):
            asked = quiet_of(past, way, deploys, 0 if everybody else canaries, terms.watch, terms.budget)
            each = max(20, terms.pretend // len(ends))
            gates[everybody].append(await asyncio.to_thread(placebo, asked, each, index))
            if not seen and not everybody:
                seen = await asyncio.to_thread(sight, asked)
    judged = []
    for index, one in enumerate(deploys):
        progress(len(ends) + index, steps)
        following = deploys[index + 1] if index + 1 < len(deploys) else None
        gate = _gate(gates[not one.canaries and not one.hosts])
        judged.append(await _judge(way, one, following, deploys[:index], terms, gate))
    found = summary(
        gates[False], seen, tuple(gauges.values()), _a_month(deploys), quiet,
        Terms(terms.budget, terms.watch, "this server's"),
    )  # fmt: skip
    made = Retrospect(tuple(judged), found, canaries, hosts, tuple(sorted(missing or ())))
    return replace(made, sentences=_sentences(made))


def _canaries(deploys: Sequence[Deploy], terms: Manner, hosts: int) -> int:
    told = [len(one.canaries or one.hosts) for one in deploys if one.canaries or one.hosts]
    usual = round(median(told)) if told else max(1, hosts // 10)
    return min(terms.canaries or usual, max(1, hosts - 1))


def _with_data(past: Stretch) -> int:
    seen = np.zeros(len(past.times), dtype=np.bool_)
    for one in past.series.values():
        seen |= np.isfinite(one.values).any(axis=1)
    return int(seen.sum())


def _gate(found: Sequence[Placebo]) -> Placebo | None:
    """The strictest of all stretches."""
    return max(found, key=lambda one: one.threshold, default=None)


async def _judge(
    way: Way,
    one: Deploy,
    following: Deploy | None,
    before: Sequence[Deploy],
    terms: Manner,
    gate: Placebo | None,
) -> Judged:
    began, ended = one.began.timestamp(), one.ended.timestamp()
    watch = terms.watch
    remarks = []
    if following is not None and following.began.timestamp() < ended + watch:
        watch = following.began.timestamp() - ended
        remarks.append(f"the next deployment began {watch:.0f} s after it")
        if watch < 3 * way.step:
            return _unknown(one, "the next deployment began before anything could be seen of it")
    past = await stretch(way, began - HISTORY, ended + watch)
    if past.empty:
        return _unknown(one, "the server has no readings of that time")
    switched, unknown = hosts_meant(one.canaries or one.hosts, past.hosts)
    if unknown:
        remarks.append(f"no readings of {', '.join(unknown[:3])}{' ...' if len(unknown) > 3 else ''}")
    if not one.canaries and not one.hosts:
        switched = np.ones(len(past.hosts), dtype=np.bool_)
    elif not switched.any():
        return _unknown(one, "the server has no readings of any of its hosts")
    past = _without_earlier(past, before, terms.watch)
    if int((np.isfinite(_any(past)) & (past.times <= began)).sum()) < FEWEST:
        return _unknown(one, "there is too little history before it")
    asked = replace(question_of(past, way, switched, began, ended, watch, terms.budget), placebo=gate)
    verdict, at = await asyncio.to_thread(first_verdict, asked)
    seconds = at - ended if at is not None else None
    moved = int(np.isfinite(asked.switched_at).sum())
    return Judged(
        one, verdict.decision.value, verdict.sentence, seconds, verdict.evidence, moved,
        len(past.hosts) - moved, tuple(remarks),
    )  # fmt: skip


def _without_earlier(past: Stretch, before: Sequence[Deploy], watch: float) -> Stretch:
    """What earlier deployments did while they went on, and just after, is no history of what was good."""
    spoiled = np.zeros(len(past.times), dtype=np.bool_)
    for one in before:
        until = one.ended.timestamp() + watch
        spoiled |= (past.times > one.began.timestamp()) & (past.times <= until)
    if not spoiled.any():
        return past
    series = {
        name: Series(
            np.where(spoiled[:, None], np.nan, each.values),
            None if each.denominators is None else np.where(spoiled[:, None], np.nan, each.denominators),
        )
        for name, each in past.series.items()
    }
    return replace(past, series=series)


def _any(past: Stretch) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """One value a step, NaN where no gauge of any host has one."""
    seen = np.zeros(len(past.times), dtype=np.bool_)
    for one in past.series.values():
        seen |= np.isfinite(one.values).any(axis=1)
    return np.where(seen, 1.0, np.nan)


def first_verdict(asked: Question) -> tuple[Verdict, float | None]:
    """The verdict at the first tick at which the evidence fails it, or at the end; and when it failed."""
    found = path(asked)
    index = found.fails_at
    if index is not None:
        until = float(found.times[index])
        ticks = int(np.searchsorted(asked.times, until + 1e-6))
        series = {
            name: Series(one.values[:ticks], None if one.denominators is None else one.denominators[:ticks])
            for name, one in asked.series.items()
        }
        return judge(replace(asked, times=asked.times[:ticks], series=series)), until
    verdict = judge(asked)
    return verdict, float(asked.times[-1]) if verdict.decision is Decision.FAIL else None


def _unknown(one: Deploy, why: str) -> Judged:
    return Judged(one, "unknown", why, None, 0.0, 0, 0)


def _a_month(deploys: Sequence[Deploy]) -> float | None:
    if not deploys:
        return None
    span = max(deploys[-1].ended - deploys[0].began, timedelta(days=1))
    return len(deploys) * (MONTH / span)


def _sentences(found: Retrospect) -> tuple[str, ...]:
    judged = [one for one in found.deploys if one.decision != "unknown"]
    said = []
    if found.deploys:
        stopped = [one for one in judged if one.stopped]
        held = sum(one.decision == Decision.HOLD.value for one in judged)
        said.append(
            f"{len(stopped)} of {len(judged)} deployments would have been rolled back, {held} held; "
            f"{len(found.deploys) - len(judged)} could not be judged."
        )
        bad = [one for one in judged if one.deploy.bad]
        good = [one for one in judged if one.deploy.bad is False]
        if bad or good:
            caught, wrong = sum(one.stopped for one in bad), sum(one.stopped for one in good)
            said.append(
                f"Of {len(bad)} that were bad it would have caught {caught}; of {len(good)} good ones it "
                f"would have stopped {wrong}."
            )
    if found.missing:
        said.append(f"The server gave nothing of {', '.join(found.missing)}.")
    if found.hosts:
        said.append(f"Pretend pushes switched {found.canaries} of {found.hosts} {ROLE}s.")
    return (*said, *found.calibration.sentences)
