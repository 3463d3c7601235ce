"""What the tally of true and false rollbacks is counted from."""

from __future__ import annotations

from sqlalchemy import func, select

from leuko.domain.line import Line
from leuko.domain.push import Cause, Origin, State
from leuko.domain.tally import LEVELS, Tally
from leuko.store import schema
from leuko.store.database import Database
from leuko.store.studies import PEAK

AUDITED = 1000
"""Accepted pushes, the newest, whose evidence is looked at."""


class Tallies:
    """Reads only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self, line: Line, promised: float) -> Tally:
        """Over all pushes of the line; the evidence of the newest."""
        push, mark, study = schema.push, schema.mark, schema.study
        unjudged = (Origin.ROLLBACK.value, Origin.DRILL.value, Origin.ADOPTED.value)
        judged = push.c.origin.not_in(unjudged)
        stopped = (push.c.state != State.LIVE.value) & (push.c.stop_cause == Cause.VERDICT.value)
        live = push.c.state == State.LIVE.value
        counts = select(stopped, func.count()).where(schema.of(push, line), judged, stopped | live)
        marks = select(push.c.state, mark.c.correct, func.count()).join(
            mark,
            schema.of(mark, line) & (mark.c.push == push.c.number),
        )
        marks = marks.where(schema.of(push, line), judged).group_by(push.c.state, mark.c.correct)
        peaks = select(study.c.push, study.c.value).where(schema.of(study, line), study.c.kind == PEAK)
        peaks = peaks.order_by(study.c.push.desc()).limit(AUDITED)
        async with self._database.reading() as connection:
            found = {bool(row[0]): int(row[1]) for row in await connection.execute(counts.group_by(stopped))}
            said = [(row[0], bool(row[1]), int(row[2])) for row in await connection.execute(marks)]
            seen = [(int(row[0]), float(row[1])) for row in await connection.execute(peaks)]
        observed = sum(count for state, _, count in said if state == State.LIVE.value)
        really_bad = sum(count for state, correct, count in said if state == State.LIVE.value and correct)
        false_live = observed - really_bad
        return Tally(
            promised,
            live=found.get(False, 0) - observed,
            stopped=found.get(True, 0) + observed,
            marked=sum(count for _, _, count in said),
            false=sum(count for state, correct, count in said if not correct and state != State.LIVE.value)
            + false_live,
            crossed={level: (sum(peak >= 1 / level for _, peak in seen), len(seen)) for level in LEVELS},
        )
