"""Runners that are kept loaded: the same results as cold ones, and nothing that one batch leaves to the next."""

from __future__ import annotations

import os
import signal
import sys

from tests.verify.runners.yard import PLUGINS, pytest_suite, suite

WARM = pytest_suite(warm=True, timeout=30)


def test_the_same_results_as_in_a_process_of_its_own(worker, write):
    write("pkg/__init__.py", "")
    write("pkg/state.py", "count = 0")
    write("conftest.py", "import pytest\n@pytest.fixture\ndef number(): return 3")
    write(
        "tests/test_a.py",
        """
        import sys
        from pkg import state
        def test_asserts_are_rewritten(number):
            assert number == 4
        def test_prints(): print("hello"); print("oh", file=sys.stderr)
        """,
    )
    cold = worker.run(WARM.model_copy(update={"warm": False}), ["tests/test_a.py"])
    warm = worker.run(WARM, ["tests/test_a.py"])
    again = worker.run(WARM, ["tests/test_a.py"])
    assert warm.notes == []
    assert cold.states == warm.states == again.states
    name = "tests/test_a.py::test_asserts_are_rewritten"
    assert cold.results[name].output == warm.results[name].output == again.results[name].output
    assert "assert 3 == 4" in warm.results[name].reason


def test_nothing_is_left_for_the_next_batch(worker, write):
    write("shared.py", "seen = []")
    write(
        "test_a.py",
        """
        import os, random, shared, signal, sys, threading, warnings, logging, atexit, decimal
        def test_first():
            assert shared.seen == []
            assert "dirty" not in os.environ and not hasattr(sys, "dirty")
            assert threading.active_count() == 1 and signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
            assert decimal.getcontext().prec == 28 and logging.root.level == logging.WARNING
            shared.seen.append(1)
            os.environ["dirty"] = sys.dirty = "1"
            signal.signal(signal.SIGUSR1, lambda *_: None)
            decimal.getcontext().prec = 3
            logging.root.setLevel(1)
            sys.path.insert(0, "/nowhere")
            threading.Thread(target=threading.Event().wait, daemon=True).start()
            with open("randoms", "a") as file: file.write(f"{random.random()}\\n")
            atexit.register(lambda: open("atexit", "a").write("x"))
        """,
    )
    for _ in range(3):
        told = worker.run(WARM, ["test_a.py"])
        assert told.states == {"test_a.py::test_first": "passed"}, told.results[
            "test_a.py::test_first"
        ].output
    assert len(set((worker.folder / "randoms").read_text().split())) == 3
    assert (worker.folder / "atexit").read_text() == "xxx"


def test_a_changed_file_is_read_anew(worker, write):
    write("test_a.py", "import code_\ndef test_one(): assert code_.answer == 1")
    write("code_.py", "answer = 1")
    assert worker.run(WARM, ["test_a.py"]).states == {"test_a.py::test_one": "passed"}
    write("code_.py", "answer = 22")
    assert worker.run(WARM, ["test_a.py"]).states == {"test_a.py::test_one": "failed"}


def test_the_main_module_and_spawned_processes_are_as_in_a_process_of_its_own(worker, write):
    write(
        "test_a.py",
        """
        import multiprocessing, os, sys
        def double(number): return 2 * number
        def test_main():
            assert sys.modules["__main__"].__spec__.name == "pytest.__main__"
            assert sys.argv[0].endswith("pytest/__main__.py")
            assert sys.path[0] == os.getcwd() or os.getcwd() in sys.path
            assert not [name for name in os.environ if name.startswith(("LEUKO_WORKER_", "PYTEST_PLUGINS"))]
            assert not [entry for entry in sys.path if "leuko-tools" in entry]
        def test_spawn():
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                assert pool.map(double, [1, 2]) == [2, 4]
        """,
    )
    told = worker.run(WARM, ["test_a.py"])
    assert set(told.states.values()) == {"passed"}, {n: r.output for n, r in told.results.items()}
    assert told.notes == []


def test_it_says_why_a_runner_is_not_kept_loaded(worker, write):
    write(
        "sitecustomize.py",
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
    )
    write("test_a.py", "def test_one(): pass")
    threads = WARM.model_copy(update={"env": {"PYTHONPATH": "."}})
    told = worker.run(threads, ["test_a.py"])
    assert told.states == {"test_a.py::test_one": "passed"}
    assert told.notes == ["the runner is not kept loaded: 2 threads run in it"]
    lacking = suite("pytest", "/usr/bin/python3 -I -S -m pytest", timeout=30)
    assert worker.run(lacking, ["test_a.py"]).results["test_a.py"].broken
    lacking = suite("pytest", "/usr/bin/python3 -S -m pytest", timeout=30)
    assert worker.run(lacking, ["test_a.py"]).results["test_a.py"].broken


def test_crashes_hangs_and_forks_do_not_end_the_loaded_runner(worker, write):
    write("test_crash.py", "import os\ndef test_crash(): os.abort()")
    write("test_hang.py", "import time\ndef test_hang(): print('here'); time.sleep(1000)")
    write("test_fork.py", "import os, time\ndef test_fork():\n    if os.fork() == 0: time.sleep(1000)")
    write("test_good.py", "def test_good(): pass")
    assert worker.run(WARM, ["test_crash.py"]).results["test_crash.py::test_crash"].reason == (
        "its process was ended by SIGABRT in the middle of it"
    )
    told = worker.run(WARM.model_copy(update={"timeout": 2.0}), ["test_hang.py"])
    assert told.results["test_hang.py::test_hang"].reason == "did not end within 2 s"
    assert "here" in told.results["test_hang.py::test_hang"].output
    assert worker.run(WARM, ["test_fork.py"]).states == {"test_fork.py::test_fork": "passed"}
    told = worker.run(WARM, ["test_good.py"])
    assert told.states == {"test_good.py::test_good": "passed"}
    assert told.notes == []


def test_a_loaded_runner_that_is_killed_is_loaded_again(worker, write):
    write("test_a.py", "import os\ndef test_one(): open('parent', 'w').write(str(os.getppid()))")
    write("test_b.py", "import os\ndef test_kills(): os.kill(os.getppid(), 9); os.kill(os.getpid(), 19)")
    assert worker.run(WARM, ["test_a.py"]).states == {"test_a.py::test_one": "passed"}
    os.kill(int((worker.folder / "parent").read_text()), signal.SIGKILL)
    told = worker.run(WARM, ["test_a.py"])
    assert (told.states, told.notes) == ({"test_a.py::test_one": "passed"}, [])
    told = worker.run(WARM, ["test_b.py"])
    assert told.results["test_b.py::test_kills"].broken
    told = worker.run(WARM, ["test_a.py"])
    assert (told.states, told.notes) == ({"test_a.py::test_one": "passed"}, [])


def test_unittest_is_kept_loaded_too(worker, write):
    write("shared.py", "seen = []")
    write(
        "test_a.py",
        """
        import shared, unittest
        class A(unittest.TestCase):
            def test_a(self):
                self.assertEqual(shared.seen, [])
                shared.seen.append(1)
        """,
    )
    for _ in range(2):
        told = worker.run(suite("unittest", f"{sys.executable} -m unittest", timeout=30), ["test_a.py"])
        assert told.states == {"test_a.py::A.test_a": "passed"}
        assert told.notes == []


def test_installed_plugins_are_loaded_once_and_those_of_the_checkout_never(worker, write):
    write("plug.egg-info/PKG-INFO", "Metadata-Version: 2.1\nName: plug\nVersion: 1")
    write("plug.egg-info/entry_points.txt", "[pytest11]\nplug = plug")
    write("plug.py", "import pytest\nanswer = 1\n@pytest.fixture\ndef given(): return answer")
    write("test_a.py", "def test_one(given): assert given == 1")
    warm = WARM.model_copy(update={"env": {**PLUGINS, "PYTHONPATH": "."}})
    assert worker.run(warm, ["test_a.py"]).states == {"test_a.py::test_one": "passed"}
    write("plug.py", "import pytest\nanswer = 22\n@pytest.fixture\ndef given(): return answer")
    told = worker.run(warm, ["test_a.py"])
    assert told.states == {"test_a.py::test_one": "failed"}
    assert told.notes == []


def test_loaded_plugins_bring_no_warning_along(worker, write):
    write("test_a.py", "import sys\ndef test_one(): assert 'xdist.plugin' in sys.modules")
    strict = f"{sys.executable} -m pytest -q -p no:cacheprovider -W error::pytest.PytestAssertRewriteWarning"
    told = worker.run(suite("pytest", strict, timeout=60, env=PLUGINS), ["test_a.py"])
    assert told.states == {"test_a.py::test_one": "passed"}, told.end.output
    assert "rewrit" not in told.end.output
    assert told.notes == []
