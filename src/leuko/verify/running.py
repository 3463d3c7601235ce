"""What runs in a build's checkout: the set-up, then plain commands and suites beside each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from leuko.config.verify import SetupNode, Verify
from leuko.domain.build import BuildState, StepResult
from leuko.domain.case import CaseState, NodeChanged, VerifyEvent
from leuko.domain.conclusion import conclude
from leuko.verify.command import CommandEnd
from leuko.verify.dispatch import Dispatcher
from leuko.verify.engine import Engine
from leuko.verify.finding import Found, find
from leuko.verify.knowledge import Knowledge, OnEvent
from leuko.verify.local import LocalEngine, Surroundings
from leuko.verify.nodes import SetUp
from leuko.verify.plan import Plan, Verified
from leuko.verify.steps import LOST, OnStep, Room, Steps, Task, missing_program, why

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Ran:
    """What it came to. `verified` has the tests of its suites, where it has any."""

    state: BuildState
    steps: tuple[StepResult, ...]
    reason: str = ""
    warnings: tuple[str, ...] = ()
    verified: Verified | None = None
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Running:
    """One build. `engine` carries its suites; None: workers of this machine, for this build only."""

    def __init__(
        self,
        room: Room,
        steps: Steps,
        configuration: Verify,
        revision: str,
        knowledge: Knowledge,
        on_step: OnStep,
        on_event: OnEvent,
        engine: Engine | None = None,
    ) -> None:
        self._room, self._steps, self._configuration = room, steps, configuration
        self._revision, self._knowledge, self._engine = revision, knowledge, engine
        self._on_step, self._on_event = on_step, on_event
        self._done: list[StepResult] = []
        self._to_come = len(configuration.setup)
        self._set_up: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._good = True
        if not self._to_come:
            self._set_up.set_result(True)

    async def run(self) -> Ran:
        """Everything, to its end. Raises CancelledError where it is cancelled, and leaves nothing running
        but what the enclosure ends.
        """
        suites = self._configuration.suites
        found = await asyncio.to_thread(find, self._room.workshop.checkout, suites) if suites else Found({})
        async with self._workers() as engine:
            places = asyncio.Semaphore(self._configuration.workers)
            mine = engine if self._engine is None and suites else None
            async with asyncio.TaskGroup() as group:
                commands = [
                    group.create_task(self._command(name, command, places, mine))
                    for name, command in self._configuration.tests.items()
                ]
                tested = group.create_task(self._suites(found, engine) if suites else self._set_up_alone())
        ends = [ended for task in commands if (ended := task.result()) is not None]
        verified = tested.result()
        self._done += [ended.step for ended in ends]
        state, reason = await self._conclusion(verified, ends)
        of_suites = verified if suites else None
        return Ran(state, tuple(self._done), reason, found.warnings, of_suites, found.tags)

    @asynccontextmanager
    async def _workers(self) -> AsyncIterator[Engine]:
        if self._engine is not None:
            yield self._engine
            return
        room = self._room

        def wrap(argv: Sequence[str]) -> Sequence[str]:
            return room.enclosure.argv(room.workshop.checkout, argv)

        surroundings = Surroundings(
            room.workshop.checkout,
            room.environment,
            wrap=wrap,
            own=room.workshop.folder / "workers",
            logs=self._steps.state / room.outputs,
            mask=self._steps.mask,
        )
        engine = LocalEngine(self._configuration.workers, surroundings)
        try:
            yield engine
        finally:
            await asyncio.shield(engine.close())

    async def _suites(self, found: Found, engine: Engine) -> Verified:
        configuration, knowledge = self._configuration, self._knowledge
        plan = Plan(
            self._revision,
            self._room.build,
            configuration.suites,
            found.files,
            configuration.setup,
            known=knowledge.history,
            touched=knowledge.touched,
            quarantined=knowledge.quarantined,
            retry=configuration.retry,
        )
        return await Dispatcher(self._node).run(plan, engine, self._hear)

    async def _set_up_alone(self) -> Verified:
        nodes = await SetUp(self._configuration.setup, self._node, self._hear).run()
        state, reason = conclude((), nodes, {})
        return Verified(state, reason, nodes=nodes)

    async def _node(self, name: str, node: SetupNode) -> NodeChanged:
        timeout = node.timeout or self._configuration.timeout
        ended = await self._steps.run(self._room, Task(name, "setup", node.run, timeout), self._on_step)
        step = ended.step
        self._done.append(step)
        broken = ended.broken or missing_program(step)
        good = step.passed and not broken
        return NodeChanged(
            name,
            CaseState.PASSED if good else CaseState.FAILED,
            step.seconds,
            "" if good else why(step),
            await asyncio.to_thread(self._steps.output, step),
            broken,
        )

    def _hear(self, event: VerifyEvent) -> None:
        """Tells of it, and lets the commands begin once the set-up is over."""
        if isinstance(event, NodeChanged) and event.state.ended:
            self._to_come -= 1
            self._good = self._good and event.state is CaseState.PASSED
            if not self._to_come and not self._set_up.done():
                self._set_up.set_result(self._good)
        self._on_event(event)

    async def _command(
        self, name: str, command: str, places: asyncio.Semaphore, engine: Engine | None
    ) -> CommandEnd | None:
        """A plain command, in the place of a worker; None where the set-up did not pass."""
        if not await asyncio.shield(self._set_up):
            return None
        task = Task(name, "test", command, self._configuration.timeout)
        if engine is None:
            async with places:
                return await self._steps.run(self._room, task, self._on_step)
        worker = await engine.idle()
        try:
            return await self._steps.run(self._room, task, self._on_step)
        finally:
            engine.release(worker)

    async def _conclusion(self, verified: Verified, ends: Sequence[CommandEnd]) -> tuple[BuildState, str]:
        state, reason = _of_commands(ends)
        if BuildState.FAILED in (state, verified.state):
            failed = [(state, reason), (verified.state, verified.reason)]
            both = "; ".join(text for one, text in failed if one is BuildState.FAILED)
            return await self._failed(both)
        if state is BuildState.BROKEN:
            return state, reason
        if verified.state is not BuildState.PASSED:
            return verified.state, LOST if self._room.enclosure.lost else verified.reason
        alone = not self._configuration.tests and not self._configuration.suites
        return BuildState.PASSED, "verified by its set-up alone: leuko.yml says `tests: {}`" if alone else ""

    async def _failed(self, reason: str) -> tuple[BuildState, str]:
        """Failed, unless the disk is full: then what failed says nothing about the commit."""
        if self._room.enclosure.lost:
            return BuildState.BROKEN, f"{LOST} ({reason})"
        full = await asyncio.to_thread(self._room.workshop.free_space_trouble)
        if full:
            return BuildState.BROKEN, f"{full} ({reason})"
        return BuildState.FAILED, reason


def _of_commands(ends: Sequence[CommandEnd]) -> tuple[BuildState, str]:
    failed = [ended.step for ended in ends if not ended.step.passed and not ended.broken]
    if failed:
        names = ", ".join(f"{step.name} ({why(step)})" for step in failed[:_SHOWN])
        more = f" and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
        return BuildState.FAILED, f"{len(failed)} of {len(ends)} tests failed: {names}{more}"
    broken = next((ended.broken for ended in ends if ended.broken), "")
    return (BuildState.BROKEN, broken) if broken else (BuildState.PASSED, "")
