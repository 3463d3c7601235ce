"""A real suite, run by Leuko and by others with two workers each: wall time, all in one run, interleaved.

Everybody runs the same tests with the same Python and the same pytest, from a scratch environment that is
made once (`--peers`): pytest, pytest-xdist, pytest-split, and Buildbot with a master and two workers.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leuko.config.verify import Suite, Verify
from leuko.domain.build import BuildState
from leuko.domain.case import CaseState
from leuko.domain.history import History, Past
from leuko.domain.schedule import NothingKnown
from leuko.verify.account import choose, workspace
from leuko.verify.build import LocalVerifier
from leuko.verify.dispatch import Dispatcher
from leuko.verify.finding import find
from leuko.verify.knowledge import Knowledge
from leuko.verify.local import LocalEngine, Surroundings
from leuko.verify.plan import Plan, Verified

WORKERS = 2
PEERS = ("pytest", "pytest-xdist", "pytest-split", "buildbot", "buildbot-www", "buildbot-worker")
_MASTER = """
from buildbot.plugins import changes, schedulers, steps, util, worker
c = BuildmasterConfig = {}
c["workers"] = [worker.Worker("w%d" % n, "pass", max_builds=1) for n in range(WORKERS)]
c["protocols"] = {"pb": {"port": "tcp:%d:interface=127.0.0.1" % PB}}
c["collapseRequests"] = False
factory = util.BuildFactory([steps.ShellCommand(
    command=[PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", util.Property("file")], workdir=TREE)])
c["builders"] = [util.BuilderConfig("file", workernames=["w%d" % n for n in range(WORKERS)], factory=factory)]
c["schedulers"] = [schedulers.ForceScheduler("force", ["file"], properties=[util.StringParameter("file")])]
c["db_url"] = "sqlite:///state.sqlite"
c["www"] = {"port": "tcp:%d:interface=127.0.0.1" % WEB}
c["buildbotURL"] = "http://127.0.0.1:%d/" % WEB
c["buildbotNetUsageData"] = None
"""


@dataclass(frozen=True)
class Tree:
    """A folder with a suite in it, and how many tests it has."""

    folder: Path
    tests: int


def short(folder: Path, files: int = 100, each: int = 20) -> Tree:
    """Tests that do next to nothing: what is measured is everybody's own work."""
    body = "".join(
        f"def test_{number}():\n    assert {number} + 1 == {number + 1}\n\n" for number in range(each)
    )
    for number in range(files):
        _write(folder / f"tests/test_short_{number:03d}.py", body)
    return Tree(folder, files * each)


def uneven(folder: Path, files: int = 40, seconds: float = 40.0) -> Tree:
    """Files of very different length (lognormal). They wait: a busy machine disturbs that less."""
    rng = np.random.default_rng(7)
    lengths = np.exp(rng.normal(0.0, 1.3, files))
    lengths *= seconds / lengths.sum()
    count = 0
    for number, length in enumerate(lengths):
        parts = 5
        body = "import time\nimport pytest\n\n" + "".join(
            f"def test_{part}():\n    time.sleep({length / parts:.4f})\n\n" for part in range(parts)
        )
        count += parts
        _write(folder / f"tests/test_uneven_{number:03d}.py", body)
    return Tree(folder, count)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def peers(folder: Path) -> Path:
    """Python of the scratch environment; made where it is not there yet."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PEERS], check=True)
    return python


# -- Leuko ----------------------------------------------------------------------------------------------


def verify_of(python: Path) -> Verify:
    """As a team would write it."""
    suite = Suite(
        runner="pytest", command=f"{python} -m pytest -q -p no:cacheprovider", files=("tests/test_*.py",)
    )
    return Verify(suites={"unit": suite}, workers=WORKERS)


async def _dispatched(python: Path, tree: Tree, known: History | None) -> Verified:
    verify = verify_of(python)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tree.folder), "TMPDIR": tempfile.gettempdir()}
    engine = LocalEngine(WORKERS, Surroundings(tree.folder, environment, python=str(python)))
    try:
        files = find(tree.folder, verify.suites).files
        plan = Plan("a" * 40, "bench.1", verify.suites, files, known=known or NothingKnown())

        async def no_node(*_: object) -> Any:
            raise AssertionError("there is no set-up")

        return await Dispatcher(no_node).run(plan, engine, lambda _event: None)
    finally:
        await engine.close()


def leuko(python: Path, tree: Tree, known: History | None = None) -> Verified:
    """Dispatcher and local engine, without checkout and without enclosure, as the others have none."""
    verified = asyncio.run(_dispatched(python, tree, known))
    passed = sum(one.state is CaseState.PASSED for one in verified.results)
    assert verified.state is BuildState.PASSED, verified.reason
    assert passed == tree.tests, (passed, tree.tests)
    return verified


async def _shut_in(python: Path, tree: Tree, known: History, state: Path) -> str:
    async def check_out(_revision: str, folder: Path) -> Sequence[str]:
        shutil.copytree(tree.folder / "tests", folder / "tests")
        return ()

    account = choose("")
    verifier = LocalVerifier(check_out, account, workspace(account, state, "bench"), state)
    outcome = await verifier.verify("1.1", "a" * 40, verify_of(python), knowledge=Knowledge(history=known))
    try:
        assert outcome.state is BuildState.PASSED, outcome.reason
        assert outcome.verified is not None
        assert len(outcome.verified.results) >= tree.tests
    finally:
        await outcome.discard()
    return outcome.level.value


def history(verified: Verified) -> History:
    """What one run leaves for the next."""
    return History(
        Past(one.case, 1, seconds=one.seconds, last_state=one.state, last_build=1) for one in verified.results
    )


# -- the others -----------------------------------------------------------------------------------------


def run(argv: Sequence[str | Path], folder: Path) -> None:
    """One command that must pass."""
    done = subprocess.run([str(one) for one in argv], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def xdist(python: Path, tree: Tree, *more: str) -> None:
    """pytest -n2."""
    run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"-n{WORKERS}", *more, "tests"], tree.folder)


def split(python: Path, tree: Tree) -> None:
    """pytest-split: a group each, side by side, by stored durations."""
    argv = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--splits={WORKERS}"]
    argv.append("--splitting-algorithm=least_duration")
    groups = [
        subprocess.Popen([*argv, f"--group={group + 1}", "tests"], cwd=tree.folder, stdout=subprocess.DEVNULL)
        for group in range(WORKERS)
    ]
    codes = [group.wait() for group in groups]
    assert codes == [0] * WORKERS, codes


def store_durations(python: Path, tree: Tree) -> None:
    """For pytest-split, from a run of its own."""
    run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--store-durations", "tests"], tree.folder)


@contextmanager
def buildbot(python: Path, tree: Tree, folder: Path) -> Iterator[Callable[[], None]]:
    """A master and two workers; calling it runs a build for each file."""
    web, pb = _port(), _port()
    binaries = python.parent
    run([binaries / "buildbot", "create-master", "master"], folder)
    head = f"PYTHON, TREE, WORKERS, WEB, PB = {str(python)!r}, {str(tree.folder)!r}, {WORKERS}, {web}, {pb}\n"
    (folder / "master" / "master.cfg").write_text(head + _MASTER)
    with ExitStack() as stack:
        argv = [[str(binaries / "buildbot"), "start", "--nodaemon", "master"]]
        for number in range(WORKERS):
            name = f"w{number}"
            run(
                [binaries / "buildbot-worker", "create-worker", name, f"127.0.0.1:{pb}", name, "pass"], folder
            )
            argv.append([str(binaries / "buildbot-worker"), "start", "--nodaemon", name])
        for one in argv:
            log = stack.enter_context((folder / f"{one[-1]}.log").open("wb"))
            process = subprocess.Popen(one, cwd=folder, stdout=log, stderr=log, start_new_session=True)
            stack.callback(_end, process)
        address = f"http://127.0.0.1:{web}/api/v2"
        _until(
            lambda: len([w for w in _get(address, "workers")["workers"] if w["connected_to"]]) == WORKERS, 120
        )
        asked = 0

        def build_all() -> None:
            nonlocal asked
            for path in sorted((tree.folder / "tests").glob("test_*.py")):
                _force(address, f"tests/{path.name}")
                asked += 1
            query = "builds?complete=true&limit=100000"
            _until(lambda: len(_get(address, query)["builds"]) == asked)
            results = {one["results"] for one in _get(address, query)["builds"]}
            assert results == {0}, results

        yield build_all


def _force(address: str, file: str) -> None:
    body = {"jsonrpc": "2.0", "method": "force", "id": 1, "params": {"file": file, "builderNames": ["file"]}}
    request = urllib.request.Request(
        f"{address}/forceschedulers/force",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Accept": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


def _get(address: str, path: str) -> Any:
    request = urllib.request.Request(f"{address}/{path}", headers={"Accept": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def _until(true: Callable[[], bool], seconds: float = 600.0) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if true():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise TimeoutError


def _end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -- all of them ----------------------------------------------------------------------------------------


def contest(make: Callable[[Path], Tree], scratch: Path, rounds: int, farm: bool) -> Mapping[str, Any]:
    """Everybody in turn, `rounds` times; medians, and each as a multiple of the best of the others."""
    python = peers(scratch)
    with tempfile.TemporaryDirectory(prefix="leuko-bench-") as made, ExitStack() as stack:
        place = Path(made)
        place.chmod(0o755)
        tree = make(place / "tree")
        store_durations(python, tree)
        known = history(leuko(python, tree))
        level = ""

        def shut_in() -> None:
            nonlocal level
            with tempfile.TemporaryDirectory(prefix="leuko-bench-state-") as state:
                level = asyncio.run(_shut_in(python, tree, known, Path(state)))

        ways: dict[str, Callable[[], object]] = {
            "Leuko": lambda: leuko(python, tree, known),
            "Leuko, first run": lambda: leuko(python, tree),
            "Leuko, whole build": shut_in,
            "pytest -n2": lambda: xdist(python, tree),
            "pytest -n2 worksteal": lambda: xdist(python, tree, "--dist=worksteal"),
            "pytest-split": lambda: split(python, tree),
        }
        if farm:
            (place / "farm").mkdir()
            ways["Buildbot, a build a file"] = stack.enter_context(buildbot(python, tree, place / "farm"))
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for round_ in range(rounds):
            for name, way in ways.items():
                if name.startswith("Buildbot") and round_:
                    continue  # it takes minutes, and is not close
                began = time.monotonic()
                way()
                seconds[name].append(time.monotonic() - began)
    medians = {name: float(np.median(each)) for name, each in seconds.items()}
    best = min(each for name, each in medians.items() if not name.startswith("Leuko"))
    return {
        "tests": tree.tests,
        "rounds": rounds,
        "enclosure": level,
        "seconds": {name: round(each, 2) for name, each in medians.items()},
        "all": {name: [round(one, 2) for one in each] for name, each in seconds.items()},
        "to_the_best_of_the_others": {name: round(each / best, 2) for name, each in medians.items()},
    }
