"""Brings a database to the schema that this code knows, one step at a time, all of it or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from leuko.store.database import Database
from leuko.store.errors import StoreNewer, translated
from leuko.store.files import make_private

ADVISORY_LOCK = 0x1E0C0
SCRIPTS = Path(__file__).parent


async def migrate(database: Database, *, scripts: Path = SCRIPTS) -> None:
    """Runs what is missing, in one transaction. Refuses a database that is newer than the code."""
    async with database.writing() as connection:
        await connection.run_sync(_migrate, database, scripts)


def _migrate(connection: Connection, database: Database, scripts: Path) -> None:
    if not database.embedded:  # on SQLite the transaction itself keeps others out
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
    config = _config(connection, scripts)
    script = ScriptDirectory.from_config(config)
    known = {revision.revision for revision in script.walk_revisions()}
    at = MigrationContext.configure(connection).get_current_revision()
    if at is not None and at not in known:
        raise StoreNewer(
            f"the database has the schema {at}, this Leuko knows up to {script.get_current_head()}",
            where=database.where,
            way_out="run the newer Leuko that wrote it, or put back the copy made before its migration",
            code="S006",
        )
    if at == script.get_current_head():
        return
    if at is not None and database.path is not None:
        _back_up(database.path, at)
    command.upgrade(config, "head")


def _config(connection: Connection, scripts: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def backup_path(path: Path, revision: str) -> Path:
    """Where the copy lies that was made before leaving this schema."""
    return path.with_name(f"{path.name}.before-leaving-{revision}")


def _back_up(path: Path, revision: str) -> None:
    """A whole copy beside the database; it appears under its name only when it is complete."""
    target = backup_path(path, revision)
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    with translated(str(target), path):
        make_private(part)
        with _open(path) as source, _open(part) as copy:
            source.backup(copy)
        part.replace(target)


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection:
        yield connection
