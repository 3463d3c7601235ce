"""The store: the nouns as attributes, and the transaction that all writing goes through."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import insert, select, text

from leuko.cancellation import end
from leuko.clock import Clock
from leuko.domain.line import Line
from leuko.store import database as databases
from leuko.store import schema
from leuko.store.bell import Bell, listen
from leuko.store.build_facts import BuildFacts
from leuko.store.builds import Builds
from leuko.store.cases import Cases
from leuko.store.changes import Changes
from leuko.store.configurations import Configurations
from leuko.store.culprits import Culprits
from leuko.store.database import Database
from leuko.store.drills import Drills
from leuko.store.events import Events
from leuko.store.findings import Findings
from leuko.store.hosts import Hosts
from leuko.store.intents import Intents
from leuko.store.leases import Leases
from leuko.store.limit_changes import LimitChanges
from leuko.store.lines import Lines
from leuko.store.locks import Locks
from leuko.store.marks import Marks
from leuko.store.migrations import ADVISORY_LOCK, migrate
from leuko.store.neighbours import Neighbours
from leuko.store.nodes import Nodes
from leuko.store.observations import Observations
from leuko.store.operations import Operations
from leuko.store.overrides import Overrides
from leuko.store.partitions import PartitionShelf
from leuko.store.pushes import Pushes
from leuko.store.quarantines import Quarantines
from leuko.store.readings import Readings
from leuko.store.releases import Releases
from leuko.store.shelf import FileShelf, Shelf
from leuko.store.statuses import Statuses
from leuko.store.studies import Studies
from leuko.store.tallies import Tallies
from leuko.store.templates import Templates
from leuko.store.transaction import Transaction
from leuko.store.trends import Trends


class Store:
    """Opened with `Store.open`; one a process."""

    def __init__(self, database: Database, clock: Clock, installation: str, readings: Readings) -> None:
        self._database = database
        self._clock = clock
        self._bell = Bell()
        self._listening: asyncio.Task[None] | None = None
        self.installation = installation
        """Made when the store was first opened; hosts know their controller by it."""
        self.place: tuple[str | Path, Path | None] = ("", None)
        """What `open` was given: another process opens the same store with it."""
        self.lines = Lines(database)
        self.changes = Changes(database)
        self.builds = Builds(database)
        self.build_facts = BuildFacts(database)
        self.cases = Cases(database)
        self.nodes = Nodes(database)
        self.quarantines = Quarantines(database)
        self.culprits = Culprits(database)
        self.statuses = Statuses(database)
        self.releases = Releases(database)
        self.pushes = Pushes(database)
        self.hosts = Hosts(database)
        self.findings = Findings(database)
        self.locks = Locks(database)
        self.intents = Intents(database, self._bell)
        self.operations = Operations(database)
        self.events = Events(database, self._bell)
        self.leases = Leases(database)
        self.configurations = Configurations(database)
        self.overrides = Overrides(database)
        self.limit_changes = LimitChanges(database)
        self.observations = Observations(database)
        self.studies = Studies(database)
        self.marks = Marks(database)
        self.drills = Drills(database)
        self.tallies = Tallies(database)
        self.neighbours = Neighbours(database)
        self.trends = Trends(database)
        self.templates = Templates(database)
        self.readings = readings

    @classmethod
    async def open(cls, address: str | Path, clock: Clock, *, readings: Path | None = None) -> Store:
        """Opens the store at a path (SQLite) or a postgresql:// URL, and migrates it where needed.

        `readings` is the folder of an embedded store's readings: beside it where not given. A server keeps
        them itself, for every controller to read.
        """
        database = databases.connect(address)
        try:
            await migrate(database)
            installation = await _installation(database, clock)
        except BaseException:
            await database.close()
            raise
        shelf: Shelf = PartitionShelf(database)
        if database.path is not None:
            shelf = FileShelf(readings or database.path.parent / "readings")
        store = cls(database, clock, installation, Readings(shelf))
        store.place = (address, readings)
        store._listen()
        return store

    @property
    def embedded(self) -> bool:
        """True on SQLite: exclusivity is the installation's lock, not the lease."""
        return self._database.embedded

    @asynccontextmanager
    async def write(self, line: Line) -> AsyncIterator[Transaction]:
        """One transition: all that is written inside is saved together at the end, or not at all."""
        async with self._database.writing() as connection:
            tx = Transaction(line, connection, self._database)
            await tx.begin(self._clock.now())
            yield tx
            wakes = await tx.finish()
        if wakes:
            self._bell.ring(line)

    async def close(self) -> None:
        """Ends listening and all connections."""
        if self._listening is not None:
            await end(self._listening)
        await self.readings.close()
        await self._database.close()

    def _listen(self) -> None:
        if not self.embedded:
            engine = self._database.engine
            self._listening = asyncio.create_task(listen(engine, self._bell, self._database.where))


async def _installation(database: Database, clock: Clock) -> str:
    async with database.reading() as connection:
        known = (await connection.execute(select(schema.installation.c.id))).scalar_one_or_none()
    if known is not None:
        return str(known)
    new = uuid.uuid4().hex[:12]
    async with database.writing() as connection:
        # of two that open a new store at once, the one who comes second takes the first one's
        if not database.embedded:  # on SQLite the transaction itself keeps others out
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        known = (await connection.execute(select(schema.installation.c.id))).scalar_one_or_none()
        if known is None:
            row = {"id": new, "created_at": clock.now()}
            await connection.execute(insert(schema.installation).values(**row))
    return str(known or new)
