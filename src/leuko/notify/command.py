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
        said = _Said()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=_written(f"{told.title}\n\n{told.text}\n", said),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=said.writer,
                env=command_environment(os.environ, told),
                cwd="/",
                start_new_session=True,
            )
        except (OSError, ValueError, TypeError) as error:  # missing, not executable, NUL in it, empty
            said.close()
            return Delivery(ok=False, via=via, reason=self._hide(f"could not be started: {error}"))
        try:
            async with asyncio.timeout(self._timeout):
                await process.wait()
        except TimeoutError:
            return Delivery(ok=False, via=via, reason=f"did not end within {self._timeout:g} s")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with what it left behind
            await asyncio.shield(process.wait())
            said.close()
        if process.returncode == 0:
            return Delivery(ok=True, via=via)
        return Delivery(
            ok=False, via=via, reason=self._hide(f"ended with {process.returncode}: {said.text}".rstrip(": "))
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


class _Said:
    """The end of what the program writes to stderr. The pipes are our own: asyncio's own would be waited for
    until every child of the program has closed them.
    """

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._reader, False)
        self._kept = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._reader, self._read)
        self.message = -1

    @property
    def text(self) -> str:
        """What was kept."""
        return self._kept.decode(errors="replace").strip()

    def close(self) -> None:
        """Reads what is still there and closes everything."""
        while self._read():
            pass
        self._loop.remove_reader(self._reader)
        for descriptor in (self._reader, self.writer, self.message):
            if descriptor >= 0:
                os.close(descriptor)

    def _read(self) -> bool:
        try:
            data = os.read(self._reader, 1 << 16)
        except BlockingIOError:
            return False
        self._kept = (self._kept + data)[-_SHOWN:]
        return bool(data)


def _written(text: str, said: _Said) -> int:
    """The message as a file to read from: the program may read it all, in part or not at all."""
    said.message = os.memfd_create("leuko-message", os.MFD_CLOEXEC)
    data = text.encode("utf-8", "replace")
    while data:
        data = data[os.write(said.message, data) :]
    os.lseek(said.message, 0, os.SEEK_SET)
    return said.message
