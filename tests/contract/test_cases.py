"""Results of single tests: kept a batch at a time, read since an event, and remembered after the build."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from leuko.domain.case import Case, CaseState
from leuko.domain.line import Line
from leuko.store.cases import CaseRow, OutputPlace, settled

NOW = datetime(2026, 11, 23, 12, 30, 15, 123456, tzinfo=UTC)
LINE = Line("shop", "production")
OTHER = Line("shop", "preview")
ODD = "naïve \u2603 'quote' \"double\" \\ back\nnewline\ttab %s ; -- DROP"
CART = Case("unit", "tests/test_cart.py", "TestCart::test_total[two]")
LONG = Case("unit", "tests/test_cart.py", "test[" + "x" * 20_000 + "]")
STRANGE = Case("unit", f"tests/{ODD}.py", ODD)


async def saved(store, build: int, *rows: CaseRow, line: Line = LINE) -> int:
    async with store.write(line) as tx:
        event = tx.event("build.tests", f"build {build}", {}, NOW)
        await store.cases.save(tx, build, rows, event)
    return event


async def test_results_come_back_as_they_were_and_since_an_event(store):
    first = await saved(store, 1, *(CaseRow(case, CaseState.WAITING) for case in (CART, LONG, STRANGE)))
    failed = CaseRow(
        CART, CaseState.FAILED, 1, 0.25, "w1", ODD, "", output=OutputPlace(2**33, 512), quarantined=True
    )
    second = await saved(store, 1, CaseRow(STRANGE, CaseState.RUNNING, worker="w2"), failed)
    found = {row.case: row for row in await store.cases.rows(LINE, 1)}
    assert found[CART] == replace(failed, event=second)
    assert found[LONG] == CaseRow(LONG, CaseState.WAITING, event=first)
    assert {row.case for row in await store.cases.rows(LINE, 1, since=first)} == {CART, STRANGE}
    assert await store.cases.rows(LINE, 1, since=second) == []
    assert await store.cases.rows(LINE, 2) == await store.cases.rows(OTHER, 1) == []
    assert await store.cases.rows(LINE, 1, states=[CaseState.FAILED]) == [found[CART]]


async def test_a_second_attempt_stands_beside_the_first_and_counts(store):
    await saved(store, 1, CaseRow(CART, CaseState.FAILED, reason="boom"), CaseRow(LONG, CaseState.PASSED))
    assert await store.cases.counts(LINE, 1) == {CaseState.FAILED: 1, CaseState.PASSED: 1}
    await saved(store, 1, CaseRow(CART, CaseState.PASSED, 2, worker="w2", flaky=True))
    assert await store.cases.counts(LINE, 1) == {CaseState.PASSED: 2}
    first, second = await store.cases.one(LINE, 1, CART)
    assert (first.attempt, first.state, second.attempt, second.flaky) == (1, CaseState.FAILED, 2, True)
    assert [(build, row.case) for build, row in await store.cases.flaky_in(LINE)] == [(1, CART)]


async def test_a_build_that_starts_anew_forgets_what_it_had(store):
    await saved(store, 1, CaseRow(CART, CaseState.FAILED))
    await saved(store, 2, CaseRow(CART, CaseState.FAILED))
    async with store.write(LINE) as tx:
        await store.cases.clear(tx, 1)
    assert await store.cases.rows(LINE, 1) == []
    assert len(await store.cases.rows(LINE, 2)) == 1


async def test_what_was_rolled_back_is_given_a_number_again(store):
    async def torn() -> None:
        async with store.write(LINE) as tx:
            await store.cases.save(tx, 1, [CaseRow(CART, CaseState.PASSED)], 1)
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        await torn()
    await saved(store, 1, CaseRow(LONG, CaseState.PASSED))
    await saved(store, 1, CaseRow(CART, CaseState.FAILED))
    assert {row.case: row.state for row in await store.cases.rows(LINE, 1)} == {
        LONG: CaseState.PASSED,
        CART: CaseState.FAILED,
    }


async def test_two_controllers_give_a_test_one_number(opener):
    one, two = await opener(), await opener()
    await saved(one, 1, CaseRow(CART, CaseState.PASSED))
    await saved(two, 2, CaseRow(CART, CaseState.PASSED), CaseRow(LONG, CaseState.PASSED))
    await saved(one, 3, CaseRow(LONG, CaseState.FAILED))
    assert len(await one.cases.history(LINE)) == 2


async def settle(store, build: int, *rows: CaseRow) -> None:
    await saved(store, build, *rows)
    history = await store.cases.history(LINE)
    async with store.write(LINE) as tx:
        pasts = settled(history, rows, build, NOW + timedelta(hours=build))
        await store.cases.settle(tx, pasts)


async def test_history_grows_by_a_build_once(store):
    await settle(store, 1, CaseRow(CART, CaseState.PASSED, seconds=1.0))
    for _ in range(2):  # a controller that died in the middle does it again
        await settle(store, 2, CaseRow(CART, CaseState.PASSED, 2, 2.0, flaky=True))
    await settle(store, 3, CaseRow(CART, CaseState.FAILED, seconds=1.3), CaseRow(LONG, CaseState.SKIPPED))
    await settle(store, 4, CaseRow(CART, CaseState.FAILED, broken="the disk is full"))
    history = await store.cases.history(LINE)
    past = history.past(CART)
    assert (past.runs, past.failures, past.flakes, past.last_build) == (3, 1, 1, 3)
    assert past.seconds == pytest.approx(1.3)
    assert past.last_flaked_at == NOW + timedelta(hours=2)
    assert past.last_at == past.last_failed_at == NOW + timedelta(hours=3)
    assert history.failed_last(CART)
    assert not history.failed_last(LONG)
    assert history.seconds(LONG) is None


async def test_lists_of_tests(store):
    gone = Case("unit", "tests/test_old.py", "test_gone")
    await settle(store, 1, CaseRow(gone, CaseState.FAILED, seconds=9.0))
    rows = [
        CaseRow(CART, CaseState.PASSED, 2, 3.0, flaky=True),
        CaseRow(STRANGE, CaseState.FAILED, 1, 5.0),
        CaseRow(LONG, CaseState.PASSED, 1, 0.1),
    ]
    await settle(store, 2, *rows)
    assert [past.case for past in await store.cases.pasts(LINE, "flaky")] == [CART]
    assert [past.case for past in await store.cases.pasts(LINE, "slow")] == [STRANGE, CART, LONG]
    assert [past.case for past in await store.cases.pasts(LINE, "failing")] == [STRANGE]
    assert [past.case for past in await store.cases.pasts(LINE, text="CART")] == [CART, LONG]
    assert await store.cases.pasts(LINE, text="100%") == []
    strip = await store.cases.strip(LINE, [CART, gone], [1, 2, 3])
    assert {case: {build: row.state for build, row in by.items()} for case, by in strip.items()} == {
        CART: {2: CaseState.PASSED},
        gone: {1: CaseState.FAILED},
    }


async def test_old_results_expire_and_histories_stay(store):
    for build in (1, 2, 3):
        await settle(store, build, CaseRow(CART, CaseState.FAILED), CaseRow(LONG, CaseState.PASSED))
    async with store.write(LINE) as tx:
        assert await store.cases.expire(tx, passed_before=3, all_before=2) == 3
    assert await store.cases.rows(LINE, 1) == []
    assert [row.case for row in await store.cases.rows(LINE, 2)] == [CART]
    assert len(await store.cases.rows(LINE, 3)) == 2
    assert (await store.cases.history(LINE)).past(LONG).runs == 3
