"""Set-up nodes of each build, as rows that pages show beside the tests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, delete, select

from leuko.domain.case import CaseState
from leuko.domain.line import Line
from leuko.store import schema
from leuko.store.cases import REASON_CAP, OutputPlace
from leuko.store.database import Database
from leuko.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One set-up node of one build. `event` is the number of the event that told of it last."""

    name: str
    position: int
    state: CaseState
    seconds: float = 0.0
    reason: str = ""
    broken: str = ""
    output: OutputPlace | None = None
    began_at: datetime | None = None
    event: int = 0


class Nodes:
    """At most one of a name in a build."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, tx: Transaction, build: int, rows: Iterable[NodeRow], event: int) -> None:
        """Keeps these nodes as they are now."""
        for row in rows:
            values = _values(row) | {"event": event}
            statement = tx.upsert(schema.build_node).values(
                **schema.key(tx.line), build=build, name=row.name, **values
            )
            index = ["application", "environment", "build", "name"]
            await tx.execute(statement.on_conflict_do_update(index_elements=index, set_=values))

    async def clear(self, tx: Transaction, build: int) -> None:
        """Forgets those of a build that starts anew."""
        table = schema.build_node
        await tx.execute(delete(table).where(schema.of(table, tx.line), table.c.build == build))

    async def rows(self, line: Line, build: int, *, since: int = 0) -> list[NodeRow]:
        """Those that changed after the event `since`, in the order of the file."""
        table = schema.build_node
        query = select(table).where(schema.of(table, line), table.c.build == build, table.c.event > since)
        async with self._database.reading() as connection:
            found = (await connection.execute(query.order_by(table.c.position))).mappings().all()
        return [_node(row) for row in found]


def _values(row: NodeRow) -> dict[str, Any]:
    return {
        "position": row.position,
        "state": row.state.value,
        "seconds": row.seconds,
        "reason": row.reason[:REASON_CAP],
        "broken": row.broken[:REASON_CAP],
        "output_at": row.output.at if row.output else None,
        "output_length": row.output.length if row.output else 0,
        "began_at": row.began_at,
    }


def _node(row: RowMapping) -> NodeRow:
    place = None if row["output_at"] is None else OutputPlace(row["output_at"], row["output_length"])
    return NodeRow(
        row["name"],
        row["position"],
        CaseState(row["state"]),
        row["seconds"],
        row["reason"],
        row["broken"],
        place,
        row["began_at"],
        row["event"],
    )
