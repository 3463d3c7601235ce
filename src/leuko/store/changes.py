"""What landed on the branch, in the order in which it was seen."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import RowMapping, select, update

from leuko.domain.change import Change, Commit
from leuko.domain.line import Line
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.records import from_json, to_json
from leuko.store.transaction import Transaction


class ChangeState(StrEnum):
    """SKIPPED does not concern the application; SUPERSEDED was not built itself, a later one carries it."""

    WAITING = "waiting"
    VERIFYING = "verifying"
    GREEN = "green"
    RED = "red"
    BROKEN = "broken"
    SUPERSEDED = "superseded"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Landed:
    """A change with what became of it. `id` grows in the order of landing."""

    id: int
    change: Change
    seen_at: datetime
    concerns: bool
    state: ChangeState
    build: int | None

    @property
    def revision(self) -> str:
        """The landing commit."""
        return self.change.revision


class Changes:
    """Rows are unique by revision: seeing a change twice adds it once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, tx: Transaction, change: Change, *, concerns: bool, at: datetime) -> bool:
        """Keeps a change; False when it was there already. Oldest first, please: the id is the order."""
        table = schema.change
        known = select(table.c.id).where(schema.of(table, tx.line), table.c.revision == change.revision)
        if (await tx.execute(known)).first() is not None:
            return False
        state = ChangeState.WAITING if concerns else ChangeState.SKIPPED
        await tx.execute(
            tx.insert(
                table,
                id=tx.number("changes"),
                revision=change.revision,
                tree=change.tree,
                parent=change.parent,
                landed_at=change.landed_at,
                seen_at=at,
                commits=to_json(change.commits),
                concerns=concerns,
                state=state.value,
                build=None,
            )
        )
        return True

    async def mark(
        self, tx: Transaction, revisions: Collection[str], state: ChangeState, *, build: int | None = None
    ) -> int:
        """Sets the state of these changes, and the build that says so. Returns how many there were."""
        table = schema.change
        values: dict[str, Any] = {"state": state.value} | ({} if build is None else {"build": build})
        where = (schema.of(table, tx.line), table.c.revision.in_(list(revisions)))
        return (await tx.execute(update(table).where(*where).values(**values))).rowcount

    async def get(self, line: Line, revision: str) -> Landed | None:
        """By revision or the beginning of one; None where none or several begin so."""
        table = schema.change
        if not revision:
            return None
        found = await self._rows(
            select(table)
            .where(schema.of(table, line), table.c.revision.startswith(revision, autoescape=True))
            .limit(2)
        )
        exact = [landed for landed in found if landed.revision == revision]
        return (exact or found)[0] if exact or len(found) == 1 else None

    async def latest(self, line: Line, *, concerning: bool = False) -> Landed | None:
        """The change that landed last."""
        found = await self.recent(line, limit=1, concerning=concerning)
        return found[0] if found else None

    async def recent(
        self,
        line: Line,
        *,
        limit: int = 100,
        before: int | None = None,
        states: Collection[ChangeState] = (),
        concerning: bool = False,
    ) -> list[Landed]:
        """Newest first; `before` an id, to go on."""
        table = schema.change
        query = select(table).where(schema.of(table, line))
        if before is not None:
            query = query.where(table.c.id < before)
        if states:
            query = query.where(table.c.state.in_([state.value for state in states]))
        if concerning:
            query = query.where(table.c.concerns)
        return await self._rows(query.order_by(table.c.id.desc()).limit(limit))

    async def since(self, line: Line, revision: str) -> list[Landed]:
        """Changes that landed after this one, newest first; every one kept where it is not known."""
        table = schema.change
        start = await self.get(line, revision)
        query = select(table).where(schema.of(table, line), table.c.id > (start.id if start else 0))
        return await self._rows(query.order_by(table.c.id.desc()))

    async def _rows(self, query: Any) -> list[Landed]:
        async with self._database.reading() as connection:
            return [_landed(row) for row in (await connection.execute(query)).mappings().all()]


def _landed(row: RowMapping) -> Landed:
    commits = from_json(row["commits"], tuple[Commit, ...])
    change = Change(row["revision"], row["tree"], row["parent"], row["landed_at"], commits)
    return Landed(row["id"], change, row["seen_at"], row["concerns"], ChangeState(row["state"]), row["build"])
