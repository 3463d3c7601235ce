"""The migrations make the schema that the code runs on, all at once or not at all, and never go back."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from leuko.clock import SystemClock
from leuko.domain.line import Line
from leuko.store import database as databases
from leuko.store.errors import StoreDamaged, StoreNewer, StoreUnreachable
from leuko.store.migrations import SCRIPTS, backup_path, migrate
from leuko.store.schema import metadata
from leuko.store.series import Reading
from leuko.store.store import Store

NOW = datetime(2026, 11, 23, tzinfo=UTC)
LINE = Line("shop", "production")
NEXT = """
import sqlalchemy as sa
from alembic import op
revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None
def upgrade():
    op.add_column("line", sa.Column("added", sa.Text(), nullable=False, server_default="new"))
    op.create_table("more", sa.Column("id", sa.BigInteger(), primary_key=True))
    {then}
"""


def scripts(folder: Path, then: str = "") -> Path:
    """The migrations as a later version of the code would have them: one more."""
    shutil.copytree(SCRIPTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    head = max(path.name[:4] for path in (folder / "versions").glob("*.py"))
    (folder / "versions" / "9999_next.py").write_text(NEXT.format(head=head, then=then))
    return folder


async def tables(address: str) -> set[str]:
    database = databases.connect(address)
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'table'"
        if database.embedded
        else "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    )
    try:
        async with database.reading() as connection:
            return {name for (name,) in (await connection.execute(text(query))).all()}
    finally:
        await database.close()


async def test_the_migrations_make_the_schema_of_the_code(store):
    async with store._database.writing() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync), metadata)
        )
    assert differences == []


async def test_every_row_is_keyed_by_its_line():
    for name, table in metadata.tables.items():
        if name != "installation":
            assert [column.name for column in table.primary_key][:2] == ["application", "environment"], name


async def test_two_that_open_a_new_store_at_once(opener):
    stores = await asyncio.gather(*(opener() for _ in range(4)))
    assert len({store.installation for store in stores}) == 1


async def test_a_database_newer_than_the_code_is_refused(address, opener, tmp_path):
    store = await opener()
    async with store.write(LINE) as tx:
        tx.event("kept", "x", {}, NOW)
    await store.close()
    database = databases.connect(address)
    await migrate(database, scripts=scripts(tmp_path / "scripts"))
    await database.close()
    with pytest.raises(StoreNewer, match="9999") as error:
        await Store.open(address, SystemClock(), readings=tmp_path / "readings")
    assert "newer Leuko" in error.value.way_out
    assert "more" in await tables(address), "and it is left as it was"


async def test_a_migration_that_fails_leaves_the_database_as_it_was(address, opener, tmp_path):
    store = await opener()
    await store.close()
    before = await tables(address)
    database = databases.connect(address)
    with pytest.raises(RuntimeError, match="power cut"):
        await migrate(database, scripts=scripts(tmp_path / "scripts", 'raise RuntimeError("power cut")'))
    await database.close()
    assert await tables(address) == before
    again = await opener()
    async with again.write(LINE) as tx:
        tx.event("works", "x", {}, NOW)


async def test_a_copy_is_made_before_an_embedded_store_is_migrated(tmp_path):
    path = tmp_path / "state" / "leuko.db"
    store = await Store.open(path, SystemClock())
    async with store.write(LINE) as tx:
        tx.event("kept", "x", {}, NOW)
    assert list(path.parent.glob("*before*")) == [], "a new store has nothing to copy"
    head = "0003"
    database = databases.connect(path)
    await migrate(database, scripts=scripts(tmp_path / "scripts"))
    await database.close()
    await store.close()
    copy = backup_path(path, head)
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT kind FROM event").fetchall() == [("kept",)]
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (head,)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT added FROM line").fetchall() == [("new",)]


async def test_the_files_are_for_nobody_else(tmp_path):
    path = tmp_path / "state" / "leuko.db"
    store = await Store.open(path, SystemClock())
    async with store.write(LINE) as tx:
        tx.event("kept", "x", {}, NOW)
    await store.readings.write(LINE, NOW, ("a",), {"g": Reading(np.ones(1, dtype=np.float32))})
    made = [found for found in path.parent.rglob("*") if found.is_file()]
    assert {"leuko.db", "leuko.db-wal", "2026-11-23.sqlite"} <= {found.name for found in made}
    for found in (path.parent, *path.parent.rglob("*")):
        assert found.stat().st_mode & 0o077 == 0, found
    await store.close()


async def test_what_is_no_database_is_said_so_and_left_alone(tmp_path):
    path = tmp_path / "leuko.db"
    path.write_bytes(b"this is a letter to my aunt\n" * 400)
    with pytest.raises(StoreDamaged) as error:
        await Store.open(path, SystemClock())
    assert (error.value.code, error.value.where) == ("S002", str(path))
    assert path.read_bytes().startswith(b"this is a letter")
    with pytest.raises(StoreUnreachable, match="Is a directory"):
        await Store.open(tmp_path, SystemClock())
    with pytest.raises(StoreUnreachable, match="mysql is not a database"):
        await Store.open("mysql://x/y", SystemClock())
