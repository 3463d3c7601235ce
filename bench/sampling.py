"""What sampling costs the controller: a thousand hosts, twenty gauges each, every five seconds, on one core.

    python bench/sampling.py [--hosts 1000] [--gauges 20] [--ticks 12] [--tick 5] [--out FILE]

The sampler is the real one, and so are the readings' files. The hosts' readers are stood in for by one other
process: it runs the real reader once for some ticks, and then writes its lines, tick after tick, into a pipe
for each host, spread over the first second. What ssh costs is not in it. CPU is that of the controller's
process, threads included; `readings_there` is the part of the worst tick that had come when it closed.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import _cells
import numpy as np
from numpy.typing import NDArray

from leuko.clock import SystemClock
from leuko.config.model import Gauge
from leuko.domain.line import Line
from leuko.gauges.reader import reader_argv
from leuko.gauges.sampling import Sampler
from leuko.gauges.source import Target
from leuko.store.series import Reading
from leuko.store.store import Store

Closed = tuple[datetime, tuple[str, ...], Mapping[str, NDArray[np.float32]]]
LINE = Line("shop", "production")
SPREAD = 1.0
"""Seconds after the tick over which the hosts speak."""
RECORDED = 4
WARM = 2
"""Ticks that are not measured: programs start, files are made."""
DAY = 86400.0


def gauges_of(number: int) -> dict[str, Gauge]:
    """A quarter counts, a quarter ratios, a quarter levels of a log, a quarter figures of the machine."""
    figures = ("load", "cpu", "memory", "disk")
    found: dict[str, Gauge] = {}
    for index in range(number):
        log = {"file": f"log{index % 3}", "match": f"status=[{index % 5}-9]"}
        match index % 4:
            case 0:
                text: dict[str, Any] = {"kind": "count", "log": log}
            case 1:
                text = {"kind": "ratio", "log": log | {"of": "status="}}
            case 2:
                text = {"kind": "level", "log": log | {"value": "took ([0-9.]+) ms"}}
            case _:
                text = {"kind": "level", "host": {"figure": figures[index // 4 % 4]}}
        found[f"gauge{index:02d}"] = Gauge.model_validate(text)
    return found


def recorded(gauges: Mapping[str, Gauge]) -> list[bytes]:
    """What the real reader printed in RECORDED ticks, without their numbers."""
    with tempfile.TemporaryDirectory() as folder:
        logs = [Path(folder) / f"log{number}" for number in range(3)]
        for log in logs:
            log.write_text("")
        argv = reader_argv(list(gauges.values()), root=folder, tick=0.5)
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True)
        assert process.stdout is not None
        ticks: list[bytes] = []
        lines = b""
        while len(ticks) < RECORDED + 2:
            line = process.stdout.readline()
            lines += line
            if line.startswith(b"E "):
                ticks.append(lines)
                lines = b""
                for log in logs:
                    with log.open("a") as out:
                        out.writelines(f"status={n % 10} took {n}.5 ms\n" for n in range(len(ticks) * 7))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return ticks[2:]


def numbered(lines: bytes, index: int) -> bytes:
    """The lines of one tick as those of another."""
    found = [line.split(b" ", 2) for line in lines.splitlines()]
    return b"".join(b"%b %d %b\n" % (kind, index, rest) for kind, _, rest in found)


def feed(pipes: Sequence[int], ticks: Sequence[bytes], tick: float, stop_after: int) -> None:
    """The hosts: each writes its tick at a moment of its own, a little after it."""
    begun = time.monotonic()
    for index in range(stop_after):
        text = numbered(ticks[index % len(ticks)], index)
        for place, pipe in enumerate(pipes):
            at = begun + index * tick + min(SPREAD, tick / 2) * place / len(pipes)
            if (wait := at - time.monotonic()) > 0.002:
                time.sleep(wait)
            os.write(pipe, text)


@contextmanager
def hosts_speaking(
    pipes: Sequence[tuple[int, int]], ticks: Sequence[bytes], tick: float, number: int
) -> Iterator[None]:
    """A process of its own, so that its work is not counted."""
    child = os.fork()
    if child == 0:
        try:
            feed([write for _, write in pipes], ticks, tick, number)
        finally:
            os._exit(0)
    for _, write in pipes:
        os.close(write)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


class Speaking:
    """The port's program over a pipe."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream

    async def lines(self) -> AsyncIterator[bytes]:
        """As they come."""
        while line := await self._stream.readline():
            yield line.rstrip(b"\n")

    async def wait(self) -> int | None:
        """It never ends by itself."""
        return None

    async def errors(self) -> bytes:
        """None."""
        return b""

    async def close(self) -> None:
        """The pipe's end stays: nobody else reads it."""


async def sampled(hosts: int, gauges: Mapping[str, Gauge], tick: float, ticks: int) -> dict[str, Any]:
    """CPU of so many ticks, and how whole they were."""
    spoken = recorded(gauges)
    pipes = [os.pipe() for _ in range(hosts)]
    targets = [Target(f"www{number:04d}", "www", "/srv") for number in range(hosts)]
    ends = {target.name: read for target, (read, _) in zip(targets, pipes, strict=True)}
    clock = SystemClock()
    queue: asyncio.Queue[Closed] = asyncio.Queue()

    async def start(host: str, _argv: Sequence[str]) -> Speaking:
        stream = asyncio.StreamReader()
        pipe = os.fdopen(ends[host], "rb", buffering=0)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), pipe)
        return Speaking(stream)

    sampler = Sampler(
        targets, gauges, tick=tick, clock=clock, start=start, on_tick=lambda *told: queue.put_nowait(told)
    )
    with hosts_speaking(pipes, spoken, tick, ticks + WARM + 4), tempfile.TemporaryDirectory() as folder:
        store = await Store.open(Path(folder) / "store.sqlite", clock, readings=Path(folder) / "readings")
        running = asyncio.create_task(sampler.run())
        cpu, whole, wall = 0.0, [], 0.0
        for number in range(ticks + WARM):
            at, roster, values = await queue.get()
            await store.readings.write(LINE, at, roster, kept(values))
            if number == WARM - 1:
                cpu, wall = time.process_time(), time.perf_counter()
            elif number >= WARM:
                whole.append(float(np.mean([np.isfinite(array).mean() for array in values.values()])))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await store.close()
    return {
        "hosts": hosts,
        "gauges": len(gauges),
        "tick_s": tick,
        "ticks": ticks,
        "cpu_ms_a_tick": round(1000 * cpu / ticks, 1),
        "share_of_a_core_at_5_s": round(cpu / ticks / 5.0, 4),
        "wall_s": round(wall, 1),
        "readings_there": round(min(whole), 4),
        "late": sampler.lag.late,
        "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


async def stored(hosts: int, gauges: Mapping[str, Gauge], ticks: int) -> dict[str, Any]:
    """Bytes and time of the readings' file, over enough ticks that its frame does not count."""
    random, clock = np.random.default_rng(1), SystemClock()
    roster = tuple(f"www{number:04d}" for number in range(hosts))
    first = datetime(2026, 3, 2, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as folder:
        store = await Store.open(Path(folder) / "store.sqlite", clock, readings=Path(folder) / "readings")
        begun = time.process_time()
        for number in range(ticks):
            values = {
                name: Reading(
                    random.random(hosts, dtype=np.float32),
                    random.random(hosts, dtype=np.float32) if gauge.kind == "ratio" else None,
                )
                for name, gauge in gauges.items()
            }
            await store.readings.write(LINE, first + number * timedelta(seconds=5), roster, values)
        cpu = time.process_time() - begun
        await store.close()
        written = size(Path(folder) / "readings") / ticks
    return {
        "hosts": hosts,
        "gauges": len(gauges),
        "ticks": ticks,
        "cpu_ms_a_tick": round(1000 * cpu / ticks, 1),
        "bytes_a_tick": round(written),
        "bytes_a_day_at_5_s": round(written * DAY / 5.0),
    }


def measured_store(hosts: int, gauges: Mapping[str, Gauge], ticks: int) -> Mapping[str, Any]:
    """One cell."""
    return asyncio.run(stored(hosts, gauges, ticks))


def measured(hosts: int, gauges: Mapping[str, Gauge], tick: float, ticks: int) -> Mapping[str, Any]:
    """One cell."""
    return asyncio.run(sampled(hosts, gauges, tick, ticks))


def kept(values: Mapping[str, NDArray[np.float32]]) -> dict[str, Reading]:
    """As the runtime hands them to the store."""
    return {
        name: Reading(array, values.get(f"{name}:of"))
        for name, array in values.items()
        if not name.endswith(":of")
    }


def size(folder: Path) -> int:
    """Bytes of its files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    parser = _cells.parser(__doc__)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--gauges", type=int, default=20)
    parser.add_argument("--ticks", type=int, default=12)
    parser.add_argument("--tick", type=float, default=5.0)
    chosen = parser.parse_args()
    ticks = 4 if chosen.quick else chosen.ticks
    wanted = chosen.hosts + 200
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted * 2 + 100, 1024), hard))
    cells: dict[str, _cells.Cell] = {}
    for hosts in sorted({chosen.hosts // 10, chosen.hosts}):
        name = f"sampling, {hosts} hosts x {chosen.gauges} gauges every {chosen.tick:g} s"
        gauges = gauges_of(chosen.gauges)
        cells[name] = partial(measured, hosts, gauges, chosen.tick, ticks)
    cells[f"storage, {chosen.hosts} hosts x {chosen.gauges} gauges"] = partial(
        measured_store, chosen.hosts, gauges_of(chosen.gauges), 100 if chosen.quick else 720
    )
    _cells.do(cells, chosen)


if __name__ == "__main__":
    main()
