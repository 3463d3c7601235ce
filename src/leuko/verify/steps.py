"""Commands of a build, one after the other or at the same time: each a step that pages show while it runs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from leuko.domain.build import StepResult
from leuko.domain.case import OUTPUT_CAP
from leuko.verify.capture import Mask
from leuko.verify.command import CommandEnd, Order, run_command, shell
from leuko.verify.enclosure import Enclosure
from leuko.verify.workshop import Workshop

LOST = "something killed the process that held the build together"
_NOT_FOUND = (126, 127)


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


@dataclass(slots=True)
class Room:
    """What one build occupies."""

    build: str
    workshop: Workshop
    enclosure: Enclosure
    environment: Mapping[str, str]
    active: set[Path]
    steps: int = 0

    @property
    def outputs(self) -> str:
        """Where its outputs are, below the state directory."""
        return f"builds/{slug(self.build)}"

    async def end(self) -> None:
        """Ends every process of the build and removes its folder; twice is fine."""
        await self.enclosure.close()
        self.active.discard(self.workshop.folder)
        await asyncio.to_thread(self.workshop.remove)


@dataclass(frozen=True, slots=True)
class Task:
    """A command to run; `timeout` is in seconds."""

    name: str
    kind: str
    command: str
    timeout: float


@dataclass(frozen=True, slots=True)
class Steps:
    """Runs commands of builds. Outputs go to `state/builds/<build>/`, cut to `cap` bytes, secrets masked."""

    state: Path
    mask: Mask
    cap: int

    async def run(self, room: Room, task: Task, on_step: OnStep) -> CommandEnd:
        """One command, told as it begins and as it ends."""
        room.steps += 1
        shown = f"{room.outputs}/{room.steps:03d}-{slug(task.name)}.log"
        on_step(StepStarted(task.name, task.kind, shown))
        order = Order(
            name=task.name,
            kind=task.kind,
            argv=room.enclosure.argv(room.workshop.checkout, shell(task.command)),
            environment=room.environment,
            timeout=task.timeout,
            output=self.state / shown,
            shown=shown,
            cap=self.cap,
            mask=self.mask,
        )
        try:
            ended = _lost(task, shown) if room.enclosure.lost else await run_command(order)
        except OSError as error:  # the output's file cannot be made: a full disk, most likely
            step = StepResult(task.name, task.kind, None, 0.0, "", f"its output cannot be kept: {error}")
            ended = CommandEnd(step, f"{task.name}: {step.reason}")
        on_step(StepEnded(ended.step))
        return ended

    def output(self, step: StepResult) -> str:
        """What a step printed, as text: both ends of what is long."""
        if not step.output:
            return ""
        try:
            with (self.state / step.output).open("rb") as file:
                head = file.read(OUTPUT_CAP // 2)
                size = file.seek(0, 2)
                file.seek(max(len(head), size - OUTPUT_CAP // 2))
                tail = file.read()
        except OSError:
            return ""
        gap = b"\n[...]\n" if size > len(head) + len(tail) else b""
        return (head + gap + tail).decode("utf-8", "replace")[: OUTPUT_CAP + len(gap)]


def missing_program(step: StepResult) -> str:
    """Says so where a command could not be started, else nothing."""
    if step.exit_code not in _NOT_FOUND:
        return ""
    return f"{step.name}: a program it starts is not there or cannot be run (exit {step.exit_code})"


def why(step: StepResult) -> str:
    """Why it did not pass, in a few words."""
    return step.reason or f"exit {step.exit_code}"


def slug(name: str) -> str:
    """A name as part of a file's name: no slash, no dot in front, not too long."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:60] or "step"


def _lost(task: Task, shown: str) -> CommandEnd:
    return CommandEnd(StepResult(task.name, task.kind, None, 0.0, shown, LOST), LOST)
