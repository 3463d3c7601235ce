"""The operations table."""

from __future__ import annotations

from datetime import datetime

import msgspec

from leuko.domain.line import Line
from leuko.store.store import Store


class OperationView(msgspec.Struct, frozen=True):
    """One row; `seconds` counts on while it runs."""

    id: int
    operation: str
    started_at: datetime
    finished_at: datetime | None
    seconds: float
    person: str
    revision: str
    outcome: str
    subject: str
    push: int | None


async def operations(
    store: Store, line: Line, now: datetime, *, limit: int = 20, before: int | None = None
) -> list[OperationView]:
    """Newest first."""
    return [
        OperationView(
            row.id,
            row.operation,
            row.started_at,
            row.finished_at,
            ((row.finished_at or now) - row.started_at).total_seconds(),
            row.person,
            row.revision,
            row.outcome,
            row.subject,
            _push(row.subject),
        )
        for row in await store.operations.recent(line, limit=limit, before=before)
    ]


def _push(subject: str) -> int | None:
    word, _, number = subject.partition(" ")
    return int(number) if word == "push" and number.isascii() and number.isdigit() else None
