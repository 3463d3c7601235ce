"""`leuko demo` as a process of its own: what it says in the end, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from leuko.demo.repository import NOTHING, STORY

DEMO = [sys.executable, "-m", "leuko.cli.main", "demo", "--json"]


def ours(folder: Path) -> list[int]:
    """Processes that name the folder in their command, environment or working directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            where = str((entry / "cwd").readlink())
        except OSError:
            continue
        if str(folder).encode() in words or where.startswith(str(folder)):
            found.append(int(entry.name))
    return found


def until(condition: Callable[[], object], what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


def started(argv: list[str], tmp_path: Path) -> subprocess.Popen[str]:
    """With a folder for temporary files of its own, so that what is left over is seen."""
    place = tmp_path / "tmp"
    place.mkdir()
    return subprocess.Popen(
        argv,
        env={**os.environ, "TMPDIR": str(place)},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.timeout(280)
def test_the_demo_comes_true_and_leaves_nothing(tmp_path):
    began = time.monotonic()
    process = started(DEMO, tmp_path)
    out, err = process.communicate(timeout=270)
    facts = json.loads(out.splitlines()[-1])
    print(f"{time.monotonic() - began:.0f} s", json.dumps(facts, indent=1))
    assert (process.returncode, facts["ok"]) == (0, True), err
    assert "\x1b" not in err
    assert facts["bad_push"]["failed"] < facts["bad_push"]["would_have_failed_without_canaries"]
    assert facts["requests"]["failed"] == facts["bad_push"]["failed"], facts["requests"]
    assert ours(tmp_path) == []
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_what_was_expected_and_did_not_happen_is_told(tmp_path):
    story = (STORY[0], NOTHING, STORY[2])
    code = (
        f"import sys; from leuko.cli.demo import run; sys.exit(run(as_json=True, hosts=4, story={story!r}))"
    )
    process = started([sys.executable, "-c", code], tmp_path)
    out, err = process.communicate(timeout=270)
    facts = json.loads(out.splitlines()[-1])
    assert process.returncode == 1
    assert facts["ok"] is False
    assert "NOT AS EXPECTED: the bad commit was rolled back by a verdict" in err
    assert [push["state"] for push in facts["pushes"]] == ["LIVE", "LIVE"]
    assert ours(tmp_path) == []


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=["kill", "int", "term"]
)
@pytest.mark.timeout(240)
def test_however_it_ends_no_process_is_left(tmp_path, number):
    process = started([*DEMO, "--hosts", "3"], tmp_path)
    try:
        until(lambda: list(tmp_path.glob("tmp/*/leuko/state/serve.log")), "the controller's start", 120)
        assert len(ours(tmp_path)) > 3
    finally:
        process.send_signal(number)
        process.communicate(timeout=60)
    until(lambda: not ours(tmp_path), "the end of every process", 30)
    if number is not signal.SIGKILL:  # who is killed cannot clear up
        assert list((tmp_path / "tmp").iterdir()) == []
        assert process.returncode == 130
