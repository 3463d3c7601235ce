"""The local engine: worker programs of this machine, inside whatever the build is shut into.

Each worker is a process that stays for the build (leuko.verify.worker), in its own session, with a home and a
folder for temporary files of its own. It is started when it gets its first batch, and again after it died. It
reads batches from its standard input and ends with it, so that no worker outlives the controller.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from leuko.cancellation import end as end_task
from leuko.domain.case import CaseEnded, CaseEvent
from leuko.verify.capture import Capture, Mask, unmasked
from leuko.verify.command import kill_group
from leuko.verify.engine import Assignment, BatchEnd, OnCase, WorkerLostError
from leuko.verify.runners import Reading, cancelled, told
from leuko.verify.worker import greeting, start_argv

_CHUNK = 1 << 18
_PATIENCE = 5.0
"""Seconds that a worker has to end what it runs when it is told so; then it is killed."""
_LAST_WORDS = 0.5
"""Seconds in which what a dead worker said still comes in."""
_LOG_CAP = 256 * 1024

_MOVE_IN = """
set -u
mkdir -p -- "$HOME" "$TMPDIR" && cd -- "$1" || exit 75
for entry in * .[!.]*; do
    if [ -e "$entry" ] || [ -L "$entry" ]; then ln -s -- "$1/$entry" "$HOME/" 2>/dev/null; fi
done
cd -- "$2" || exit 75
shift 2
exec "$@"
"""
"""As the build's user: a home and a place for temporary files of its own, where what the set-up left in the
shared home is found through links."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a worker stands. `wrap` puts a command line into the build's enclosure, in the checkout.

    `own`: a folder in which each worker gets a home and a place for temporary files; None: those of
    `environment`. `logs`: where each worker's own words are kept; None: nowhere. `mask` hides secrets.
    """

    checkout: Path
    environment: Mapping[str, str]
    wrap: Callable[[Sequence[str]], Sequence[str]] = list
    own: Path | None = None
    logs: Path | None = None
    mask: Mask = unmasked
    python: str = "python3"

    def argv(self) -> list[str]:
        """The whole command line of a worker."""
        inner = start_argv(self.python)
        if self.own is not None:
            shared = self.environment.get("HOME", "/")
            inner = ["/bin/sh", "-c", _MOVE_IN, "leuko-worker", shared, str(self.checkout), *inner]
        return list(self.wrap(inner))

    def of(self, number: int) -> dict[str, str]:
        """The environment of one worker."""
        if self.own is None:
            return {**self.environment, "LEUKO_WORKER_NUMBER": str(number)}
        place = self.own / str(number)
        places = {"HOME": str(place / "home"), "TMPDIR": str(place / "tmp")}
        return {**self.environment, **places, "LEUKO_WORKER_NUMBER": str(number)}


@dataclass(slots=True)
class _Worker:
    """One of them; `process` is None while it is not started."""

    name: str
    number: int
    process: asyncio.subprocess.Process | None = None
    log: Capture | None = None
    starts: int = 0
    tail: list[str] = field(default_factory=list)


class LocalEngine:
    """`workers` processes of this machine. Passes tests/verify/test_engines.py."""

    def __init__(self, workers: int, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._workers = {
            f"worker {number}": _Worker(f"worker {number}", number) for number in range(1, workers + 1)
        }
        self._idle: asyncio.Queue[str] = asyncio.Queue()
        for name in self._workers:
            self._idle.put_nowait(name)

    async def idle(self) -> str:
        """As in the port."""
        return await self._idle.get()

    def release(self, worker: str) -> None:
        """As in the port."""
        self._idle.put_nowait(worker)

    def workers(self) -> tuple[str, ...]:
        """As in the port: one that died is replaced."""
        return tuple(self._workers)

    async def run(self, worker: str, assignment: Assignment, on_case: OnCase) -> BatchEnd:
        """As in the port."""
        one = self._workers[worker]
        reading = Reading(assignment, worker, self._masked(on_case))
        try:
            process = await self._started(one)
            try:
                await self._told(one, process, told(assignment))
                await self._followed(one, process, reading)
            except asyncio.CancelledError:
                await asyncio.shield(self._stopped(one, process, reading))
                raise
            assert reading.end is not None
            return self._masked_end(reading.end)
        except BaseException:
            if reading.end is None:
                await asyncio.shield(self._end(one))
            raise
        finally:
            self.release(worker)

    async def close(self) -> None:
        """As in the port."""
        for one in self._workers.values():
            await self._end(one)

    def kill(self, worker: str) -> None:
        """Kills the worker's process, as a machine that runs out of memory would."""
        process = self._workers[worker].process
        if process is not None:
            kill_group(process.pid)

    async def _started(self, one: _Worker) -> asyncio.subprocess.Process:
        if one.process is not None and one.process.returncode is None:
            return one.process
        await self._end(one)
        one.starts += 1
        log = self._log(one)
        try:
            one.process = await asyncio.create_subprocess_exec(
                *self._surroundings.argv(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL if log is None else log.writer,
                env=self._surroundings.of(one.number),
                cwd=self._surroundings.checkout if self._surroundings.wrap is list else "/",
                start_new_session=True,
                limit=_CHUNK,
            )
        except OSError as error:
            if log is not None:
                log.finish()
            raise _lost(one, f"could not be started: {error.strerror or error}") from error
        if log is not None:
            log.started()
            one.log = log
        await self._told(one, one.process, greeting())
        return one.process

    def _log(self, one: _Worker) -> Capture | None:
        folder = self._surroundings.logs
        if folder is None:
            return None
        try:
            return Capture(
                folder / f"{one.name.replace(' ', '-')}.{one.starts}.log",
                _LOG_CAP,
                self._surroundings.mask,
            )
        except OSError as error:
            raise _lost(one, f"its output cannot be kept: {error}") from error

    async def _told(self, one: _Worker, process: asyncio.subprocess.Process, line: bytes) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(line)
            await process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            await process.wait()
            raise _lost(one, _how(process)) from error

    async def _followed(self, one: _Worker, process: asyncio.subprocess.Process, reading: Reading) -> None:
        """Until the batch ends. A worker's death is seen by its process, not only by the end of its output:
        something that it started may hold that open.
        """
        assert process.stdout is not None
        gone = asyncio.create_task(process.wait())
        try:
            while reading.end is None:
                data = await self._next(process.stdout, gone)
                if not data:
                    await process.wait()
                    raise _lost(one, _how(process), reading.noise)
                reading.feed(data)
        finally:
            gone.cancel()

    async def _next(self, output: asyncio.StreamReader, gone: asyncio.Task[int]) -> bytes:
        """What the worker says next; nothing where it is gone and said all that it had to say."""
        read = asyncio.create_task(output.read(_CHUNK))
        try:
            await asyncio.wait({read, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not read.done():
                await asyncio.wait({read}, timeout=_LAST_WORDS)
            return read.result() if read.done() else b""
        finally:
            await end_task(read)

    async def _stopped(self, one: _Worker, process: asyncio.subprocess.Process, reading: Reading) -> None:
        """Ends what it runs. A worker that does so in time stays, loaded as it is."""
        with contextlib.suppress(WorkerLostError, TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._told(one, process, cancelled())
                await self._followed(one, process, reading)

    async def _end(self, one: _Worker) -> None:
        process, one.process = one.process, None
        log, one.log = one.log, None
        if process is not None:
            kill_group(process.pid)
            await process.wait()
            assert process.stdin is not None
            process.stdin.close()
        if log is not None:
            log.finish()

    def _masked(self, on_case: OnCase) -> OnCase:
        mask = self._surroundings.mask
        if mask is unmasked:
            return on_case

        def told_masked(event: CaseEvent) -> None:
            if isinstance(event, CaseEnded):
                result = event.result
                event = CaseEnded(
                    replace(result, reason=_hidden(mask, result.reason), output=_hidden(mask, result.output))
                )
            on_case(event)

        return told_masked

    def _masked_end(self, end: BatchEnd) -> BatchEnd:
        mask = self._surroundings.mask
        return replace(end, reason=_hidden(mask, end.reason), output=_hidden(mask, end.output))


def _hidden(mask: Mask, text: str) -> str:
    return mask(text.encode("utf-8", "backslashreplace")).decode("utf-8", "replace")


def _how(process: asyncio.subprocess.Process) -> str:
    code = process.returncode
    if code is not None and code < 0:
        return f"was ended by signal {-code}"
    return f"ended with {code}"


def _lost(one: _Worker, how: str, said: str = "") -> WorkerLostError:
    last = said.strip().rpartition("\n")[2][:200]
    return WorkerLostError(
        f"the worker program {how}" + (f": {last}" if last else ""),
        where=one.name,
        way_out="it needs Python 3.8 as python3, memory, and room in the limit of processes",
        code="B021",
    )
