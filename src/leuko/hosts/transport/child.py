"""A program on this machine with three pipes: what `local` runs, and the `ssh` that `openssh` runs.

Not asyncio's own subprocess: that kills the program when it is let go, and the port promises that closing
a channel kills nothing. The exit is seen through a pidfd, so nothing depends on SIGCHLD or on who else
holds the pipes.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from leuko.cancellation import end
from leuko.hosts.transport import refusals
from leuko.hosts.transport.lines import LINGER, LineCutter, Tail

CHUNK = 64 * 1024


async def _first(*waited: asyncio.Future[Any]) -> None:
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)


class Child:
    """A running program: bounded lines out, flow-controlled bytes in, the tail of stderr, the exit status."""

    def __init__(self, process: subprocess.Popen[bytes], stdin: int, where: str) -> None:
        self._process = process
        self._stdin = stdin
        self._where = where
        self._loop = asyncio.get_running_loop()
        self._exit: asyncio.Future[int] = self._loop.create_future()
        self._closed = asyncio.Event()
        self._cutter = LineCutter()
        self._tail = Tail()
        self._ended = False
        self._out = asyncio.StreamReader(limit=CHUNK)
        self._pipes: list[asyncio.ReadTransport] = []
        self._draining: asyncio.Task[None] | None = None
        self._pidfd = os.pidfd_open(process.pid)
        self._loop.add_reader(self._pidfd, self._exited)

    @classmethod
    async def start(cls, argv: Sequence[str], env: Mapping[str, str], *, where: str, cwd: str) -> Child:
        """Starts the program in a session of its own. OSError when it cannot be started."""
        pipes = [os.pipe() for _ in range(3)]
        (stdin, write_end), (read_out, stdout), (read_err, stderr) = pipes
        mine = (write_end, read_out, read_err)
        try:
            process = subprocess.Popen(  # noqa: ASYNC220 - vfork and exec: about a millisecond; asyncio's own does the same
                list(argv), stdin=stdin, stdout=stdout, stderr=stderr,
                env=dict(env), cwd=cwd, start_new_session=True, close_fds=True,
            )  # fmt: skip
        except BaseException:
            for descriptor in mine:
                os.close(descriptor)
            raise
        finally:
            for descriptor in (stdin, stdout, stderr):
                os.close(descriptor)
        os.set_blocking(write_end, False)
        child = cls(process, write_end, where)
        await child._attach(read_out, read_err)
        return child

    async def _attach(self, stdout: int, stderr: int) -> None:
        errors = asyncio.StreamReader(limit=CHUNK)
        for reader, descriptor in ((self._out, stdout), (errors, stderr)):
            transport, _ = await self._loop.connect_read_pipe(
                lambda reader=reader: asyncio.StreamReaderProtocol(reader),  # type: ignore[misc]  # mypy cannot infer a lambda's default
                os.fdopen(descriptor, "rb", 0),
            )
            self._pipes.append(transport)
        self._draining = asyncio.create_task(self._drain(errors), name=f"stderr of {self._where}")

    async def _drain(self, errors: asyncio.StreamReader) -> None:
        while data := await errors.read(CHUNK):
            self._tail.feed(data)

    def _exited(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._exit.set_result(self._process.wait())

    @property
    def pid(self) -> int:
        """Process id, which is also its process group and session."""
        return self._process.pid

    @property
    def exited(self) -> bool:
        """Whether the program has ended."""
        return self._exit.done()

    async def write(self, data: bytes) -> None:
        """Writes it all, waiting while the pipe is full. Unreachable when nobody reads any more."""
        left = memoryview(data)
        while left:
            if self._stdin < 0:
                raise refusals.input_closed(self._where)
            try:
                left = left[os.write(self._stdin, left) :]
            except BlockingIOError:
                await self._writable()
            except BrokenPipeError:
                self._end_input()
                raise refusals.input_closed(self._where) from None

    async def _writable(self) -> None:
        ready = asyncio.Event()
        descriptor = self._stdin
        self._loop.add_writer(descriptor, ready.set)
        closed = asyncio.create_task(self._closed.wait())
        waiting = asyncio.create_task(ready.wait())
        try:
            await _first(closed, waiting)
        finally:
            closed.cancel()
            waiting.cancel()
            if self._stdin == descriptor:
                self._loop.remove_writer(descriptor)

    def _end_input(self) -> None:
        if self._stdin >= 0:
            self._loop.remove_writer(self._stdin)
            os.close(self._stdin)
            self._stdin = -1

    async def end_input(self) -> None:
        """Closes the program's stdin."""
        self._end_input()

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """Lines of stdout; ends at end of file, at `close`, or soon after the program's exit."""
        while True:
            while (line := self._cutter.next()) is not None:
                yield line
            if self._ended:
                return
            if data := await self._read():
                self._cutter.feed(data)
            else:
                self._cutter.end()
                self._ended = True

    async def _read(self) -> bytes:
        """The next piece of stdout; empty at its end, or when only something left behind still holds it."""
        reading = asyncio.ensure_future(self._out.read(CHUNK))
        try:
            await _first(reading, self._exit)
            if not reading.done():
                await asyncio.wait({reading}, timeout=LINGER)
            return reading.result() if reading.done() else b""
        finally:
            reading.cancel()

    async def wait(self) -> int:
        """Exit status as a shell gives it: 128 + signal when a signal ended it."""
        status = await asyncio.shield(self._exit)
        return status if status >= 0 else 128 - status

    async def wait_or_closed(self) -> int | None:
        """As `wait`; None when the channel is closed first."""
        closed = asyncio.create_task(self._closed.wait())
        try:
            await _first(self._exit, closed)
        finally:
            closed.cancel()
        return await self.wait() if self._exit.done() else None

    async def errors(self) -> bytes:
        """The tail of stderr: waits for the exit, then shortly for what is still in the pipe."""
        await self.wait_or_closed()
        if self._draining is not None:
            await asyncio.wait({self._draining}, timeout=LINGER)
        return self._tail.text()

    async def ends_within(self, seconds: float) -> bool:
        """Whether the program has ended, or does so in this time."""
        await asyncio.wait({self._exit}, timeout=seconds)
        return self._exit.done()

    async def end(self, patience: float) -> None:
        """Asks the program to end, and, unless there is no patience at all, makes sure that it does."""
        if not self.exited:
            self._process.terminate()
        if patience and not await self.ends_within(patience):
            self._process.kill()
            await self.ends_within(patience)

    async def close(self) -> None:
        """Closes the pipes. The program goes on, if it likes; its exit is still collected."""
        self._closed.set()
        self._end_input()
        for pipe in self._pipes:
            pipe.close()
        if self._draining is not None:
            await end(self._draining)
