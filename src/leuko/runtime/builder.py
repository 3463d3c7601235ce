"""Verifies what landed, and builds the release of what is green: once, in the checkout that was verified."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from leuko.cancellation import end
from leuko.config.components import components, release_of
from leuko.config.model import Configuration
from leuko.domain.build import Build, BuildState, StepResult
from leuko.domain.errors import LeukoError
from leuko.domain.release import Component, Release
from leuko.releases.archives import Archives
from leuko.runtime.choosing import Choosing
from leuko.runtime.covering import Covering
from leuko.runtime.freezing import frozen_for
from leuko.runtime.ground import Ground
from leuko.runtime.knowing import known
from leuko.runtime.outsiders import Outsiders
from leuko.runtime.planning import to_text
from leuko.runtime.recording import Recording
from leuko.runtime.remembering import Remembering
from leuko.store.case_outputs import CaseOutputs
from leuko.store.changes import ChangeState
from leuko.store.transaction import Transaction
from leuko.vcs.mirror import Mirror
from leuko.verify.build import (
    BuildOutcome,
    LocalVerifier,
    ReleaseBuildError,
    StepEnded,
    StepStarted,
)
from leuko.verify.knowledge import Knowledge

log = structlog.get_logger(__name__)

AGAIN = "tried again:"
AGAIN_AFTER = (5.0, 30.0, 120.0)
"""Seconds."""
CHANGE_STATES = {
    BuildState.WAITING: ChangeState.WAITING,
    BuildState.RUNNING: ChangeState.VERIFYING,
    BuildState.PASSED: ChangeState.GREEN,
    BuildState.FAILED: ChangeState.RED,
    BuildState.BROKEN: ChangeState.BROKEN,
    BuildState.CANCELLED: ChangeState.WAITING,
}


class Builder:
    """`step` takes what waits longest and sees it through."""

    def __init__(self, ground: Ground, mirror: Mirror, verifier: LocalVerifier, archives: Archives) -> None:
        self._ground = ground
        self._mirror = mirror
        self._verifier = verifier
        self._archives = archives
        self._choosing = Choosing(ground, mirror)
        self._outsiders = Outsiders(ground)
        self._remembering = Remembering(ground)
        self._covering = Covering(ground, mirror)

    async def recover(self) -> None:
        """After a restart: builds that a dead controller left running wait again, from the start."""
        await self._verifier.sweep()
        await self._rewind("the controller was restarted")

    async def _rewind(self, why: str) -> None:
        """Nothing runs between two steps: a build that says so was cut off."""
        for build in await self._ground.store.builds.unfinished(self._ground.line):
            if build.state is BuildState.RUNNING:
                await self._to(build, BuildState.WAITING, why)

    async def step(self) -> Release | None:
        """One build from waiting to its end; the release where it is green, else None."""
        store, line, now = self._ground.store, self._ground.line, self._ground.clock.now()
        await self._rewind("it was cut off")
        await self._outsiders.reopen(self._create)
        waiting = [one for one in await store.builds.unfinished(line) if _due(one, now)]
        # what landed now goes before a build that is only tried again
        for build in [one for one in waiting if one.attempt == 1]:
            if await self._may_begin(build):
                return await self._carry_out(build)
        new = await self._next()
        if new is not None and await self._may_begin(new):
            return await self._carry_out(new)
        for build in [one for one in waiting if one.attempt > 1]:
            if await self._may_begin(build):
                return await self._carry_out(build)
        return None

    async def _may_begin(self, build: Build) -> bool:
        """True where no other CI has to speak first. Its bad word, or its silence, ends the build."""
        heard = await self._outsiders.hear(build)
        if heard is None or heard.state is BuildState.PASSED:
            return True
        if heard.state is not None:
            await self._close(build, heard.state, heard.reason)
        elif heard.reason != build.reason:
            await self._note(build, heard.reason)
        return False

    async def request(self, revision: str) -> Build:
        """A build of a revision that a person asked for, whether it landed or not."""
        tree = await self._mirror.history.tree_of(revision)
        return await self._create(revision, tree, (revision,), asked=True)

    async def _next(self) -> Build | None:
        choice = await self._choosing.next()
        if choice is None:
            return None
        return await self._create(choice.revision, choice.tree, choice.covers)

    async def _create(self, revision: str, tree: str, covers: Sequence[str], *, asked: bool = False) -> Build:
        now = self._ground.clock.now()
        async with self._ground.write() as tx:
            build = await self._ground.store.builds.create(tx, revision, tree, covers, now)
            await self._ground.store.changes.mark(tx, covers, ChangeState.VERIFYING, build=build.id)
            if asked:
                await self._ground.store.build_facts.set(tx, build.id, "asked", {}, now)
            tx.event(
                "build", f"build {build.id}", {"build": build.id, "to": "waiting", "revision": revision}, now
            )
        return build

    async def _note(self, build: Build, reason: str) -> None:
        """Says what a build waits for."""
        now = self._ground.clock.now()
        async with self._ground.write() as tx:
            saved = await self._ground.store.builds.save(tx, replace(build, reason=reason))
            tx.event("build", f"build {build.id}", _told(saved), now)

    async def _close(self, build: Build, state: BuildState, reason: str) -> None:
        """Ends a build that others spoke the last word about."""
        build = await self._to(build, BuildState.RUNNING)
        await self._to(build, state, reason)

    async def _carry_out(self, build: Build) -> Release | None:
        try:
            configuration = await frozen_for(self._ground.configuration, self._mirror.history, build.revision)
        except LeukoError as error:
            await self._close(build, BuildState.FAILED, str(error))
            return None
        heard = await self._outsiders.hear(build)
        said = heard.reason if heard is not None and not configuration.outside.besides else ""
        knowledge = await known(self._ground, self._mirror, build, configuration, said)
        build = await self._to(build, BuildState.RUNNING, of=commands_of(configuration))
        recording = Recording(self._ground, build.id, self._outputs(build), knowledge.quarantined)
        outcome = await self._verify(build, configuration, knowledge, recording)
        try:
            release = None
            if outcome.state is BuildState.PASSED and not knowledge.tested:
                await self._covering.look(build, outcome, configuration)
            if outcome.state is BuildState.PASSED:
                outcome, release = await self._release(build, outcome, configuration)
            await self._finish(build, outcome, release, configuration, recording)
            await self._remembering.keep(build, outcome.state, recording)
            return release
        finally:
            await outcome.discard()

    def _outputs(self, build: Build) -> CaseOutputs:
        return CaseOutputs(self._ground.state / "builds" / f"{build.id}-{build.attempt}")

    async def _verify(
        self, build: Build, configuration: Configuration, knowledge: Knowledge, recording: Recording
    ) -> BuildOutcome:
        """Verifies, stores what happens meanwhile, and gives up when the answer is of no use any more."""
        await recording.begin()
        steps: asyncio.Queue[StepStarted | StepEnded | None] = asyncio.Queue()
        teller = asyncio.create_task(self._tell(build, steps, commands_of(configuration)))
        storing = asyncio.create_task(recording.run())
        verifying = asyncio.create_task(
            self._verifier.verify(
                f"{build.id}.{build.attempt}",
                build.revision,
                configuration.verify,
                steps.put_nowait,
                knowledge=knowledge,
                on_event=recording.take,
            )
        )
        useless = asyncio.create_task(self._useless(build, recording))
        try:
            await asyncio.wait({verifying, useless, storing}, return_when=asyncio.FIRST_COMPLETED)
            if storing.done():
                storing.result()  # the lease was lost: nothing more may be written
            given_up = useless.done() and not verifying.done()
            why = useless.result() if given_up else ""
            outcome = BuildOutcome(BuildState.CANCELLED, (), why) if given_up else await verifying
        finally:
            for task in (useless, verifying, storing):
                await end(task)
            steps.put_nowait(None)
            await teller
        await recording.finish(outcome.verified.flaky if outcome.verified else ())
        return outcome

    async def _useless(self, build: Build, recording: Recording) -> str:
        """Waits until something lands that makes this build useless; why."""
        ear = self._ground.bell.ear()
        try:
            while True:
                ear.clear()
                why = await self._choosing.useless(build, recording.done)
                if why:
                    return why
                await ear.wait()
        finally:
            self._ground.bell.forget(ear)

    async def _release(
        self, build: Build, outcome: BuildOutcome, configuration: Configuration
    ) -> tuple[BuildOutcome, Release | None]:
        """Builds and archives each component; a build command that fails makes the build red."""
        built: list[Component] = []
        try:
            for name in components(configuration):
                options = release_of(configuration, name)
                await self._verifier.release_tree(outcome, options)
                checkout = outcome.checkout
                assert checkout is not None
                built.append(await self._archives.build(checkout, options, build.revision, component=name))
        except ReleaseBuildError as error:
            outcome.state = BuildState.BROKEN if error.broken else BuildState.FAILED
            outcome.reason = str(error)
            return outcome, None
        except LeukoError as error:
            outcome.state, outcome.reason = BuildState.FAILED, str(error)
            return outcome, None
        except Exception as error:
            # not the tests' fault, whatever it is: a full disk, or a fault of ours
            log.exception("a release could not be archived", build=build.id)
            outcome.state, outcome.reason = BuildState.BROKEN, f"the release could not be archived: {error}"
            return outcome, None
        release = Release(build.revision, tuple(built), self._ground.clock.now())
        await self._mirror.keep(build.revision)
        return outcome, release

    async def _finish(
        self,
        build: Build,
        outcome: BuildOutcome,
        release: Release | None,
        configuration: Configuration,
        recording: Recording,
    ) -> None:
        """Archives are on disk and synced before the row that names them."""
        store, now = self._ground.store, self._ground.clock.now()
        again = (
            outcome.state is BuildState.BROKEN
            and build.attempt <= self._ground.configuration.verify.retries_broken
        )
        after = build.to(outcome.state, now, outcome.reason)
        covers = await store.builds.changes(self._ground.line, build.id)
        async with self._ground.write() as tx:
            saved = await store.builds.save(tx, after)
            await store.builds.save_steps(tx, build.id, outcome.steps)
            await store.changes.mark(tx, covers, CHANGE_STATES[outcome.state], build=build.id)
            if release is not None:
                digest = await store.configurations.keep(tx, to_text(configuration), now)
                kept = await store.releases.add(tx, release, configuration=digest)
                facts = {"release": kept.name, "revision": kept.revision, "bytes": _bytes(kept)}
                tx.event("release", kept.name, facts, now)
            await self._remembering.note(tx, saved, outcome, configuration, recording)
            await self._outsiders.carry(tx, saved)
            facts = _told(saved) | {"of": commands_of(configuration)}
            tx.event("build", f"build {build.id}", facts, now)
            if again:
                await self._try_again(tx, saved, covers)
        self._ground.bell.ring()

    async def _try_again(self, tx: Transaction, build: Build, covers: list[str]) -> None:
        """A broken build is nobody's fault: another one is made, with the count of tries carried on."""
        store, now = self._ground.store, self._ground.clock.now()
        new = await store.builds.create(tx, build.revision, build.tree, covers, now)
        why = f"{AGAIN} build {build.id} was broken"
        await store.builds.save(tx, replace(new, attempt=build.attempt + 1, reason=why))
        await store.changes.mark(tx, covers, ChangeState.VERIFYING, build=new.id)
        tx.event("build", f"build {new.id}", {"build": new.id, "to": "waiting", "again": build.id}, now)

    async def _to(self, build: Build, state: BuildState, reason: str = "", of: int = 0) -> Build:
        now = self._ground.clock.now()
        covers = await self._ground.store.builds.changes(self._ground.line, build.id)
        async with self._ground.write() as tx:
            saved = await self._ground.store.builds.save(tx, build.to(state, now, reason))
            await self._ground.store.changes.mark(tx, covers, CHANGE_STATES[state], build=build.id)
            facts = _told(saved) | ({"of": of} if of else {})
            tx.event("build", f"build {build.id}", facts, now)
        self._ground.bell.ring()
        return saved

    async def _tell(
        self, build: Build, steps: asyncio.Queue[StepStarted | StepEnded | None], of: int
    ) -> None:
        """Stores each step as it begins and ends, so that pages show a build while it runs."""
        ended: list[StepResult] = []
        while (step := await steps.get()) is not None:
            now = self._ground.clock.now()
            async with self._ground.write() as tx:
                if isinstance(step, StepEnded):
                    ended.append(step.step)
                    await self._ground.store.builds.save_steps(tx, build.id, ended)
                tx.event("build.step", f"build {build.id}", _step_told(build, step) | {"of": of}, now)


def commands_of(configuration: Configuration) -> int:
    """How many commands a build of it runs, when nothing fails."""
    releases = [release_of(configuration, name) for name in components(configuration)]
    section = configuration.verify
    return len(section.setup) + len(section.tests) + sum(bool(one.build) for one in releases)


def _due(build: Build, now: datetime) -> bool:
    """A broken build waits a little before it is tried again: what broke it may still be broken."""
    if build.state is not BuildState.WAITING or not build.reason.startswith(AGAIN):
        return build.state is BuildState.WAITING
    seconds = AGAIN_AFTER[min(build.attempt - 2, len(AGAIN_AFTER) - 1)]
    return now >= build.since + timedelta(seconds=seconds)


def _bytes(release: Release) -> int:
    return sum(component.bytes for component in release.components)


def _told(build: Build) -> dict[str, object]:
    return {
        "build": build.id,
        "to": build.state.value,
        "revision": build.revision,
        "reason": build.reason,
        "attempt": build.attempt,
    }


def _step_told(build: Build, step: StepStarted | StepEnded) -> dict[str, object]:
    if isinstance(step, StepStarted):
        return {"build": build.id, "step": step.name, "kind": step.kind, "state": "running"}
    result = step.step
    state = "passed" if result.passed else "failed"
    return {
        "build": build.id,
        "step": result.name,
        "kind": result.kind,
        "state": state,
        "seconds": round(result.seconds, 3),
        "exit_code": result.exit_code,
        "reason": result.reason,
    }
