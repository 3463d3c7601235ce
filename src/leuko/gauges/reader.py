"""The program that runs on a host: its argv, and the lines that it prints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from leuko.config.model import Gauge
from leuko.gauges.onepass import passes

CAP = 8_000_000
"""Bytes of one log that are read in one tick; a burst above it is flagged and its rest skipped."""

REASONS = {
    "first": "the first reading of a log needs a tick before it",
    "missing": "the log file is not there or cannot be read",
    "pattern": "the host's grep or sed does not understand the expression",
    "burst": f"more than {CAP // 1_000_000} MB came in one tick; only the beginning was counted",
    "rotated": "the log was rotated",
    "truncated": "the log was truncated",
    "reset": "a counter began anew",
    "pidfile": "the pid file is missing or holds no number",
    "dead": "the process that the pid file names is not running",
    "disk": "the file system could not be asked",
    "processes": "the process has more than 2000 descendants",
}


@cache
def script() -> str:
    """The text of the host program."""
    return files("leuko.gauges").joinpath("reader.sh").read_text(encoding="utf-8")


LINES = 20
"""Matching lines of one log that a host sends along in one tick, at most."""
WIDTH = 300
"""Bytes of one of them."""


def asked_of_host(gauge: Gauge) -> bool:
    """True where the host program gives the gauge."""
    return gauge.host is not None or gauge.log is not None


def reader_argv(
    gauges: Sequence[Gauge], *, root: str, tick: float, delay: float = 0.0, cap: int = CAP
) -> tuple[str, ...]:
    """The reader of these gauges; they are numbered by their place in the sequence."""
    words = ("sh", "-c", script(), "leuko-reader", _hundredths(tick), _hundredths(delay), root, str(cap))
    asked = tuple(word for gauge in gauges for word in _gauge_words(gauge))
    at_once = tuple(
        word
        for file, (program, places) in passes(gauges).items()
        for word in ("pass", file, program, " ".join(map(str, places)))
    )
    told = " ".join(str(place) for place, gauge in enumerate(gauges) if gauge.log and gauge.log.templates)
    lines = ("lines", told, str(LINES), str(WIDTH)) if told else ()
    return words + asked + at_once + lines


def _hundredths(seconds: float) -> str:
    return str(max(0, round(seconds * 100)))


def _gauge_words(gauge: Gauge) -> tuple[str, str, str, str]:
    if gauge.host is not None:
        return ("host", gauge.host.figure, gauge.host.pid_file, "")
    assert gauge.log is not None, "only host and log gauges are asked of the host"
    more = {"count": "", "ratio": gauge.log.of, "level": gauge.log.value or gauge.log.match}[gauge.kind]
    return (gauge.kind, gauge.log.file, gauge.log.match, more)


@dataclass(frozen=True, slots=True)
class Reading:
    """One gauge in one tick of the reader. NaN is absence; `flag` says why, or what to know about it."""

    gauge: int
    value: float
    denominator: float
    flag: str


@dataclass(frozen=True, slots=True)
class Told:
    """A line of the log of one gauge, cut."""

    gauge: int
    text: str


@dataclass(frozen=True, slots=True)
class EndOfTick:
    """Everything of this tick was said. `span` ticks have passed since the one before."""

    index: int
    span: int


def parse(line: bytes) -> Reading | Told | EndOfTick | None:
    """A line of the reader; None for anything else."""
    words = line.split()
    try:
        if len(words) > 3 and words[0] == b"L":
            return Told(int(words[2]), line.split(maxsplit=3)[3][:WIDTH].decode("utf-8", "replace"))
        if len(words) == 6 and words[0] == b"R":
            return Reading(int(words[2]), _number(words[3]), _number(words[4]), _flag(words[5]))
        if len(words) == 3 and words[0] == b"E":
            return EndOfTick(int(words[1]), max(1, int(words[2])))
    except ValueError:
        return None
    return None


def _number(word: bytes) -> float:
    if word == b"-":
        return math.nan
    value = float(word)
    return value if math.isfinite(value) else math.nan


def _flag(word: bytes) -> str:
    return "" if word == b"-" else word.decode("ascii", "replace")
