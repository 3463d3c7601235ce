"""The run of a watched command: the child, its signals, and whoever keeps the observation."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

from leuko.cli.scene import Scene, person
from leuko.domain.errors import LeukoError, Refused

if TYPE_CHECKING:
    from leuko.cli.desk import Desk
    from leuko.runtime.controller import Controller

NOT_FOUND, NOT_RUN = 127, 126
TOO_LITTLE = "P052"
LOOK = 1.0
SAID_EVERY = 15.0


@dataclass
class Seen:
    """What came of it: the command's exit code (negative: the signal), and the observation as it was last."""

    exit_code: int = 0
    page: Mapping[str, Any] | None = None
    interrupted: bool = False


class Keeper(Protocol):
    """Keeps the observation: a controller, or this process."""

    async def observe(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Begins or ends one. Raises LeukoError."""
        ...

    async def page(self, number: int) -> Mapping[str, Any]:
        """The observation as it is now."""
        ...


def watched(scene: Scene, command: Sequence[str], canaries: Sequence[str], seconds: float) -> Seen:
    """Runs the command between two looks at the fleet."""
    return asyncio.run(_watched(scene, command, canaries, seconds))


async def _watched(scene: Scene, command: Sequence[str], canaries: Sequence[str], seconds: float) -> Seen:
    run = Run(scene)
    async with AsyncExitStack() as stack:
        keeper = await stack.enter_async_context(keeping(scene))
        stack.enter_context(run)
        wanted = {"command": list(command), "canaries": list(canaries), "watch": seconds}
        number = await run.begun(keeper, wanted)
        if number is None:
            return run.seen
        await run.child(command)
        try:
            await run.judged(keeper, number)
        finally:
            run.seen.page = await keeper.page(number)
    return run.seen


@dataclass
class Run:
    """One run. Ctrl-C reaches the command, as it would without us; a second one ends the watch after it."""

    scene: Scene
    seen: Seen = field(default_factory=Seen)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _process: asyncio.subprocess.Process | None = None
    _said: float = 0.0

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled, number)
        return self

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)

    def _signalled(self, number: signal.Signals) -> None:
        if self._process is None:
            self._stop.set()
            return
        if number is signal.SIGINT and _in_foreground():
            return  # the terminal has sent it to the command as well
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def begun(self, keeper: Keeper, wanted: Mapping[str, Any]) -> int | None:
        """The observation's number, as soon as there is history enough; None where somebody had enough."""
        while not self._stop.is_set():
            try:
                return int((await keeper.observe(wanted))["observation"])
            except LeukoError as error:
                if error.code != TOO_LITTLE:
                    raise
                self._say(f"Before the command begins: {error.rule}; {error.way_out}.")
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._stop.wait()
        self.seen.interrupted = True
        return None

    async def child(self, command: Sequence[str]) -> None:
        """Runs the command to its end, with our own input and output."""
        out = sys.stderr.fileno() if self.scene.as_json else None
        try:
            self._process = await asyncio.create_subprocess_exec(*command, stdout=out)
        except FileNotFoundError:
            self._say(f"{command[0]}: there is no such command", always=True)
            self.seen.exit_code = NOT_FOUND
            return
        except (OSError, ValueError) as error:
            self._say(f"{command[0]}: cannot be run: {error}", always=True)
            self.seen.exit_code = NOT_RUN
            return
        try:
            self.seen.exit_code = await self._process.wait()
        finally:
            self._process = None

    async def judged(self, keeper: Keeper, number: int) -> None:
        """Tells the end, and waits for the last word."""
        if self.seen.exit_code in (NOT_FOUND, NOT_RUN):
            await keeper.observe({"observation": number})
            return
        told = {"observation": number, "exit_code": self.seen.exit_code}
        state = (await keeper.observe(told))["state"]
        while state not in ("ended", "interrupted") and not self._stop.is_set():
            page = await keeper.page(number)
            state = page["state"]
            if state == "watching":
                if page["sentence"]:
                    self._say(f"{page['ticks']} of {page['wanted']} ticks seen: {page['sentence']}")
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK):
                        await self._stop.wait()
        if self._stop.is_set():
            self.seen.interrupted = True
            await keeper.observe({"observation": number})

    def _say(self, text: str, *, always: bool = False) -> None:
        now = time.monotonic()
        if always or now - self._said > SAID_EVERY:
            self._said = now
            self.scene.say(text)


def _in_foreground() -> bool:
    """True where a terminal sends its Ctrl-C to our whole group, the command included."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False


@asynccontextmanager
async def keeping(scene: Scene) -> AsyncIterator[Keeper]:
    """A running controller; where there is none, this process looks at the fleet, and does nothing else."""
    from leuko.cli.desk import answering

    desk = await asyncio.to_thread(answering, scene)
    if desk is not None:
        with desk:
            yield AtController(desk)
        return
    async with _alone(scene) as keeper:
        yield keeper


@dataclass(frozen=True)
class AtController:
    """The controller keeps it."""

    desk: Desk

    async def observe(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """As an intent."""
        return await asyncio.to_thread(self.desk.wish, "observe", arguments)

    async def page(self, number: int) -> Mapping[str, Any]:
        """From the API."""
        found: Mapping[str, Any] = await asyncio.to_thread(self.desk.get, f"observations/{number}")
        return found


@dataclass(frozen=True)
class Alone:
    """This process samples, and keeps it."""

    controller: Controller

    async def observe(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """As a controller would obey it."""
        from datetime import timedelta

        from leuko.domain.intent import Intent, IntentKind

        now = self.controller.ground.clock.now()
        day = now + timedelta(days=1)
        intent = Intent(0, IntentKind.OBSERVE, person(), "", now, day, arguments=arguments)
        return await self.controller.observing.obey(intent)

    async def page(self, number: int) -> Mapping[str, Any]:
        """From the store, after another look."""
        import msgspec

        from leuko.web.views.observations import observation

        await self.controller.observing.step()
        ground = self.controller.ground
        found = await observation(ground.store, ground.line, number)
        plain: Mapping[str, Any] = msgspec.to_builtins(found, enc_hook=dict)
        return plain


@asynccontextmanager
async def _alone(scene: Scene) -> AsyncIterator[Alone]:
    from leuko.cli.desk import DATABASE
    from leuko.cli.installation import installation

    if not scene.config.exists():
        raise Refused(
            "no controller answers here, and there is no configuration to sample by",
            where=str(scene.config),
            way_out="go to the folder of your leuko.yml, or name it with --config; `leuko init` writes one",
            code="X014",
        )
    scene.say("No controller is running: this command looks at the fleet by itself.")
    files, database = [scene.config], os.environ.get(DATABASE, "")
    async with installation(files, scene.state, environment=scene.environment, database=database) as made:
        controller = made.controllers[0]
        await controller.serve_text()
        looking = asyncio.create_task(controller.look_only())
        try:
            yield Alone(controller)
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
