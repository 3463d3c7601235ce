"""A stored push judged again, tick by tick, from stored values: as it was, or with other settings.

With the settings it had, the same readings give the same states and the same findings to 6 digits: where they
do not, the rows that differ are told. With others, what would have happened, as far as readings tell: after
the moment at which the push really went back there is nothing to judge.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from leuko.config.model import Configuration
from leuko.domain.errors import Refused
from leuko.domain.gauge import Limit
from leuko.domain.limits import gauge_limits
from leuko.domain.line import Line
from leuko.domain.push import Push, State
from leuko.domain.rollout import HostProgress
from leuko.domain.timeline import JUDGED
from leuko.domain.verdict import Decision, Verdict
from leuko.runtime.questions import judged_by, of_push
from leuko.statistics.judge import judge
from leuko.statistics.question import Question
from leuko.store.findings import Judgement
from leuko.store.limit_changes import LimitChange, people_at
from leuko.store.overrides import Override
from leuko.store.store import Store

CODE = "P040"
CLOSED = timedelta(seconds=2)
"""After its time a tick is closed: what had been switched by then the judge knew."""
DIGITS = 6

Progress = Callable[[int, int], None]


def silent(_done: int, _of: int) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is to be otherwise. Empty: nothing, the push is judged as it was."""

    budget: float | None = None
    watch: int | None = None
    """Ticks that each phase is watched."""
    limits: Mapping[str, tuple[Limit, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """By gauge: limits as if a person had set them."""

    @property
    def changed(self) -> bool:
        """True where anything is otherwise."""
        return self.budget is not None or self.watch is not None or bool(self.limits)


@dataclass(frozen=True, slots=True)
class Look:
    """One tick, judged again. `differs` names what was stored otherwise; `stored` is False where none was."""

    at: datetime
    phase: int
    verdict: Verdict
    stored: bool
    differs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of it."""

    push: Push
    looks: tuple[Look, ...]
    settings: Settings
    sentence: str
    ends: str
    """live, rolled_back, held or unknown: where the verdicts alone would have led."""
    at: datetime | None
    """When."""

    @property
    def same(self) -> bool:
        """True where everything stored came out again."""
        return not any(look.differs for look in self.looks)

    @property
    def compared(self) -> int:
        """Looks that were stored, and so could be compared."""
        return sum(look.stored for look in self.looks)


@dataclass(frozen=True, slots=True)
class Past:
    """What is stored of a push."""

    push: Push
    rows: Sequence[HostProgress]
    configuration: Configuration
    changes: Sequence[LimitChange]
    verdicts: Mapping[tuple[int, float], Judgement]
    """By phase and newest tick."""


async def past(store: Store, line: Line, number: int) -> Past:
    """Reads it. Raises Refused where there is no such push, or nothing of it was ever judged."""
    push = await store.pushes.get(line, number)
    if push is None:
        raise Refused("this line has no such push", where=f"push {number}", way_out="`leuko log`", code=CODE)
    if not any(one.state in JUDGED for one in push.history):
        raise Refused(
            f"nothing of it was ever judged: it is {push.state.value}",
            where=push.name,
            way_out="pushes that were switched on somewhere can be replayed",
            code=CODE,
        )
    found = {}
    for phase in range(push.rules.phases):
        for judgement in await store.findings.history(line, number, phase):
            found[phase, judgement.verdict.until] = judgement
    rows = await store.hosts.progress(line, number)
    configuration = await judged_by(store, line, push)
    return Past(push, rows, configuration, await store.limit_changes.timeline(line), found)


async def replay(
    store: Store, line: Line, number: int, settings: Settings | None = None, progress: Progress = silent
) -> Replay:
    """Judges the push again at every tick of its life."""
    settings = settings or Settings()
    was = await past(store, line, number)
    moments = await _moments(store, line, was)
    looks: list[Look] = []
    for done, (phase, tick) in enumerate(moments):
        progress(done, len(moments))
        look = await _look(store, line, was, phase, tick, settings)
        if look is not None:
            looks.append(look)
        if settings.changed and looks and _ended(was.push, looks[-1]):
            break
    ends, at = _outcome(was.push, looks)
    return Replay(was.push, tuple(looks), settings, _sentence(was.push, looks, settings, ends, at), ends, at)


async def question_at(
    store: Store, line: Line, was: Past, upto: datetime, at: datetime, settings: Settings | None = None
) -> Question | None:
    """What the judge was asked at `at` with the ticks up to `upto`, with other settings if wanted."""
    held = [
        Override(gauge, limit, "", "", at)
        for gauge, limits in people_at(was.changes, at).items()
        for limit in limits
    ]
    asked = await of_push(store, line, was.push, was.rows, was.configuration, upto, at=at, overrides=held)
    return None if asked is None else with_settings(asked, settings or Settings())


def with_settings(question: Question, settings: Settings) -> Question:
    """The question with what is otherwise."""
    gauges = tuple(
        replace(gauge, limits=gauge_limits(gauge.limits, settings.limits[gauge.name]))
        if gauge.name in settings.limits
        else gauge
        for gauge in question.gauges
    )
    watch = settings.watch or question.wanted
    longest = (
        question.longest if settings.watch is None else round(question.longest * watch / question.wanted)
    )
    asked = replace(question, gauges=gauges, wanted=watch, longest=longest)
    return asked if settings.budget is None else _with_budget(asked, settings.budget)


def _with_budget(question: Question, budget: float) -> Question:
    """What pretend pushes taught stays; where they taught no more than the old budget, the new one counts."""
    taught = question.placebo is not None and question.placebo.threshold > -math.log(question.budget) + 1e-9
    return replace(question, budget=budget, placebo=question.placebo if taught else None)


async def _moments(store: Store, line: Line, was: Past) -> list[tuple[int, datetime]]:
    """The ticks that were there to be judged, each with the phase of its time, oldest first."""
    spans = list(_judged(was.push))
    if not spans:
        return []
    names = list(was.configuration.gauges)[:1]
    read = await store.readings.read(line, names, spans[0][1], spans[-1][2] + timedelta(seconds=1))
    found = {(phase, until) for phase, until in was.verdicts if until}
    for seconds in read.times:
        at = datetime.fromtimestamp(float(seconds), UTC)
        found |= {
            (phase, float(seconds)) for phase, begin, end in spans if begin <= at and at + CLOSED <= end
        }
    if not len(read.times):
        raise Refused(
            f"its readings are not kept any more: raw ones last 48 hours, and it ran at "
            f"{spans[0][1]:%Y-%m-%d %H:%M}",
            where=was.push.name,
            way_out="minutes are too coarse to judge by; `leuko log` shows the verdict as it was stored",
            code="P041",
        )
    return [(phase, datetime.fromtimestamp(at, UTC)) for phase, at in sorted(found, key=lambda one: one[1])]


def _judged(push: Push) -> Iterator[tuple[int, datetime, datetime]]:
    """(phase, from, to) of each stretch in which the watch of a phase was judged."""
    entered = push.history
    for index, one in enumerate(entered):
        if one.state is State.WATCHING:
            after = entered[index + 1].at if index + 1 < len(entered) else push.ended_at
            if after is not None:
                yield one.phase, one.at, after


async def _look(
    store: Store, line: Line, was: Past, phase: int, tick: datetime, settings: Settings
) -> Look | None:
    kept = was.verdicts.get((phase, tick.timestamp()))
    asked = await question_at(store, line, was, tick, kept.at if kept else tick + CLOSED, settings)
    if asked is None:
        return None
    verdict = await asyncio.to_thread(judge, asked)
    verdict = replace(verdict, until=tick.timestamp())
    if kept is None or settings.changed:
        return Look(tick, phase, verdict, stored=kept is not None)
    return Look(tick, phase, verdict, stored=True, differs=differences(kept.verdict, verdict))


def differences(old: Verdict, new: Verdict) -> tuple[str, ...]:
    """What two verdicts say otherwise; numbers are compared to 6 significant digits."""
    found = [
        f"{name}: {_shown(getattr(old, name))} was stored, {_shown(getattr(new, name))} came out"
        for name in ("decision", "ticks", "wanted", "evidence", "sentence")
        if not _alike(getattr(old, name), getattr(new, name))
    ]
    rows = {(row.gauge, row.role, row.subject): row for row in new.findings}
    for row in old.findings:
        other = rows.pop((row.gauge, row.role, row.subject), None)
        place = f"{row.gauge} at {row.subject}"
        if other is None:
            found.append(f"{place}: was stored, and did not come out")
            continue
        found += [
            f"{place}, {one.name}: {_shown(getattr(row, one.name))} was stored, "
            f"{_shown(getattr(other, one.name))} came out"
            for one in fields(row)
            if not _alike(getattr(row, one.name), getattr(other, one.name))
        ]
    return (*found, *(f"{gauge} at {subject}: came out, and was not stored" for gauge, _, subject in rows))


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return _digits(one) == _digits(other)
    return bool(one == other)


def _digits(value: float) -> str:
    return f"{value:.{DIGITS}g}" if math.isfinite(value) else str(value)


def _shown(value: Any) -> str:
    return _digits(value) if isinstance(value, float) else str(value)


def _ended(push: Push, look: Look) -> bool:
    return look.verdict.decision is Decision.FAIL or (
        look.verdict.decision is Decision.PASS and look.phase == push.rules.phases - 1
    )


def _outcome(push: Push, looks: Sequence[Look]) -> tuple[str, datetime | None]:
    """Where the verdicts alone lead: a fail goes back, a pass of the last phase is live."""
    for look in looks:
        if look.verdict.decision is Decision.FAIL:
            return "rolled_back", look.at
    passed = {look.phase: look.at for look in reversed(looks) if look.verdict.decision is Decision.PASS}
    if push.rules.phases - 1 in passed:
        return "live", passed[push.rules.phases - 1]
    held = next((look for look in looks if look.verdict.decision is Decision.HOLD), None)
    return ("held", held.at) if held else ("unknown", None)


def _sentence(push: Push, looks: Sequence[Look], settings: Settings, ends: str, at: datetime | None) -> str:
    name = push.name
    if not settings.changed:
        compared = sum(look.stored for look in looks)
        wrong = sum(bool(look.differs) for look in looks)
        if not compared:
            return f"{name}: {len(looks)} ticks were judged again; none of its verdicts was stored to compare"
        if wrong:
            return f"{name}: {wrong} of {compared} stored verdicts came out otherwise"
        return f"{name}: all {compared} stored verdicts came out again, to {DIGITS} digits"
    really = push.state.value.replace("_", " ").lower()
    if at is None:
        return f"{name} would have gone on as long as there are readings; really it is {really}"
    words = {"rolled_back": "been rolled back", "live": "passed its last phase", "held": "been held"}
    look = next(one for one in looks if one.at == at)
    said = f"{name} would have {words[ends]} at {at:%H:%M:%S} UTC: {look.verdict.sentence}"
    return f"{said}; really it is {really}"
