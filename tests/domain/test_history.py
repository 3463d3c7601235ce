"""What earlier builds tell of a test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from leuko.domain.case import Case, CaseState
from leuko.domain.history import History, Past

NOW = datetime(2026, 11, 23, tzinfo=UTC)
A, B = Case("unit", "test_a.py", "test_one"), Case("unit", "test_a.py", "test_two")
PASSED, FAILED, SKIPPED = CaseState.PASSED, CaseState.FAILED, CaseState.SKIPPED


def ran(case: Case, *builds: tuple[int, CaseState, float, bool]) -> Past:
    past = Past(case)
    for build, state, seconds, flaky in builds:
        past = past.after(state, seconds, build, NOW + timedelta(hours=build), flaky=flaky)
    return past


def test_expected_seconds_follow_the_newest_runs():
    past = ran(A, (1, PASSED, 1.0, False), (2, PASSED, 1.0, False), (3, PASSED, 11.0, False))
    assert past.seconds == pytest.approx(4.0)
    for build in range(4, 20):
        past = past.after(PASSED, 11.0, build, NOW)
    assert past.seconds == pytest.approx(11.0, rel=0.01)


def test_a_skipped_test_did_not_run():
    past = ran(A, (1, PASSED, 1.0, False), (2, SKIPPED, 0.0, False))
    assert (past.runs, past.seconds, past.last_state) == (1, 1.0, SKIPPED)


def test_what_did_not_end_and_what_is_counted_already_add_nothing():
    past = ran(A, (2, PASSED, 1.0, False))
    assert past.after(CaseState.RUNNING, 9.0, 3, NOW) is past
    assert past.after(FAILED, 9.0, 2, NOW) is past
    assert past.after(FAILED, 9.0, 1, NOW) is past


def test_the_seconds_of_a_file_are_those_of_the_tests_it_has_now():
    gone = ran(A, (1, PASSED, 100.0, False))
    history = History([gone, ran(B, (1, PASSED, 1.0, False), (2, PASSED, 1.0, False))])
    assert history.file_seconds("unit", "test_a.py") == 1.0
    assert history.cases("unit", "test_a.py") == (B,)
    assert history.file_seconds("unit", "test_b.py") is None
    assert history.seconds(Case("unit", "test_a.py", "new")) is None


def test_a_flaky_pass_counts_as_failed_last():
    history = History([ran(A, (1, PASSED, 1.0, True)), ran(B, (1, PASSED, 1.0, False))])
    assert history.failed_last(A)
    assert not history.failed_last(B)
    assert history.file_failed_last("unit", "test_a.py")
    assert not History([ran(A, (1, PASSED, 1.0, True), (2, PASSED, 1.0, False))]).failed_last(A)


def test_a_rate_leans_to_the_high_side_and_is_never_nothing():
    known = ran(A, *((build, PASSED, 1.0, build % 10 == 0) for build in range(1, 101)))
    history = History([known])
    assert known.flake_rate == 0.1
    assert history.flake_rate(A) == pytest.approx(11 / 120)
    assert history.flake_rate(B) == pytest.approx(1 / 20)
