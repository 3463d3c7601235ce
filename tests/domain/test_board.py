"""The board: counts, flaky tests, progress, stops, and columns that say the same piecewise as at once."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leuko.domain.board import Board
from leuko.domain.board_rows import Mark, RunState
from leuko.domain.case import (
    Case,
    CaseBegan,
    CaseEnded,
    CaseFound,
    CaseResult,
    CaseState,
    NodeChanged,
)
from leuko.domain.columns import news, snapshot

AT = datetime(2026, 5, 12, 14, 36, 36, tzinfo=UTC)
S = CaseState


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def case(name: str = "test_one", file: str = "tests/test_a.py") -> Case:
    return Case("unit", file, name)


def ended(one: Case, state: CaseState = S.PASSED, seconds: float = 1.0, **rest) -> CaseEnded:
    return CaseEnded(CaseResult(one, state, seconds, **rest))


def board_of(*cases: Case, seconds: float = 2.0) -> Board:
    board = Board("b", lambda _case: seconds)
    for one in cases:
        board.add(one)
    return board


def marks(board: Board) -> str:
    return snapshot(board, AT)["mark"]


def test_a_run_from_waiting_to_passed():
    one, two = case("one"), case("two")
    board = board_of(one, two)
    assert (marks(board), board.counts().listed) == ("--", 2)
    board.begin([0, 1], AT)
    assert (marks(board), board.percent(AT), board.counts().waiting) == ("ww", 0.0, 2)
    board.apply(CaseBegan(one, "w1"), AT)
    assert board.percent(after(1)) == pytest.approx(25.0)
    board.apply(ended(one), after(1))
    board.apply(ended(two, S.FAILED, reason="assert 1 == 2"), after(2))
    board.end(RunState.FAILED, after(2))
    assert (marks(board), board.percent(after(9))) == ("pf", 100.0)
    assert news(board, 0, AT)["more"][1]["reason"] == "assert 1 == 2"
    assert board.seconds_left(after(2)) is None


def test_a_failure_that_passes_elsewhere_is_flaky_and_counts_as_passed():
    one = case()
    board = board_of(one)
    board.begin([0], AT)
    board.apply(ended(one, S.FAILED, worker="w1"), AT)
    board.apply(CaseBegan(one, "w2"), AT)
    assert board.counts().running == 1
    board.apply(ended(one, S.PASSED, worker="w2", attempt=2), AT)
    counts = board.counts()
    assert (counts.passed, counts.failed, counts.flaky) == (1, 0, 1)
    board.begin([0], AT)
    board.apply(CaseBegan(one, "w1"), AT)
    assert board.counts().flaky == 0


def test_two_tests_of_one_name_fail_together():
    one = case()
    board = board_of(one)
    board.begin([0], AT)
    board.apply(ended(one, S.FAILED), AT)
    board.apply(ended(one, S.PASSED), AT)
    assert (marks(board), board.counts().flaky) == ("f", 0)


def test_a_file_gives_way_to_the_tests_that_it_tells_of():
    board = board_of(case(""))
    board.begin([0], AT)
    board.apply(CaseFound(case("one")), AT)
    board.apply(CaseFound(case("two")), AT)
    assert (marks(board), board.counts().all) == ("xww", 2)
    assert board.progress.number == 2


def test_a_file_that_broke_before_it_told_its_tests_is_a_row():
    board = board_of(case(""), case("one"))
    board.begin([1], AT)
    board.apply(ended(case(""), S.FAILED, reason="SyntaxError"), AT)
    board.end(RunState.FAILED, AT)
    assert marks(board) == "fx"  # the file knows of no test any more
    board.begin([0], AT)
    board.apply(CaseFound(case("one")), AT)
    assert marks(board) == "xw"


def test_stopping_gives_back_what_was_known():
    one, two, three = case("one"), case("two"), case("three")
    board = board_of(one, two, three)
    board.begin([0, 1, 2], AT)
    for each in (one, two, three):
        board.apply(ended(each), AT)
    board.end(RunState.PASSED, AT)
    board.begin([0, 1, 2], AT)
    board.apply(ended(one, S.FAILED), AT)
    board.apply(CaseBegan(two, "w1"), AT)
    board.end(RunState.STOPPED, AT, "stopped by amara")
    assert marks(board) == "f-p"
    assert board.rows[1].reason == "stopped while it ran"


def test_a_run_that_broke_says_nothing_of_tests_that_had_no_turn():
    board = board_of(case("one"), case("two"))
    board.begin([0, 1], AT)
    board.apply(ended(case("one")), AT)
    board.end(RunState.BROKEN, AT, "no worker came")
    assert marks(board) == "p-"


def test_broken_is_neither_red_nor_green():
    board = board_of(case())
    board.begin([0], AT)
    board.apply(ended(case(), S.FAILED, broken="the worker died"), AT)
    counts = board.counts()
    assert (counts.broken, counts.failed, counts.passed) == (1, 0, 0)


def test_set_up_nodes_are_rows_and_are_not_counted():
    board = board_of(case())
    board.begin([0], AT, nodes=["database", "schema"])
    board.apply(NodeChanged("database", S.RUNNING), AT)
    board.apply(NodeChanged("database", S.FAILED, 2.0, "exit 1", "no space"), after(2))
    board.apply(NodeChanged("schema", S.SKIPPED, reason="database did not pass"), after(2))
    assert [row.mark for row in board.rows[1:]] == [Mark.FAILED, Mark.SKIPPED]
    counts = board.counts()
    assert (counts.all, counts.failed, counts.skipped, counts.waiting) == (1, 0, 0, 1)


def test_time_left_follows_the_pace_of_the_run():
    cases = [case(str(number)) for number in range(100)]
    board = board_of(*cases, seconds=1.0)
    board.begin(range(100), AT)
    for number in range(50):  # two at a time, each takes twice as long as expected
        board.apply(CaseBegan(cases[number], f"w{number % 2}"), after(number))
        if number:
            board.apply(ended(cases[number - 1], seconds=2.0), after(number + 0.5))
    left = board.seconds_left(after(50))
    assert left is not None
    assert 40 < left < 60
    assert 49 <= board.percent(after(50)) <= 51


def test_nothing_is_said_about_time_while_nothing_is_known():
    board = Board("b")
    board.add(case())
    assert board.percent(AT) == 0.0
    board.begin([0], AT)
    assert board.seconds_left(after(3)) is None


def test_what_is_new_is_small_and_what_is_known_is_not_told_again():
    cases = [case(str(number)) for number in range(2000)]
    board = board_of(*cases)
    board.begin(range(2000), AT)
    known = board.change
    board.apply(CaseBegan(cases[7], "w1"), AT)
    board.apply(CaseFound(Case("unit", "tests/test_new.py", "test_new")), AT)
    told = news(board, known, AT)
    assert (told["rows"], told["mark"]) == ([7, 2000], "rw")
    assert told["files"]["path"] == ["tests/test_new.py"]
    assert (told["from"], told["names"]["name"]) == (2000, ["test_new"])
    assert len(msgspec.json.encode(told)) < 1000
    assert news(board, board.change, AT)["rows"] == []
    assert news(board, board.change + 1, AT)["whole"] is True


# -- any order of events ------------------------------------------------------------------------------------

CASES = [Case("unit", f"tests/test_{file}.py", name) for file in "ab" for name in ("", "one", "two")]
STATES = st.sampled_from([S.PASSED, S.FAILED, S.SKIPPED])
RESULTS = st.builds(
    CaseResult,
    st.sampled_from(CASES),
    STATES,
    seconds=st.floats(0, 100),
    attempt=st.integers(1, 2),
    broken=st.sampled_from(["", "the worker died"]),
)
STEPS = st.one_of(
    st.builds(CaseFound, st.sampled_from(CASES)),
    st.builds(CaseBegan, st.sampled_from(CASES), st.just("w1")),
    st.builds(CaseEnded, RESULTS),
    st.builds(NodeChanged, st.sampled_from(["db", "schema"]), st.sampled_from(list(S))),
    st.sampled_from(["begin", "end", "stop", "replace", "look"]),
)


def take(board: Board, step: object) -> None:
    match step:
        case "begin":
            board.begin([row.id for row in board.rows if row.file >= 0][:3], AT)
        case "end":
            board.end(RunState.PASSED, AT)
        case "stop":
            board.end(RunState.STOPPED, AT)
        case "replace":
            board.replace("unit", "tests/test_a.py", ["two"])
        case "look":
            pass
        case _:
            board.apply(step, AT)


class Page:
    """What a page makes of the columns."""

    def __init__(self) -> None:
        self.change = 0
        self.names: list = []
        self.files: list = []
        self.marks: list = []
        self.rest: dict = {}

    def take(self, told: dict) -> None:
        if told["whole"]:
            self.names, self.files, self.marks, self.rest = [], [], [], {}
        self.change = told["change"]
        self.files += zip(told["files"]["suite"], told["files"]["path"], strict=True)
        assert told["from"] == len(self.names)
        self.names += zip(told["names"]["file"], told["names"]["name"], strict=True)
        self.marks += "?" * (len(self.names) - len(self.marks))
        rows = range(len(self.names)) if told["rows"] is None else told["rows"]
        for place, row in enumerate(rows):
            self.marks[row] = told["mark"][place]
            self.rest[row] = (told["flag"][place], told["ms"][place], told["more"].get(row))


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=40), st.booleans())
def test_any_order_of_events_leaves_sums_that_fit_and_pages_that_agree(steps, known):
    board = Board("b", (lambda _case: 2.0) if known else (lambda _case: 0.0))
    follower = Page()
    for step in steps:
        take(board, step)
        if step == "look":
            follower.take(news(board, follower.change, AT))
        told = Counter(row.mark for row in board.rows if row.file >= 0)
        counts = board.counts()
        assert counts.passed == told[Mark.PASSED]
        assert counts.failed == told[Mark.FAILED]
        assert counts.running == told[Mark.RUNNING]
        assert counts.all == sum(told.values()) - told[Mark.GONE]
        assert counts.flaky == sum(row.flaky for row in board.rows) <= counts.passed
        assert 0 <= board.percent(AT) <= 100
        left = board.seconds_left(AT)
        assert left is None or left >= 0
    follower.take(news(board, follower.change, AT))
    fresh = Page()
    fresh.take(snapshot(board, AT))
    assert fresh.marks == follower.marks
    assert fresh.names == follower.names
    assert fresh.files == follower.files
    assert fresh.rest == follower.rest
    if board.state is not RunState.RUNNING:
        return
    mine = [row for row in board.rows if row.run == board.run]
    assert board.progress.number == len(mine)


def test_forty_thousand_rows_in_a_few_megabytes():
    board = Board("b", lambda _case: 1.0)
    for file in range(2000):
        for number in range(20):
            board.add(
                Case("unit", f"tests/catalog/part_{file % 40}/test_file_{file}.py", f"TestIt::test_{number}")
            )
    board.begin(range(40_000), AT)
    began = time.perf_counter()
    body = msgspec.json.encode(snapshot(board, AT))
    print(f"{len(body):,} bytes in {(time.perf_counter() - began) * 1000:.0f} ms")
    assert len(body) < 3_000_000
