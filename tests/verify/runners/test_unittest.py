"""Suites of unittest: through our runner, through any command, and in forks of a loaded one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.verify.runners.yard import Worker, suite

KINDS = """
    import unittest

    class TestCart(unittest.TestCase):
        def test_good(self): print("hello")
        def test_bad(self):
            print("before")
            self.assertEqual(1, 2, "odd")
        def test_error(self): raise RuntimeError("boom")
        @unittest.skip("no network")
        def test_skipped(self): pass
        @unittest.expectedFailure
        def test_known(self): self.fail("known")
        @unittest.expectedFailure
        def test_surprise(self): pass
        def test_parts(self):
            for number in range(4):
                with self.subTest(number=number): self.assertEqual(number % 2, 0)
    class TestDatabase(unittest.TestCase):
        @classmethod
        def setUpClass(cls): raise RuntimeError("no database")
        def test_one(self): pass
        def test_two(self): pass
    class TestLeft(unittest.TestCase):
        @classmethod
        def tearDownClass(cls): raise RuntimeError("left")
        def test_one(self): pass
"""
PLAIN = f"{sys.executable} -m unittest"
COMMANDS = {
    "plain": suite("unittest", PLAIN, warm=False, timeout=30),
    "any": suite("unittest", f"cd . && {PLAIN}", timeout=30),
    "warm": suite("unittest", PLAIN, timeout=30),
}
EACH = pytest.mark.parametrize("how", list(COMMANDS))


@EACH
def test_each_test_is_told(worker, write, how):
    name = write("tests/test_a.py", KINDS)
    told = worker.run(COMMANDS[how], [name])
    cart = {case.rpartition(".")[2]: state for case, state in told.states.items() if "TestCart" in case}
    assert cart == {
        "test_good": "passed",
        "test_bad": "failed",
        "test_error": "failed",
        "test_skipped": "skipped",
        "test_known": "skipped",
        "test_surprise": "failed",
        "test_parts": "failed",
    }
    results = {case.rpartition(".")[2]: result for case, result in told.results.items()}
    assert results["test_bad"].reason == "AssertionError: 1 != 2 : odd"
    assert results["test_bad"].output.startswith("Traceback")
    assert "before" in results["test_bad"].output
    assert "before" not in told.end.output
    assert results["test_good"].output.startswith("hello")
    assert results["test_parts"].reason == "(number=1) AssertionError: 1 != 0 (and 1 more)"
    assert told.states["tests/test_a.py::TestLeft.test_one"] == "passed"
    assert told.states["tests/test_a.py"] == "failed"
    assert told.end.exit_code == 1
    assert told.notes == []


@pytest.mark.parametrize("how", ["plain", "warm"])
def test_a_class_that_cannot_be_set_up_fails_each_of_its_tests(worker, write, how):
    told = worker.run(COMMANDS[how], [write("tests/test_a.py", KINDS)])
    for case in ("test_one", "test_two"):
        result = told.results[f"tests/test_a.py::TestDatabase.{case}"]
        assert result.reason == "in its setUpClass: RuntimeError: no database"
    assert told.results["tests/test_a.py"].reason == "in its tearDownClass: RuntimeError: left"


@EACH
def test_single_tests_are_run_by_name(worker, write, how):
    name = write("tests/test_a.py", KINDS)
    wanted = [(name, "TestCart.test_good"), (name, "TestCart.test_parts")]
    told = worker.run(COMMANDS[how], [name], only=wanted)
    assert told.states == {f"{name}::TestCart.test_good": "passed", f"{name}::TestCart.test_parts": "failed"}


@pytest.mark.parametrize("how", ["plain", "warm"])
def test_what_is_no_test_is_told_by_file(worker, write, how):
    files = [
        write("tests/test_import.py", "import nowhere"),
        write("tests/test_exits.py", "import sys; sys.exit(0)"),
        write("tests/test_none.py", "x = 1"),
        write("tests/test_skips.py", "import unittest; raise unittest.SkipTest('not here')"),
        write(
            "tests/test-dash.py", "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass"
        ),
    ]
    told = worker.run(COMMANDS[how], files)
    assert told.states == {
        "tests/test_import.py": "failed",
        "tests/test_exits.py": "failed",
        "tests/test_none.py": "skipped",
        "tests/test_skips.py": "skipped",
        "tests/test-dash.py::A.test_a": "passed",
    }
    assert told.results["tests/test_import.py"].reason.startswith("cannot be imported: ModuleNotFoundError")
    assert told.results["tests/test_exits.py"].reason == "cannot be imported: SystemExit: 0"


def test_a_broken_import_under_any_command(worker, write):
    files = [write("tests/test_import.py", "import nowhere"), write("tests/test_none.py", "x = 1")]
    told = worker.run(COMMANDS["any"], files)
    assert told.states == {"tests/test_import.py": "failed", "tests/test_none.py": "skipped"}


@EACH
def test_a_hung_test_is_named(worker, write, how):
    write(
        "test_a.py",
        """
        import time, unittest
        class A(unittest.TestCase):
            def test_a(self): pass
            def test_hung(self):
                print("waiting", flush=True)
                time.sleep(1000)
            def test_z(self): pass
        """,
    )
    told = worker.run(COMMANDS[how].model_copy(update={"timeout": 2.0}), ["test_a.py"])
    assert told.states == {"test_a.py::A.test_a": "passed", "test_a.py::A.test_hung": "failed"}
    hung = told.results["test_a.py::A.test_hung"]
    assert hung.reason == "did not end within 2 s"
    assert "waiting" in hung.output
    assert "in test_hung" in hung.output


def test_a_launcher_and_what_tests_start_are_not_taken_for_the_tests(worker, write):
    write(
        "run.py",
        "import subprocess, sys\nsys.exit(subprocess.call([sys.executable, '-m', 'unittest', *sys.argv[1:]]))",
    )
    write(
        "inner.py", "import unittest\nclass Inner(unittest.TestCase):\n    def test_inner(self): self.fail()"
    )
    write(
        "test_a.py",
        """
        import subprocess, sys, unittest
        class A(unittest.TestCase):
            def test_a(self):
                self.assertEqual(subprocess.run([sys.executable, "-m", "unittest", "inner"]).returncode, 1)
            def test_b(self):
                import inner
                result = unittest.TestResult()
                unittest.defaultTestLoader.loadTestsFromModule(inner).run(result)
                self.assertEqual(len(result.failures), 1)
        """,
    )
    told = worker.run(suite("unittest", f"{sys.executable} run.py", timeout=30), ["test_a.py"])
    assert told.states == {"test_a.py::A.test_a": "passed", "test_a.py::A.test_b": "passed"}


def _pythons() -> list[str]:
    """Other Pythons of this machine, as pyenv keeps them."""
    found = sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3"))
    return [str(place) for place in found if int(place.parts[-3].split(".")[1]) >= 8]


@pytest.mark.parametrize("python", _pythons() or ["/usr/bin/python3"])
def test_other_pythons(tmp_path, python):
    one = Worker(tmp_path, python)
    (tmp_path / "test_a.py").write_text(
        "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\n    def test_b(self): self.fail('x')\n"
        "    @unittest.skip('why')\n    def test_c(self): pass\n"
    )
    for warm in (False, True):
        told = one.run(suite("unittest", f"{python} -m unittest", warm=warm, timeout=30), ["test_a.py"])
        assert list(told.states.values()) == ["passed", "failed", "skipped"]
        assert told.notes == []
    assert one.close() == 0
