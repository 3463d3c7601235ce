"""Who acts on a line, and with which epoch. The epoch fences: hosts refuse orders of an older one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import RowMapping, select, update

from leuko.domain.line import Line
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.errors import Lost
from leuko.store.installation import InstallationLock
from leuko.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Lease:
    """Valid until `expires_at` (by the database's clock on PostgreSQL), unless renewed."""

    line: Line
    holder: str
    host: str
    pid: int
    epoch: int
    expires_at: datetime
    since: datetime


class Leases:
    """`holder` must name the process, not the machine: another process is another holder."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def acquire(
        self,
        tx: Transaction,
        holder: str,
        ttl: timedelta,
        now: datetime,
        *,
        host: str = "",
        pid: int = 0,
        alone: InstallationLock | None = None,
    ) -> Lease | None:
        """The lease, or None while somebody else's is valid.

        `alone`, the lock of the installation, proves that whoever the row names is dead (SQLite).
        """
        now = await tx.database_now(now)
        held = await self._held(tx)
        if held is not None and held.holder == holder:
            return await self._keep(tx, replace(held, expires_at=now + ttl, host=host, pid=pid))
        if held is not None and held.expires_at > now and not (alone is not None and alone.held):
            return None
        epoch = held.epoch + 1 if held else 1
        return await self._keep(tx, Lease(tx.line, holder, host, pid, epoch, now + ttl, now))

    async def renew(self, tx: Transaction, lease: Lease, ttl: timedelta, now: datetime) -> Lease:
        """Goes on, also after it ran out if nobody took it since; raises Lost when another holder did."""
        now = await tx.database_now(now)
        table = schema.lease
        where = (
            schema.of(table, tx.line),
            table.c.holder == lease.holder,
            table.c.epoch == lease.epoch,
        )
        await tx.swap(update(table).where(*where).values(expires_at=now + ttl), "lease")
        return replace(lease, expires_at=now + ttl)

    async def check(self, tx: Transaction, lease: Lease, now: datetime) -> None:
        """Raises Lost unless the lease is still ours and valid: to be called in the transaction that acts."""
        now = await tx.database_now(now)
        held = await self._held(tx)
        if held is None or (held.holder, held.epoch) != (lease.holder, lease.epoch) or held.expires_at <= now:
            whose = f"{held.holder} on {held.host} holds it" if held else "nobody holds it"
            raise Lost(f"the lease is not ours any more: {whose}", where=str(tx.line), code="S011")

    async def release(self, tx: Transaction, lease: Lease, now: datetime) -> bool:
        """Lets go, so that the next need not wait; False when it was not ours any more. The epoch stays."""
        now = await tx.database_now(now)
        table = schema.lease
        where = (table.c.holder == lease.holder, table.c.epoch == lease.epoch)
        # the holder goes too: whoever acquires next, even the same, gets a new epoch
        done = await tx.execute(
            update(table).where(schema.of(table, tx.line), *where).values(expires_at=now, holder="")
        )
        return done.rowcount == 1

    async def get(self, line: Line) -> Lease | None:
        """As it stands, valid or not; None where there never was one or it was released."""
        table = schema.lease
        async with self._database.reading() as connection:
            row = (await connection.execute(select(table).where(schema.of(table, line)))).mappings().first()
        return _lease(row) if row and row["holder"] else None

    async def _held(self, tx: Transaction) -> Lease | None:
        row = (
            (await tx.execute(select(schema.lease).where(schema.of(schema.lease, tx.line))))
            .mappings()
            .first()
        )
        return _lease(row) if row else None

    async def _keep(self, tx: Transaction, lease: Lease) -> Lease:
        row = {
            "holder": lease.holder,
            "host": lease.host,
            "pid": lease.pid,
            "epoch": lease.epoch,
            "expires_at": lease.expires_at,
            "since": lease.since,
        }
        statement = tx.upsert(schema.lease).values(**schema.key(tx.line), **row)
        index = ["application", "environment"]
        await tx.execute(statement.on_conflict_do_update(index_elements=index, set_=row))
        return lease


def _lease(row: RowMapping) -> Lease:
    line = Line(row["application"], row["environment"])
    return Lease(line, row["holder"], row["host"], row["pid"], row["epoch"], row["expires_at"], row["since"])
