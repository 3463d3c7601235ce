"""A person holds a flaky test back for a while; who and why is kept."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.builders import LINE
from tests.runtime.yard import Yard

from leuko.domain.case import Case, CaseState
from leuko.domain.intent import IntentKind, IntentState
from leuko.store.cases import CaseRow

CART = Case("unit", "tests/test_cart.py", "TestCart::test_total")
TWICE = (Case("unit", "tests/test_b.py", "test_it"), Case("slow", "tests/test_b.py", "test_it"))


@pytest.fixture
async def yard(tmp_path):
    verify = {"suites": {"unit": {"runner": "pytest", "files": ["tests/**"], "owner": "team-cart"}}}
    made = await Yard.make(tmp_path, verify=verify)
    async with made.store.write(LINE) as tx:
        rows = [CaseRow(case, CaseState.PASSED) for case in (CART, *TWICE)]
        await made.store.cases.save(tx, 1, rows, 1)
    yield made
    await made.store.close()


async def test_a_test_is_held_and_let_go(yard):
    asked = await yard.ask(IntentKind.QUARANTINE, "races", test=str(CART), days=2.0)
    assert asked.state is IntentState.ACCEPTED, asked.answer
    (held,) = await yard.store.quarantines.holding(LINE, yard.clock.now())
    assert (held.case, held.owner, held.why, held.by) == (CART, "team-cart", "races", "ann")
    assert held.until - held.since == timedelta(days=2)
    asked = await yard.ask(
        IntentKind.QUARANTINE, "mended", test="tests/test_cart.py::TestCart::test_total", end=True
    )
    assert asked.state is IntentState.ACCEPTED
    assert await yard.store.quarantines.holding(LINE, yard.clock.now()) == []
    (kept,) = await yard.store.quarantines.recent(LINE)
    assert (kept.ended_by, kept.ended_why) == ("ann", "mended")


async def test_one_that_ran_out_counts_again(yard):
    await yard.ask(IntentKind.QUARANTINE, test=str(CART), days=2.0)
    yard.clock.move(2 * 86400)
    assert await yard.store.quarantines.holding(LINE, yard.clock.now()) == []
    asked = await yard.ask(IntentKind.QUARANTINE, test=str(CART), end=True)
    assert asked.state is IntentState.REFUSED


async def test_a_whole_file_is_held(yard):
    asked = await yard.ask(IntentKind.QUARANTINE, test="tests/test_cart.py", owner="bob")
    assert asked.answer["test"] == "unit: tests/test_cart.py"
    (held,) = await yard.store.quarantines.holding(LINE, yard.clock.now())
    assert held.covers(CART)


@pytest.mark.parametrize(
    ("arguments", "way_out"),
    [
        ({"test": "tests/test_cart.py::TestCart::test_totl"}, "`leuko tests`"),
        ({"test": "tests/test_car.py::test_total"}, "TestCart::test_total"),
        ({"test": "tests/test_b.py::test_it"}, '"slow: tests/test_b.py::test_it", "unit:'),
        ({"test": str(CART), "days": 91.0}, "better taken out"),
        ({"test": "nothing", "end": True}, "in quarantine are: none"),
    ],
)
async def test_what_would_hold_nothing_is_refused(yard, arguments, way_out):
    asked = await yard.ask(IntentKind.QUARANTINE, **arguments)
    assert asked.state is IntentState.REFUSED
    assert way_out in asked.answer["way_out"]
    assert await yard.store.quarantines.recent(LINE) == []


@pytest.mark.parametrize(
    ("text", "case"),
    [
        ("unit: a/b.py::T::x[a: b]", Case("unit", "a/b.py", "T::x[a: b]")),
        ("a/b.py::x[a: b]", Case("", "a/b.py", "x[a: b]")),
        (" a/b.py ", Case("", "a/b.py")),
        ("unit: b.py", Case("unit", "b.py")),
    ],
)
def test_a_test_is_read_as_it_is_printed(text, case):
    assert Case.parsed(text) == case
