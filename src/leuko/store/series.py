"""Readings as arrays: what is written a tick, and what a range of ticks gives back.

A row names the roster of its tick and holds one float32 a host of it. A `Frame` puts rows of many ticks,
and of rosters that differ, into one table of times by hosts; what is absent is NaN, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MICRO = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One gauge in one tick, a value for each host of the roster; NaN is absent.

    A counter's value is its difference since the tick before; `resets` says where it began anew. A ratio has
    its numerator as value, and `denominators`.
    """

    values: NDArray[np.float32]
    denominators: NDArray[np.float32] | None = None
    resets: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Times in seconds since 1970 [T]; a gauge has [T, H] values, NaN where there was no reading."""

    times: Floats
    hosts: tuple[str, ...]
    values: Mapping[str, Floats]
    denominators: Mapping[str, Floats]
    """Only of ratios."""
    resets: Mapping[str, NDArray[np.bool_]]
    """Only of gauges that had one."""
    missing: tuple[str, ...] = ()
    """What could not be read, a sentence each: readings from there are NaN or have no tick at all."""


@dataclass(frozen=True, slots=True)
class Row:
    """One stored reading."""

    tick: int
    data: bytes
    denominators: bytes | None
    resets: bytes | None


@dataclass(slots=True)
class Ticks:
    """The closed ticks of a range, ascending, and who was on the roster of each."""

    rows: list[tuple[int, str]] = field(default_factory=list)
    """(microseconds, digest of the roster)"""
    rosters: dict[str, tuple[str, ...]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def everyone(self) -> tuple[str, ...]:
        """Every host of the rosters, those of the newest first."""
        newest_first = dict.fromkeys(digest for _, digest in reversed(self.rows))
        return tuple(dict.fromkeys(host for digest in newest_first for host in self.rosters[digest]))


class Frame:
    """Tables of times by hosts for a number of gauges, filled row by row.

    One allocation holds all gauges: what costs when 7 million values are read is touching fresh memory, and
    the system gives large pages to large arrays.
    """

    def __init__(self, ticks: Ticks, gauges: Sequence[str], hosts: Sequence[str] | None) -> None:
        self.hosts = ticks.everyone() if hosts is None else tuple(hosts)
        self._ticks = np.array([tick for tick, _ in ticks.rows], dtype=np.int64)
        self._digests = [digest for _, digest in ticks.rows]
        self._missing = ticks.missing
        self._gauges = tuple(gauges)
        place = {host: index for index, host in enumerate(self.hosts)}
        self._columns = {
            digest: _columns(roster, place, self.hosts) for digest, roster in ticks.rosters.items()
        }
        self._widths = {digest: len(roster) for digest, roster in ticks.rosters.items()}
        shape = (len(self._ticks), len(self.hosts))
        tables = np.empty((len(self._gauges), *shape))
        self._values: dict[str, Floats] = dict(zip(self._gauges, tables, strict=True))
        self._denominators: dict[str, Floats] = {}
        self._resets: dict[str, NDArray[np.bool_]] = {}
        self._shape = shape

    def fill(self, gauge: str, rows: Sequence[Row]) -> None:
        """Puts all rows of one gauge, ticks ascending, into its table; the rest of it becomes NaN."""
        table = self._values[gauge]
        known = self._known(rows)
        if len(known) < len(self._ticks) or any(self._columns.values()):
            table.fill(np.nan)
        self._put(table, [(at, row.data) for at, row in known], "<f4")
        ratio = [(at, row.denominators) for at, row in known if row.denominators is not None]
        if ratio:
            self._denominators[gauge] = np.full(self._shape, np.nan)
            self._put(self._denominators[gauge], ratio, "<f4")
        resets = [(at, row.resets) for at, row in known if row.resets is not None]
        if resets:
            self._resets[gauge] = np.zeros(self._shape, dtype=np.bool_)
            self._put(self._resets[gauge], resets, "?")

    def series(self) -> Series:
        """What was filled."""
        return Series(
            self._ticks / MICRO,
            self.hosts,
            self._values,
            self._denominators,
            self._resets,
            tuple(self._missing),
        )

    def _known(self, rows: Sequence[Row]) -> list[tuple[int, Row]]:
        """Rows with the place of their tick; a tick that closed since the ticks were read is left out."""
        if not rows or not len(self._ticks):
            return []
        wanted = np.array([row.tick for row in rows], dtype=np.int64)
        places = np.minimum(np.searchsorted(self._ticks, wanted), len(self._ticks) - 1)
        there = self._ticks[places] == wanted
        return [(int(at), row) for at, row, ok in zip(places, rows, there, strict=True) if ok]

    def _put(self, table: NDArray[Any], rows: Sequence[tuple[int, bytes]], kind: str) -> None:
        """Runs of rows that follow one another tick by tick with one roster are copied at once."""
        start = 0
        for end in range(1, len(rows) + 1):
            first = rows[start][0]
            digest = self._digests[first]
            if (
                end < len(rows)
                and rows[end][0] == first + end - start
                and self._digests[rows[end][0]] == digest
            ):
                continue
            block = np.frombuffer(b"".join([data for _, data in rows[start:end]]), dtype=kind)
            block = block.reshape(end - start, self._widths[digest])
            columns = self._columns[digest]
            if columns is None:
                table[first : first + end - start] = block
            else:
                table[first : first + end - start, columns[0]] = block[:, columns[1]]
            start = end


_Columns = tuple[NDArray[np.intp], NDArray[np.intp]] | None


def _columns(roster: tuple[str, ...], place: Mapping[str, int], hosts: tuple[str, ...]) -> _Columns:
    """(columns of the table, columns of the roster); None where they are the same."""
    if roster == hosts:
        return None
    shared = [(place[host], index) for index, host in enumerate(roster) if host in place]
    targets, sources = zip(*shared, strict=True) if shared else ((), ())
    return np.array(targets, dtype=np.intp), np.array(sources, dtype=np.intp)
