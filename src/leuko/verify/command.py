"""One command of a build: started, read, timed, ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from leuko.domain.build import StepResult
from leuko.verify.capture import Capture, Mask, unmasked

OUTPUT_CAP = 10 * 1000 * 1000
_GRACE = 2.0
_KILLED = 128 + signal.SIGKILL


@dataclass(frozen=True, slots=True)
class Order:
    """A command to run. `argv` is the whole line, enclosure included; `shown` names its output file."""

    name: str
    kind: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    timeout: float
    output: Path
    shown: str
    cap: int = OUTPUT_CAP
    mask: Mask = unmasked


@dataclass(frozen=True, slots=True)
class CommandEnd:
    """How it ended. `broken` says why, where it is not the commit's fault."""

    step: StepResult
    broken: str = ""


def shell(command: str) -> list[str]:
    """A user's shell command as argv: handed over whole, nothing is put into it."""
    return ["/bin/sh", "-c", command]


async def run_command(order: Order) -> CommandEnd:
    """Runs the command to its end, its deadline or our cancellation; never leaves its group running then."""
    begun = time.monotonic()
    killed_before = oom_kills()
    capture = Capture(order.output, order.cap, order.mask)
    timed_out = False
    try:
        try:
            process = await asyncio.create_subprocess_exec(
                *order.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=capture.writer,
                stderr=capture.writer,
                env=dict(order.environment),
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            return _not_started(order, error, capture, time.monotonic() - begun)
        capture.started()
        try:
            async with asyncio.timeout(order.timeout):
                await process.wait()
        except TimeoutError:
            timed_out = True
            capture.note(f"{order.name} did not end within {order.timeout:g} s and was killed")
            await _end_group(process)
        except BaseException:
            kill_group(process.pid)
            await asyncio.shield(process.wait())
            raise
    finally:
        capture.finish()
    seconds = time.monotonic() - begun
    oom = oom_kills() > killed_before
    trouble = capture.trouble
    return _judged(order, process.returncode, seconds, timed_out=timed_out, oom=oom, trouble=trouble)


def _judged(
    order: Order, code: int | None, seconds: float, *, timed_out: bool, oom: bool, trouble: str
) -> CommandEnd:
    reason, broken = "", trouble
    if timed_out:
        reason = f"did not end within {order.timeout:g} s"
    elif code in (-signal.SIGKILL, _KILLED):
        reason = "was killed for lack of memory" if oom else "was killed from outside (SIGKILL)"
        broken = broken or f"{order.name} {reason}"
    elif code is not None and code < 0:
        reason = f"was ended by {_signal_name(-code)}"
    step = StepResult(
        name=order.name,
        kind=order.kind,
        exit_code=None if code is None or code < 0 or timed_out else code,
        seconds=seconds,
        output=order.shown,
        reason=reason,
    )
    return CommandEnd(step, broken)


def _not_started(order: Order, error: OSError, capture: Capture, seconds: float) -> CommandEnd:
    reason = f"could not be started: {error.strerror or error}"
    capture.note(reason)
    step = StepResult(order.name, order.kind, None, seconds, order.shown, reason)
    return CommandEnd(step, f"{order.name} {reason}")


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """Asks first, so that a test program can say where it hung; then does not ask."""
    kill_group(process.pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(_GRACE):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        kill_group(process.pid)
    await asyncio.shield(process.wait())


def kill_group(pid: int, how: signal.Signals = signal.SIGKILL) -> None:
    """Signals a command's process group; gone already is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, how)


def oom_kills() -> int:
    """How often this machine's kernel has killed for lack of memory; 0 where it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
