"""A real checkout: found, run, watched and ended by the program itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from leuko.clock import SystemClock
from leuko.domain.board import Board
from leuko.domain.board_rows import Mark, RunState
from leuko.runtests.checkout import Checkout
from leuko.runtests.printed import Printed
from leuko.runtests.session import Session
from leuko.runtests.settings import settings_of, surroundings
from leuko.runtests.watching import Watching

pytestmark = pytest.mark.timeout(240)
SETTINGS = """
verify:
  setup:
    - name: sandbox
      run: mkdir -p var && echo made
  tests:
    lint: echo all is well
  suites:
    unit: {runner: pytest, files: ["tests/**/test_*.py"], tags: {slow: ["tests/slow/**"]}}
"""
FILES = {
    "leuko.yml": SETTINGS,
    ".gitignore": "var/\n__pycache__/\n.pytest_cache/\n",
    "conftest.py": "",  # puts the top of the checkout on the path
    "shop/cart.py": "def total(prices):\n    return sum(prices)\n",
    "tests/test_cart.py": "from shop.cart import total\n\ndef test_total():\n    print('three things')\n    assert total([1, 2]) == 3\n",
    "tests/test_list.py": "def test_a():\n    pass\n\ndef test_b():\n    assert 1 == 2\n",
    "tests/slow/test_long.py": "def test_long():\n    pass\n",
}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    place = tmp_path / "shop"
    for path, text in FILES.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(text)
    subprocess.run(["git", "init", "-q", place], check=True)
    subprocess.run(["git", "-C", place, "add", "-A"], check=True)
    return place


def environment(tmp_path: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "XDG_CACHE_HOME": str(tmp_path / "cache"), "VIRTUAL_ENV": "active"}


@pytest.fixture
async def session(shop: Path, tmp_path: Path):
    board = Board("b")
    verify = (await settings_of(shop)).verify
    checkout = Checkout(shop, verify, board, tmp_path / "run", surroundings(shop, environment(tmp_path)))
    await checkout.look()
    session = Session(shop, board, checkout, Printed(tmp_path), SystemClock())
    session.checkout_carrier = checkout  # for these tests
    yield session
    await session.close()


def marks(session: Session) -> dict[str, Mark]:
    return {
        row.name or session.board.files[row.file].path: row.mark
        for row in session.board.rows
        if row.mark != "x"
    }


async def test_tests_are_listed_run_and_told_one_by_one(session):
    assert marks(session)["tests/test_list.py"] is Mark.LISTED
    assert await session.checkout_carrier.collect() == 3
    assert {"test_total", "test_a", "test_b", "test_long", "lint"} == set(marks(session))
    ended = await session.run()
    assert ended.state is RunState.FAILED
    found = marks(session)
    assert found.pop("test_b") is Mark.FAILED
    assert set(found.values()) == {Mark.PASSED}
    assert "sandbox" in found
    rows = {row.name or session.board.files[row.file].path: row.id for row in session.board.rows}
    assert "three things" in session.output(rows["test_total"])["attempts"][0]["output"]
    assert len(session.output(rows["test_b"])["attempts"]) == 2  # tried again at the other worker
    assert session.output(rows["lint"])["attempts"][0]["output"] == "all is well\n"
    assert session.output(rows["sandbox"])["attempts"][0]["output"] == "made\n"

    (session.checkout / "tests/test_list.py").write_text("def test_b():\n    pass\n")
    ended = await session.run([rows["test_a"], rows["test_b"]])
    assert ended.state is RunState.PASSED, ended.reason
    assert marks(session).get("test_a", Mark.GONE) is Mark.GONE  # the file lost it
    assert session.board.rows[rows["sandbox"]].run == 1  # the set-up passed before, and is not run again


async def test_a_changed_file_runs_what_imports_it(session):
    watching = Watching(session, session.checkout_carrier)
    session.on_watch = watching.turn
    told, states = asyncio.Event(), []
    session.on_end = lambda ended: (states.append(ended.state.value), told.set())
    session.watch(True)
    file = session.checkout / "shop/cart.py"
    number, waiting = 0, asyncio.ensure_future(told.wait())
    try:
        async with asyncio.timeout(60):
            while not told.is_set():  # the kernel's watch is not there at once, and does not say when it is
                number += 1
                file.write_text(f"def total(prices):\n    return sum(prices)  # {number}\n")
                await asyncio.wait({waiting}, timeout=1)
                await session.ended()
            assert states[0] == "passed"
    finally:
        await watching.close()
    assert session.said == "shop/cart.py changed: tests/test_cart.py that imports it runs."
    assert marks(session)["test_total"] is Mark.PASSED
    assert marks(session)["tests/test_list.py"] is Mark.LISTED


async def test_no_tests_and_no_settings_is_said(tmp_path: Path):
    from leuko.domain.errors import LeukoError

    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    with pytest.raises(LeukoError, match="nothing here says how it is tested"):
        await settings_of(tmp_path)


async def test_without_settings_tests_are_looked_for(shop: Path):
    (shop / "leuko.yml").unlink()
    (shop / "pyproject.toml").write_text("[project]\nname = 'shop'\n")
    found = await settings_of(shop)
    assert [suite.runner for suite in found.verify.suites.values()] == ["pytest"]
    assert found.verify.setup == ()
    assert "There is no leuko.yml: found" in found.said


def leuko(shop: Path, tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "leuko.cli.main", "runtests", *words]
    return subprocess.Popen(
        argv, cwd=shop, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_run_once_for_a_hook(shop: Path, tmp_path: Path):
    out, _ = (process := leuko(shop, tmp_path, "--run", "--json")).communicate(timeout=120)
    told = json.loads(out)
    assert process.returncode == 5
    assert told["state"] == "failed"
    assert [one["test"] for one in told["failures"]] == ["tests/test_list.py::test_b"]
    out, _ = (process := leuko(shop, tmp_path, "--run", "tests/slow")).communicate(timeout=120)
    assert process.returncode == 0, out
    assert "1 failed" in out  # of the last session, still known


def test_ctrl_c_ends_all_that_it_started(shop: Path, tmp_path: Path):
    (shop / "tests/test_list.py").write_text(
        "import os, pathlib, time\n\ndef test_hangs():\n    pathlib.Path('var/pid').write_text(str(os.getpid()))\n    time.sleep(600)\n"
    )
    process = leuko(shop, tmp_path, "--no-open", "--json")
    assert process.stdout is not None
    address = json.loads(process.stdout.readline())["address"]
    with httpx2.Client(timeout=30, follow_redirects=True) as client:
        assert client.get(address).status_code == 200
        origin = address.partition("/enter")[0]
        board = client.get(f"{origin}/api/board").json()["board"]
        ran = client.post(f"{origin}/api/board/run", json={"board": board}, headers={"Origin": origin})
        assert ran.status_code == 200
        place = shop / "var/pid"
        while not (place.exists() and place.read_text()):
            assert process.poll() is None
            client.get(f"{origin}/api/board")
    pid = int(place.read_text())
    os.kill(pid, 0)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
