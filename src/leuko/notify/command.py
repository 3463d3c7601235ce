"""Telling by a program of the operator's: the message on its stdin."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence

from leuko.notify.port import Delivery, Hide, Message, hidden, plain

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME", "TMPDIR")
_SHOWN = 500


class CommandNotifier:
    """Runs argv with title, empty line and body on stdin, and LEUKO_EVENT, _LINE, _TONE, _TITLE, _URL set."""

    def __init__(self, argv: Sequence[str], hide: Hide = plain, timeout: float = 30.0) -> None:
        self._argv = tuple(argv)
        self._hide = hide
        self._timeout = timeout

    async def send(self, message: Message) -> Delivery:
        """Runs it; exit 0 is delivered."""
        told = hidden(message, self._hide)
        via = f"command {os.path.basename(self._argv[0])}" if self._argv else "command"  # noqa: PTH119 - argv may be any text
        try:
            process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=command_environment(os.environ, told),
                cwd="/",
                start_new_session=True,
            )
        except (OSError, ValueError, TypeError) as error:  # missing, not executable, NUL in it, empty
            return Delivery(ok=False, via=via, reason=self._hide(f"could not be started: {error}"))
        try:
            said = await asyncio.wait_for(_talk(process, f"{told.title}\n\n{told.text}\n"), self._timeout)
        except TimeoutError:
            return Delivery(ok=False, via=via, reason=f"did not end within {self._timeout:g} s")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with what it left behind
            await asyncio.shield(process.wait())
        if process.returncode == 0:
            return Delivery(ok=True, via=via)
        return Delivery(
            ok=False, via=via, reason=self._hide(f"ended with {process.returncode}: {said}".rstrip(": "))
        )


def command_environment(surroundings: Mapping[str, str], message: Message) -> dict[str, str]:
    """Little of the controller's own, for its environment may hold secrets, and the message's facts."""
    kept = {key: surroundings[key] for key in _KEPT if key in surroundings}
    facts = {
        "LEUKO_EVENT": message.event,
        "LEUKO_LINE": message.line,
        "LEUKO_TONE": message.tone.value,
        "LEUKO_TITLE": message.title,
        "LEUKO_URL": message.url,
    }
    return kept | {key: value.replace("\0", "") for key, value in facts.items()}


async def _talk(process: asyncio.subprocess.Process, text: str) -> str:
    """Feeds stdin and waits for the program itself: a child that holds stderr open is not waited for."""
    assert process.stdin is not None
    assert process.stderr is not None
    reading = asyncio.ensure_future(_last(process.stderr))
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it need not read its stdin
        process.stdin.write(text.encode("utf-8", "replace"))
        await process.stdin.drain()
    process.stdin.close()
    try:
        await process.wait()
        done, _ = await asyncio.wait({reading}, timeout=0.2)
        return reading.result() if done else ""
    finally:
        reading.cancel()


async def _last(stream: asyncio.StreamReader) -> str:
    kept = b""
    while data := await stream.read(1 << 16):
        kept = (kept + data)[-_SHOWN:]
    return kept.decode(errors="replace").strip()
