"""A program on the far side of an asyncssh channel."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import suppress

import asyncssh

from leuko.hosts.transport import refusals
from leuko.hosts.transport.lines import LineCutter, Tail

STDERR = 1
"""ssh's number for the only extended data there is."""
ENOUGH = 256 * 1024
"""Bytes that wait for a reader before the channel's window is left to close."""
PIECE = 64 * 1024


class Session(asyncssh.SSHClientSession[bytes]):
    """Takes what asyncssh delivers. stderr is always taken, so that it never stands in stdout's way."""

    def __init__(self, linger: float, where: str) -> None:
        self.where = where
        self.cutter = LineCutter()
        self.tail = Tail()
        self.status: int | None = None
        self.ended = asyncio.Event()
        """An exit status came, or the channel is gone."""
        self.at_end = asyncio.Event()
        """No more output comes."""
        self.gone = False
        self._linger = linger
        self._writable = asyncio.Event()
        self._writable.set()
        self._news = asyncio.Event()
        self._chan: asyncssh.SSHClientChannel[bytes] | None = None
        self._paused = False

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._chan = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if datatype == STDERR:
            self.tail.feed(data)
            return
        self.cutter.feed(data)
        self._news.set()
        if self.cutter.waiting > ENOUGH and not self._paused and self._chan is not None:
            self._paused = True
            self._chan.pause_reading()

    def eof_received(self) -> bool:
        self._finish_output()
        return True  # stdin stays open: a program may close its stdout and still read

    def exit_status_received(self, status: int) -> None:
        self._ended_with(status)

    def exit_signal_received(self, signal: str, _core_dumped: bool, _msg: str, _lang: str) -> None:
        self._ended_with(_status_of(signal))

    def connection_lost(self, _exc: Exception | None) -> None:
        self.let_go()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def let_go(self) -> None:
        """Nothing more will come: whoever waits for anything is told."""
        self.gone = True
        self._finish_output()
        self.ended.set()
        self._writable.set()

    async def writable(self) -> None:
        """Waits while the peer's window is full."""
        await self._writable.wait()
        if self.gone:
            raise refusals.input_closed(self.where)

    async def lines(self) -> AsyncIterator[bytes]:
        """Lines of stdout. After the exit the end of file is awaited for `linger` seconds of silence."""
        while True:
            while (line := self.cutter.next()) is not None:
                yield line
            self._go_on()
            if self.cutter.waiting:
                continue
            if self.at_end.is_set():
                return
            self._news.clear()
            if not await self._news_or_silence():
                self._finish_output()

    async def _news_or_silence(self) -> bool:
        news = asyncio.create_task(self._news.wait())
        ended = asyncio.create_task(self.ended.wait())
        try:
            await asyncio.wait({news, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not news.done():
                await asyncio.wait({news}, timeout=self._linger)
            return news.done()
        finally:
            news.cancel()
            ended.cancel()

    def _go_on(self) -> None:
        if self._paused and self._chan is not None:
            self._paused = False
            self._chan.resume_reading()

    def _ended_with(self, status: int) -> None:
        self.status = status
        self.ended.set()

    def _finish_output(self) -> None:
        if not self.at_end.is_set():
            self.cutter.end()
            self.at_end.set()
        self._news.set()

    async def settled(self) -> None:
        """Waits for the exit, then shortly for the rest of the output."""
        await self.ended.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._linger):
                await self.at_end.wait()


class NativeChannel:
    """The port's channel over asyncssh's."""

    def __init__(self, channel: asyncssh.SSHClientChannel[bytes], session: Session) -> None:
        self._channel = channel
        self._session = session

    async def write(self, data: bytes) -> None:
        """Sends in pieces, each only when the one before has left."""
        left = memoryview(data)
        while left:
            await self._session.writable()
            try:
                self._channel.write(bytes(left[:PIECE]))
            except OSError as error:
                raise refusals.input_closed(self._session.where) from error
            left = left[PIECE:]
        await self._session.writable()

    async def end_input(self) -> None:
        """Sends the end of file."""
        with suppress(OSError):
            self._channel.write_eof()

    def lines(self) -> AsyncIterator[bytes]:
        """Lines of stdout."""
        return self._session.lines()

    async def wait(self) -> int | None:
        """The exit status, 128 + signal for a signal; None when the channel went away before."""
        await self._session.ended.wait()
        return self._session.status

    async def errors(self) -> bytes:
        """Last 8 KiB of stderr."""
        await self._session.settled()
        return self._session.tail.text()

    async def close(self) -> None:
        """Lets go: who waits for output or the exit is told that there is none."""
        self._session.let_go()
        self._channel.abort()


def _status_of(name: str) -> int:
    try:
        return 128 + signal.Signals[f"SIG{name}"].value
    except KeyError:
        return 255  # a signal only the far system knows
