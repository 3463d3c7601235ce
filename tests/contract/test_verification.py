"""What stands around the tests of a build: set-up nodes, facts, quarantine, culprits, another CI's word."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from leuko.domain.case import Case, CaseState
from leuko.domain.line import Line
from leuko.domain.outside import Status, StatusState
from leuko.domain.quarantine import Quarantine
from leuko.store.case_outputs import CaseOutputs
from leuko.store.cases import OutputPlace
from leuko.store.culprits import CulpritSearch
from leuko.store.errors import Lost
from leuko.store.nodes import NodeRow

NOW = datetime(2026, 11, 23, 12, 30, 15, 123456, tzinfo=UTC)
LINE = Line("shop", "production")
OTHER = Line("shop", "preview")
ODD = "naïve \u2603 'quote' \"double\" \\ back\nnewline\ttab %s ; -- DROP"
HOUR = timedelta(hours=1)
CASE = Case("unit", "tests/test_cart.py", ODD)


async def test_nodes(store):
    database = NodeRow("database", 1, CaseState.RUNNING, began_at=NOW)
    async with store.write(LINE) as tx:
        await store.nodes.save(tx, 1, [database, NodeRow("sandbox", 0, CaseState.PASSED)], 3)
        await store.nodes.save(tx, 2, [database], 4)
    ended = replace(database, state=CaseState.FAILED, seconds=1.5, reason=ODD, output=OutputPlace(10, 20))
    async with store.write(LINE) as tx:
        await store.nodes.save(tx, 1, [ended], 5)
    assert await store.nodes.rows(LINE, 1) == [
        NodeRow("sandbox", 0, CaseState.PASSED, event=3),
        replace(ended, event=5),
    ]
    assert [row.name for row in await store.nodes.rows(LINE, 1, since=3)] == ["database"]
    async with store.write(LINE) as tx:
        await store.nodes.clear(tx, 1)
    assert await store.nodes.rows(LINE, 1) == await store.nodes.rows(OTHER, 2) == []
    assert len(await store.nodes.rows(LINE, 2)) == 1


async def test_facts_of_a_build(store):
    async with store.write(LINE) as tx:
        await store.build_facts.set(tx, 1, "tests", {"passed": 1}, NOW)
        await store.build_facts.set(tx, 1, "tests", {"passed": 2, "odd": ODD}, NOW)
        await store.build_facts.set(tx, 2, "warnings", [ODD], NOW)
    assert await store.build_facts.of(LINE, 1) == {"tests": {"passed": 2, "odd": ODD}}
    assert await store.build_facts.get(LINE, 1, "coverage") is None
    assert await store.build_facts.each(LINE, [1, 2, 3], "warnings") == {2: [ODD]}
    assert await store.build_facts.of(OTHER, 1) == {}


async def test_a_quarantine_holds_until_it_ends_by_itself_or_by_a_person(store):
    wanted = Quarantine(0, CASE, "ann", ODD, "bob", NOW, NOW + HOUR)
    whole = replace(wanted, case=replace(CASE, name=""), until=NOW + 2 * HOUR)
    async with store.write(LINE) as tx:
        one = await store.quarantines.add(tx, wanted)
        two = await store.quarantines.add(tx, whole)
    assert one == replace(wanted, id=1)
    assert await store.quarantines.holding(LINE, NOW) == [one, two]
    assert await store.quarantines.holding(LINE, NOW + HOUR) == [two]
    assert await store.quarantines.holding(OTHER, NOW) == []
    async with store.write(LINE) as tx:
        assert await store.quarantines.end(tx, CASE, NOW + HOUR / 2, "eve", "fixed")
        assert not await store.quarantines.end(tx, CASE, NOW + HOUR / 2, "eve", "fixed")
    assert await store.quarantines.holding(LINE, NOW + HOUR / 2) == [two]
    newest, ended = await store.quarantines.recent(LINE)
    assert (newest, ended.ended_at, ended.ended_by, ended.ended_why) == (two, NOW + HOUR / 2, "eve", "fixed")


async def test_a_second_quarantine_of_a_test_takes_the_place_of_the_first(store):
    wanted = Quarantine(0, CASE, "ann", "flaky", "bob", NOW, NOW + HOUR)
    async with store.write(LINE) as tx:
        await store.quarantines.add(tx, wanted)
        later = await store.quarantines.add(tx, replace(wanted, since=NOW + HOUR / 2, until=NOW + 9 * HOUR))
    assert await store.quarantines.holding(LINE, NOW + HOUR / 2) == [later]


async def test_culprit_searches(store):
    async with store.write(LINE) as tx:
        one = await store.culprits.create(tx, CulpritSearch(0, "tests", "open", NOW, 7, record={"p": [0.5]}))
        two = await store.culprits.create(tx, CulpritSearch(0, "metric", "open", NOW))
    found = replace(one, state="culprit", culprit="c" * 40, ended_at=NOW + HOUR, sentence=ODD)
    async with store.write(LINE) as tx:
        saved = await store.culprits.save(tx, found)
    assert await store.culprits.get(LINE, 1) == saved == replace(found, version=1)
    async with store.write(LINE) as tx:
        with pytest.raises(Lost):
            await store.culprits.save(tx, found)
    assert await store.culprits.open(LINE) == [two]
    assert await store.culprits.of_build(LINE, 7) == [saved]
    assert [search.id for search in await store.culprits.recent(LINE)] == [2, 1]
    assert await store.culprits.get(OTHER, 1) is None


async def test_the_newest_word_of_a_context_counts(store):
    pending = Status("a" * 40, ODD, StatusState.PENDING, NOW, "https://ci/1", ODD, "ci")
    success = replace(pending, state=StatusState.SUCCESS, at=NOW + HOUR, description="")
    async with store.write(LINE) as tx:
        await store.statuses.set(tx, pending)
        await store.statuses.set(tx, replace(pending, context="ci/unit"))
        await store.statuses.set(tx, success)
    found = await store.statuses.of(LINE, "a" * 40)
    assert {status.context: status for status in found}[ODD] == replace(success, first_at=NOW)
    assert len(found) == 2
    assert await store.statuses.of(LINE, "b" * 40) == await store.statuses.of(OTHER, "a" * 40) == []
    assert (await store.statuses.recent(LINE))[0].context == ODD


def test_outputs_keep_within_their_cap_and_leave_room_for_what_failed(tmp_path):
    outputs = CaseOutputs(tmp_path / "builds" / "1.1", cap=40, passed_cap=20)
    outputs.begin()
    texts = {"first": ("naïve \udcff\n", False), "large": ("x" * 20, False), "failed": ("y" * 20, True)}
    places = outputs.append_all(texts)
    assert set(places) == {"first", "failed"}
    assert outputs.append_all({"more": ("z" * 20, True), "none": ("", True)}) == {}
    first, second = places["first"], places["failed"]
    assert outputs.read(first) == "naïve ?\n"
    assert outputs.read(second) == "y" * 20
    assert oct((tmp_path / "builds" / "1.1" / "tests.out").stat().st_mode)[-3:] == "600"
    outputs.begin()
    assert outputs.read(second) == ""
    assert CaseOutputs(tmp_path / "gone").read(first) is None
