"""What `leuko tests`, `builds`, `build` and `quarantine` print, and how they end."""

from __future__ import annotations

import pytest
from tests.cli.conftest import LINE, Room

from leuko.domain.case import Case, CaseState
from leuko.domain.intent import IntentState
from leuko.store.case_outputs import CaseOutputs
from leuko.store.cases import CaseRow, settled

CART, SLOW = Case("unit", "tests/test_cart.py", "test_total"), Case("unit", "tests/test_slow.py", "test_all")


@pytest.fixture
def tested(room: Room) -> Room:
    """The newest build has a flaky test and a failed one."""

    async def fill() -> None:
        store, now = room.store, room.clock.now()
        (build,) = await store.builds.recent(LINE, limit=1)
        outputs = CaseOutputs(room.folder / ".leuko" / "builds" / f"{build.id}-{build.attempt}")
        outputs.begin()
        place = outputs.append_all({"x": ("one\nAssertionError: three\n", True)})["x"]
        rows = [
            CaseRow(CART, CaseState.FAILED, 1, 0.2, "w1", "assert 1 == 2"),
            CaseRow(CART, CaseState.PASSED, 2, 0.2, "w2", flaky=True),
            CaseRow(SLOW, CaseState.FAILED, 1, 9.0, "w1", "boom", output=place),
        ]
        async with store.write(LINE) as tx:
            await store.cases.save(tx, build.id, rows, 1)
            await store.cases.settle(tx, settled(await store.cases.history(LINE), rows[1:], build.id, now))
            counts = {"all": 2, "passed": 1, "failed": 1, "flaky": 1}
            await store.build_facts.set(tx, build.id, "tests", {"counts": counts}, now)

    room.do(fill())
    return room


def test_lists_of_tests(tested):
    flaky = tested.leuko("tests", "--flaky").out
    assert "unit: tests/test_cart.py::test_total" in flaky
    assert "1 (100.0%)" in flaky
    assert "test_slow" not in flaky
    assert "test_slow" in tested.leuko("tests", "--slow", "-n", "1").out
    assert "No test has 'nothing'" in tested.leuko("tests", "nothing").out
    assert '"name": "test_all"' in tested.leuko("tests", "--failing", "--json").out


def test_builds_and_one_of_them(tested):
    assert "1 passed, 1 failed, 1 flaky" in tested.leuko("builds").out
    number = tested.do(tested.store.builds.recent(LINE, limit=1))[0].id
    said = tested.leuko("build", str(number), "--no-follow")
    assert "unit: tests/test_slow.py::test_all: boom" in said.out
    assert "    AssertionError: three" in said.out
    assert tested.leuko("build", "999").code == 1
    wrong = tested.leuko("build", "x")
    assert "`leuko builds` lists them" in wrong.err


def test_quarantine_is_an_intent_with_a_reason(tested):
    until = "2026-11-30T12:00:00+00:00"
    answer = {"test": str(CART), "owner": "ann", "until": until, "id": 1}
    tested.answers["quarantine"] = lambda _intent: (IntentState.ACCEPTED, answer)
    said = tested.leuko("quarantine", "add", str(CART), "--days", "3", "--why", "races")
    assert said.code == 0
    assert "is in quarantine until 2026-11-30 12:00" in said.out
    assert dict(tested.seen[0].arguments) == {"test": str(CART), "owner": "", "days": 3.0}
    assert tested.seen[0].why == "races"
    refused = tested.leuko("quarantine", "add", str(CART))
    assert "a quarantine needs a reason" in refused.err
    assert "No test is, or was, in quarantine." in tested.leuko("quarantine").out
