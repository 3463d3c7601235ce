"""Verifications, the changes each covers, and their steps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, delete, insert, select, update

from leuko.domain.build import Build, BuildState, StepResult
from leuko.domain.line import Line
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.transaction import Transaction


class Builds:
    """Saved with compare-and-set on `version`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, tx: Transaction, revision: str, tree: str, changes: Collection[str], at: datetime
    ) -> Build:
        """A waiting build of `revision` that covers the changes with these revisions."""
        build = Build(tx.number("builds"), revision, tree, BuildState.WAITING, at)
        await tx.execute(
            tx.insert(
                schema.build,
                id=build.id,
                revision=revision,
                tree=tree,
                state=build.state.value,
                since=at,
                created_at=at,
                reason="",
                attempt=build.attempt,
                version=0,
            )
        )
        rows = [
            {**schema.key(tx.line), "build": build.id, "revision": known} for known in dict.fromkeys(changes)
        ]
        if rows:
            await tx.execute(insert(schema.build_change), rows)
        return build

    async def save(self, tx: Transaction, build: Build) -> Build:
        """Saves what `build.to(...)` gave; raises Lost when somebody was faster. Returns it as it is now."""
        table = schema.build
        values: dict[str, Any] = {
            "state": build.state.value,
            "since": build.since,
            "reason": build.reason,
            "attempt": build.attempt,
            "version": build.version + 1,
        }
        if build.state is BuildState.RUNNING:
            values |= {"started_at": build.since, "ended_at": None}
        elif build.state.ended:
            values["ended_at"] = build.since
        where = (schema.of(table, tx.line), table.c.id == build.id, table.c.version == build.version)
        await tx.swap(update(table).where(*where).values(**values), f"build {build.id}")
        return replace(build, version=build.version + 1)

    async def save_steps(self, tx: Transaction, build: int, steps: Sequence[StepResult]) -> None:
        """Keeps the steps of a build, in order, in place of those kept before (of an earlier attempt)."""
        table = schema.build_step
        await tx.execute(delete(table).where(schema.of(table, tx.line), table.c.build == build))
        rows = [
            {
                **schema.key(tx.line),
                "build": build,
                "position": position,
                "name": step.name,
                "kind": step.kind,
                "exit_code": step.exit_code,
                "seconds": step.seconds,
                "output": step.output,
                "reason": step.reason,
            }
            for position, step in enumerate(steps)
        ]
        if rows:
            await tx.execute(insert(table), rows)

    async def get(self, line: Line, number: int) -> Build | None:
        """By its number."""
        return await self._first(line, schema.build.c.id == number)

    async def latest(self, line: Line) -> Build | None:
        """The build made last."""
        found = await self.recent(line, limit=1)
        return found[0] if found else None

    async def unfinished(self, line: Line) -> list[Build]:
        """Waiting and running ones, oldest first: what a restart has to go on with."""
        states = (BuildState.WAITING.value, BuildState.RUNNING.value)
        query = select(schema.build).where(schema.of(schema.build, line), schema.build.c.state.in_(states))
        return [_build(row) for row in await self._rows(query.order_by(schema.build.c.id))]

    async def running(self, line: Line) -> Build | None:
        """The one that runs, or the last of several."""
        return await self._first(line, schema.build.c.state == BuildState.RUNNING.value)

    async def passed_tree(self, line: Line, tree: str) -> Build | None:
        """A build that passed with this very tree: it need not be verified again."""
        table = schema.build
        return await self._first(line, table.c.tree == tree, table.c.state == BuildState.PASSED.value)

    async def of_revision(self, line: Line, revision: str) -> Build | None:
        """The last build of this very revision."""
        return await self._first(line, schema.build.c.revision == revision)

    async def recent(self, line: Line, *, limit: int = 50) -> list[Build]:
        """Newest first."""
        query = select(schema.build).where(schema.of(schema.build, line))
        return [
            _build(row) for row in await self._rows(query.order_by(schema.build.c.id.desc()).limit(limit))
        ]

    async def steps(self, line: Line, build: int) -> list[StepResult]:
        """In order."""
        table = schema.build_step
        query = select(table).where(schema.of(table, line), table.c.build == build)
        rows = await self._rows(query.order_by(table.c.position))
        names = ("name", "kind", "exit_code", "seconds", "output", "reason")
        return [StepResult(**{name: row[name] for name in names}) for row in rows]

    async def changes(self, line: Line, build: int) -> list[str]:
        """Revisions of the changes it covers, in order of landing where they are known."""
        table = schema.build_change
        landed = schema.change
        query = (
            select(table.c.revision)
            .outerjoin(
                landed,
                (landed.c.application == table.c.application)
                & (landed.c.environment == table.c.environment)
                & (landed.c.revision == table.c.revision),
            )
            .where(schema.of(table, line), table.c.build == build)
            .order_by(landed.c.id)
        )
        return [row["revision"] for row in await self._rows(query)]

    async def covering(self, line: Line, revisions: Collection[str], *, limit: int = 50) -> list[Build]:
        """Builds that cover any of these changes, newest first."""
        table, link = schema.build, schema.build_change
        mine = select(link.c.build).where(schema.of(link, line), link.c.revision.in_(list(revisions)[:1000]))
        query = select(table).where(schema.of(table, line), table.c.id.in_(mine))
        return [_build(row) for row in await self._rows(query.order_by(table.c.id.desc()).limit(limit))]

    async def times(self, line: Line, build: int) -> tuple[datetime | None, datetime | None]:
        """When it last started and when it ended."""
        table = schema.build
        query = select(table.c.started_at, table.c.ended_at)
        rows = await self._rows(query.where(schema.of(table, line), table.c.id == build))
        return (rows[0]["started_at"], rows[0]["ended_at"]) if rows else (None, None)

    async def _first(self, line: Line, *conditions: Any) -> Build | None:
        table = schema.build
        query = select(table).where(schema.of(table, line), *conditions).order_by(table.c.id.desc()).limit(1)
        rows = await self._rows(query)
        return _build(rows[0]) if rows else None

    async def _rows(self, query: Any) -> Sequence[RowMapping]:
        async with self._database.reading() as connection:
            return (await connection.execute(query)).mappings().all()


def _build(row: RowMapping) -> Build:
    return Build(
        row["id"],
        row["revision"],
        row["tree"],
        BuildState(row["state"]),
        row["since"],
        row["reason"],
        row["attempt"],
        row["version"],
    )
