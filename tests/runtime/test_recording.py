"""The tests of a build are stored while they run, once each, whatever happens in between."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.builders import LINE
from tests.runtime.yard import Yard

from leuko.domain.case import Case, CaseBegan, CaseEnded, CaseFound, CaseResult, CaseState, NodeChanged
from leuko.domain.quarantine import Quarantine
from leuko.runtime.knowing import Held
from leuko.runtime.recording import Recording
from leuko.store.case_outputs import CaseOutputs
from leuko.store.errors import Lost

FILE = Case("unit", "tests/test_a.py")
ONE, TWO = Case("unit", "tests/test_a.py", "test_one"), Case("unit", "tests/test_a.py", "test_two")
PASSED, FAILED, WAITING, RUNNING = CaseState.PASSED, CaseState.FAILED, CaseState.WAITING, CaseState.RUNNING


@pytest.fixture
async def yard(tmp_path):
    made = await Yard.make(tmp_path)
    yield made
    await made.store.close()


def recording(yard: Yard, held: Held | None = None) -> Recording:
    outputs = CaseOutputs(yard.ground.state / "builds" / "1-1")
    return Recording(yard.ground, 1, outputs, held or Held([]))


def ended(case: Case, state: CaseState, attempt: int = 1, **more) -> CaseEnded:
    return CaseEnded(CaseResult(case, state, 0.1, f"w{attempt}", attempt, **more))


async def stored(yard: Yard) -> dict[str, tuple[CaseState, int, bool]]:
    rows = await yard.store.cases.rows(LINE, 1)
    return {f"{row.case.name}/{row.attempt}": (row.state, row.attempt, row.flaky) for row in rows}


async def test_a_flaky_test_has_both_attempts_and_its_output(yard):
    record = recording(yard)
    await record.begin()
    record.take(CaseFound(ONE))
    await record.flush()
    assert await stored(yard) == {"test_one/1": (WAITING, 1, False)}
    record.take(CaseBegan(ONE, "w1"))
    record.take(ended(ONE, FAILED, output="Traceback", reason="boom"))
    await record.flush()
    record.take(CaseBegan(ONE, "w2"))
    await record.flush()
    assert (await stored(yard))["test_one/2"] == (RUNNING, 2, False)
    record.take(ended(ONE, PASSED, 2))
    await record.finish()
    assert await stored(yard) == {"test_one/1": (FAILED, 1, False), "test_one/2": (PASSED, 2, True)}
    first, _ = await yard.store.cases.one(LINE, 1, ONE)
    assert CaseOutputs(yard.ground.state / "builds" / "1-1").read(first.output) == "Traceback"
    events = await yard.store.events.latest(LINE, kind="build.tests")
    assert events[0].data["counts"]["flaky"] == 1
    assert events[0].data["counts"]["all"] == events[0].data["counts"]["passed"] == 1


async def test_the_row_of_a_file_goes_when_its_tests_are_known(yard):
    record = recording(yard)
    record.take(CaseFound(FILE))
    await record.flush()
    assert list(await stored(yard)) == ["/1"]
    record.take(CaseBegan(FILE, "w1"))
    record.take(CaseFound(ONE))
    record.take(CaseFound(TWO))
    await record.flush()
    assert set(await stored(yard)) == {"test_one/1", "test_two/1"}
    record.take(ended(ONE, PASSED))
    assert await record.finish() == 1, "what had no turn is no result"
    assert await stored(yard) == {"test_one/1": (PASSED, 1, False)}


async def test_a_test_in_quarantine_is_shown_as_such(yard):
    now = yard.clock.now()
    held = Held([Quarantine(1, FILE, "ann", "flaky", "ann", now, now)])
    assert str(ONE) in held
    assert str(Case("unit", "tests/test_a.pyx", "test_one")) not in held
    record = recording(yard, held)
    record.take(ended(ONE, FAILED))
    record.take(ended(TWO, FAILED, broken="the disk is full"))
    await record.finish()
    assert {row.case: row.quarantined for row in await yard.store.cases.rows(LINE, 1)} == {
        ONE: True,
        TWO: False,
    }
    assert record.sheet.counts["quarantined"] == record.sheet.counts["broken"] == 1


async def test_set_up_nodes_are_rows(yard):
    record = recording(yard)
    record.take(NodeChanged("database", WAITING))
    record.take(NodeChanged("schema", WAITING))
    record.take(NodeChanged("database", RUNNING))
    record.take(NodeChanged("database", FAILED, 1.0, "exit 1", "no such host"))
    await record.finish()
    database, schema = await yard.store.nodes.rows(LINE, 1)
    assert (database.state, database.reason, schema.state) == (FAILED, "exit 1", WAITING)
    assert database.began_at is not None
    assert CaseOutputs(yard.ground.state / "builds" / "1-1").read(database.output) == "no such host"


async def test_what_could_not_be_stored_is_stored_with_the_next(yard):
    record = recording(yard)
    record.take(ended(ONE, FAILED, output="first"))
    lease = yard.ground.lease
    yard.ground.lease = replace(lease, epoch=lease.epoch + 1)
    with pytest.raises(Lost):
        await record.flush()
    yard.ground.lease = lease
    record.take(ended(TWO, PASSED))
    await record.finish()
    rows = {row.case: row for row in await yard.store.cases.rows(LINE, 1)}
    assert set(rows) == {ONE, TWO}
    assert CaseOutputs(yard.ground.state / "builds" / "1-1").read(rows[ONE].output) == "first"


async def test_without_room_for_output_results_are_kept_all_the_same(yard):
    (yard.ground.state / "builds").write_text("no folder can be made here")
    record = recording(yard)
    record.take(ended(ONE, FAILED, output="Traceback"))
    await record.finish()
    assert await stored(yard) == {"test_one/1": (FAILED, 1, False)}
    assert "cannot be kept" in next(iter(record.warnings))


async def test_forty_thousand_tests_are_stored_in_slices(yard):
    record = recording(yard)
    cases = [Case("unit", f"tests/test_{number // 50}.py", f"test_{number}") for number in range(6000)]
    for case in cases:
        record.take(CaseFound(case))
    await record.flush()
    for case in cases:
        record.take(ended(case, PASSED))
    await record.finish()
    assert await yard.store.cases.counts(LINE, 1) == {PASSED: 6000}
    events = await yard.store.events.latest(LINE, kind="build.tests")
    assert len(events) == 6, "one event a slice"
