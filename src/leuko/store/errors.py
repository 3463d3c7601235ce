"""What can go wrong with the store, said so that the user can mend it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT, ENOSPC
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from leuko.domain.errors import LeukoError


class Lost(LeukoError):  # noqa: N818 - named for what happened
    """Compare-and-set lost: the row changed since it was read. Nothing was saved; read again, decide anew."""

    exit_code = 4


class StoreError(LeukoError):
    """The store could not do what it was asked. Nothing of the transaction was saved."""

    exit_code = 7


class StoreFull(StoreError):  # noqa: N818 - named for what happened
    """No room left on the store's disk."""


class StoreDamaged(StoreError):  # noqa: N818 - named for what happened
    """A file of the store is not what it should be."""


class StoreBusy(StoreError):  # noqa: N818 - named for what happened
    """Another process held the store for too long."""


class StoreUnreachable(StoreError):  # noqa: N818 - named for what happened
    """The database server does not answer."""


class StoreNewer(StoreError):  # noqa: N818 - named for what happened
    """The database was written by a newer version of the code."""


ROOM_THAT_IS_NONE = 1 << 20
"""Bytes free below which an I/O error of SQLite means a full disk: it cannot grow its shared memory file."""


def full(where: str) -> StoreFull:
    """The error for a disk without room."""
    return StoreFull(
        "no room left on the disk of the store: nothing was saved",
        where=where,
        way_out="make room (old archives, build output, readings); it goes on by itself then",
        code="S001",
    )


def damaged(where: str, detail: str) -> StoreDamaged:
    """The error for a file that SQLite cannot read."""
    return StoreDamaged(
        f"the database is damaged: {detail}",
        where=where,
        way_out="stop Leuko, keep the file, and put back a copy (the backups lie beside it)",
        code="S002",
    )


def busy(where: str) -> StoreBusy:
    """The error for a lock that was not given in time."""
    return StoreBusy(
        "the database is locked by another process",
        where=where,
        way_out="see which other program has it open; Leuko tries again at its next step",
        code="S003",
    )


def unreachable(where: str, detail: str) -> StoreUnreachable:
    """The error for a server that does not answer."""
    return StoreUnreachable(
        f"the database cannot be used: {detail}",
        where=where,
        way_out="see that the server runs, and that address, user and rights are right",
        code="S004",
    )


@contextmanager
def translated(where: str, path: Path | None) -> Iterator[None]:
    """Turns what database libraries raise for a user's troubles into errors of ours; bugs stay bugs."""
    try:
        yield
    except DBAPIError as error:
        known = _known(error.orig, where, path)
        if known is None and error.connection_invalidated:
            known = unreachable(where, _first_line(error.orig))
        if known is None:
            raise
        raise known from error
    except sqlite3.Error as error:
        known = _known(error, where, path)
        if known is None:
            raise
        raise known from error
    except OSError as error:  # the network's, or the disk's
        if error.errno in (ENOSPC, EDQUOT):
            raise full(where) from error
        raise unreachable(where, _first_line(error)) from error


class FromOutside(Exception):  # noqa: N818 - never seen outside
    """Carries an error of whoever writes past `translated`: a full disk of theirs is not the store's."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.error = error


def of_sqlite(error: sqlite3.Error, where: str, path: Path) -> StoreError | None:
    """The error of ours for one of SQLite's, or None where it is a bug."""
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL" or (name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN")) and _no_room(path)):
        return full(where)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return busy(where)
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return damaged(where, _first_line(error))
    if name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")):
        return unreachable(where, _first_line(error))
    return None


def _known(error: BaseException | None, where: str, path: Path | None) -> StoreError | None:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, sqlite3.Error) and path is not None:
            return of_sqlite(cause, where, path)
        match str(getattr(cause, "sqlstate", "") or ""):
            case "53100":
                return full(where)
            case "55P03" | "25P03":  # lock not available, idle in transaction for too long
                return busy(where)
            case code if code[:2] in ("08", "28", "3D", "57") or code == "42501":
                return unreachable(where, _first_line(cause))
        cause = cause.__cause__
    return None


def _no_room(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < ROOM_THAT_IS_NONE
    except OSError:
        return False


def _first_line(error: BaseException | None) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
