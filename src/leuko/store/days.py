"""One SQLite file a day of readings. Blocking: called in the readings' own thread only.

Clustered by gauge, so that reading one gauge touches no other's pages; pages of 16 KiB hold the 4 KB blob of
1,000 hosts without overflow. A tick is one transaction.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from leuko.domain.line import Line
from leuko.store.errors import StoreNewer
from leuko.store.files import make_private
from leuko.store.series import Reading, Row, Ticks

FORMAT = 1
TABLES = f"""
CREATE TABLE line (
    id INTEGER PRIMARY KEY, application TEXT, environment TEXT, UNIQUE (application, environment)
);
CREATE TABLE gauge (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE roster (id INTEGER PRIMARY KEY, digest TEXT UNIQUE, hosts TEXT);
CREATE TABLE tick (line INTEGER, tick INTEGER, roster INTEGER, PRIMARY KEY (line, tick)) WITHOUT ROWID;
CREATE TABLE reading (
    line INTEGER, gauge INTEGER, tick INTEGER, data BLOB, denominators BLOB, resets BLOB,
    PRIMARY KEY (line, gauge, tick)
) WITHOUT ROWID;
PRAGMA user_version={FORMAT}
"""


def roster_digest(roster: Sequence[str]) -> str:
    """Names an immutable roster: ordered host names."""
    return hashlib.sha256(json.dumps(list(roster)).encode()).hexdigest()[:32]


class DayFile:
    """The readings of one UTC day, of all lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = _open(path)
        self._ids: dict[tuple[str, ...], int] = {}

    def close(self) -> None:
        """Closes the file; what the WAL holds goes into it."""
        self._connection.close()

    def write(self, line: Line, tick: int, roster: tuple[str, ...], values: Mapping[str, Reading]) -> bool:
        """Keeps a closed tick; False where it was kept before: a closed tick does not change."""
        run = self._connection.execute
        fresh: dict[tuple[str, ...], int] = {}
        run("BEGIN IMMEDIATE")
        try:
            line_id = self._line(line, fresh)
            added = run(
                "INSERT INTO tick VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (line_id, tick, self._roster(roster, fresh)),
            )
            if added.rowcount:
                self._connection.executemany(
                    "INSERT INTO reading VALUES (?, ?, ?, ?, ?, ?)",
                    [
                        (line_id, self._gauge(gauge, fresh), tick, *blobs(gauge, reading, len(roster)))
                        for gauge, reading in values.items()
                    ],
                )
            run("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.rollback()
            raise
        self._ids |= fresh
        return added.rowcount > 0

    def ticks(self, line: Line, start: int, end: int) -> Ticks:
        """Ticks in [start, end) and their rosters."""
        run = self._connection.execute
        found = run(
            "SELECT tick, digest FROM tick JOIN roster ON roster.id = roster"
            " WHERE line = (SELECT id FROM line WHERE application = ? AND environment = ?)"
            " AND tick >= ? AND tick < ? ORDER BY tick",
            (line.application, line.environment, start, end),
        ).fetchall()
        rosters = {}
        for digest in dict.fromkeys(digest for _, digest in found):
            (hosts,) = run("SELECT hosts FROM roster WHERE digest = ?", (digest,)).fetchone()
            rosters[digest] = tuple(json.loads(hosts))
        return Ticks(found, rosters)

    def rows(self, line: Line, gauge: str, start: int, end: int) -> list[Row]:
        """One gauge's rows in [start, end), ticks ascending."""
        found = self._connection.execute(
            "SELECT tick, data, denominators, resets FROM reading"
            " WHERE line = (SELECT id FROM line WHERE application = ? AND environment = ?)"
            " AND gauge = (SELECT id FROM gauge WHERE name = ?) AND tick >= ? AND tick < ?"
            " ORDER BY tick",
            (line.application, line.environment, gauge, start, end),
        )
        return [Row(*row) for row in found]

    def lines(self) -> list[Line]:
        """Lines that have readings of this day."""
        rows = self._connection.execute("SELECT application, environment FROM line ORDER BY id")
        return [Line(*row) for row in rows.fetchall()]

    def gauges(self) -> list[str]:
        """Gauges that have readings of this day."""
        return [name for (name,) in self._connection.execute("SELECT name FROM gauge ORDER BY id").fetchall()]

    def span(self, line: Line) -> tuple[int, int] | None:
        """The first and last tick of a line."""
        first, last = self._connection.execute(
            "SELECT min(tick), max(tick) FROM tick"
            " WHERE line = (SELECT id FROM line WHERE application = ? AND environment = ?)",
            (line.application, line.environment),
        ).fetchone()
        return None if first is None else (first, last)

    def _line(self, line: Line, fresh: dict[tuple[str, ...], int]) -> int:
        names = (line.application, line.environment)
        insert = "INSERT INTO line (application, environment) VALUES (?, ?)"
        return self._id(
            ("line", *names), insert, "SELECT id FROM line WHERE application = ? AND environment = ?", fresh
        )

    def _gauge(self, gauge: str, fresh: dict[tuple[str, ...], int]) -> int:
        insert = "INSERT INTO gauge (name) VALUES (?)"
        return self._id(("gauge", gauge), insert, "SELECT id FROM gauge WHERE name = ?", fresh)

    def _roster(self, roster: tuple[str, ...], fresh: dict[tuple[str, ...], int]) -> int:
        digest = roster_digest(roster)
        known = self._ids.get(("roster", digest))
        if known is not None:
            return known
        run = self._connection.execute
        run(
            "INSERT INTO roster (digest, hosts) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (digest, json.dumps(roster)),
        )
        (number,) = run("SELECT id FROM roster WHERE digest = ?", (digest,)).fetchone()
        fresh["roster", digest] = number
        return int(number)

    def _id(self, key: tuple[str, ...], insert: str, select: str, fresh: dict[tuple[str, ...], int]) -> int:
        """A name's number; those made in this transaction are remembered only once it is committed."""
        known = self._ids.get(key) or fresh.get(key)
        if known is not None:
            return known
        self._connection.execute(insert + " ON CONFLICT DO NOTHING", key[1:])
        (number,) = self._connection.execute(select, key[1:]).fetchone()
        fresh[key] = number
        return int(number)


def day_path(folder: Path, day: date) -> Path:
    """The file of a day."""
    return folder / f"{day.isoformat()}.sqlite"


def days_of(folder: Path, pattern: str = "????-??-??.sqlite") -> list[tuple[date, Path]]:
    """The days that have a file, oldest first."""
    found = []
    for path in folder.glob(pattern):
        try:
            found.append((date.fromisoformat(path.name.removesuffix(".sqlite")[-10:]), path))
        except ValueError:
            continue  # not one of ours
    return sorted(found)


def set_aside(path: Path) -> Path:
    """Renames a damaged file and what belongs to it: a new one can be begun, and this one looked at."""
    number = 1
    while (target := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for ending in ("-wal", "-shm"):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(target.with_name(target.name + ending))
    path.rename(target)
    return target


def _open(path: Path) -> sqlite3.Connection:
    make_private(path)
    connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    # NORMAL: a power cut may cost the last ticks, never the file; nothing is decided by them alone
    for pragma in ("page_size=16384", "journal_mode=WAL", "synchronous=NORMAL", "cache_size=-32768"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        for statement in TABLES.split(";"):
            connection.execute(statement)
    connection.execute("COMMIT")
    if version not in (0, FORMAT):
        raise StoreNewer(
            f"readings of format {version}, this Leuko knows {FORMAT}",
            where=str(path),
            way_out="run the newer Leuko that wrote it, or move the file away",
            code="S007",
        )


def blobs(gauge: str, reading: Reading, width: int) -> tuple[bytes, bytes | None, bytes | None]:
    """A reading as it is stored: values, denominators, resets. Its width must be the roster's."""
    for array in (reading.values, reading.denominators, reading.resets):
        if array is not None and array.shape != (width,):
            raise ValueError(f"{gauge} has {array.shape} values for a roster of {width}")
    return (
        reading.values.astype("<f4", copy=False).tobytes(),
        None if reading.denominators is None else reading.denominators.astype("<f4", copy=False).tobytes(),
        None
        if reading.resets is None or not reading.resets.any()
        else reading.resets.astype("?", copy=False).tobytes(),
    )
