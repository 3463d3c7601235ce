"""Runs a developer's tests in the developer's own working tree, as the developer: with no enclosure."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from leuko.config.verify import SetupNode, Suite, Verify
from leuko.config.verify_rules import node_name
from leuko.domain.board import Board
from leuko.domain.board_rows import RunState
from leuko.domain.build import BuildState, StepResult
from leuko.domain.case import Batch, Case, CaseBegan, CaseEnded, CaseFound, CaseResult, CaseState, NodeChanged
from leuko.domain.errors import LeukoError
from leuko.runtests.carrier import Ended, OnEvent, Wanted
from leuko.runtests.memory import BoardKnown
from leuko.runtests.settings import COMMANDS
from leuko.verify.command import CommandEnd, Order, run_command, shell
from leuko.verify.dispatch import Dispatcher
from leuko.verify.engine import Assignment, CaseEvent
from leuko.verify.finding import Found, find, listed
from leuko.verify.local import LocalEngine, Surroundings
from leuko.verify.nodes import SetUp
from leuko.verify.plan import Plan, Verified
from leuko.verify.steps import missing_program, why

_OUTPUT = 32_768
"""Characters kept of either end of what a command printed."""
_THERE = ["/bin/sh", "-c", 'cd -- "$1" && shift && exec "$@"', "leuko-runtests"]
_STATES = {
    BuildState.PASSED: RunState.PASSED,
    BuildState.FAILED: RunState.FAILED,
    BuildState.BROKEN: RunState.BROKEN,
}


class Checkout:
    """The carrier of `leuko runtests`. `folder` is where outputs of commands go for the moment."""

    def __init__(
        self, place: Path, verify: Verify, board: Board, folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.place = place
        self.verify = verify
        self.found = Found({})
        self._board = board
        self._folder = folder
        self._environment = dict(environment)
        self._set_up = False
        self._number = 0
        surroundings = Surroundings(place, self._environment)
        self._engine = LocalEngine(max(1, verify.workers), surroundings)

    @property
    def nodes(self) -> Sequence[str]:
        """Set-up that the next run begins with: all of it until it has passed once."""
        if self._set_up:
            return ()
        return [node_name(index, node) for index, node in enumerate(self.verify.setup)]

    def again(self) -> None:
        """The next run sets up anew."""
        self._set_up = False

    # -- what there is --------------------------------------------------------------------------------------

    async def look(self) -> Found:
        """Finds files of tests, and makes the board know them; those that are gone go from it."""
        paths = await listed(self.place)
        found = await asyncio.to_thread(find, self.place, self.verify.suites, paths)
        for name in self.verify.tests:
            self._board.add(Case(COMMANDS, name))
        now = {(suite, file) for suite, files in found.files.items() for file in files}
        for known in self._board.files:
            if known.suite != COMMANDS and (known.suite, known.path) not in now:
                self._board.replace(known.suite, known.path, [])
        for suite, file in sorted(now):
            if not self._board.in_file(suite, file):
                self._board.add(Case(suite, file), found.tags.get(file, ()))
        self.found = found
        return found

    async def collect(self, changed: Collection[str] = ()) -> int:
        """Asks pytest for the tests of files that changed or of which nothing is known; how many told theirs.

        A file that cannot be collected stays a row of its own, and says why when it runs.
        """
        told = 0
        for name, suite in self.verify.suites.items():
            known = self.found.files.get(name, ())
            files = tuple(file for file in known if file in changed or self._untold(name, file))
            if suite.runner != "pytest" or not files:
                continue
            told += await self._collected(name, suite, files)
        return told

    def _untold(self, suite: str, file: str) -> bool:
        rows = self._board.in_file(suite, file)
        return all(not self._board.rows[row].name for row in rows)

    async def _collected(self, name: str, suite: Suite, files: tuple[str, ...]) -> int:
        names: dict[str, list[str]] = {}

        def heard(event: CaseEvent) -> None:
            if isinstance(event, CaseFound) and event.case.name:
                names.setdefault(event.case.file, []).append(event.case.name)

        command = f"{suite.command.strip() or 'python3 -m pytest'} --collect-only"
        asking = suite.model_copy(update={"command": command, "warm": False})
        self._number += 1
        batch = Batch(self._number, name, files, timeout=max(60.0, suite.timeout))
        worker = await self._engine.idle()
        try:
            await self._engine.run(worker, Assignment(batch, asking, "", "collect", self._environment), heard)
        except LeukoError:
            return 0  # it will say so when it runs
        for file, those in names.items():
            self._board.replace(name, file, dict.fromkeys(those))
        return len(names)

    # -- the port -------------------------------------------------------------------------------------------

    async def run(self, wanted: Wanted, on_event: OnEvent) -> Ended:
        """As in the port."""
        commands = [case for case in wanted.cases if case.suite == COMMANDS]
        cases = [case for case in wanted.cases if case.suite != COMMANDS]
        setup = () if self._set_up else self.verify.setup
        if setup and (commands or not cases):
            if not await self._alone(setup, on_event):
                return Ended(RunState.FAILED, "the set-up did not pass")
            setup = ()
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(self._command(case, on_event)) for case in commands]
            suites = group.create_task(self._suites(cases, wanted, setup, on_event)) if cases else None
        failed = sum(not task.result() for task in beside)
        if suites is None:
            return Ended(RunState.FAILED if failed else RunState.PASSED)
        verified = suites.result()
        state = _STATES.get(verified.state, RunState.BROKEN)
        reason = "; ".join(part for part in (verified.reason, *verified.warnings) if part)
        return Ended(RunState.FAILED if failed and state is RunState.PASSED else state, reason)

    async def close(self) -> None:
        """As in the port."""
        await self._engine.close()
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    async def _alone(self, setup: Sequence[SetupNode], on_event: OnEvent) -> bool:
        nodes = await SetUp(setup, self._node, on_event).run()
        self._set_up = all(node.state is CaseState.PASSED for node in nodes)
        return self._set_up

    async def _suites(
        self, cases: Sequence[Case], wanted: Wanted, setup: Sequence[SetupNode], on_event: OnEvent
    ) -> Verified:
        selection = {case for case in cases if (case.suite, case.file) not in wanted.whole}
        selection |= {Case(suite, file) for suite, file in wanted.whole if suite != COMMANDS}
        suites = self.verify.suites
        if not setup:  # it has passed before: nothing waits for it
            suites = {name: suite.model_copy(update={"needs": ()}) for name, suite in suites.items()}
        self._number += 1
        plan = Plan(
            "",
            f"runtests-{self._number}",
            suites,
            self._files(cases),
            tuple(setup),
            known=BoardKnown(self._board),
            selection=selection,
            retry=self.verify.retry,
            environment=self._environment,
        )
        verified = await Dispatcher(self._node).run(plan, self._engine, on_event)
        if setup:
            self._set_up = all(node.state is CaseState.PASSED for node in verified.nodes)
        return verified

    def _files(self, cases: Sequence[Case]) -> dict[str, tuple[str, ...]]:
        """By suite, as far as anything of them is wanted."""
        found: dict[str, dict[str, None]] = {}
        for case in cases:
            found.setdefault(case.suite, {})[case.file] = None
        return {suite: tuple(files) for suite, files in found.items() if suite in self.verify.suites}

    async def _node(self, name: str, node: SetupNode) -> NodeChanged:
        ended, output = await self._ran(name, "setup", node.run, node.timeout or self.verify.timeout)
        broken = ended.broken or missing_program(ended.step)
        good = ended.step.passed and not broken
        state = CaseState.PASSED if good else CaseState.FAILED
        return NodeChanged(name, state, ended.step.seconds, "" if good else why(ended.step), output, broken)

    async def _command(self, case: Case, on_event: OnEvent) -> bool:
        worker = await self._engine.idle()
        try:
            on_event(CaseBegan(case, worker))
            ended, output = await self._ran(
                case.file, "test", self.verify.tests[case.file], self.verify.timeout
            )
        finally:
            self._engine.release(worker)
        good = ended.step.passed and not ended.broken
        on_event(
            CaseEnded(
                CaseResult(
                    case,
                    CaseState.PASSED if good else CaseState.FAILED,
                    ended.step.seconds,
                    worker,
                    reason="" if good else why(ended.step),
                    output=output,
                    broken=ended.broken,
                )
            )
        )
        return good

    async def _ran(self, name: str, kind: str, command: str, timeout: float) -> tuple[CommandEnd, str]:
        self._number += 1
        path = self._folder / f"{self._number:04d}.log"
        argv = [*_THERE, str(self.place), *shell(command)]
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            ended = await run_command(Order(name, kind, argv, self._environment, timeout, path, path.name))
            return ended, await asyncio.to_thread(_both_ends, path)
        except OSError as error:  # a full disk, most likely
            step = StepResult(name, kind, None, 0.0, "", f"its output cannot be kept: {error}")
            return CommandEnd(step, f"{name}: {step.reason}"), ""
        finally:
            path.unlink(missing_ok=True)


def _both_ends(path: Path) -> str:
    text = path.read_text("utf-8", "replace")
    if len(text) <= 2 * _OUTPUT:
        return text
    return f"{text[:_OUTPUT]}\n[...]\n{text[-_OUTPUT:]}"
