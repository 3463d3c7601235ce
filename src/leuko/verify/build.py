"""A build on this machine: checkout, set-up, tests in parallel workers, then the release's tree."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from leuko.config.model import Release
from leuko.config.verify import Verify
from leuko.config.verify_rules import node_name
from leuko.domain.build import BuildState, StepResult
from leuko.domain.errors import LeukoError
from leuko.verify.account import Account, build_environment
from leuko.verify.capture import Mask, unmasked
from leuko.verify.command import OUTPUT_CAP, CommandEnd, Order, run_command, shell
from leuko.verify.enclosure import MARK, Enclosure, Level, Limits
from leuko.verify.knowledge import NOTHING, Knowledge, OnEvent, unheard
from leuko.verify.plan import Verified
from leuko.verify.workshop import Workshop, inside, make

CheckOut = Callable[[str, Path], Awaitable[Sequence[str]]]
"""Writes a revision's tree into a folder; hands back warnings (submodules and the like)."""

_NOT_FOUND = (126, 127)
_LINES_OWN = re.compile(r"[0-9a-f]{12}")
"""Name of a folder of builds, as `account.workspace` gives it."""
_LOST = "something killed the process that held the build together"


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A command begins; `output` grows from now on."""

    name: str
    kind: str
    output: str


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A command ended."""

    step: StepResult


OnStep = Callable[[StepStarted | StepEnded], None]


class ReleaseBuildError(LeukoError):
    """The release's build command failed. `broken` says why, where the commit is not to blame."""

    exit_code = 5

    def __init__(self, step: StepResult, broken: str) -> None:
        why = broken or step.reason or f"ended with {step.exit_code}"
        super().__init__(
            f"the release's build command failed: {why}",
            where="release.build",
            way_out=f"its output is in {step.output}",
            code="B010",
        )
        self.step = step
        self.broken = broken


@dataclass(slots=True)
class BuildOutcome:
    """How a build ended. Its folder stays, for the release, until `discard`."""

    state: BuildState
    steps: tuple[StepResult, ...]
    reason: str = ""
    warnings: tuple[str, ...] = ()
    level: Level = Level.NONE
    verified: Verified | None = None
    """Of its suites, where it has any."""
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of files of tests."""
    room: _Room | None = field(default=None, repr=False)

    @property
    def checkout(self) -> Path | None:
        """The verified tree; None where there was none, or it is gone."""
        return self.room.workshop.checkout if self.room is not None else None

    async def discard(self) -> None:
        """Ends every process of the build and removes its folder; twice is fine."""
        room, self.room = self.room, None
        if room is not None:
            await room.end()


@dataclass(slots=True)
class _Room:
    """What one build occupies."""

    build: str
    workshop: Workshop
    enclosure: Enclosure
    environment: Mapping[str, str]
    active: set[Path]
    steps: int = 0

    async def end(self) -> None:
        await self.enclosure.close()
        self.active.discard(self.workshop.folder)
        await asyncio.to_thread(self.workshop.remove)


@dataclass(frozen=True, slots=True)
class _Task:
    name: str
    kind: str
    command: str
    timeout: float


class LocalVerifier:
    """Verifies on this machine.

    `folder` holds the checkouts (see `account.workspace`), `state` the outputs, in `state/builds/<build>/`;
    `hidden` are folders that no build may see, besides those of the other builds.
    """

    def __init__(
        self,
        check_out: CheckOut,
        account: Account,
        folder: Path,
        state: Path,
        *,
        hidden: Sequence[Path] = (),
        limits: Limits | None = None,
        mask: Mask = unmasked,
        namespaces: bool = True,
        cap: int = OUTPUT_CAP,
    ) -> None:
        self._check_out = check_out
        self._account = account
        self._folder = folder
        self._state = state
        self._hidden = tuple(hidden)
        self._limits = limits or Limits()
        self._mask = mask
        self._namespaces = namespaces
        self._cap = cap
        self._active: set[Path] = set()

    async def verify(
        self,
        build: str,
        revision: str,
        configuration: Verify,
        on_step: OnStep = lambda _step: None,
        facts: Mapping[str, str] | None = None,
        knowledge: Knowledge = NOTHING,
        on_event: OnEvent = unheard,  # noqa: ARG002 - suites tell their tests by it
    ) -> BuildOutcome:
        """Runs the build. Cancelled, it kills what runs, removes its folder and raises CancelledError.

        A failing set-up is the commit's fault unless its command does not exist; without any test command a
        build only passes where `tests: {}` is written out and there is a set-up that ran.
        """
        if knowledge.tested:
            configuration = configuration.model_copy(update={"tests": {}, "suites": {}})
        missing = "" if knowledge.tested else _no_tests(configuration)
        if missing:
            return BuildOutcome(BuildState.FAILED, (), missing)
        try:
            room, warnings = await self._move_in(build, revision, facts or {})
        except (LeukoError, OSError) as error:
            return BuildOutcome(BuildState.BROKEN, (), f"no checkout: {error}")
        try:
            outcome = await self._run(room, configuration, on_step)
        except BaseException:
            await asyncio.shield(room.end())
            raise
        outcome.warnings, outcome.level, outcome.room = warnings, room.enclosure.level, room
        if knowledge.tested and outcome.state is BuildState.PASSED:
            outcome.reason = knowledge.tested
        return outcome

    async def release_tree(
        self, outcome: BuildOutcome, release: Release, on_step: OnStep = lambda _step: None
    ) -> Path:
        """Builds the release in the verified checkout, and hands back the folder to pack.

        Nothing of the build runs any more when it returns, and nobody but the controller can change the
        tree. The step is added to the outcome's. Raises ReleaseBuildError, or WorkshopError for the path.
        """
        room = outcome.room
        if room is None or outcome.state is not BuildState.PASSED:
            raise LeukoError("only a build that passed has a release", where="release", code="B011")
        room.workshop.unseal()
        try:
            if release.build:
                ended = await self._step(
                    room, _Task("release", "release", release.build, release.timeout), on_step
                )
                outcome.steps += (ended.step,)
                if not ended.step.passed or ended.broken:
                    raise ReleaseBuildError(ended.step, ended.broken)
        finally:
            resisting = await room.enclosure.quiet()
            room.workshop.seal()
        if resisting:
            raise LeukoError(
                f"{resisting} processes of the build could not be ended, and might still change its tree",
                where="release",
                way_out="see what they are with `ps`, end them, and build again",
                code="B012",
            )
        return inside(room.workshop.checkout, release.path)

    async def sweep(self) -> int:
        """Ends and removes what a controller that died left behind; call it before the first build.

        Returns how many folders there were. Does nothing while builds of this verifier run.
        """
        if self._active or not self._folder.is_dir():
            return 0
        left = [place for place in self._folder.iterdir() if place.is_dir() and not place.is_symlink()]
        for place in left:
            await Enclosure(self._account, place, alone=lambda: False).close()
            await asyncio.to_thread(Workshop(place, self._account).remove)
        return len(left)

    def _others_build(self) -> bool:
        """True while another line or installation has builds of the same account here."""
        if not self._account.separate:
            return False
        neighbours = (place for place in self._folder.parent.iterdir() if place != self._folder)
        return any(_LINES_OWN.fullmatch(place.name) and any(place.iterdir()) for place in neighbours)

    async def _move_in(
        self, build: str, revision: str, facts: Mapping[str, str]
    ) -> tuple[_Room, tuple[str, ...]]:
        workshop = await asyncio.to_thread(make, self._folder, _slug(build), self._account)
        self._active.add(workshop.folder)
        hidden = (self._folder, *self._hidden)
        others = self._others_build
        enclosure = Enclosure(
            self._account, workshop.folder, hidden, self._limits,
            namespaces=self._namespaces, alone=lambda: self._active <= {workshop.folder} and not others(),
        )  # fmt: skip
        room = _Room(build, workshop, enclosure, {}, self._active)
        try:
            warnings = await self._check_out(revision, workshop.checkout)
            await asyncio.to_thread(workshop.hand_over)
            await enclosure.open()
        except BaseException:
            await asyncio.shield(room.end())
            raise
        known = {"LEUKO_REVISION": revision, "LEUKO_BUILD": build, MARK: str(workshop.folder)}
        room.environment = build_environment(
            self._account, workshop.home, workshop.temporary, {**facts, **known}
        )
        return room, tuple(warnings)

    async def _run(self, room: _Room, configuration: Verify, on_step: OnStep) -> BuildOutcome:
        steps: list[StepResult] = []
        for index, node in enumerate(configuration.setup):
            timeout = node.timeout or configuration.timeout
            ended = await self._step(room, _Task(node_name(index, node), "setup", node.run, timeout), on_step)
            steps.append(ended.step)
            broken = ended.broken or _missing_program(ended.step)
            if broken:
                return BuildOutcome(BuildState.BROKEN, tuple(steps), broken)
            if not ended.step.passed:
                return await _failed(room, steps, f"set-up failed: {ended.step.name} ({_why(ended.step)})")
        ends = await self._tests(room, configuration, on_step)
        steps += [ended.step for ended in ends]
        return await _verdict(room, steps, ends, written_out=not configuration.tests)

    async def _tests(self, room: _Room, configuration: Verify, on_step: OnStep) -> list[CommandEnd]:
        places = asyncio.Semaphore(configuration.workers)

        async def one(name: str, command: str) -> CommandEnd:
            async with places:
                return await self._step(room, _Task(name, "test", command, configuration.timeout), on_step)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(name, command)) for name, command in configuration.tests.items()]
        return [task.result() for task in tasks]

    async def _step(self, room: _Room, task: _Task, on_step: OnStep) -> CommandEnd:
        room.steps += 1
        shown = f"builds/{_slug(room.build)}/{room.steps:03d}-{_slug(task.name)}.log"
        on_step(StepStarted(task.name, task.kind, shown))
        order = Order(
            name=task.name,
            kind=task.kind,
            argv=room.enclosure.argv(room.workshop.checkout, shell(task.command)),
            environment=room.environment,
            timeout=task.timeout,
            output=self._state / shown,
            shown=shown,
            cap=self._cap,
            mask=self._mask,
        )
        try:
            ended = _lost(task, shown) if room.enclosure.lost else await run_command(order)
        except OSError as error:  # the output's file cannot be made: a full disk, most likely
            step = StepResult(task.name, task.kind, None, 0.0, "", f"its output cannot be kept: {error}")
            ended = CommandEnd(step, f"{task.name}: {step.reason}")
        on_step(StepEnded(ended.step))
        return ended


async def _verdict(
    room: _Room, steps: Sequence[StepResult], ends: Sequence[CommandEnd], *, written_out: bool
) -> BuildOutcome:
    broken = next((ended.broken for ended in ends if ended.broken), "")
    failed = [ended.step for ended in ends if not ended.step.passed and not ended.broken]
    if failed:
        names = ", ".join(f"{step.name} ({_why(step)})" for step in failed[:5])
        more = f" and {len(failed) - 5} more" if len(failed) > 5 else ""
        return await _failed(room, steps, f"{len(failed)} of {len(ends)} tests failed: {names}{more}")
    if broken:
        return BuildOutcome(BuildState.BROKEN, tuple(steps), broken)
    reason = "verified by its set-up alone: leuko.yml says `tests: {}`" if written_out else ""
    return BuildOutcome(BuildState.PASSED, tuple(steps), reason)


async def _failed(room: _Room, steps: Sequence[StepResult], reason: str) -> BuildOutcome:
    """Failed, unless the disk is full: then what failed says nothing about the commit."""
    if room.enclosure.lost:
        return BuildOutcome(BuildState.BROKEN, tuple(steps), f"{_LOST} ({reason})")
    full = await asyncio.to_thread(room.workshop.free_space_trouble)
    if full:
        return BuildOutcome(BuildState.BROKEN, tuple(steps), f"{full} ({reason})")
    return BuildOutcome(BuildState.FAILED, tuple(steps), reason)


def _lost(task: _Task, shown: str) -> CommandEnd:
    return CommandEnd(StepResult(task.name, task.kind, None, 0.0, shown, _LOST), _LOST)


def _no_tests(configuration: Verify) -> str:
    if configuration.tests or ("tests" in configuration.model_fields_set and configuration.setup):
        return ""
    return (
        "no test commands are configured, and untested is not passed: write `verify.tests`, or `tests: {}` "
        "beside a `verify.setup` that does the checking"
    )


def _missing_program(step: StepResult) -> str:
    if step.exit_code not in _NOT_FOUND:
        return ""
    return f"{step.name}: a program it starts is not there or cannot be run (exit {step.exit_code})"


def _why(step: StepResult) -> str:
    return step.reason or f"exit {step.exit_code}"


def _slug(name: str) -> str:
    """A name as part of a file's name: no slash, no dot in front, not too long."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:60] or "step"
