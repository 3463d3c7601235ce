"""Pushes: the whole record of each, with the columns that are asked for beside it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, exists, select, update

from leuko.domain.line import Line
from leuko.domain.plan import Plan
from leuko.domain.push import Origin, Push, State
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.errors import Lost
from leuko.store.records import from_json, to_json
from leuko.store.transaction import Transaction

ENDED = tuple(state.value for state in State if state.ended)


class Pushes:
    """Saved with compare-and-set on `version`; numbers count from 1 on each line."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        tx: Transaction,
        push: Push,
        *,
        plan: Plan,
        configuration: str = "",
        base_configuration: str = "",
    ) -> Push:
        """Keeps a new push with its frozen plan; gives it its number, whatever `push` says."""
        push = replace(push, number=tx.number("pushes"), line=tx.line, version=0)
        await tx.execute(
            tx.insert(
                schema.push,
                number=push.number,
                plan=to_json(plan),
                configuration=configuration,
                base_configuration=base_configuration,
                **_columns(push),
            )
        )
        return push

    async def save(self, tx: Transaction, push: Push) -> Push:
        """Saves what `advance` gave; raises Lost when somebody was faster. Returns it as it is now."""
        table = schema.push
        where = (
            schema.of(table, tx.line),
            table.c.number == push.number,
            table.c.version == push.version,
        )
        saved = replace(push, version=push.version + 1)
        await tx.swap(update(table).where(*where).values(**_columns(saved)), push.name)
        return saved

    async def check(self, tx: Transaction, push: Push) -> None:
        """Raises Lost when somebody changed it since it was read: for what acts on it without changing it."""
        table = schema.push
        where = (schema.of(table, tx.line), table.c.number == push.number, table.c.version == push.version)
        if (await tx.execute(select(table.c.number).where(*where))).first() is None:
            raise Lost(f"{push.name} was changed in the meantime", where=str(tx.line), code="S010")

    async def idle(self, tx: Transaction, besides: int = 0) -> bool:
        """True while no push runs (`besides` one), and none can begin before this transaction ends."""
        table, states = schema.push, (*ENDED, State.PENDING.value)
        where = (schema.of(table, tx.line), table.c.state.not_in(states), table.c.number != besides)
        return (await tx.execute(select(schema.push.c.number).where(*where).limit(1))).first() is None

    async def get(self, line: Line, number: int) -> Push | None:
        """By its number."""
        return await self._first(line, schema.push.c.number == number)

    async def active(self, line: Line) -> Push | None:
        """The one that runs: admitted and not ended. At most one does."""
        states = (*ENDED, State.PENDING.value)
        return await self._first(line, schema.push.c.state.not_in(states))

    async def pending(self, line: Line) -> Push | None:
        """The one that waits to start."""
        return await self._first(line, schema.push.c.state == State.PENDING.value)

    async def unfinished(self, line: Line) -> list[Push]:
        """All that have not ended, oldest first: what a restart has to go on with."""
        found = await self._rows(line, schema.push.c.state.not_in(ENDED), limit=None)
        return found[::-1]

    async def stuck(self, line: Line) -> list[Push]:
        """Those whose hosts could not all be restored yet, newest first."""
        return await self._rows(line, schema.push.c.state == State.STUCK.value, limit=None)

    async def latest(self, line: Line) -> Push | None:
        """The push made last."""
        return await self._first(line)

    async def live(self, line: Line) -> Push | None:
        """The last that became LIVE and whose release nothing convicted since: the base of the next."""
        table, release = schema.push, schema.release
        convicted = exists().where(
            schema.of(release, line), release.c.name == table.c.release, release.c.convicted
        )
        return await self._first(line, table.c.state == State.LIVE.value, ~convicted)

    async def recent(self, line: Line, *, limit: int = 50, before: int | None = None) -> list[Push]:
        """Newest first; `before` a number, to go on."""
        conditions = () if before is None else (schema.push.c.number < before,)
        return await self._rows(line, *conditions, limit=limit)

    async def of_release(self, line: Line, name: str) -> list[Push]:
        """Pushes of one release, newest first."""
        return await self._rows(line, schema.push.c.release == name, limit=None)

    async def plan(self, line: Line, number: int) -> Plan | None:
        """The plan as it was frozen when the push was made; None where there is no such push."""
        row = await self._columns_of(line, number, schema.push.c.plan)
        return from_json(row["plan"], Plan) if row else None

    async def configurations(self, line: Line, number: int) -> tuple[str, str]:
        """Digests of its own configuration and of its base's."""
        table = schema.push
        row = await self._columns_of(line, number, table.c.configuration, table.c.base_configuration)
        return (row["configuration"], row["base_configuration"]) if row else ("", "")

    async def rollbacks_per_day(self, line: Line, now: datetime, days: int = 30) -> dict[date, int]:
        """Rolled back and stuck pushes by UTC day of their end: every day is there, oldest first."""
        table = schema.push
        first = now.date() - timedelta(days=days - 1)
        result = {first + timedelta(days=offset): 0 for offset in range(days)}
        start = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)
        states = (State.ROLLED_BACK.value, State.STUCK.value)
        query = select(table.c.ended_at).where(
            schema.of(table, line),
            table.c.state.in_(states),
            table.c.origin != Origin.DRILL.value,
            table.c.ended_at >= start,
        )
        async with self._database.reading() as connection:
            for (ended_at,) in (await connection.execute(query)).all():
                if ended_at.date() in result:
                    result[ended_at.date()] += 1
        return result

    async def _columns_of(self, line: Line, number: int, *columns: Any) -> RowMapping | None:
        table = schema.push
        query = select(*columns).where(schema.of(table, line), table.c.number == number)
        async with self._database.reading() as connection:
            return (await connection.execute(query)).mappings().first()

    async def _first(self, line: Line, *conditions: Any) -> Push | None:
        found = await self._rows(line, *conditions, limit=1)
        return found[0] if found else None

    async def _rows(self, line: Line, *conditions: Any, limit: int | None) -> list[Push]:
        table = schema.push
        query = select(table.c.record).where(schema.of(table, line), *conditions)
        query = query.order_by(table.c.number.desc()).limit(limit)
        async with self._database.reading() as connection:
            return [from_json(row[0], Push) for row in (await connection.execute(query)).all()]


def _columns(push: Push) -> dict[str, Any]:
    return {
        "state": push.state.value,
        "release": push.release,
        "revision": push.revision,
        "origin": push.origin.value,
        "stop_cause": push.stop.cause.value if push.stop else "",
        "created_at": push.created_at,
        "ended_at": push.ended_at,
        "version": push.version,
        "record": to_json(push),
    }
