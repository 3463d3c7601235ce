"""Pushes of other lines on the same machines: what one changes there, the watch of the other would see."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, case, select

from leuko.domain.line import Line
from leuko.domain.push import State
from leuko.domain.rollout import HostState
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.errors import Lost
from leuko.store.transaction import Transaction

QUIET = (*(state.value for state in State if state.ended), State.PENDING.value)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A push of another line that is under way, and a host that it has in common with this one."""

    line: Line
    push: int
    state: str
    host: str

    @property
    def sentence(self) -> str:
        """Why this line's push waits."""
        return (
            f"push {self.push} of {self.line} is {self.state} on {self.host}, too: pushes that share hosts "
            "are never watched at the same time, for nobody could tell which of them did what"
        )


class Neighbours:
    """Of one line, by the addresses of its hosts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, line: Line, addresses: Collection[str]) -> Neighbour | None:
        """The first there is."""
        async with self._database.reading() as connection:
            row = (await connection.execute(_query(line, addresses))).first()
        return _neighbour(row) if row is not None else None

    async def check(self, tx: Transaction, addresses: Collection[str]) -> None:
        """Raises Lost where there is one; none of them can begin before this transaction ends."""
        await tx.execute(select(schema.installation.c.id).with_for_update())
        row = (await tx.execute(_query(tx.line, addresses))).first()
        if row is not None:
            raise Lost(_neighbour(row).sentence, where=str(tx.line), code="S010")


def _query(line: Line, addresses: Collection[str]) -> Select[Any]:
    push, moved, host = schema.push, schema.push_host, schema.host
    address = case((host.c.address == "", host.c.name), else_=host.c.address)
    mine = and_(push.c.application == line.application, push.c.environment == line.environment)
    same = [moved.c.application == push.c.application, moved.c.environment == push.c.environment]
    known = [host.c.application == push.c.application, host.c.environment == push.c.environment]
    return (
        select(push.c.application, push.c.environment, push.c.number, push.c.state, host.c.name)
        .join(moved, and_(*same, moved.c.push == push.c.number))
        .join(host, and_(*known, host.c.name == moved.c.host))
        .where(~mine, push.c.state.not_in(QUIET), moved.c.state != HostState.LEFT_OUT.value)
        .where(address.in_(list(addresses)))
        .order_by(push.c.number)
        .limit(1)
    )


def _neighbour(row: Any) -> Neighbour:
    return Neighbour(Line(row[0], row[1]), row[2], row[3], row[4])
