"""What was built, once; what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, or_, select, update

from leuko.domain.line import Line
from leuko.domain.release import Component, Release
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.records import from_json, to_json
from leuko.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Kept:
    """A release with what the store knows besides: configuration digest, archives, conviction."""

    release: Release
    configuration: str
    archives: Mapping[str, str] = field(hash=False)
    """Component name -> key of its archive."""
    convicted_why: str = ""
    convicted_at: datetime | None = None


class Releases:
    """Immutable but for `good` and `convicted`; unique by revision and the digests of its trees."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        tx: Transaction,
        release: Release,
        *,
        configuration: str = "",
        archives: Mapping[str, str] | None = None,
    ) -> Release:
        """Keeps a release and gives it its id; one that is there already comes back as it is."""
        table = schema.release
        digest = tree_digest(release)
        same = (table.c.revision == release.revision, table.c.digest == digest)
        known = await tx.execute(select(table).where(schema.of(table, tx.line), *same))
        row = known.mappings().first()
        if row is not None:
            return _kept(row).release
        number = tx.number("releases")
        await tx.execute(
            tx.insert(
                table,
                id=number,
                name=release.name,
                revision=release.revision,
                digest=digest,
                components=to_json(release.components),
                built_at=release.built_at,
                configuration=configuration,
                archives=dict(archives or {}),
                good=release.good,
                convicted=release.convicted,
                convicted_why="",
            )
        )
        return replace(release, id=number)

    async def mark_good(self, tx: Transaction, name: str) -> None:
        """A push of it became LIVE. One that was convicted before is not any more."""
        values = {"good": True, "convicted": False, "convicted_why": "", "convicted_at": None}
        await self._set(tx, name, values)

    async def convict(self, tx: Transaction, name: str, why: str, at: datetime) -> None:
        """A verdict or a person rolled it back."""
        await self._set(
            tx, name, {"good": False, "convicted": True, "convicted_why": why, "convicted_at": at}
        )

    async def get(self, line: Line, wanted: str | int) -> Release | None:
        """By name, by the beginning of its revision (the newest that was built of it), or by id."""
        kept = await self.kept(line, wanted)
        return kept.release if kept else None

    async def kept(self, line: Line, wanted: str | int) -> Kept | None:
        """As `get`, with what the store knows besides."""
        table = schema.release
        if wanted == "":
            return None
        condition = (
            table.c.id == wanted
            if isinstance(wanted, int)
            else or_(table.c.name == wanted, table.c.revision.startswith(wanted, autoescape=True))
        )
        found = await self._rows(line, condition, limit=20)
        exact = [kept for kept in found if kept.release.name == wanted]
        if not exact and len({kept.release.revision for kept in found}) > 1:
            return None  # the beginning of several revisions names none of them
        return next(iter(exact or found), None)

    async def recent(self, line: Line, *, limit: int = 20, good: bool = False) -> list[Release]:
        """Newest first."""
        conditions = (schema.release.c.good,) if good else ()
        return [kept.release for kept in await self._rows(line, *conditions, limit=limit)]

    async def _set(self, tx: Transaction, name: str, values: Mapping[str, Any]) -> None:
        table = schema.release
        where = (schema.of(table, tx.line), table.c.name == name)
        await tx.execute(update(table).where(*where).values(**values))

    async def _rows(self, line: Line, *conditions: Any, limit: int) -> list[Kept]:
        table = schema.release
        query = select(table).where(schema.of(table, line), *conditions)
        async with self._database.reading() as connection:
            found = await connection.execute(query.order_by(table.c.id.desc()).limit(limit))
            return [_kept(row) for row in found.mappings().all()]


def tree_digest(release: Release) -> str:
    """One digest over the trees of all components, whatever their order."""
    parts = sorted(f"{part.name}\x00{part.digest}" for part in release.components)
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _kept(row: RowMapping) -> Kept:
    release = Release(
        row["revision"],
        from_json(row["components"], tuple[Component, ...]),
        row["built_at"],
        row["id"],
        row["convicted"],
        row["good"],
    )
    return Kept(release, row["configuration"], row["archives"], row["convicted_why"], row["convicted_at"])
