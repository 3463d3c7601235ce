"""Studies, marks and drills, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.contract.conftest import LINE, NOW, OTHER

from leuko.domain.drill import Drill, DrillState, Fault, Report
from leuko.store.errors import Lost
from leuko.store.marks import Mark

LATER = NOW + timedelta(minutes=1)


async def test_a_study_is_kept_as_it_was_made_first(store) -> None:
    async with store.write(LINE) as tx:
        await store.studies.keep(tx, 3, "placebo", {"pushes": 120, "largest": float("inf")}, NOW)
        await store.studies.keep(tx, 3, "placebo", {"pushes": 7}, LATER)
    found = await store.studies.get(LINE, 3, "placebo")
    assert (found.value["pushes"], found.value["largest"], found.at) == (120, float("inf"), NOW)
    assert found.read(dict[str, float])["pushes"] == 120
    assert await store.studies.get(LINE, 3, "switch") is None
    assert await store.studies.get(OTHER, 3, "placebo") is None


async def test_studies_of_earlier_pushes_made_by_a_time(store) -> None:
    async with store.write(LINE) as tx:
        for push in range(1, 6):
            await store.studies.keep(tx, push, "switch", {"push": push}, NOW + timedelta(minutes=push))
    recent = store.studies.recent
    assert [one.push for one in await recent(LINE, "switch", before=5)] == [4, 3, 2, 1]
    assert [one.push for one in await recent(LINE, "switch", before=5, limit=2)] == [4, 3]
    assert [one.push for one in await recent(LINE, "switch", by=NOW + timedelta(minutes=2))] == [2, 1]
    assert await recent(LINE, "placebo") == []


async def test_a_push_has_the_mark_that_was_set_last(store) -> None:
    assert await store.marks.count(LINE) == (0, 0)
    async with store.write(LINE) as tx:
        await store.marks.set(tx, Mark(3, True, "ann", "the page was white", NOW))
        await store.marks.set(tx, Mark(4, False, "ben", "the database was down", NOW))
        await store.marks.set(tx, Mark(3, False, "ann", "no, it was the cache", LATER))
    assert await store.marks.get(LINE, 3) == Mark(3, False, "ann", "no, it was the cache", LATER)
    assert await store.marks.get(LINE, 5) is None
    assert [mark.push for mark in await store.marks.recent(LINE)] == [4, 3]
    assert await store.marks.count(LINE) == (2, 2)
    assert await store.marks.count(OTHER) == (0, 0)


async def test_a_drill_is_saved_with_compare_and_set(store) -> None:
    new = Drill(0, Fault.ERRORS, "www1", DrillState.WAITING, NOW, "ann", "Friday's drill", line="ERROR")
    async with store.write(LINE) as tx:
        made = await store.drills.create(tx, new)
    assert made.name == "drill 1"
    assert await store.drills.running(LINE) == made
    planted = replace(made, state=DrillState.PLANTED, push=7, planted_at=LATER)
    async with store.write(LINE) as tx:
        saved = await store.drills.save(tx, planted)
    with pytest.raises(Lost):
        async with store.write(LINE) as tx:
            await store.drills.save(tx, planted)
    assert await store.drills.of_push(LINE, 7) == await store.drills.get(LINE, 1) == saved
    report = Report(caught=True, after=12.5, clean=True, sentence="caught", exercised=("the way back",))
    async with store.write(LINE) as tx:
        ended = await store.drills.save(
            tx, replace(saved, state=DrillState.ENDED, ended_at=LATER, report=report)
        )
    assert await store.drills.running(LINE) is None
    assert await store.drills.recent(LINE) == [ended]
    assert ended.report.exercised == ("the way back",)
    assert await store.drills.of_push(LINE, 8) is None
