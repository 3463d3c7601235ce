"""What a limit or a budget would have done to the last pushes, and to windows without any push."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from leuko.domain.errors import LeukoError, Refused
from leuko.domain.gauge import Limit
from leuko.domain.limits import about
from leuko.domain.line import Line
from leuko.domain.push import Cause, Push, State
from leuko.runtime.limiting import check_place, limit_of
from leuko.runtime.quiet import quiet_question
from leuko.runtime.replaying import CLOSED, Past, Progress, Settings, past, question_at, silent, with_settings
from leuko.statistics import limits as limit_rules
from leuko.statistics.path import path
from leuko.statistics.placebo import placebo
from leuko.statistics.question import Question, Series
from leuko.statistics.windows import Windows, readings
from leuko.store.store import Store

PUSHES = 50
PRETEND = 200
BACK = (State.ROLLED_BACK, State.STUCK)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A limit of one gauge, or a budget."""

    gauge: str = ""
    limit: Limit | None = None
    budget: float | None = None

    @property
    def settings(self) -> Settings:
        """As a replay takes it."""
        limits = {self.gauge: (self.limit,)} if self.limit is not None else {}
        return Settings(budget=self.budget, limits=limits)

    def __str__(self) -> str:
        if self.limit is not None:
            return f"{self.gauge} {self.limit} {about(self.limit)}, {self.limit.readings} in a row"
        return f"a budget of {100 * (self.budget or 0):g} % of healthy pushes"


@dataclass(frozen=True, slots=True)
class Stopped:
    """A push that it would have stopped. `bad` says whether the push was really bad, as far as known."""

    push: int
    state: str
    phase: int
    at: datetime
    seconds: int
    gauge: str
    subject: str
    value: float | None
    bad: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it. `left_out` names pushes that could not be judged again, and why."""

    what: str
    tried: int
    stopped: tuple[Stopped, ...]
    missed: tuple[int, ...]
    """Pushes that were rolled back by a verdict or a person, and that it would not have stopped."""
    left_out: Mapping[int, str]
    windows: int
    fired: float | None
    """Part of quiet windows in which it would have fired; None where there are too few."""
    sentences: tuple[str, ...] = field(default=())


def proposal_of(arguments: Mapping[str, Any]) -> Proposal:
    """What arguments of an intent propose. Raises Refused."""
    budget = arguments.get("budget")
    if budget is not None and not (
        isinstance(budget, int | float) and not isinstance(budget, bool) and 0 < budget < 1
    ):
        raise Refused("a budget should be a part between 0 and 1, such as 0.005", where="try", code="P042")
    gauge = str(arguments.get("gauge", ""))
    bounded = arguments.get("above") is not None or arguments.get("below") is not None
    if bounded == (budget is not None):
        raise Refused("try a limit of one gauge, or a budget", where="try", code="P042")
    return Proposal(gauge, limit_of(arguments)) if bounded else Proposal(budget=float(budget or 0))


async def try_out(
    store: Store,
    line: Line,
    proposal: Proposal,
    *,
    pushes: int = PUSHES,
    pretend: int = PRETEND,
    progress: Progress = silent,
) -> Trial:
    """Judges the last pushes again with the proposal, and pretend pushes in quiet windows."""
    stopped: list[Stopped] = []
    left_out: dict[int, str] = {}
    missed: list[int] = []
    tried = 0
    span = await store.readings.span(line)
    first, last = span or (None, None)
    found = [
        one
        for one in await store.pushes.recent(line, limit=pushes)
        if one.state.ended and one.history and one.origin.value != "drill"
    ]
    for done, push in enumerate(found):
        progress(done, len(found) + 1)
        try:
            one = await _of_push(store, line, push, proposal, first)
        except LeukoError as error:
            left_out[push.number] = error.rule
            continue
        tried += 1
        if one is not None:
            stopped.append(one)
        elif push.state in BACK and push.stop is not None and push.stop.cause.convicts:
            missed.append(push.number)
    progress(len(found), len(found) + 1)
    windows, fired = await _quiet(store, line, proposal, last, pretend) if last else (0, None)
    trial = Trial(str(proposal), tried, tuple(stopped), tuple(missed), left_out, windows, fired)
    return replace(trial, sentences=_sentences(trial))


async def _of_push(
    store: Store, line: Line, push: Push, proposal: Proposal, first: datetime | None
) -> Stopped | None:
    if first is None or push.history[0].at < first:
        raise LeukoError("its readings are minutes by now, too coarse to judge by", where=push.name)
    was = await past(store, line, push.number)
    _check(was, proposal)
    for phase, began, until in _watches(push):
        at = until if until - began > CLOSED else began + CLOSED
        asked = await question_at(store, line, was, until, at, proposal.settings)
        if asked is None or not len(asked.times):
            continue
        found = await asyncio.to_thread(_first, asked, proposal)
        if found is not None:
            tick, subject, value = found
            moment = datetime.fromtimestamp(tick, UTC)
            seconds = round(tick - began.timestamp())
            mark = await _bad(store, line, push)
            gauge = proposal.gauge
            return Stopped(push.number, push.state.value, phase, moment, seconds, gauge, subject, value, mark)
    return None


def _check(was: Past, proposal: Proposal) -> None:
    if proposal.limit is not None:
        hosts = {row.host: row.role for row in was.rows}
        check_place(was.configuration, proposal.gauge, proposal.limit, hosts)


def _watches(push: Push) -> list[tuple[int, datetime, datetime]]:
    """(phase, from, to) of each watch: up to what came after it."""
    entered = push.history
    return [
        (one.phase, one.at, entered[index + 1].at if index + 1 < len(entered) else push.ended_at or one.at)
        for index, one in enumerate(entered)
        if one.state is State.WATCHING
    ]


def _first(asked: Question, proposal: Proposal) -> tuple[float, str, float | None] | None:
    """Tick, host or aggregate, and value of the first time that the proposal stops it; or None."""
    if proposal.limit is None:
        found = path(asked)
        index = found.fails_at
        if index is None:
            return None
        worst = int(np.argmax(found.logs[:, index])) if found.logs.size else 0
        named, role = found.rows[worst] if found.rows else ("", "")
        return float(found.times[index]), f"{named} of {role}".strip(), None
    gauge = next(one for one in asked.gauges if one.name == proposal.gauge)
    values, denominators = readings(asked, gauge)
    watch = Windows(asked).watch
    for end in range(watch.start + 1, watch.stop + 1):
        cut = _cut(asked, end)
        rows = limit_rules.broken(
            Windows(cut), gauge, values[:end], None if denominators is None else denominators[:end]
        )
        blamed = [row for row in rows if not row.already and row.limit.place == proposal.limit.place]
        if blamed:
            return float(asked.times[end - 1]), blamed[0].subject, blamed[0].value
    return None


def _cut(question: Question, ticks: int) -> Question:
    series: dict[str, Series] = {}
    return replace(question, times=question.times[:ticks], series=series)


async def _bad(store: Store, line: Line, push: Push) -> str:
    """Whether the push was bad, as people and verdicts said."""
    mark = await store.marks.get(line, push.number)
    if mark is not None:
        right = "yes" if mark.correct is (push.state in BACK) else "no"
        return f"{right}, says {mark.by}"
    release = await store.releases.get(line, push.release)
    if push.stop is not None and push.state in BACK:
        return {
            Cause.VERDICT: "yes, a verdict rolled it back",
            Cause.PERSON: "yes, a person rolled it back",
            Cause.SWITCH_FAILED: "yes, its switch failed",
        }.get(push.stop.cause, f"not known: {push.stop.cause}")
    if release is not None and release.convicted:
        return "yes, it was convicted later"
    return "no, it went live" if push.state is State.LIVE else "not known"


async def _quiet(
    store: Store, line: Line, proposal: Proposal, last: datetime, pretend: int
) -> tuple[int, float | None]:
    """Pretend pushes on history in which nothing was pushed."""
    asked = await quiet_question(store, line, last + CLOSED)
    if asked is None:
        return 0, None
    asked = with_settings(asked, proposal.settings)
    if proposal.limit is not None:
        asked = replace(asked, gauges=tuple(one for one in asked.gauges if one.name == proposal.gauge))
    if not asked.gauges:
        return 0, None
    found = await asyncio.to_thread(placebo, asked, pretend)
    if not found.pushes:
        return 0, None
    if proposal.limit is None:
        return found.pushes, found.rolled_back / found.pushes
    rates = zip(asked.gauges[0].limits, found.limits.get(proposal.gauge, ()), strict=False)
    return found.pushes, max((rate for one, rate in rates if one.place == proposal.limit.place), default=0.0)


def _sentences(trial: Trial) -> tuple[str, ...]:
    bad = sum(one.bad.startswith("yes") for one in trial.stopped)
    good = sum(one.bad.startswith("no,") for one in trial.stopped)
    first = "No push can be judged again with it."
    if trial.tried:
        first = (
            f"It would have stopped {len(trial.stopped)} of the last {trial.tried} pushes that can be judged "
            f"again: {bad} of them really bad, {good} that went live and stayed."
        )
    said = [first]
    if trial.missed:
        numbers = ", ".join(str(number) for number in trial.missed[:10])
        said.append(f"It would have let through what was really rolled back: push {numbers}.")
    if trial.left_out:
        reasons = list(dict.fromkeys(trial.left_out.values()))
        said.append(f"{len(trial.left_out)} pushes were left out: {'; '.join(reasons[:3])}.")
    if trial.fired is None:
        said.append("There is too little quiet history to say how often it would fire without a push.")
    else:
        part = f"{100 * trial.fired:.1f} %"
        said.append(f"In {part} of {trial.windows} quiet windows it would have fired with nothing pushed.")
    return tuple(said)
