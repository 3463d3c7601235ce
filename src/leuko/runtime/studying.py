"""What is learned around a push: pretend pushes on the history before it, and what a good switch looks like.

Both are computed once, beside everything else, and stored; verdicts use what was stored when they were given.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from typing import Any

from leuko.config.quantities import portion
from leuko.domain.push import Origin, Push, State
from leuko.runtime.foresight import Foresight
from leuko.runtime.ground import Ground
from leuko.runtime.marking import look
from leuko.runtime.planning import stored_plan
from leuko.runtime.questions import judged_by, of_push, portable
from leuko.runtime.workers import dismiss
from leuko.statistics.placebo import Placebo, placebo
from leuko.statistics.placebo_sentences import said
from leuko.statistics.question import Question
from leuko.statistics.transient import Curve, curves
from leuko.store.studies import PEAK, PLACEBO, SAID, SWITCH

PRETEND = 120
READINGS = 5_000_000
"""Most readings of history that pretend pushes are made on: they go to another process."""
LEAST = timedelta(minutes=30)
MOST = timedelta(hours=3)
RECENT = timedelta(hours=47)
"""Raw readings are kept for two days: what ended before cannot be studied any more."""
SHORTEST = 20
"""Ticks of history before a pretend push."""
NICE = 10
STUDIED = (State.STAGING, State.SWITCHING, State.WATCHING, State.COMPLETING, State.HELD)


@dataclass
class Studying:
    """Of one line. `step` does one study, if one is due."""

    ground: Ground
    pretend: int = PRETEND
    _workers: ProcessPoolExecutor | None = field(default=None, repr=False)

    async def step(self) -> None:
        """The push that runs comes first: its watch has use for it."""
        store, line = self.ground.store, self.ground.line
        active = await store.pushes.active(line)
        if active is not None and active.state in STUDIED:
            await self._before(active)
            return
        live = await store.pushes.live(line)
        if live is not None:
            await self._after(live)

    def close(self) -> None:
        """Ends the worker, if there ever was one; what it was about is studied by whoever comes next."""
        dismiss(self._workers)
        self._workers = None

    async def _before(self, push: Push) -> None:
        if not await self._due(push, PLACEBO) or push.started_at is None or push.base is None:
            return
        question = await self._history(push)
        enough = question is not None and len(question.times) > 2 * question.wanted + SHORTEST
        found = await self._pretended(question, push.number) if question and enough else NOTHING
        budget = portion((await judged_by(self.ground.store, self.ground.line, push)).push.false_rollbacks)
        limits = {gauge.name: gauge.limits for gauge in question.gauges} if question else {}
        await self._keep(push, PLACEBO, found, said(found, budget, limits))

    async def _history(self, push: Push) -> Question | None:
        """The canaries' question on as much of the history before the push as can be borne."""
        store, line = self.ground.store, self.ground.line
        plan, configuration = await stored_plan(self.ground, push.number), await judged_by(store, line, push)
        assert push.started_at is not None
        cells = max(1, len(plan.hosts) + len(plan.watched)) * max(1, len(configuration.gauges))
        span = timedelta(seconds=configuration.tick * READINGS / cells)
        span = min(MOST, max(LEAST, span))
        foresight = Foresight(self.ground)
        return await foresight.before(plan, configuration, span, at=push.started_at, number=push.number)

    async def _after(self, push: Push) -> None:
        """What the canaries of a push that is live looked like in the seconds after their switch."""
        now = self.ground.clock.now()
        adopted = push.started_at == push.ended_at
        if push.ended_at is None or push.ended_at < now - RECENT or adopted or push.spared:
            return
        if push.origin is Origin.ROLLBACK or not await self._due(push, SWITCH):
            return
        store, line = self.ground.store, self.ground.line
        last = await store.findings.latest(line, push.number, 0)
        found: Mapping[str, Curve] = {}
        if last is not None:
            rows = await store.hosts.progress(line, push.number)
            configuration = await judged_by(store, line, push)
            until = datetime.fromtimestamp(last.verdict.until, UTC)
            question = await of_push(store, line, push, rows, configuration, until, at=last.at)
            found = await asyncio.to_thread(curves, question) if question is not None else {}
        await self._keep(push, PEAK, await self._peak(push))
        await self._keep(push, SWITCH, found)
        await look(self.ground)

    async def _peak(self, push: Push) -> float:
        """The most evidence against it, as far as its verdicts are kept: good pushes rarely reach much."""
        store, line = self.ground.store, self.ground.line
        kept = [await store.findings.history(line, push.number, phase) for phase in range(push.rules.phases)]
        return max((one.verdict.evidence for verdicts in kept for one in verdicts), default=0.0)

    async def _due(self, push: Push, kind: str) -> bool:
        return await self.ground.store.studies.get(self.ground.line, push.number, kind) is None

    async def _keep(self, push: Push, kind: str, value: Any, told: Sequence[str] = ()) -> None:
        now = self.ground.clock.now()
        async with self.ground.write() as tx:
            await self.ground.store.studies.keep(tx, push.number, kind, value, now)
            if told:
                await self.ground.store.studies.keep(tx, push.number, SAID, list(told), now)
            tx.event("study", push.name, {"push": push.number, "study": kind, "said": list(told)}, now)

    async def _pretended(self, question: Question, seed: int) -> Placebo:
        if self._workers is None:
            self._workers = ProcessPoolExecutor(
                1, mp_context=get_context("spawn"), initializer=os.nice, initargs=(NICE,)
            )
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._workers, placebo, portable(question), self.pretend, seed)
        except BrokenProcessPool:
            self._workers = None  # it was killed: the next step begins anew
            raise


NOTHING = Placebo(0, 0, 0.0, {}, {})
"""There was no history at all."""
