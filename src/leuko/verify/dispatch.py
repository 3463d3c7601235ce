"""Hands the tests of a build to an engine's workers, and sees each of them to a result.

Theory of operation. Set-up nodes run first; each suite is opened when the nodes that it needs have passed.
One loop takes whatever worker is idle and gives it the next batch (leuko.domain.schedule); each batch is a
task. When one ends, a pure function (leuko.domain.aftermath) says whose fault is what went wrong and what
must run again; what failed is run once more at another worker. Nothing is left out and nothing stops early:
a person sees all failures. The end is a pure function of all results (leuko.domain.conclusion).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from leuko.cancellation import end as end_task
from leuko.domain.aftermath import MOST_LOSSES, End, Ending, Seen, aftermath, retries
from leuko.domain.case import (
    Batch,
    Case,
    CaseEnded,
    CaseEvent,
    CaseFound,
    CaseResult,
    CaseState,
    NodeChanged,
)
from leuko.domain.conclusion import conclude
from leuko.domain.errors import LeukoError
from leuko.domain.schedule import Schedule, Unit
from leuko.verify.engine import Assignment, BatchEnd, Engine, WorkerLostError
from leuko.verify.knowledge import OnEvent
from leuko.verify.nodes import RunNode, SetUp
from leuko.verify.plan import SELECTIVE, Ledger, Plan, Verified, not_run

MOST_RETRIES = 200
"""Tests of a run that are tried again: where more fail, they are no flakes."""
GRACE = 15.0
"""Seconds after a file's deadline in which the worker should have ended it by itself."""
_LOOK_AROUND = 5.0
"""Seconds after which the workers are counted again, while one waits that must not have what is left."""
_SHOWN = 3


class Dispatcher:
    """Carries out plans. `run_node` runs one set-up node, wherever the engine's trees are."""

    def __init__(self, run_node: RunNode, *, grace: float = GRACE, most_retries: int = MOST_RETRIES) -> None:
        self._run_node = run_node
        self._grace = grace
        self._most_retries = most_retries

    async def run(self, plan: Plan, engine: Engine, on_event: OnEvent) -> Verified:
        """Runs everything; the engine stays open. Cancelled, it ends what runs, and raises CancelledError."""
        run = _Run(plan, engine, on_event, self._run_node, self._grace, self._most_retries)
        return await run.carry_out()


class _Run:
    """One plan at one engine."""

    def __init__(
        self, plan: Plan, engine: Engine, tell: OnEvent, run_node: RunNode, grace: float, most_retries: int
    ) -> None:
        self._plan, self._engine, self._tell, self._grace = plan, engine, tell, grace
        self._most_retries = most_retries
        self._retries_left = most_retries if plan.retry else 0
        suites = {name: plan.suites[name].exclusive for name in plan.suites}
        self._schedule = Schedule(suites, plan.smallest)
        self._ledger = Ledger()
        self._set_up = SetUp(plan.setup, run_node, tell)
        self._nodes: tuple[NodeChanged, ...] = ()
        self._opening = len(plan.wanted)
        self._changed = asyncio.Event()
        self._alone_since = asyncio.get_running_loop().time()
        self._parked: list[str] = []
        self._batches: set[asyncio.Task[None]] = set()
        self._number = 0
        self._warnings: dict[str, None] = {}
        self._empty: list[str] = []
        self._trouble = ""
        self._lost_in_a_row = 0

    async def carry_out(self) -> Verified:
        for suite, files in self._plan.wanted.items():
            for file in files:
                self._tell(CaseFound(Case(suite, file)))
        self._schedule.add(self._plan.units(len(self._engine.workers())))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run_nodes())
            for suite in self._plan.wanted:
                group.create_task(self._open(suite))
            try:
                await self._hand_out(group)
            finally:
                self._unpark()
        return self._verified()

    async def _run_nodes(self) -> None:
        self._nodes = await self._set_up.run()

    async def _open(self, suite: str) -> None:
        """Opens the suite when its set-up has passed; else says that it was not run."""
        missing = await self._set_up.missing(self._plan.suites[suite].needs)
        if missing:
            for result in not_run(self._schedule.drop(suite), missing):
                self._record(result)
        else:
            self._schedule.open(suite)
        self._opening -= 1
        self._changed.set()

    # -- handing out -----------------------------------------------------------------------------------

    async def _hand_out(self, group: asyncio.TaskGroup) -> None:
        idle: asyncio.Task[str] | None = None
        try:
            while (self._opening or self._schedule.waiting or self._batches) and not self._trouble:
                self._changed.clear()
                self._use_parked(group)
                if self._schedule.ready and idle is None:
                    idle = asyncio.create_task(self._engine.idle())
                if not self._schedule.ready:
                    self._unpark()
                await self._wait(idle)
                if idle is not None and idle.done():
                    self._parked.append(idle.result())
                    idle = None
        except LeukoError as error:
            self._trouble = str(error)
        finally:
            await self._no_more(idle)
        if self._trouble:
            for task in self._batches:
                task.cancel()

    async def _wait(self, idle: asyncio.Task[str] | None) -> None:
        """For a worker, or for something that makes one useful."""
        now = asyncio.get_running_loop().time()
        if self._batches or self._opening:
            self._alone_since = now
        elif now - self._alone_since >= self._plan.patience:
            self._trouble = f"no worker came within {self._plan.patience:g} s"
            return
        changed = asyncio.create_task(self._changed.wait())
        waited = {changed} if idle is None else {changed, idle}
        try:
            await asyncio.wait(
                waited,
                timeout=min(_LOOK_AROUND, self._plan.patience),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            changed.cancel()

    async def _no_more(self, idle: asyncio.Task[str] | None) -> None:
        """A worker that comes now goes back."""
        if idle is None:
            return
        await end_task(idle)
        if not idle.cancelled() and idle.exception() is None:
            self._engine.release(idle.result())

    def _use_parked(self, group: asyncio.TaskGroup) -> None:
        for worker in list(self._parked):
            batch = self._schedule.take(worker, self._engine.workers())
            if not batch:
                continue
            self._parked.remove(worker)
            if worker in frozenset().union(*(unit.avoid for unit in batch)):
                self._warnings["there is one worker only: what failed was tried again at the same one"] = None
            self._number += 1
            task = group.create_task(self._batch(worker, batch, self._number))
            self._batches.add(task)
            task.add_done_callback(self._batch_ended)

    def _batch_ended(self, task: asyncio.Task[None]) -> None:
        self._batches.discard(task)
        self._changed.set()

    def _unpark(self) -> None:
        while self._parked:
            self._engine.release(self._parked.pop())

    # -- one batch -------------------------------------------------------------------------------------

    async def _batch(self, worker: str, units: Sequence[Unit], number: int) -> None:
        suite = self._plan.suites[units[0].suite]
        batch = as_batch(units, number)
        assignment = Assignment(
            batch, suite, self._plan.revision, self._plan.build, {**self._plan.environment, **suite.env}
        )
        seen = Seen()
        end = await self._carried(worker, assignment, seen)
        self._schedule.free(batch.suite)
        self._count_losses(end, seen)
        if end.ending is Ending.EXIT:
            ran = sum(result.seconds for result in seen.ended.values())
            self._schedule.learn(units, ran, max(0.0, end.seconds - ran))
        selective = suite.runner in SELECTIVE
        after = aftermath(units, seen, end, selective=selective)
        for result in after.results:
            self._record(result)
        self._schedule.add(after.again)
        self._empty += after.empty
        if seen.twice:
            names = ", ".join(str(case) for case in list(seen.twice)[:_SHOWN])
            self._warnings[f"several tests have one name, and the one that failed counts: {names}"] = None
        told = (*seen.ended.values(), *after.results)
        self._passed_whole(units, told, end)
        self._try_again(units, told, selective=selective)

    def _count_losses(self, end: End, seen: Seen) -> None:
        """Where no worker lives long enough to tell anything, going on helps nobody."""
        useful = end.ending is not Ending.LOST or seen.found
        self._lost_in_a_row = 0 if useful else self._lost_in_a_row + 1
        if self._lost_in_a_row >= max(MOST_LOSSES, 2 * len(self._engine.workers())) + 1:
            self._trouble = f"workers die before they tell of any test: {end.reason}"

    async def _carried(self, worker: str, assignment: Assignment, seen: Seen) -> End:
        """The batch at its worker, guarded: a file that outlives its deadline at a worker that does not
        notice it is ended from here.
        """
        batch = assignment.batch
        longest = assignment.suite.timeout
        loop = asyncio.get_running_loop()
        last = loop.time() + longest * len(batch.files) + self._grace
        file = ""

        def on_case(event: CaseEvent) -> None:
            nonlocal file
            case = event.result.case if isinstance(event, CaseEnded) else event.case
            if not isinstance(event, CaseFound) and case.file != file:
                file = case.file
                limit.reschedule(min(last, loop.time() + longest + self._grace))
            if self._is_gone(event, batch, seen):
                return
            seen.take(event)
            self._forward(event, batch, worker)

        try:
            async with asyncio.timeout_at(last) as limit:
                return _end_of(await self._engine.run(worker, assignment, on_case), worker)
        except TimeoutError:
            return End(Ending.HUNG, worker, None, f"did not end within {longest:g} s", seconds=longest)
        except WorkerLostError as error:
            return End(Ending.LOST, worker, None, error.rule)

    def _is_gone(self, event: CaseEvent, batch: Batch, seen: Seen) -> bool:
        """A test that only history knows: it was asked for by name in a part of a giant file, and the runner
        says that there is none of that name any more.
        """
        asked = bool(batch.only) and batch.attempt == 1 and self._plan.selection is None
        return asked and isinstance(event, CaseEnded) and event.result.case not in seen.found

    def _forward(self, event: CaseEvent, batch: Batch, worker: str) -> None:
        """Records a result, and tells of it where it counts: a passed test that is run again because of
        another one of its file goes on being passed.
        """
        if isinstance(event, CaseEnded):
            result = event.result
            self._record(replace(result, attempt=batch.attempt, worker=result.worker or worker))
            return
        stands = self._ledger.of(event.case)
        if stands is None or (batch.attempt > stands.attempt and stands.state is CaseState.FAILED):
            self._tell(event)

    def _record(self, result: CaseResult) -> None:
        if self._ledger.record(result):
            self._tell(CaseEnded(result))

    def _passed_whole(self, units: Sequence[Unit], told: Sequence[CaseResult], end: End) -> None:
        """A file that failed as a whole and, run again elsewhere, tells of its tests is no longer failed."""
        if end.ending is not Ending.EXIT:
            return
        bad = {one.case.file for one in told if not one.case.name or one.state is CaseState.FAILED}
        good = {one.case.file for one in told} - bad
        for unit in units:
            whole = Case(unit.suite, unit.file)
            again = unit.attempt > 1 and not unit.only and unit.file in good
            if again and self._ledger.of(whole) is not None:
                self._record(CaseResult(whole, CaseState.PASSED, end.seconds, end.worker, unit.attempt))

    def _try_again(self, units: Sequence[Unit], told: Sequence[CaseResult], *, selective: bool) -> None:
        standing = [stands for one in told if (stands := self._ledger.of(one.case)) is not None]
        chosen = retries(standing, units, selective=selective)
        for unit in chosen:
            if self._retries_left <= 0:
                if self._plan.retry:
                    rule = f"more than {self._most_retries} tests failed: not all were tried again elsewhere"
                    self._warnings[rule] = None
                return
            self._retries_left -= max(1, len(unit.only))
            self._schedule.add([unit])

    # -- the end ---------------------------------------------------------------------------------------

    def _verified(self) -> Verified:
        results = self._ledger.results
        counts = {name: len(files) for name, files in self._plan.wanted.items()}
        state, reason = conclude(results, self._nodes, counts, self._plan.quarantined, self._trouble)
        if self._empty:
            names = ", ".join(self._empty[:_SHOWN])
            self._warnings[f"{len(self._empty)} files have no tests in them: {names}"] = None
        return Verified(
            state,
            reason,
            results,
            self._ledger.flaky,
            self._ledger.failures,
            self._nodes,
            tuple(self._warnings),
        )


def as_batch(units: Sequence[Unit], number: int) -> Batch:
    """Units that were taken together, as what a worker is handed."""
    return Batch(
        number,
        units[0].suite,
        tuple(unit.file for unit in units),
        only=tuple(case for unit in units for case in unit.only),
        without=tuple(case for unit in units for case in unit.without),
        attempt=units[0].attempt,
        timeout=sum(unit.timeout for unit in units),
        expected=sum(unit.expected for unit in units),
    )


def _end_of(end: BatchEnd, worker: str) -> End:
    """What kind of end it was."""
    killed = "SIGKILL" in end.reason or "memory" in end.reason
    if end.exit_code is not None:
        ending = Ending.EXIT
    elif killed:
        ending = Ending.LOST
    else:
        ending = Ending.HUNG if "within" in end.reason else Ending.CRASHED
    return End(ending, worker, end.exit_code, end.reason, end.output, end.seconds)
