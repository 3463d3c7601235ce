"""Running a program for what it prints: an inventory, a secret, what git knows."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PIECE = 64 << 10
_ERRORS = 8 << 10


class NotRunError(Exception):
    """Why there is no output: a sentence that follows the program's name."""


@dataclass(frozen=True, slots=True)
class Printed:
    """What a program that ended printed; `errors` is the last line of its complaints."""

    status: int
    output: bytes = field(repr=False)
    errors: str = field(repr=False, default="")


async def printed(argv: Sequence[str], folder: Path, *, seconds: float, most: int) -> Printed:
    """Runs a program in a folder, without input. Raises NotRunError when it gives nothing to go by.

    It runs in a session of its own, and is killed with all that it started when its time is over, when it
    prints more than `most` bytes, or when the caller no longer waits. What it leaves behind when it ends by
    itself (an agent, say) is left alone.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise NotRunError(f"could not be started: {why}") from None
    assert process.stdout is not None
    assert process.stderr is not None
    errors = asyncio.create_task(_end_of(process.stderr))
    ended = False
    try:
        async with asyncio.timeout(seconds):
            output = await _all_of(process.stdout, most)
            status = await process.wait()
            complaint = await errors
            ended = True
    except TimeoutError:
        raise NotRunError(f"did not end within {seconds:g} s") from None
    finally:
        errors.cancel()
        if not ended:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    last = complaint.decode("utf-8", "replace").strip().splitlines()[-1:]
    return Printed(status, output, last[0][:300] if last else "")


async def _all_of(stream: asyncio.StreamReader, most: int) -> bytes:
    pieces = bytearray()
    while piece := await stream.read(_PIECE):
        pieces += piece
        if len(pieces) > most:
            raise NotRunError(f"gives more than {most >> 10} KiB")
    return bytes(pieces)


async def _end_of(stream: asyncio.StreamReader) -> bytes:
    end = b""
    while piece := await stream.read(_PIECE):
        end = (end + piece)[-_ERRORS:]
    return end
