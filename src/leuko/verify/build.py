"""A build on this machine: checkout, set-up, tests in parallel workers, then the release's tree."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from leuko.config.model import Release
from leuko.config.verify import Verify
from leuko.domain.build import BuildState, StepResult
from leuko.domain.errors import LeukoError
from leuko.verify.account import Account, build_environment
from leuko.verify.capture import Mask, unmasked
from leuko.verify.command import OUTPUT_CAP
from leuko.verify.enclosure import MARK, Enclosure, Level, Limits
from leuko.verify.engine import Engine
from leuko.verify.knowledge import NOTHING, Knowledge, OnEvent, unheard
from leuko.verify.plan import Verified
from leuko.verify.running import Running
from leuko.verify.steps import OnStep, Room, StepEnded, Steps, StepStarted, Task, slug
from leuko.verify.workshop import Workshop, inside, make

__all__ = [
    "BuildOutcome",
    "CheckOut",
    "LocalVerifier",
    "OnStep",
    "ReleaseBuildError",
    "StepEnded",
    "StepStarted",
]

CheckOut = Callable[[str, Path], Awaitable[Sequence[str]]]
"""Writes a revision's tree into a folder; hands back warnings (submodules and the like)."""
EngineFor = Callable[[str, str, Verify], AbstractAsyncContextManager[Engine | None]]
"""Workers for a build (name, revision, configuration), as long as it runs; None: those of this machine."""

_LINES_OWN = re.compile(r"[0-9a-f]{12}")
"""Name of a folder of builds, as `account.workspace` gives it."""


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
    """The tests of its suites, where it has any."""
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of files of tests."""
    room: Room | None = field(default=None, repr=False)

    @property
    def checkout(self) -> Path | None:
        """The verified tree; None where there was none, or it is gone."""
        return self.room.workshop.checkout if self.room is not None else None

    async def discard(self) -> None:
        """Ends every process of the build and removes its folder; twice is fine."""
        room, self.room = self.room, None
        if room is not None:
            await room.end()


@asynccontextmanager
async def this_machine(_build: str, _revision: str, _verify: Verify) -> AsyncIterator[Engine | None]:
    """The usual workers."""
    yield None


class LocalVerifier:
    """Verifies on this machine.

    `folder` holds the checkouts (see `account.workspace`), `state` the outputs, in `state/builds/<build>/`;
    `hidden` are folders that no build may see, besides those of the other builds. Suites run at the workers
    that `engine_for` gives.
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
        engine_for: EngineFor = this_machine,
    ) -> None:
        self._check_out = check_out
        self._account = account
        self._folder = folder
        self._hidden = tuple(hidden)
        self._limits = limits or Limits()
        self._namespaces = namespaces
        self._steps = Steps(state, mask, cap)
        self._active: set[Path] = set()
        self._engine_for = engine_for

    async def verify(
        self,
        build: str,
        revision: str,
        configuration: Verify,
        on_step: OnStep = lambda _step: None,
        facts: Mapping[str, str] | None = None,
        knowledge: Knowledge = NOTHING,
        on_event: OnEvent = unheard,
        engine: Engine | None = None,
    ) -> BuildOutcome:
        """Runs the build: steps are told to `on_step`, tests and set-up nodes to `on_event`. `engine` carries
        the suites; None: workers of this machine, shut in with the build. Cancelled, it kills what runs,
        removes its folder and raises CancelledError.

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
            async with self._engine_for(build, revision, configuration) as hired:
                workers = engine or hired
                ran = await Running(
                    room, self._steps, configuration, revision, knowledge, on_step, on_event, workers
                ).run()
        except BaseException:
            await asyncio.shield(room.end())
            raise
        reason = knowledge.tested if ran.state is BuildState.PASSED and knowledge.tested else ran.reason
        warnings = (*warnings, *ran.warnings)
        return BuildOutcome(
            ran.state, ran.steps, reason, warnings, room.enclosure.level, ran.verified, ran.tags, room
        )

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
                ended = await self._steps.run(
                    room, Task("release", "release", release.build, release.timeout), on_step
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
    ) -> tuple[Room, tuple[str, ...]]:
        workshop = await asyncio.to_thread(make, self._folder, slug(build), self._account)
        self._active.add(workshop.folder)
        hidden = (self._folder, *self._hidden)
        others = self._others_build
        enclosure = Enclosure(
            self._account, workshop.folder, hidden, self._limits,
            namespaces=self._namespaces, alone=lambda: self._active <= {workshop.folder} and not others(),
        )  # fmt: skip
        room = Room(build, workshop, enclosure, {}, self._active)
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


def _no_tests(configuration: Verify) -> str:
    if (
        configuration.tests
        or configuration.suites
        or ("tests" in configuration.model_fields_set and configuration.setup)
    ):
        return ""
    return (
        "no tests are configured, and untested is not passed: write `verify.suites` or `verify.tests`, or "
        "`tests: {}` beside a `verify.setup` that does the checking"
    )
