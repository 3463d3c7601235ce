"""What happened to customers' requests, counted: per host, per second, and by the release that answered."""

from __future__ import annotations

import os
import sys
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec

RECENT = 120


class Figures(msgspec.Struct):
    """Of one host, or of one second of it, or of one release."""

    requests: int = 0
    failures: int = 0
    milliseconds: float = 0.0
    slowest: float = 0.0
    kinds: dict[str, int] = {}
    """Failures by kind: 500, 503 ..., refused, reset, timeout, content, crowded."""
    failed_by_release: dict[str, int] = {}
    """Failures by the release that answered; `-` when none did."""
    by_release: dict[str, int] = {}
    """Requests by the release that answered."""

    def add(self, release: str, milliseconds: float, failure: str) -> None:
        """Counts one request."""
        self.requests += 1
        self.milliseconds += milliseconds
        self.slowest = max(self.slowest, milliseconds)
        self.by_release[release] = self.by_release.get(release, 0) + 1
        if failure:
            self.failures += 1
            self.kinds[failure] = self.kinds.get(failure, 0) + 1
            self.failed_by_release[release] = self.failed_by_release.get(release, 0) + 1

    def merge(self, other: Figures) -> None:
        """Adds the figures of another."""
        self.requests += other.requests
        self.failures += other.failures
        self.milliseconds += other.milliseconds
        self.slowest = max(self.slowest, other.slowest)
        for mine, theirs in (
            (self.kinds, other.kinds),
            (self.failed_by_release, other.failed_by_release),
            (self.by_release, other.by_release),
        ):
            for key, count in theirs.items():
                mine[key] = mine.get(key, 0) + count


class Second(msgspec.Struct):
    """One second of the whole fleet; requests count in the second in which they ended."""

    at: datetime
    hosts: dict[str, Figures]


class Facts(msgspec.Struct):
    """Everything since the traffic began."""

    started: datetime
    updated: datetime
    rate: float
    hosts: dict[str, Figures]
    total: Figures
    recent: list[Second] = []
    running: bool = True
    unsent: int = 0
    """Requests that this machine was too busy to send at their time; they failed for no customer."""


class Tally:
    """Counts, and writes facts (replaced whole) and a line per second to a log."""

    def __init__(self, hosts: tuple[str, ...], rate: float, at: datetime, facts: Path, log: Path) -> None:
        self._hosts = hosts
        self._facts = Facts(at, at, rate, {host: Figures() for host in hosts}, Figures())
        self._recent: deque[Second] = deque(maxlen=RECENT)
        self._now = {host: Figures() for host in hosts}
        self._path = facts
        self._log: IO[bytes] = log.open("ab", buffering=0)

    def add(self, host: str, release: str, milliseconds: float, failure: str = "") -> None:
        """Counts one request; `failure` is empty when it was answered as it should be."""
        self._now[host].add(release, milliseconds, failure)

    def unsent(self, count: int) -> None:
        """Counts requests that were never sent."""
        self._facts.unsent += count

    def close_second(self, at: datetime, *, running: bool = True) -> None:
        """Ends the second: into the totals, the log and the facts file."""
        second = Second(at, self._now)
        self._now = {host: Figures() for host in self._hosts}
        for host, figures in second.hosts.items():
            self._facts.hosts[host].merge(figures)
            self._facts.total.merge(figures)
        self._recent.append(second)
        self._facts.recent = list(self._recent)
        self._facts.updated, self._facts.running = at, running
        try:
            self._log.write(msgspec.json.encode(second) + b"\n")
            fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
            fresh.write_bytes(msgspec.json.encode(self._facts))
            fresh.replace(self._path)
        except OSError as error:  # counting goes on: the totals are written with the next second that can be
            print(f"{at.isoformat()} facts not written: {error}", file=sys.stderr)  # noqa: T201 - its process's log

    def close(self) -> None:
        """Lets go of the log."""
        self._log.close()


def read_facts(path: Path) -> Facts:
    """What was written last. Raises FileNotFoundError before the first second has ended."""
    return msgspec.json.decode(path.read_bytes(), type=Facts)


def read_log(path: Path) -> list[Second]:
    """Every second there was; a line that is being written is left out."""
    decoder = msgspec.json.Decoder(Second)
    return [
        decoder.decode(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")
    ]
