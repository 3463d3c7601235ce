"""Resolved configurations as pushes and releases froze them, by digest. Secrets are references in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select

from leuko.domain.line import Line
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.transaction import Transaction


class Configurations:
    """Immutable; the same text is kept once a line."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, tx: Transaction, resolved: Mapping[str, Any], at: datetime) -> str:
        """Keeps it and returns its digest."""
        digest = configuration_digest(resolved)
        row = {**schema.key(tx.line), "digest": digest, "text": dict(resolved), "at": at}
        await tx.execute(tx.upsert(schema.configuration).values(**row).on_conflict_do_nothing())
        return digest

    async def get(self, line: Line, digest: str) -> dict[str, Any] | None:
        """By digest."""
        table = schema.configuration
        query = select(table.c.text).where(schema.of(table, line), table.c.digest == digest)
        async with self._database.reading() as connection:
            found = (await connection.execute(query)).first()
            return dict(found[0]) if found else None


def configuration_digest(resolved: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON, hex."""
    return hashlib.sha256(json.dumps(resolved, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
