"""What one session knows of the last: results, durations; never a reason to fail."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from leuko.domain.board import Board
from leuko.domain.board_rows import Mark, RunState
from leuko.domain.case import Case, CaseEnded, CaseResult, CaseState
from leuko.runtests.memory import BoardKnown, folder_of, keep, newer, recall
from leuko.runtests.printed import Printed

AT = datetime(2026, 5, 12, tzinfo=UTC)
ONE, TWO = Case("unit", "tests/test_a.py", "one"), Case("unit", "tests/test_gone.py", "two")
THERE = {"unit": ("tests/test_a.py",)}


def ran() -> Board:
    board = Board("b")
    board.begin([board.add(ONE), board.add(TWO)], AT)
    board.apply(CaseEnded(CaseResult(ONE, CaseState.FAILED, 1.5, reason="assert 0")), AT)
    board.apply(CaseEnded(CaseResult(TWO, CaseState.PASSED, 0.5)), AT)
    board.end(RunState.FAILED, AT)
    return board


def test_results_come_back_for_files_that_are_still_there(tmp_path: Path):
    keep(tmp_path, ran())
    board = Board("next")
    assert recall(tmp_path, board, THERE) == ""
    (row,) = board.rows
    assert (row.name, row.mark, row.seconds, row.reason, row.remembered) == (
        "one",
        Mark.FAILED,
        1.5,
        "assert 0",
        True,
    )
    known = BoardKnown(board)
    assert (known.seconds(ONE), known.seconds(TWO)) == (1.5, None)
    assert known.cases("unit", "tests/test_a.py") == (ONE,)
    assert known.file_failed_last("unit", "tests/test_a.py")
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.json"]


def test_files_written_since_are_known(tmp_path: Path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_a.py").write_text("")
    assert newer(tmp_path, tmp_path, THERE) == frozenset()  # nothing is remembered
    keep(tmp_path, ran())
    os.utime(tmp_path / "results.json", (1, 1))
    assert newer(tmp_path, tmp_path, THERE | {"gone": ("tests/test_gone.py",)}) == {"tests/test_a.py"}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 1}', b"\xff" * 100])
def test_a_damaged_cache_is_said_and_passed_over(tmp_path: Path, content: bytes):
    (tmp_path / "results.json").write_bytes(content)
    assert "cannot be read" in recall(tmp_path, Board("b"), THERE)


def test_each_checkout_has_a_folder_of_its_own(tmp_path: Path):
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    one, two = tmp_path / "a" / "shop", tmp_path / "b" / "shop"
    for place in (one, two):
        place.mkdir(parents=True)
    assert folder_of(one, environment) != folder_of(two, environment)
    assert folder_of(one, environment).stat().st_mode & 0o077 == 0


def test_outputs_of_both_attempts_and_nothing_of_the_run_before(tmp_path: Path):
    printed = Printed(tmp_path)
    printed.keep(3, 1, CaseState.FAILED, (1.0, "w1", "assert 0"), "first \u2603\n")
    printed.keep(3, 2, CaseState.PASSED, (1.0, "w2", ""), "")
    assert [(one.attempt, one.output, one.worker) for one in printed.of(3)] == [
        (1, "first \u2603\n", "w1"),
        (2, "", "w2"),
    ]
    printed.forget(3)
    assert printed.of(3) == []
    assert list(tmp_path.iterdir()) == []  # it has no name, and goes with its session
    printed.close()
