"""Readings that a program prints, on the controller or on each host."""

from __future__ import annotations

import asyncio
import math
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from leuko.config.model import Gauge
from leuko.config.programs import NotRunError, printed
from leuko.config.sources import CommandSource
from leuko.domain.errors import LeukoError
from leuko.domain.gauge import HOSTLESS
from leuko.gauges.answers import UnreadableError
from leuko.gauges.asking import Answer, Numbers
from leuko.gauges.roster import Roster, hosts_of
from leuko.gauges.source import Program, Start, Target

OUTPUT = 256 << 10
AT_ONCE = 64
"""Commands that run at the same time."""
MARGIN = 2.0
"""Seconds beside a command's own time in which its host may say that it was over."""

# In the live release's folder. `timeout` leads a process group of its own, and ends all of it.
_ON_HOST = """\
cd -- "$1/current" 2>/dev/null || cd -- "$1" || exit 1
seconds=$2
shift 2
exec timeout -s KILL "$seconds" "$@"
"""


class ControllerCommand:
    """A program on the controller; it was named by the installation's own file."""

    def __init__(
        self,
        gauges: Mapping[str, Gauge],
        targets: Sequence[Target],
        folder: Path,
        room: asyncio.Semaphore,
    ) -> None:
        self._command = _source(next(iter(gauges.values())))
        self._kinds = {name: gauge.kind for name, gauge in gauges.items()}
        self._roster = Roster(targets)
        self._folder = folder
        self._room = room
        self.gauges: Mapping[str, frozenset[str]] = {
            name: frozenset((HOSTLESS,)) if gauge.hostless else hosts_of(targets, gauge.roles)
            for name, gauge in gauges.items()
        }
        self.source = f"command {shlex.join(self._command.argv)[:100]}"

    async def ask(self) -> Answer:
        """Runs it; it and all it started are killed when its time is over."""
        argv = self._command.argv
        try:
            async with self._room:
                found = await printed(argv, self._folder, seconds=self._command.timeout, most=OUTPUT)
        except NotRunError as error:
            raise UnreadableError(f"{argv[0]} {error}") from None
        if found.status != 0:
            raise UnreadableError(_ended(argv[0], found.status, found.errors))
        text = found.output.decode("utf-8", "replace")
        return {name: self._numbers(kind, text) for name, kind in self._kinds.items()}

    async def close(self) -> None:
        """Nothing runs between two questions."""

    def _numbers(self, kind: str, text: str) -> Numbers | str:
        try:
            if not self._command.by:
                return {HOSTLESS: one_number(text, kind)}
            return numbers_by_host(text, kind, self._roster)
        except UnreadableError as error:
            return str(error)


class HostCommand:
    """The same program, on one host."""

    def __init__(
        self, gauges: Mapping[str, Gauge], target: Target, start: Start, room: asyncio.Semaphore
    ) -> None:
        self._command = _source(next(iter(gauges.values())))
        self._kinds = {name: gauge.kind for name, gauge in gauges.items()}
        self._target = target
        self._start = start
        self._room = room
        self.gauges: Mapping[str, frozenset[str]] = dict.fromkeys(gauges, frozenset((target.name,)))
        self.source = f"command on hosts {shlex.join(self._command.argv)[:100]}"

    async def ask(self) -> Answer:
        """Runs it on the host, which ends it and its process group when its time is over."""
        seconds = self._command.timeout
        words = ("sh", "-c", _ON_HOST, "leuko-command", self._target.root, f"{seconds:g}")
        try:
            async with self._room:
                text = await self._printed((*words, *self._command.argv))
        except TimeoutError:
            raise UnreadableError(f"{self._target.name}: did not end within {seconds:g} s") from None
        except UnreadableError as error:
            raise UnreadableError(f"{self._target.name}: {error}") from error
        return {name: self._number(kind, text) for name, kind in self._kinds.items()}

    async def close(self) -> None:
        """Nothing runs between two questions."""

    def _number(self, kind: str, text: str) -> Numbers | str:
        try:
            return {self._target.name: one_number(text, kind)}
        except UnreadableError as error:
            return f"{self._target.name}: {error}"

    async def _printed(self, argv: Sequence[str]) -> str:
        longest = self._command.timeout + MARGIN
        async with asyncio.timeout(longest):
            program = await self._start(self._target.name, argv)
        try:
            async with asyncio.timeout(longest):
                return await self._output(program)
        finally:
            with suppress(LeukoError, OSError):
                await program.close()

    async def _output(self, program: Program) -> str:
        pieces, size = [], 0
        async for line in program.lines():
            pieces.append(line)
            size += len(line) + 1
            if size > OUTPUT:
                raise UnreadableError(f"gives more than {OUTPUT >> 10} KiB")
        status = await program.wait()
        if status is None:
            raise UnreadableError("the connection went away")
        if status != 0:
            said = (await program.errors()).decode("utf-8", "replace").strip().splitlines()
            raise UnreadableError(_ended(self._command.argv[0], status, said[-1] if said else ""))
        return b"\n".join(pieces).decode("utf-8", "replace")


def one_number(text: str, kind: str) -> tuple[float, float]:
    """What a program printed: a number, or for a ratio two. Raises UnreadableError."""
    return _pair(text.split(), kind)


def numbers_by_host(text: str, kind: str, roster: Roster) -> Numbers:
    """Lines of a host and its number, or for a ratio its two. Raises UnreadableError."""
    found: dict[str, tuple[float, float]] = {}
    lines = [line.split() for line in text.splitlines() if line.strip()]
    for words in lines:
        host = roster.find(words[0])
        if host in found:
            raise UnreadableError(f"prints several lines for {host}")
        if host is not None:
            found[host] = _pair(words[1:], kind)
    if not found:
        raise UnreadableError(f"none of its {len(lines)} lines is of a host of ours")
    return found


def _pair(words: Sequence[str], kind: str) -> tuple[float, float]:
    wanted = 2 if kind == "ratio" else 1
    shown = " ".join(words)[:80]
    if len(words) != wanted:
        raise UnreadableError(f'should print {"two numbers" if wanted == 2 else "a number"}, not "{shown}"')
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        raise UnreadableError(f'prints "{shown}", which is no number') from None
    return numbers[0], numbers[1] if wanted == 2 else math.nan


def _ended(program: str, status: int, errors: str) -> str:
    if status in (137, -9):
        return f"{program} was killed: its time was over"
    return f"{program} ended with status {status}" + (f": {errors[:200]}" if errors else "")


def _source(gauge: Gauge) -> CommandSource:
    assert gauge.command is not None, "only gauges of commands are asked here"
    return gauge.command
