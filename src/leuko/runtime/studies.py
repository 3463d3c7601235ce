"""Questions about the past that take long: answered by a process of their own, so that nothing else waits."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from leuko.clock import SystemClock
from leuko.domain.errors import LeukoError, Refused
from leuko.domain.intent import Intent, IntentKind
from leuko.domain.line import Line
from leuko.runtime.calibration import PRETEND, calibrate
from leuko.runtime.limit_trials import PUSHES, proposal_of, try_out
from leuko.runtime.limiting import limit_of
from leuko.runtime.replaying import Progress, Replay, Settings, replay, silent
from leuko.runtime.workers import dismiss
from leuko.store.records import to_json
from leuko.store.store import Store

NICE = 10
MOST_WAITING = 4
MOST_PUSHES = 1000
MOST_WATCH = 100_000
LOOKS = 500
"""Looks of a replay that one answer holds: those that differ, and the newest."""


async def study(
    store: Store, line: Line, kind: str, arguments: Mapping[str, Any], progress: Progress = silent
) -> dict[str, Any]:
    """The answer to one, as plain values. Raises LeukoError."""
    match kind:
        case IntentKind.TRY:
            pushes = _whole(arguments, "pushes", PUSHES, MOST_PUSHES)
            proposal = proposal_of(arguments)
            trial = await try_out(store, line, proposal, pushes=pushes, progress=progress)
            answer: dict[str, Any] = to_json(trial)
        case IntentKind.REPLAY:
            number = _whole(arguments, "push", 0, 1 << 53)
            answer = replay_answer(await replay(store, line, number, settings_of(arguments), progress))
        case IntentKind.CALIBRATE:
            pretend = _whole(arguments, "pushes", PRETEND, 100_000)
            hours = float(arguments.get("hours", 48.0))
            found = await calibrate(store, line, pretend=pretend, hours=hours, progress=progress)
            answer = to_json(found)
        case _:
            raise Refused(f"{kind} is no study", code="P014")
    return answer


def settings_of(arguments: Mapping[str, Any]) -> Settings:
    """What a replay changes, from arguments of an intent. Raises Refused."""
    budget = arguments.get("budget")
    if budget is not None and not 0 < float(budget) < 1:
        raise Refused("a budget should be a part between 0 and 1, such as 0.005", where="replay", code="P042")
    watch = _whole(arguments, "watch", 0, MOST_WATCH) or None
    limits: dict[str, tuple[Any, ...]] = {}
    for one in arguments.get("limits") or ():
        if not isinstance(one, Mapping):
            raise Refused(
                "a limit should be an object with gauge, above or below", where="replay", code="P042"
            )
        gauge = str(one.get("gauge", ""))
        limits[gauge] = (*limits.get(gauge, ()), limit_of(one))
    return Settings(None if budget is None else float(budget), watch, limits)


def replay_answer(found: Replay) -> dict[str, Any]:
    """As the API and `--json` give it."""
    shown = found.looks[-LOOKS:]
    shown = (*(look for look in found.looks[:-LOOKS] if look.differs), *shown)
    looks = [
        {
            "at": look.at,
            "phase": look.phase,
            "decision": look.verdict.decision.value,
            "sentence": look.verdict.sentence,
            "ticks": look.verdict.ticks,
            "wanted": look.verdict.wanted,
            "evidence": look.verdict.evidence,
            "stored": look.stored,
            "differs": list(look.differs),
        }
        for look in shown
    ]
    answer: dict[str, Any] = to_json(
        {
            "push": found.push.number,
            "state": found.push.state.value,
            "same": found.same,
            "compared": found.compared,
            "ends": found.ends,
            "at": found.at,
            "sentence": found.sentence,
            "changed": found.settings.changed,
            "looks": looks,
        }
    )
    return answer


def _whole(arguments: Mapping[str, Any], name: str, default: int, most: int) -> int:
    value = arguments.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise Refused(f"{name} should be a whole number up to {most:,}, not {value!r}", code="P014")
    return value


class Studies:
    """Of one store: a worker process that is there while something is asked, and ends with it."""

    def __init__(self, address: str | Path, readings: Path | None) -> None:
        self._address = address
        self._readings = readings
        self._one_by_one = asyncio.Lock()
        self._waiting = 0

    async def __call__(self, line: Line, intent: Intent) -> Mapping[str, Any]:
        """What an intent asks."""
        if self._waiting >= MOST_WAITING:
            raise Refused(
                f"{MOST_WAITING} such questions wait already",
                where=intent.kind.value,
                way_out="ask again when they are answered",
                code="P045",
            )
        self._waiting += 1
        try:
            async with self._one_by_one:
                found = await self._answered(line, intent)
        finally:
            self._waiting -= 1
        if isinstance(found, dict):
            return found
        raise Refused(found[0], where=found[1], way_out=found[2], code=found[3])

    async def _answered(self, line: Line, intent: Intent) -> dict[str, Any] | tuple[str, str, str, str]:
        work = partial(_work, self._address, self._readings, line, intent.kind.value, dict(intent.arguments))
        workers = ProcessPoolExecutor(
            1, mp_context=get_context("spawn"), initializer=os.nice, initargs=(NICE,)
        )
        try:
            return await asyncio.get_running_loop().run_in_executor(workers, work)
        except BrokenProcessPool as error:
            raise Refused(
                "the process that worked on it was killed",
                where=intent.kind.value,
                way_out="is there enough memory? Ask for fewer pushes or hours",
                code="P044",
            ) from error
        finally:
            dismiss(workers)


def _work(
    address: str | Path, readings: Path | None, line: Line, kind: str, arguments: Mapping[str, Any]
) -> dict[str, Any] | tuple[str, str, str, str]:
    """In the worker: errors go back as plain values, for an exception with arguments does not travel well."""

    async def run() -> dict[str, Any]:
        store = await Store.open(address, SystemClock(), readings=readings)
        try:
            return await study(store, line, kind, arguments)
        finally:
            await store.close()

    try:
        return asyncio.run(run())
    except LeukoError as error:
        return error.rule, error.where, error.way_out, error.code
