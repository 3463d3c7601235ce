"""Reports of coverage as real runs of coverage.py leave them, lcov, and files that are neither."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from leuko.domain.coverage import Lines, placed
from leuko.verify.reports import LARGEST, ReportError, find_reports, read_lcov, read_report, statements

SOURCE = """def used(x):
    # a remark
    if x:
        return 1
    return (
        2
    )


def unused():
    return 3
"""


@pytest.fixture
def checkout(tmp_path):
    """A run of coverage.py in a checkout: its data and its JSON."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "cart.py").write_text(SOURCE)
    (tmp_path / "run.py").write_text("from shop.cart import used\nused(1)\n")
    for arguments in (("run", "run.py"), ("json", "-q"), ("lcov", "-q", "-o", "lcov.info")):
        subprocess.run([sys.executable, "-m", "coverage", *arguments], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize("report", [".coverage", "coverage.json", "lcov.info"])
def test_every_kind_of_report_says_the_same(checkout, report):
    found = placed(read_report(checkout, report, {"shop/cart.py": SOURCE}), ["shop/cart.py"])
    assert found["shop/cart.py"] == Lines(frozenset({1, 3, 4, 10}), frozenset({5, 11}))


def test_a_file_that_no_test_loaded_has_lines_that_could_run():
    assert statements({"a.py": SOURCE, "b.py": "def (", "c.js": "x"}) == {"a.py": {1, 3, 4, 5, 10, 11}}


def test_reports_are_found_by_pattern_and_links_are_left_out(checkout):
    (checkout / "shop" / "coverage.json").symlink_to("/etc/passwd")
    (checkout / "sub").mkdir()
    (checkout / "sub" / "lcov.info").write_text("")
    assert find_reports(checkout, [".coverage", "coverage.json"]) == [".coverage", "coverage.json"]
    assert find_reports(checkout, ["**/lcov.info"]) == ["lcov.info", "sub/lcov.info"]
    assert find_reports(checkout, []) == []


def test_several_records_of_one_file_are_one():
    text = "TN:\nSF:a.c\nDA:1,0\nDA:2,5\nBRDA:2,0,0,-\nend_of_record\nSF:a.c\nDA:1,2,abc\nDA:3,0\nend_of_record\n"
    assert read_lcov(text, "x") == {"a.c": Lines(frozenset({1, 2}), frozenset({3}))}


def test_what_a_hostile_test_leaves_is_refused(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/passwd")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(LARGEST + 1)
    garbage = {
        "empty": b"",
        "sqlite": b"SQLite format 3\x00" + os.urandom(4096),
        "json": b'{"files": [1, 2]}',
        "deep": b"{" * 100_000,
        "lcov": b"SF:a.c\nDA:one,two\nend_of_record\n",
        "binary": os.urandom(4096),
    }
    for name, data in garbage.items():
        (tmp_path / name).write_bytes(data)
    for name in ("fifo", "link", "huge", "missing", *garbage):
        with pytest.raises(ReportError) as error:
            read_report(tmp_path, name, {})
        assert error.value.where == name
