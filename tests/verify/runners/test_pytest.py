"""Suites of pytest, told test by test."""

from __future__ import annotations

from tests.verify.runners.yard import pytest_suite

from leuko.verify.engine import CaseBegan, CaseEnded

KINDS = """
    import pytest

    def test_good(): print("hello")
    def test_bad():
        print("before")
        one = 1
        assert one == 2, "one is not two"
    class TestCart:
        @pytest.mark.parametrize("size", ["a b", "\\u00e9", 3])
        def test_total(self, size): pass
    @pytest.mark.skip(reason="no network")
    def test_skipped(): pass
    @pytest.mark.xfail(reason="known")
    def test_xfail(): assert 0
    @pytest.mark.xfail(reason="known")
    def test_xpass(): pass
    @pytest.mark.xfail(reason="known", strict=True)
    def test_strict(): pass
    @pytest.fixture
    def broken(): raise RuntimeError("no database")
    @pytest.fixture
    def leaking():
        yield
        raise RuntimeError("still open")
    def test_setup(broken): pass
    def test_teardown(leaking): pass
"""


def test_each_test_is_told_as_it_ends(worker, write):
    told = worker.run(pytest_suite(), [write("test_a.py", KINDS)])
    assert told.states == {
        "test_a.py::test_good": "passed",
        "test_a.py::test_bad": "failed",
        "test_a.py::TestCart::test_total[a b]": "passed",
        "test_a.py::TestCart::test_total[\\xe9]": "passed",
        "test_a.py::TestCart::test_total[3]": "passed",
        "test_a.py::test_skipped": "skipped",
        "test_a.py::test_xfail": "skipped",
        "test_a.py::test_xpass": "passed",
        "test_a.py::test_strict": "failed",
        "test_a.py::test_setup": "failed",
        "test_a.py::test_teardown": "failed",
    }
    reasons = {
        name.partition("::")[2]: result.reason for name, result in told.results.items() if result.reason
    }
    assert reasons == {
        "test_bad": "AssertionError: one is not two",
        "test_skipped": "no network",
        "test_xfail": "failed, as expected: known",
        "test_xpass": "passed, though it was expected to fail: known",
        "test_strict": "[XPASS(strict)] known",
        "test_setup": "in its setup: RuntimeError: no database",
        "test_teardown": "in its teardown: RuntimeError: still open",
    }
    bad = told.results["test_a.py::test_bad"].output
    assert "one is not two" in bad
    assert "--- Captured stdout call ---\nbefore" in bad
    assert told.found == told.began == [name.partition("::")[2] for name in told.states]
    assert told.end.exit_code == 1


def test_results_come_while_others_run(worker, write):
    write(
        "test_a.py",
        "import pathlib, time\ndef test_one(): pass\ndef test_two():\n    while not pathlib.Path('go').exists(): time.sleep(0.01)\n",
    )

    def ended(event):
        if isinstance(event, CaseEnded) and event.result.case.name == "test_one":
            (worker.folder / "go").touch()  # without it the second would never end

    told = worker.run(pytest_suite(timeout=30), ["test_a.py"], on_case=ended)
    assert told.states == {"test_a.py::test_one": "passed", "test_a.py::test_two": "passed"}


def test_what_is_no_test_is_told_by_file(worker, write):
    files = [
        write("test_import.py", "import nowhere"),
        write("test_syntax.py", "def ("),
        write("test_none.py", "x = 1"),
        write("test_skips.py", "import pytest; pytest.importorskip('nowhere')"),
        write("test_good.py", "def test_good(): pass"),
    ]
    told = worker.run(pytest_suite(), files)
    assert told.states == {
        "test_import.py": "failed",
        "test_syntax.py": "failed",
        "test_none.py": "skipped",
        "test_skips.py": "skipped",
        "test_good.py::test_good": "passed",
    }
    assert (
        told.results["test_import.py"].reason
        == "cannot be collected: ModuleNotFoundError: No module named 'nowhere'"
    )
    assert told.results["test_none.py"].reason == "has no tests"
    assert "nowhere" in told.results["test_skips.py"].reason


def test_single_tests_are_run_by_name(worker, write):
    name = write("test_a.py", KINDS)
    other = write("sub/test_b.py", "def test_one(): pass\ndef test_two(): pass")
    wanted = [
        ("test_a.py", "TestCart::test_total[a b]"),
        ("test_a.py", "test_bad"),
        ("sub/test_b.py", "test_two"),
    ]
    told = worker.run(pytest_suite(), [name, other], only=wanted)
    assert set(told.states) == {f"{file}::{case}" for file, case in wanted}
    gone = worker.run(pytest_suite(), [name], only=[(name, "test_gone")])
    assert gone.results["test_a.py::test_gone"].reason == "the runner knows no test of this name any more"


def test_a_hung_test_is_named_with_what_it_printed_and_where_it_stood(worker, write):
    write(
        "test_a.py",
        """
        import time
        def test_good(): pass
        def test_hung():
            print("waiting for godot")
            time.sleep(1000)
        def test_after(): pass
        """,
    )
    write("test_b.py", "def test_other(): pass")
    told = worker.run(pytest_suite(timeout=3), ["test_a.py", "test_b.py"])
    assert told.states == {"test_a.py::test_good": "passed", "test_a.py::test_hung": "failed"}
    hung = told.results["test_a.py::test_hung"]
    assert hung.reason == "did not end within 3 s"
    assert "waiting for godot" in hung.output
    assert "in test_hung" in hung.output
    assert set(told.found) == {"test_good", "test_hung", "test_after", "test_other"}
    assert told.end.exit_code is None
    rest = [("test_a.py", "test_after"), ("test_b.py", "test_other")]
    assert set(worker.run(pytest_suite(), ["test_a.py", "test_b.py"], only=rest).states.values()) == {
        "passed"
    }


def test_a_file_that_hangs_while_it_is_imported_is_named(worker, write):
    files = [write("test_a.py", "def test_good(): pass"), write("test_b.py", "import time; time.sleep(1000)")]
    told = worker.run(pytest_suite(timeout=3), files)
    assert told.states == {"test_b.py": "failed"}
    assert told.results["test_b.py"].reason == "did not end within 3 s while it was loaded"


def test_a_test_that_ends_the_process_is_failed_by_that(worker, write):
    write("test_a.py", "import os\ndef test_exits(): print('soon'); os._exit(0)\ndef test_after(): pass")
    write("test_b.py", "import ctypes\ndef test_crashes(): ctypes.string_at(0)")
    told = worker.run(pytest_suite(), ["test_a.py"])
    assert told.states == {"test_a.py::test_exits": "failed"}
    assert told.results["test_a.py::test_exits"].reason == "its process ended in the middle of it"
    assert "soon" in told.results["test_a.py::test_exits"].output
    told = worker.run(pytest_suite(), ["test_b.py"])
    assert (
        told.results["test_b.py::test_crashes"].reason
        == "its process was ended by SIGSEGV in the middle of it"
    )
    assert "test_crashes" in told.results["test_b.py::test_crashes"].output


def test_a_flood_is_cut_by_test(worker, write):
    name = write(
        "test_a.py",
        "def test_flood():\n    for _ in range(30): print('x' * 1_000_000)\ndef test_next(): pass",
    )
    told = worker.run(pytest_suite(), [name])
    assert set(told.states.values()) == {"passed"}
    assert "left out here" in told.results["test_a.py::test_flood"].output


def test_a_session_that_fails_without_a_failed_test_is_not_green(worker, write):
    write("conftest.py", "def pytest_sessionfinish(session): session.exitstatus = 1; raise SystemExit(7)")
    told = worker.run(pytest_suite(), [write("test_a.py", "def test_good(): pass")])
    assert told.states == {"test_a.py::test_good": "passed", "test_a.py": "failed"}
    assert "though no test failed" in told.results["test_a.py"].reason


def test_a_command_that_does_not_start_pytest_is_not_green(worker, write):
    name = write("test_a.py", "def test_good(): pass")
    from tests.verify.runners.yard import suite

    told = worker.run(suite("pytest", "true"), [name])
    assert told.states == {"test_a.py": "failed"}
    assert "told Leuko nothing" in told.results["test_a.py"].reason
    told = worker.run(suite("pytest", "/usr/bin/python3 -I -S -m pytest", warm=False), [name])
    assert told.results["test_a.py"].broken == "pytest is not installed where the tests run"


def test_a_project_in_a_folder_of_its_own(worker, write):
    write("backend/pytest.ini", "[pytest]\naddopts = -x\n")
    write("backend/test_a.py", "def test_bad(): assert 0\ndef test_good(): pass")
    told = worker.run(pytest_suite(), ["backend/test_a.py"])
    assert told.states == {"backend/test_a.py::test_bad": "failed", "backend/test_a.py::test_good": "passed"}


def test_two_tests_of_one_name(worker, write):
    write(
        "conftest.py",
        """
        import pytest
        class Twice(pytest.File):
            def collect(self):
                for _ in range(2):
                    yield One.from_parent(self, name="same")
        class One(pytest.Item):
            def runtest(self): pass
        def pytest_collect_file(parent, file_path):
            if file_path.suffix == ".twice":
                return Twice.from_parent(parent, path=file_path)
        """,
    )
    told = worker.run(pytest_suite(), [write("a.twice", "")])
    assert told.states == {"a.twice::same": "passed", "a.twice::same (2)": "passed"}
    told = worker.run(pytest_suite(), ["a.twice"], only=[("a.twice", "same (2)")])
    assert told.states == {"a.twice::same (2)": "passed"}


def test_xdist_and_no_capture_and_nested_pytests(worker, write):
    name = write(
        "test_a.py",
        """
        import os, subprocess, sys
        def test_one(): print("one"); assert "LEUKO_WORKER_SPEC" not in os.environ
        def test_two():
            if "xdist" in sys.modules: return
            inner = "test_inner.py"
            open(inner, "w").write("def test_inner(): assert 0")
            assert subprocess.run([sys.executable, "-m", "pytest", inner]).returncode == 1
        """,
    )
    told = worker.run(pytest_suite(env={"PYTEST_ADDOPTS": "-p xdist.plugin -n 1"}), [name])
    assert told.states == {"test_a.py::test_one": "passed", "test_a.py::test_two": "passed"}
    told = worker.run(pytest_suite(env={"PYTEST_ADDOPTS": "-s"}), [name])
    assert told.states == {"test_a.py::test_one": "passed", "test_a.py::test_two": "passed"}
    assert "one" in told.results["test_a.py::test_one"].output
    assert [type(event) for event in told.events[-4:]] == [CaseBegan, CaseEnded] * 2
