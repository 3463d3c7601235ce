"""Steady customers for the embedded fleet: `python -m leuko.demo.traffic`, and its start and end.

The arrivals are an open loop: a slow or dead host does not slow its customers down, it disappoints them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from leuko.clock import Clock, SystemClock
from leuko.demo.customers import customers_of, visit
from leuko.demo.tally import Facts, Second, Tally, read_facts, read_log
from leuko.demo.wire import ShopClient, Unanswered

RATE = 20.0
MOST_AT_ONCE = 100  # of one host; beyond it a customer is turned away and counted as crowded
LATE_SECONDS = 1.0  # arrivals later than this are left out instead of being sent all at once


@dataclass(slots=True)
class Street:
    """The customers of one host on their way to it."""

    host: str
    client: ShopClient
    customers: list[str]
    tally: Tally
    chance: random.Random
    under_way: set[asyncio.Task[None]] = field(default_factory=set)

    async def arrive(self, rate: float, requests: int | None) -> None:
        """Sends customers at a steady rate, until cancelled or until so many have been sent."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self.chance.random() / rate
        sent = 0
        while requests is None or sent < requests:
            await asyncio.sleep(max(0.0, due - loop.time()))
            late = loop.time() - due
            if late > LATE_SECONDS:
                missed = int(late * rate)
                self.tally.unsent(missed)
                due += missed / rate
            due += 1.0 / rate
            sent += 1
            self._send()

    def _send(self) -> None:
        if len(self.under_way) >= MOST_AT_ONCE:
            self.tally.add(self.host, "-", 0.0, "crowded")
            return
        task = asyncio.create_task(self._visit())
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def _visit(self) -> None:
        wanted = visit(self.chance.choice(self.customers), self.chance)
        started = time.monotonic()
        release, failure = "-", ""
        try:
            answer = await self.client.ask(wanted)
        except Unanswered as unanswered:
            failure = unanswered.kind
        else:
            release = answer.release
            if answer.status != wanted.expected:
                failure = str(answer.status)
            elif wanted.marker not in answer.body:
                failure = "content"
        self.tally.add(self.host, release, (time.monotonic() - started) * 1000.0, failure)


async def run(
    hosts: Mapping[str, str],
    tally: Tally,
    clock: Clock,
    *,
    rate: float = RATE,
    requests: int | None = None,
    seconds: float | None = None,
    stop: asyncio.Event | None = None,
    seed: int = 1,
    timeout: float = 2.0,
) -> None:
    """Customers at every host until they were enough, the time is over, or `stop` is set."""
    stop = stop or asyncio.Event()
    crowd = customers_of(list(hosts))
    streets = [
        Street(name, ShopClient(address, timeout), crowd[name], tally, random.Random(seed * 1000 + number))  # noqa: S311 - not a secret
        for number, (name, address) in enumerate(hosts.items())
    ]
    arrivals = asyncio.create_task(_all_arrive(streets, rate, requests))
    clerk = asyncio.create_task(_close_seconds(tally, clock))
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({arrivals, stopped}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        arrivals.cancel()
        with suppress(asyncio.CancelledError):
            await arrivals
        for street in streets:
            if street.under_way:
                await asyncio.wait(street.under_way)  # each has its own timeout
    finally:
        clerk.cancel()
        stopped.cancel()
        for street in streets:
            street.client.close()
        tally.close_second(clock.now(), running=False)
        tally.close()


async def _all_arrive(streets: list[Street], rate: float, requests: int | None) -> None:
    await asyncio.gather(*(street.arrive(rate, requests) for street in streets))


async def _close_seconds(tally: Tally, clock: Clock) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time() + 1.0
    while True:
        await asyncio.sleep(max(0.0, due - loop.time()))
        tally.close_second(clock.now())
        due = max(due + 1.0, loop.time())


class Traffic:
    """The load generator as a process of its own; it ends with the process that started it."""

    def __init__(self, hosts: Mapping[str, str], folder: Path) -> None:
        self._hosts = hosts
        self.folder = folder
        self.facts_file = folder / "facts.json"
        self.log_file = folder / "seconds.jsonl"
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self, rate: float = RATE, *, requests: int | None = None, seconds: float | None = None, seed: int = 1
    ) -> None:
        """Starts sending; `requests` is for each host."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.facts_file.unlink(missing_ok=True)
        argv = [sys.executable, "-m", "leuko.demo.traffic", "--folder", str(self.folder)]
        argv += ["--rate", str(rate), "--seed", str(seed), "--with-parent"]
        argv += [f"--host={name}={address}" for name, address in self._hosts.items()]
        argv += ["--requests", str(requests)] if requests is not None else []
        argv += ["--seconds", str(seconds)] if seconds is not None else []
        with (self.folder / "traffic.log").open("ab") as log:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def facts(self) -> Facts | None:
        """Everything up to the last full second; None before the first."""
        try:
            return read_facts(self.facts_file)
        except FileNotFoundError:
            return None

    def seconds(self) -> list[Second]:
        """Every second so far."""
        return read_log(self.log_file) if self.log_file.is_file() else []

    async def wait(self) -> int:
        """Waits until it has ended by itself; its exit status."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait)

    async def stop(self) -> None:
        """Lets the requests under way end, writes the last facts, ends."""
        if self._process is None:
            return
        if self.pid is not None:
            self._process.terminate()
        try:
            await asyncio.to_thread(self._process.wait, 10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        if self._process.stdin is not None:
            self._process.stdin.close()


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m leuko.demo.traffic", description=__doc__)
    parser.add_argument("--host", action="append", required=True, metavar="NAME=ADDRESS:PORT")
    parser.add_argument("--folder", type=Path, required=True, help="gets facts.json and seconds.jsonl")
    parser.add_argument("--rate", type=float, default=RATE, help="requests a second, of each host")
    parser.add_argument("--requests", type=int, help="this many of each host, then end")
    parser.add_argument("--seconds", type=float, help="so long, then end")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=2.0, help="a customer's patience, in seconds")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input does")
    return parser.parse_args(argv)


async def _main(arguments: argparse.Namespace) -> None:
    hosts = dict(entry.split("=", 1) for entry in arguments.host)
    clock = SystemClock()
    tally = Tally(
        tuple(hosts),
        arguments.rate,
        clock.now(),
        arguments.folder / "facts.json",
        arguments.folder / "seconds.jsonl",
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if arguments.with_parent:
        loop.add_reader(0, _stop_at_end_of_input, loop, stop)
    await run(
        hosts, tally, clock, rate=arguments.rate, requests=arguments.requests, seconds=arguments.seconds,
        stop=stop, seed=arguments.seed, timeout=arguments.timeout,
    )  # fmt: skip


def _stop_at_end_of_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    if not os.read(0, 4096):
        loop.remove_reader(0)
        stop.set()


if __name__ == "__main__":
    asyncio.run(_main(_arguments(sys.argv[1:])))
