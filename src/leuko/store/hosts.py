"""The fleet's hosts as they were last seen, and where each stands in a push."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import RowMapping, delete, select

from leuko.domain.line import Line
from leuko.domain.release import same_release
from leuko.domain.rollout import HostProgress
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.records import from_json, to_json
from leuko.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class KnownHost:
    """One host. `current` is what its link points at, `running` what its processes run; None is not known."""

    name: str
    role: str
    address: str = ""
    pushed: bool = True
    desired: str = ""
    current: str = ""
    running: str = ""
    reachable: bool | None = None
    since: datetime | None = None
    """Since when it is reachable, or is not."""
    last_seen: datetime | None = None
    quarantined: str = ""
    """Why it is left alone; empty: it is not."""
    clock_skew: float | None = None
    free_bytes: int | None = None
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    @property
    def strays(self) -> bool:
        """True where its processes run something else than its link points at."""
        return bool(self.running and self.current) and not same_release(self.running, self.current)

    @property
    def runs(self) -> str:
        """What its processes run, by the release's name where they tell only its revision; else its link."""
        return (self.running if self.strays else self.current) or self.running

    @property
    def differs(self) -> bool:
        """True where it does not run what it should."""
        return bool(self.desired and self.runs) and not same_release(self.desired, self.runs)


HOST = tuple(item.name for item in fields(KnownHost))


class Hosts:
    """Rows are written in batches."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, tx: Transaction, hosts: Sequence[KnownHost]) -> None:
        """Keeps these hosts as they are now; others stay as they were."""
        rows = [{**{name: getattr(host, name) for name in HOST}, "facts": dict(host.facts)} for host in hosts]
        await self._upsert(tx, schema.host, ("name",), rows)

    async def forget(self, tx: Transaction, names: Sequence[str]) -> None:
        """Hosts that left the fleet."""
        table = schema.host
        await tx.execute(delete(table).where(schema.of(table, tx.line), table.c.name.in_(list(names))))

    async def all(self, line: Line) -> list[KnownHost]:
        """In order of role and name."""
        table = schema.host
        query = select(table).where(schema.of(table, line)).order_by(table.c.role, table.c.name)
        return [KnownHost(**{name: row[name] for name in HOST}) for row in await self._rows(query)]

    async def get(self, line: Line, name: str) -> KnownHost | None:
        """By its name."""
        table = schema.host
        rows = await self._rows(select(table).where(schema.of(table, line), table.c.name == name))
        return KnownHost(**{name: rows[0][name] for name in HOST}) if rows else None

    async def save_progress(self, tx: Transaction, push: int, rows: Sequence[HostProgress]) -> None:
        """Keeps where these hosts stand in a push, as one batch."""
        records = to_json(list(rows))
        values = [
            {"push": push, "host": row.host, "role": row.role, "phase": row.phase, "state": row.state.value}
            | {"record": record}
            for row, record in zip(rows, records, strict=True)
        ]
        await self._upsert(tx, schema.push_host, ("push", "host"), values)

    async def progress(self, line: Line, push: int) -> list[HostProgress]:
        """Every host of a push, in order of name."""
        table = schema.push_host
        query = select(table.c.record).where(schema.of(table, line), table.c.push == push)
        rows = await self._rows(query.order_by(table.c.host))
        return from_json([row["record"] for row in rows], list[HostProgress])

    async def _upsert(
        self, tx: Transaction, table: Any, key: tuple[str, ...], rows: Sequence[Mapping[str, Any]]
    ) -> None:
        if not rows:
            return
        statement = tx.upsert(table)
        index = ["application", "environment", *key]
        new = {
            column.name: statement.excluded[column.name]
            for column in table.columns
            if column.name not in index
        }
        statement = statement.on_conflict_do_update(index_elements=index, set_=new)
        await tx.execute(statement, [{**schema.key(tx.line), **row} for row in rows])

    async def _rows(self, query: Any) -> Sequence[RowMapping]:
        async with self._database.reading() as connection:
            return (await connection.execute(query)).mappings().all()
