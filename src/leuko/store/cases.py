"""What came of each test of each build, and what each test did before."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import bindparam, delete, func, insert, select, tuple_, update

from leuko.domain.case import Case, CaseState
from leuko.domain.history import History, Past
from leuko.domain.line import Line
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.transaction import Transaction

REASON_CAP: Final = 500
"""Characters kept of a reason: it is one line."""
SLICE: Final = 1000
"""Names looked up at once."""
KNOWN: Final = 200_000
"""Numbers of tests remembered; past that they are looked up anew."""

Ordering = Literal["flaky", "slow", "failing", "name"]


@dataclass(frozen=True, slots=True)
class OutputPlace:
    """Where in the build's file of outputs: bytes."""

    at: int
    length: int


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One attempt at one test in one build. `event` is the number of the event that told of it last."""

    case: Case
    state: CaseState
    attempt: int = 1
    seconds: float = 0.0
    worker: str = ""
    reason: str = ""
    broken: str = ""
    flaky: bool = False
    quarantined: bool = False
    output: OutputPlace | None = None
    event: int = 0


def digest_of(case: Case) -> str:
    """The key of a test, whatever its name holds and however long it is: 32 characters."""
    text = f"{case.suite}\0{case.file}\0{case.name}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Cases:
    """Results are rows of a build; a test itself has a number for good, and its history beside."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers: dict[tuple[Line, str], int] = {}

    async def save(self, tx: Transaction, build: int, rows: Iterable[CaseRow], event: int) -> None:
        """Keeps these attempts as they are now, each with this event's number."""
        newest = {(row.case, row.attempt): row for row in rows}
        if not newest:
            return
        numbers = await self._number(tx, {row.case for row in newest.values()})
        statement = tx.upsert(schema.case_result)
        key = ("application", "environment", "build", "case", "attempt")
        changed = {
            column.name: statement.excluded[column.name]
            for column in schema.case_result.columns
            if column.name not in key
        }
        statement = statement.on_conflict_do_update(index_elements=key, set_=changed)
        line = schema.key(tx.line)
        values = [
            {**line, "build": build, "case": numbers[row.case], **_values(row), "event": event}
            for row in newest.values()
        ]
        await tx.execute(statement, values)

    async def clear(self, tx: Transaction, build: int) -> None:
        """Forgets the results of a build that starts anew."""
        table = schema.case_result
        await tx.execute(delete(table).where(schema.of(table, tx.line), table.c.build == build))

    async def drop(self, tx: Transaction, build: int, cases: Collection[Case]) -> None:
        """Forgets single tests of a build: a file as a whole, once its own tests are known."""
        table, known = schema.case_result, schema.case
        for some in _slices([digest_of(case) for case in cases]):
            numbers = select(known.c.id).where(schema.of(known, tx.line), known.c.digest.in_(some))
            mine = (schema.of(table, tx.line), table.c.build == build, table.c.case.in_(numbers))
            await tx.execute(delete(table).where(*mine))

    async def rows(
        self,
        line: Line,
        build: int,
        *,
        since: int = 0,
        states: Collection[CaseState] = (),
        limit: int | None = None,
    ) -> list[CaseRow]:
        """Attempts that changed after the event `since`, in order of that; of these states where given."""
        table, known = schema.case_result, schema.case
        query = (
            select(*_RESULT)
            .join(known, _same_case())
            .where(schema.of(table, line), table.c.build == build, table.c.event > since)
        )
        if states:
            query = query.where(table.c.state.in_([state.value for state in states]))
        query = query.order_by(table.c.event, table.c.case, table.c.attempt)
        if limit is not None:
            query = query.limit(limit)
        async with self._database.reading() as connection:
            found = (await connection.execute(query)).all()
        return await asyncio.to_thread(lambda: [_row(row) for row in found])

    async def one(self, line: Line, build: int, case: Case) -> list[CaseRow]:
        """Every attempt at one test in one build."""
        table, known = schema.case_result, schema.case
        query = (
            select(*_RESULT)
            .join(known, _same_case())
            .where(schema.of(table, line), table.c.build == build, known.c.digest == digest_of(case))
            .order_by(table.c.attempt)
        )
        async with self._database.reading() as connection:
            return [_row(row) for row in (await connection.execute(query)).all()]

    async def counts(self, line: Line, build: int) -> dict[CaseState, int]:
        """Tests by the state of their last attempt."""
        table = schema.case_result
        mine = (schema.of(table, line), table.c.build == build)
        last = (
            select(table.c.case, func.max(table.c.attempt).label("attempt"))
            .where(*mine)
            .group_by(table.c.case)
            .subquery()
        )
        query = (
            select(table.c.state, func.count())
            .join(last, (last.c.case == table.c.case) & (last.c.attempt == table.c.attempt))
            .where(*mine)
            .group_by(table.c.state)
        )
        async with self._database.reading() as connection:
            return {CaseState(row[0]): int(row[1]) for row in (await connection.execute(query)).all()}

    async def history(self, line: Line) -> History:
        """All that is known of all tests of a line."""
        table = schema.case
        async with self._database.reading() as connection:
            found = (await connection.execute(select(*_PAST).where(schema.of(table, line)))).all()
        return await asyncio.to_thread(lambda: History(_past(row) for row in found))

    async def pasts(
        self,
        line: Line,
        order: Ordering = "name",
        *,
        text: str = "",
        suite: str = "",
        limit: int = 100,
    ) -> list[Past]:
        """Tests as they stand: those that were ever flaky, the slowest, or those that failed last.

        Tests that the newest build of their suite did not have are left out, except of the flaky ones.
        """
        table = schema.case
        query = select(*_PAST).where(schema.of(table, line), *_sought(line, order))
        if text:
            words = [column.icontains(text, autoescape=True) for column in (table.c.file, table.c.name)]
            query = query.where(words[0] | words[1])
        if suite:
            query = query.where(table.c.suite == suite)
        query = query.order_by(*_ORDERS[order], table.c.suite, table.c.file, table.c.name)
        async with self._database.reading() as connection:
            return [_past(row) for row in (await connection.execute(query.limit(limit))).all()]

    async def named(self, line: Line, file: str, name: str, suite: str = "") -> list[Case]:
        """Tests that are known by this file and name, one a suite; without a name: files."""
        table = schema.case
        query = (
            select(table.c.suite, table.c.file, table.c.name)
            .where(schema.of(table, line), table.c.file == file)
            .order_by(table.c.suite, table.c.name)
        )
        if name:
            query = query.where(table.c.name == name)
        if suite:
            query = query.where(table.c.suite == suite)
        async with self._database.reading() as connection:
            found = (await connection.execute(query)).all()
        return list(dict.fromkeys(Case(row[0], row[1], name) for row in found))

    async def settle(self, tx: Transaction, pasts: Iterable[Past]) -> None:
        """Keeps what tests have behind them now (`Past.after`). Tests that have no number yet get one."""
        known = list(pasts)
        if not known:
            return
        numbers = await self._number(tx, {past.case for past in known})
        table = schema.case
        where = (schema.of(table, tx.line), table.c.id == bindparam("number"))
        values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in (*_COUNTED, "last_state")}
        rows = [{"number": numbers[past.case], **_counted(past)} for past in known]
        await tx.execute(update(table).where(*where).values(**values), rows)

    async def strip(
        self, line: Line, cases: Sequence[Case], builds: Sequence[int]
    ) -> dict[Case, dict[int, CaseRow]]:
        """The last attempt at each of these tests in each of these builds, where it is still kept."""
        table, known = schema.case_result, schema.case
        found: dict[Case, dict[int, CaseRow]] = {}
        if not cases or not builds:
            return found
        query = (
            select(*_RESULT, table.c.build)
            .join(known, _same_case())
            .where(
                schema.of(table, line),
                table.c.build.in_(list(builds)),
                known.c.digest.in_([digest_of(each) for each in cases]),
            )
            .order_by(table.c.build, table.c.attempt)
        )
        async with self._database.reading() as connection:
            for row in (await connection.execute(query)).all():
                kept = _row(row)
                found.setdefault(kept.case, {})[row.build] = kept
        return found

    async def flaky_in(
        self, line: Line, *, build: int | None = None, limit: int = 100
    ) -> list[tuple[int, CaseRow]]:
        """The newest results that were flaky, with their builds; of one build where given."""
        table, known = schema.case_result, schema.case
        query = (
            select(*_RESULT, table.c.build)
            .join(known, _same_case())
            .where(schema.of(table, line), table.c.flaky)
            .order_by(table.c.build.desc())
            .limit(limit)
        )
        if build is not None:
            query = query.where(table.c.build == build)
        async with self._database.reading() as connection:
            return [(row.build, _row(row)) for row in (await connection.execute(query)).all()]

    async def flaky_of(self, line: Line, build: int) -> list[CaseRow]:
        """Of one build."""
        return [row for number, row in await self.flaky_in(line, build=build) if number == build]

    async def expire(self, tx: Transaction, *, passed_before: int, all_before: int) -> int:
        """Drops results of old builds: first what passed, later everything. Histories stay."""
        table = schema.case_result
        dull = (table.c.state != CaseState.FAILED.value) & ~table.c.flaky
        old = (table.c.build < passed_before) & dull | (table.c.build < all_before)
        return (await tx.execute(delete(table).where(schema.of(table, tx.line), old))).rowcount

    async def _number(self, tx: Transaction, cases: Collection[Case]) -> Mapping[Case, int]:
        """The numbers of these tests; new ones are made.

        Only numbers that a query saw are remembered: those made here may yet be rolled back.
        """
        digests = {digest_of(case): case for case in cases}
        numbers: dict[Case, int] = {}
        wanted = []
        for digest, case in digests.items():
            number = self._numbers.get((tx.line, digest))
            if number is None:
                wanted.append(digest)
            else:
                numbers[case] = number
        if len(self._numbers) > KNOWN:
            self._numbers.clear()
        table = schema.case
        for some in _slices(wanted):
            query = select(table.c.digest, table.c.id).where(
                schema.of(table, tx.line), table.c.digest.in_(some)
            )
            for row in (await tx.execute(query)).mappings().all():
                numbers[digests[row["digest"]]] = self._numbers[tx.line, row["digest"]] = row["id"]
        missing = {digest: case for digest, case in digests.items() if case not in numbers}
        if missing:
            rows = [_new(tx, digest, case) for digest, case in missing.items()]
            await tx.execute(insert(table), rows)
            numbers |= {digests[row["digest"]]: row["id"] for row in rows}
        return numbers


_RESULT = (
    schema.case.c.suite,
    schema.case.c.file,
    schema.case.c.name,
    *(
        schema.case_result.c[name]
        for name in ("state", "attempt", "seconds", "worker", "reason", "broken", "flaky", "quarantined")
    ),
    schema.case_result.c.output_at,
    schema.case_result.c.output_length,
    schema.case_result.c.event,
)
_COUNTED = (
    "runs",
    "failures",
    "flakes",
    "seconds",
    "last_build",
    "last_at",
    "last_failed_at",
    "last_flaked_at",
)
_PAST = tuple(schema.case.c[name] for name in ("suite", "file", "name", *_COUNTED, "last_state"))
_ORDERS = {
    "flaky": (schema.case.c.last_flaked_at.desc(),),
    "slow": (schema.case.c.seconds.desc(),),
    "failing": (schema.case.c.last_failed_at.desc(),),
    "name": (),
}


def _sought(line: Line, order: Ordering) -> list[Any]:
    table = schema.case
    if order == "flaky":
        return [table.c.flakes > 0]
    newest = (
        select(table.c.suite, func.max(table.c.last_build))
        .where(schema.of(table, line))
        .group_by(table.c.suite)
    )
    current = tuple_(table.c.suite, table.c.last_build).in_(newest)
    return [current, table.c.last_state == CaseState.FAILED.value] if order == "failing" else [current]


def _same_case() -> Any:
    result, known = schema.case_result, schema.case
    return (
        (known.c.application == result.c.application)
        & (known.c.environment == result.c.environment)
        & (known.c.id == result.c.case)
    )


def _slices(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), SLICE):
        yield values[start : start + SLICE]


def _new(tx: Transaction, digest: str, case: Case) -> dict[str, Any]:
    named = {"suite": case.suite, "file": case.file, "name": case.name}
    return {**schema.key(tx.line), "id": tx.number("cases"), "digest": digest, **named}


def _values(row: CaseRow) -> dict[str, Any]:
    return {
        "attempt": row.attempt,
        "state": row.state.value,
        "seconds": row.seconds,
        "worker": row.worker,
        "reason": row.reason[:REASON_CAP],
        "broken": row.broken[:REASON_CAP],
        "flaky": row.flaky,
        "quarantined": row.quarantined,
        "output_at": row.output.at if row.output else None,
        "output_length": row.output.length if row.output else 0,
    }


def _counted(past: Past) -> dict[str, Any]:
    values = {f"new_{name}": getattr(past, name) for name in _COUNTED}
    return values | {"new_last_state": past.last_state.value if past.last_state else ""}


def _row(row: Sequence[Any]) -> CaseRow:
    return CaseRow(
        Case(row[0], row[1], row[2]),
        CaseState(row[3]),
        row[4],
        row[5],
        row[6],
        row[7],
        row[8],
        row[9],
        row[10],
        None if row[11] is None else OutputPlace(row[11], row[12]),
        row[13],
    )


def _past(row: Sequence[Any]) -> Past:
    state = CaseState(row[11]) if row[11] else None
    last_build, last_at, last_failed_at, last_flaked_at = row[7:11]
    case = Case(row[0], row[1], row[2])
    return Past(
        case, row[3], row[4], row[5], row[6], state, last_build, last_at, last_failed_at, last_flaked_at
    )


def settled(history: History, rows: Iterable[CaseRow], build: int, at: datetime) -> Iterator[Past]:
    """What tests have behind them after this build, for those that it adds to. Last attempts only, please."""
    for row in rows:
        before = history.past(row.case) or Past(row.case)
        after = before
        if not row.broken:
            after = before.after(row.state, row.seconds, build, at, flaky=row.flaky)
        if after is not before:
            yield after
