"""Readings as arrays: what is written a tick, and what a range of ticks gives back.

A row names the roster of its tick and holds one float32 a host of it. `assemble` puts rows of many ticks,
and of rosters that differ, into one table of times by hosts; what is absent is NaN, never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

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
class Rows:
    """What a range of stored ticks holds, ticks ascending."""

    ticks: list[tuple[int, str]] = field(default_factory=list)
    """(microseconds, digest of the roster)"""
    rosters: dict[str, tuple[str, ...]] = field(default_factory=dict)
    gauges: dict[str, list[Row]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def add(self, later: Rows) -> None:
        """Joins the rows of a later range."""
        self.ticks += later.ticks
        self.rosters |= later.rosters
        self.missing += later.missing
        for gauge, rows in later.gauges.items():
            self.gauges.setdefault(gauge, []).extend(rows)


def assemble(rows: Rows, gauges: Iterable[str], hosts: Sequence[str] | None) -> Series:
    """The table of these gauges; of all hosts of the rosters, newest roster first, where `hosts` is None."""
    ticks = np.array([tick for tick, _ in rows.ticks], dtype=np.int64)
    order = tuple(hosts) if hosts is not None else _everyone(rows)
    frame = _Frame(ticks, rows, order)
    series = Series(ticks / MICRO, order, {}, {}, {}, tuple(rows.missing))
    values: dict[str, Floats] = {}
    denominators: dict[str, Floats] = {}
    resets: dict[str, NDArray[np.bool_]] = {}
    for gauge in gauges:
        found = rows.gauges.get(gauge, [])
        values[gauge] = frame.floats([(row.tick, row.data) for row in found])
        ratio = [(row.tick, row.denominators) for row in found if row.denominators is not None]
        if ratio:
            denominators[gauge] = frame.floats(ratio)
        reset = [(row.tick, row.resets) for row in found if row.resets is not None]
        if reset:
            resets[gauge] = frame.flags(reset)
    return Series(series.times, order, values, denominators, resets, series.missing)


def _everyone(rows: Rows) -> tuple[str, ...]:
    rosters = dict.fromkeys(digest for _, digest in reversed(rows.ticks))
    return tuple(dict.fromkeys(host for digest in rosters for host in rows.rosters[digest]))


class _Frame:
    """Times by hosts, and where each roster's columns go in it."""

    def __init__(self, ticks: NDArray[np.int64], rows: Rows, hosts: tuple[str, ...]) -> None:
        self._ticks = ticks
        self._digests = [digest for _, digest in rows.ticks]
        self._hosts = hosts
        place = {host: index for index, host in enumerate(hosts)}
        self._columns = {digest: _columns(roster, place, hosts) for digest, roster in rows.rosters.items()}
        self._widths = {digest: len(roster) for digest, roster in rows.rosters.items()}

    def floats(self, rows: Sequence[tuple[int, bytes]]) -> Floats:
        table = np.empty((len(self._ticks), len(self._hosts)))
        if not self._covered(rows):
            table.fill(np.nan)
        for where, columns, block in self._blocks(rows, "<f4"):
            _put(table, where, columns, block)
        return table

    def flags(self, rows: Sequence[tuple[int, bytes]]) -> NDArray[np.bool_]:
        table = np.zeros((len(self._ticks), len(self._hosts)), dtype=np.bool_)
        for where, columns, block in self._blocks(rows, "?"):
            _put(table, where, columns, block)
        return table

    def _covered(self, rows: Sequence[tuple[int, bytes]]) -> bool:
        return len(rows) == len(self._ticks) and all(
            self._columns[digest] is None for digest in set(self._digests)
        )

    def _blocks(
        self, rows: Sequence[tuple[int, bytes]], kind: str
    ) -> Iterator[tuple[slice, _Columns, _Block]]:
        """Runs of rows that follow one another tick by tick with one roster: each is one copy."""
        if not rows:
            return
        at = np.searchsorted(self._ticks, np.array([tick for tick, _ in rows], dtype=np.int64))
        start = 0
        for end in range(1, len(rows) + 1):
            digest = self._digests[at[start]]
            if end < len(rows) and at[end] == at[end - 1] + 1 and self._digests[at[end]] == digest:
                continue
            block = np.frombuffer(b"".join(data for _, data in rows[start:end]), dtype=kind)
            shaped = block.reshape(end - start, self._widths[digest])
            yield slice(int(at[start]), int(at[start]) + end - start), self._columns[digest], shaped
            start = end


_Columns = tuple[NDArray[np.intp], NDArray[np.intp]] | None
_Block = NDArray[np.generic]


def _columns(roster: tuple[str, ...], place: Mapping[str, int], hosts: tuple[str, ...]) -> _Columns:
    """(columns of the table, columns of the roster); None where they are the same."""
    if roster == hosts:
        return None
    shared = [(place[host], index) for index, host in enumerate(roster) if host in place]
    targets, sources = zip(*shared, strict=True) if shared else ((), ())
    return np.array(targets, dtype=np.intp), np.array(sources, dtype=np.intp)


def _put(table: NDArray[np.generic], where: slice, columns: _Columns, block: _Block) -> None:
    if columns is None:
        table[where] = block
    else:
        targets, sources = columns
        table[where, targets] = block[:, sources]
