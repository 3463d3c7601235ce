"""What is left of readings after two days: mean, maximum and count of each minute, host by host."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from leuko.domain.line import Line
from leuko.store.files import make_private
from leuko.store.series import Floats, Series

DAY_MINUTES = 1440
TABLE = (
    "CREATE TABLE IF NOT EXISTS minute (application TEXT, environment TEXT, gauge TEXT, host TEXT,"
    " mean BLOB, max BLOB, count BLOB, denominators BLOB,"
    " PRIMARY KEY (application, environment, gauge, host)) WITHOUT ROWID"
)


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """One gauge by minutes and hosts [M, H]. A ratio's mean is of its numerators, its max of the ratio."""

    mean: Floats
    max: Floats
    count: NDArray[np.int64]
    """Readings in the minute; where 0, the others are NaN."""
    denominators: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Minutes:
    """Times are the minutes' beginnings, in seconds since 1970 [M]; every minute of the range is there."""

    times: Floats
    hosts: tuple[str, ...]
    gauges: Mapping[str, Summary]
    missing: tuple[str, ...] = ()


def summarise(series: Series, gauge: str, start_minute: int, minutes: int) -> Summary:
    """The minutes from `start_minute` (counted since 1970) of one gauge of a series."""
    values = series.values[gauge]
    denominators = series.denominators.get(gauge)
    at = np.floor(series.times / 60).astype(np.int64) - start_minute
    keep = (at >= 0) & (at < minutes)
    at, values = at[keep], values[keep]
    count = _sums(at, (~np.isnan(values)).astype(np.float64), minutes).astype(np.int64)
    if denominators is None:
        return Summary(_mean(at, values, count), _maximum(at, values, minutes), count)
    denominators = denominators[keep]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(denominators > 0, values / denominators, np.nan)
    return Summary(
        _mean(at, values, count), _maximum(at, ratio, minutes), count, _mean(at, denominators, count)
    )


def _sums(at: NDArray[np.int64], values: Floats, minutes: int) -> Floats:
    sums = np.zeros((minutes, values.shape[1]))
    if len(at):
        starts = np.flatnonzero(np.r_[True, at[1:] != at[:-1]])
        sums[at[starts]] = np.add.reduceat(values, starts, axis=0)
    return sums


def _mean(at: NDArray[np.int64], values: Floats, count: NDArray[np.int64]) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(count > 0, _sums(at, np.nan_to_num(values), len(count)) / count, np.nan)


def _maximum(at: NDArray[np.int64], values: Floats, minutes: int) -> Floats:
    most = np.full((minutes, values.shape[1]), np.nan)
    if len(at):
        starts = np.flatnonzero(np.r_[True, at[1:] != at[:-1]])
        most[at[starts]] = np.fmax.reduceat(values, starts, axis=0)
    return most


def empty(minutes: int, hosts: int) -> Summary:
    """Minutes without a reading."""
    nothing = np.full((minutes, hosts), np.nan)
    return Summary(nothing, nothing.copy(), np.zeros((minutes, hosts), dtype=np.int64))


def put(whole: Summary, at: int, part: Summary) -> Summary:
    """`whole` with `part` in its place from minute `at`; the arrays of `whole` are written into."""
    span = slice(at, at + len(part.mean))
    whole.mean[span], whole.max[span], whole.count[span] = part.mean, part.max, part.count
    if part.denominators is None:
        return whole
    denominators = whole.denominators
    if denominators is None:
        denominators = np.full(whole.mean.shape, np.nan)
    denominators[span] = part.denominators
    return Summary(whole.mean, whole.max, whole.count, denominators)


def minutes_path(folder: Path, day: date) -> Path:
    """The file of a day's minutes."""
    return folder / f"minutes-{day.isoformat()}.sqlite"


def save_gauge(path: Path, line: Line, gauge: str, hosts: Sequence[str], day: Summary) -> None:
    """Adds one gauge's whole day to a file that is being made; again is no harm."""
    rows = []
    for column, host in enumerate(hosts):
        if not day.count[:, column].any():
            continue
        rows.append(
            (
                line.application,
                line.environment,
                gauge,
                host,
                day.mean[:, column].astype("<f4").tobytes(),
                day.max[:, column].astype("<f4").tobytes(),
                day.count[:, column].astype("<u4").tobytes(),
                None if day.denominators is None else day.denominators[:, column].astype("<f4").tobytes(),
            )
        )
    make_private(path)
    with closing(sqlite3.connect(path, timeout=5)) as connection, connection:
        connection.execute(TABLE)
        connection.executemany("INSERT OR REPLACE INTO minute VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def gauges_in(path: Path, line: Line) -> list[str]:
    """Gauges that a file has minutes of."""
    with closing(_reading(path)) as connection:
        query = "SELECT DISTINCT gauge FROM minute WHERE application = ? AND environment = ? ORDER BY gauge"
        return [gauge for (gauge,) in connection.execute(query, (line.application, line.environment))]


def load_gauge(path: Path, line: Line, gauge: str) -> dict[str, Summary]:
    """Host -> its whole day [1440, 1]."""
    with closing(_reading(path)) as connection:
        rows = connection.execute(
            "SELECT host, mean, max, count, denominators FROM minute"
            " WHERE application = ? AND environment = ? AND gauge = ? ORDER BY host",
            (line.application, line.environment, gauge),
        ).fetchall()
    return {host: unpacked(mean, most, count, below) for host, mean, most, count, below in rows}


def unpacked(mean: bytes, most: bytes, count: bytes, denominators: bytes | None) -> Summary:
    """One host's whole day [1440, 1] as it was stored."""
    return Summary(
        _column(mean, "<f4").astype(np.float64),
        _column(most, "<f4").astype(np.float64),
        _column(count, "<u4").astype(np.int64),
        None if denominators is None else _column(denominators, "<f4").astype(np.float64),
    )


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, timeout=5)


def _column(blob: bytes, kind: str) -> NDArray[np.generic]:
    return np.frombuffer(blob, dtype=kind).reshape(-1, 1)


def column(summary: Summary, index: int) -> Summary:
    """One host of a summary."""
    at = slice(index, index + 1)
    ratio = None if summary.denominators is None else summary.denominators[:, at]
    return Summary(summary.mean[:, at], summary.max[:, at], summary.count[:, at], ratio)


def beginnings(first: int, count: int) -> Floats:
    """Seconds since 1970 at which `count` minutes begin, from minute `first`."""
    return (first + np.arange(count, dtype=np.float64)) * 60.0


def place(
    days: Sequence[tuple[int, Mapping[str, Summary]]], hosts: Sequence[str], first: int, count: int
) -> Summary:
    """Whole days of single hosts, each with its first minute since 1970, as one table from minute `first`."""
    table = empty(count, len(hosts))
    ratio = any(part.denominators is not None for _, day in days for part in day.values())
    denominators = np.full(table.mean.shape, np.nan) if ratio else None
    for begin, day in days:
        low, high = max(first, begin), min(first + count, begin + DAY_MINUTES)
        if high <= low:
            continue
        to, of = slice(low - first, high - first), slice(low - begin, high - begin)
        for index, host in enumerate(hosts):
            part = day.get(host)
            if part is None:
                continue
            table.mean[to, index] = part.mean[of, 0]
            table.max[to, index] = part.max[of, 0]
            table.count[to, index] = part.count[of, 0]
            if denominators is not None and part.denominators is not None:
                denominators[to, index] = part.denominators[of, 0]
    return Summary(table.mean, table.max, table.count, denominators)
