"""Where days of readings lie: files of an embedded store, or partitions of a PostgreSQL.

What a `Readings` asks of either. Everything here blocks and is called in the readings' own thread only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from typing import Protocol

from leuko.domain.line import Line
from leuko.store import minutes
from leuko.store.days import DayFile, day_path, days_of, set_aside
from leuko.store.errors import translated
from leuko.store.minutes import Summary
from leuko.store.series import Reading, Row, Ticks


class Day(Protocol):
    """The raw readings of one UTC day, of all lines. Times are microseconds since 1970."""

    def write(self, line: Line, tick: int, roster: tuple[str, ...], values: Mapping[str, Reading]) -> bool:
        """Keeps a closed tick; False where it was kept before: a closed tick does not change."""
        ...

    def ticks(self, line: Line, start: int, end: int) -> Ticks:
        """Ticks in [start, end) and their rosters."""
        ...

    def rows(self, line: Line, gauge: str, start: int, end: int) -> list[Row]:
        """One gauge's rows in [start, end), ticks ascending."""
        ...

    def lines(self) -> list[Line]:
        """Lines that have readings of this day."""
        ...

    def gauges(self) -> list[str]:
        """Gauges that have readings of this day."""
        ...

    def span(self, line: Line) -> tuple[int, int] | None:
        """The first and last tick of a line."""
        ...

    def close(self) -> None:
        """Lets go of it."""
        ...


class Shelf(Protocol):
    """The days that there are. A day's minutes are made whole before anybody sees them."""

    def guarded(self, day: date, *, minutes: bool = False) -> AbstractContextManager[None]:
        """Inside, what goes wrong with a day becomes an error that a person understands."""
        ...

    def days(self, *, minutes: bool = False) -> list[date]:
        """Days that are there, oldest first."""
        ...

    def has(self, day: date, *, minutes: bool = False) -> bool:
        """True where the day is there."""
        ...

    def open(self, day: date) -> Day:
        """A day to read from and write to; made where it is new."""
        ...

    def drop(self, day: date, *, minutes: bool = False) -> None:
        """Removes a day; again is no harm."""
        ...

    def set_aside(self, day: date, *, minutes: bool = False) -> str:
        """Puts a damaged day away, to be looked at; says so as `what was damaged and is set aside ...`."""
        ...

    def load_minutes(self, day: date, line: Line, gauge: str) -> dict[str, Summary]:
        """Host -> its whole day [1440, 1]."""
        ...

    def begin_minutes(self, day: date) -> None:
        """Forgets what a shrinking that was killed has left."""
        ...

    def save_minutes(self, day: date, line: Line, gauge: str, hosts: Sequence[str], whole: Summary) -> None:
        """Adds one gauge's whole day to the minutes that are being made; again is no harm."""
        ...

    def keep_minutes(self, day: date) -> None:
        """They are whole."""
        ...


class FileShelf:
    """A file a day in one folder; of minutes another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, day: date, *, minutes_of: bool) -> Path:
        return minutes.minutes_path(self._folder, day) if minutes_of else day_path(self._folder, day)

    def guarded(self, day: date, *, minutes: bool = False) -> AbstractContextManager[None]:
        path = self._path(day, minutes_of=minutes)
        return translated(str(path), path)

    def days(self, *, minutes: bool = False) -> list[date]:
        pattern = "minutes-????-??-??.sqlite" if minutes else "????-??-??.sqlite"
        return [day for day, _ in days_of(self._folder, pattern)]

    def has(self, day: date, *, minutes: bool = False) -> bool:
        return self._path(day, minutes_of=minutes).exists()

    def open(self, day: date) -> DayFile:
        return DayFile(day_path(self._folder, day))

    def drop(self, day: date, *, minutes: bool = False) -> None:
        _remove(self._path(day, minutes_of=minutes))

    def set_aside(self, day: date, *, minutes: bool = False) -> str:
        path = self._path(day, minutes_of=minutes)
        return f"{path.name} was damaged and is set aside as {set_aside(path).name}"

    def load_minutes(self, day: date, line: Line, gauge: str) -> dict[str, Summary]:
        return minutes.load_gauge(minutes.minutes_path(self._folder, day), line, gauge)

    def begin_minutes(self, day: date) -> None:
        _remove(self._part(day))

    def save_minutes(self, day: date, line: Line, gauge: str, hosts: Sequence[str], whole: Summary) -> None:
        minutes.save_gauge(self._part(day), line, gauge, hosts, whole)

    def keep_minutes(self, day: date) -> None:
        if self._part(day).exists():
            self._part(day).replace(minutes.minutes_path(self._folder, day))

    def _part(self, day: date) -> Path:
        path = minutes.minutes_path(self._folder, day)
        return path.with_name(path.name + ".part")


def _remove(path: Path) -> None:
    for ending in ("-wal", "-shm", ""):
        path.with_name(path.name + ending).unlink(missing_ok=True)
