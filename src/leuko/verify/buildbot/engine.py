"""The engine that hands batches to a farm: one for each build, over the farm of its controller."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from leuko.cancellation import end as end_task
from leuko.cancellation import obey
from leuko.verify.buildbot.errand import RESULTS
from leuko.verify.buildbot.errors import FarmError
from leuko.verify.buildbot.farm import Farm
from leuko.verify.buildbot.lines import Relayed, Said
from leuko.verify.buildbot.masking import masked, masked_end
from leuko.verify.buildbot.order import OURS, Command, Order, Programs, programs
from leuko.verify.capture import Mask, unmasked
from leuko.verify.engine import Assignment, BatchEnd, OnCase, WorkerLostError
from leuko.verify.runners import Reading, told
from leuko.verify.worker import greeting, start_argv

log = structlog.get_logger(__name__)

TRIES = 2
"""How often a worker may fail to get the tree ready for a build."""
LOOK_SECONDS = 1.0
PREPARING_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What a build's batches stand on. `tree` is the digest that git knows the verified tree by, if known;
    `setup` as `order.set_up` gives it; `repository` is the address from which workers fetch.
    """

    repository: str
    revision: str
    build: str
    tree: str = ""
    setup: Sequence[Mapping[str, object]] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


class BuildbotEngine:
    """Batches of one build as builds of a Buildbot master. Passes tests/verify/test_engines.py.

    A worker is got ready (revision fetched, checked out, set up) before `idle` gives it out, by an order of
    its own: the time of a batch is that of its tests. `most` workers are got ready (0: all that are free).
    `mask` hides secrets in what tests print.
    """

    def __init__(self, farm: Farm, ground: Ground, *, most: int = 0, mask: Mask = unmasked) -> None:
        self._farm = farm
        self._most = most
        self._mask = mask
        self._ground = ground
        self._programs = worker_programs()
        self._ready: set[str] = set()
        self._failures: dict[str, int] = {}
        self._trouble = ""
        self._preparing: dict[str, asyncio.Task[None]] = {}
        self._reserved: set[str] = set()
        self._running: set[asyncio.Task[object]] = set()
        self._closed = False

    def start(self) -> None:
        """Begins to get workers ready; `idle` does it, too."""
        if self._closed:
            return
        while (worker := self._next()) is not None:
            task = asyncio.create_task(self._prepare(worker), name=f"prepare {worker}")
            self._preparing[worker] = task
            task.add_done_callback(lambda _, name=worker: self._prepared(name))  # type: ignore[misc]  # a bound name

    async def idle(self) -> str:
        """A worker that is ready. Raises FarmError where none can get ready."""
        while True:
            obey()
            worker = self._farm.reserve(lambda name: name in self._ready)
            if worker:
                self._reserved.add(worker)
                return worker
            self.start()
            self._despair()
            await self._farm.changed(LOOK_SECONDS)

    async def run(self, worker: str, assignment: Assignment, on_case: OnCase) -> BatchEnd:
        """Runs a batch there, told live; see the port."""
        me = asyncio.current_task()
        assert me is not None
        self._running.add(me)
        try:
            end = await self._run(worker, assignment, on_case)
        except WorkerLostError:
            self._ready.discard(worker)
            self._farm.rest(worker)
            raise
        except FarmError as error:
            raise WorkerLostError(
                error.rule, where=error.where, way_out=error.way_out, code=error.code
            ) from error
        finally:
            self._running.discard(me)
            self.release(worker)
        self._farm.did_well(worker)
        return end

    def release(self, worker: str) -> None:
        """Back to the farm."""
        if worker in self._reserved:
            self._reserved.discard(worker)
            self._farm.release(worker)

    def workers(self) -> tuple[str, ...]:
        """Those of the farm that did not fail this build."""
        return tuple(name for name in self._farm.workers() if self._failures.get(name, 0) < TRIES)

    async def close(self) -> None:
        """Stops what is on its way, here and at the workers."""
        self._closed = True
        for task in (*self._preparing.values(), *self._running):
            if task is not asyncio.current_task():
                await end_task(task)
        for worker in tuple(self._reserved):
            self.release(worker)

    # -- getting ready ---------------------------------------------------------------------------------

    def _next(self) -> str | None:
        """A free worker that is worth getting ready, reserved."""
        if self._most and len(self._ready) + len(self._preparing) >= self._most:
            return None
        return self._farm.reserve(self._may_be_prepared) or None

    def _may_be_prepared(self, worker: str) -> bool:
        return (
            worker not in self._ready
            and worker not in self._preparing
            and self._failures.get(worker, 0) < TRIES
        )

    def _prepared(self, worker: str) -> None:
        self._preparing.pop(worker, None)
        self._farm.release(worker)

    async def _prepare(self, worker: str) -> None:
        """Has the revision fetched and set up there; what goes wrong is remembered, not raised."""
        heard = _Heard(self._ground.tree)
        order = self._order("prepare", f"{self._ground.build}: get ready", None)
        try:
            result = await self._farm.carry_out(order, worker, self._programs, heard.take)
            heard.judge(result)
        except (FarmError, WorkerLostError) as error:
            # a set-up that failed is not run again in the same tree
            self._failures[worker] = TRIES if heard.failed else self._failures.get(worker, 0) + 1
            self._trouble = f"{worker}: {error.rule}"
            log.warning("a worker could not be got ready", worker=worker, why=error.rule)
            self._farm.rest(worker)
            return
        self._ready.add(worker)
        self._farm.did_well(worker)

    def _despair(self) -> None:
        """Raises when every worker there is failed, or the farm cannot be used: waiting would not help."""
        error = self._farm.hopeless()
        if error is not None:
            raise error
        there = [name for name, one in self._farm.known.items() if one.usable]
        hopeless = there and all(self._failures.get(name, 0) >= TRIES for name in there)
        if hopeless and not self._preparing:
            raise FarmError(
                f"no worker of the farm could be got ready for it; {self._trouble}",
                where=self._farm.master.url,
                way_out="`leuko farm check` tries every worker",
                code="F011",
            )

    # -- batches ---------------------------------------------------------------------------------------

    async def _run(self, worker: str, assignment: Assignment, on_case: OnCase) -> BatchEnd:
        theirs = {name: value for name, value in assignment.environment.items() if name not in OURS}
        assignment = replace(assignment, environment=theirs)
        reading = Reading(assignment, worker, masked(on_case, self._mask))
        heard = _Heard(self._ground.tree, reading)
        batch = assignment.batch
        command = Command(start_argv()[1:], told(assignment).decode(), batch.timeout)
        order = self._order(
            f"batch {batch.number}", f"{assignment.build}: batch {batch.number} of {batch.suite}", command
        )
        result = await self._farm.carry_out(order, worker, self._programs, heard.take)
        return masked_end(heard.judge(result), self._mask)

    def _order(self, name: str, reason: str, command: Command | None) -> Order:
        ground = self._ground
        return Order(
            self._farm.key(f"{ground.build}/{name}"),
            ground.repository,
            ground.revision,
            ground.build,
            reason,
            command,
            setup=ground.setup,
            environment=ground.environment,
            pace=self._farm.pace,
        )


class _Heard:
    """What an order's messages come to."""

    def __init__(self, tree: str, reading: Reading | None = None) -> None:
        self._tree = tree
        self._reading = reading
        self._trouble = ""
        self._nodes = ""
        self.failed = False
        """Trying again there would come to the same: its set-up did not pass, or the tree is another."""
        self._end: dict[str, object] | None = None
        self._done = False

    def take(self, message: Said | Relayed) -> None:
        """The next one."""
        if isinstance(message, Relayed):
            if self._reading is not None:
                self._reading.feed(message.line.encode() + b"\n")
            return
        facts = message.facts
        match message.what:
            case "trouble":
                self._trouble = str(facts["why"])
            case "tree":
                if self._tree and facts["tree"] != self._tree:
                    self.failed = True
                    self._trouble = (
                        f"it has another tree of that revision: {facts['tree']} is not {self._tree}"
                    )
            case "node" if facts["state"] == "failed":
                printed = str(facts.get("output", "")).strip().splitlines()
                last = f": {printed[-1][:200]}" if printed else ""
                self._nodes = f'its set-up "{facts["name"]}" failed ({facts["reason"]}){last}'
            case "unprepared":
                self.failed = True
                self._trouble = self._nodes or "its set-up failed"
            case "end":
                self._end = facts
            case "ready":
                self._done = True
            case _:  # a beat, a hello, and what a carrier of another release may say besides
                pass

    def judge(self, result: int) -> BatchEnd:
        """How the batch ended. Raises WorkerLostError where it cannot be known."""
        if self._trouble:
            raise _lost(self._trouble)
        if self._reading is None and self._done:
            return BatchEnd(0, 0.0)
        if self._reading is not None and self._reading.end is not None:
            return self._reading.end
        if self._end is None:
            named = RESULTS[result] if 0 <= result < len(RESULTS) else str(result)
            raise _lost(f"the batch has no end; Buildbot calls it {named}")
        seconds, reason = float(str(self._end["seconds"])), str(self._end["reason"])
        if reason:
            return BatchEnd(None, seconds, reason, str(self._end["output"]))
        printed = str(self._end["output"]).strip().splitlines() or ["it said nothing"]
        raise _lost(f"its program ended with {self._end['exit']}: {printed[-1][:300]}")


def worker_programs() -> Programs:
    """What runs at workers."""
    return programs(greeting().decode())


def _lost(why: str) -> WorkerLostError:
    return WorkerLostError(
        why, where="the farm", way_out="`leuko farm check` tries every worker", code="F010"
    )
