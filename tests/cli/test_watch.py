"""`leuko watch` around real commands, on a fleet of folders under traffic."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import argv, ask, surroundings

from leuko.cli.watch import exit_code
from leuko.cli.watching import Seen

HOSTS = ("www1", "www2", "www3", "www4")
CONFIGURATION = """
application: shop
repository: /nowhere/shop.git
tick: 250ms
fleet:
  transport: local
  root: {folder}/{{name}}
  roles: {{www: [www1, www2, www3, www4]}}
push: {{phases: [{{hosts: 1, watch: 20}}, {{hosts: "100%", watch: 20}}]}}
gauges:
  errors: {{kind: count, log: {{file: error.log, match: ERROR}}}}
"""


class Traffic(threading.Thread):
    """Errors at every host, and many more where a file `bad` lies beside the log."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.logs = [folder / name / "shop" / "app" / "error.log" for name in HOSTS]
        for log in self.logs:
            log.parent.mkdir(parents=True)
            log.touch()
        self.ended = threading.Event()

    def run(self) -> None:
        dice = random.Random(3)
        while not self.ended.wait(0.05):
            for log in self.logs:
                lines = 6 if log.with_name("bad").exists() else int(dice.random() < 0.2)
                with log.open("a") as file:
                    file.write("ERROR something\n" * lines)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "leuko.yml").write_text(CONFIGURATION.format(folder=tmp_path))
    traffic = Traffic(tmp_path)
    traffic.start()
    yield tmp_path
    traffic.ended.set()
    traffic.join(5)


def watch(place: Path, *args: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        argv("watch", *args),
        cwd=place,
        env=surroundings(),
        capture_output=True,
        timeout=90,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_a_deployment_that_makes_errors_ends_with_5(place: Path) -> None:
    bad = place / "www1" / "shop" / "app" / "bad"
    command = ["sh", "-c", 'touch "$0"; printf "\\377\\0out"', str(bad)]
    said = watch(place, "--canaries", "www1", "--for", "20s", "--", *command)
    assert said.returncode == 5, said
    assert said.stdout == b"\xff\0out", "what a command prints passes through as it is"
    assert b"Worse: errors on the switched host" in said.stderr
    assert b"No controller is running: this command looks at the fleet by itself" in said.stderr
    assert b"24 are needed" in said.stderr
    (one,) = ask(place, "log", "--watched", "--json").json
    assert (one["decision"], one["exit_code"], one["state"]) == ("fail", 0, "ended")
    assert one["command"] == command
    assert "Watch a deployment" in ask(place, "log").out
    assert "errors on the switched host" in ask(place, "log", "--watched").out


@pytest.mark.slow
def test_output_passes_through_and_the_exit_code_is_kept(place: Path) -> None:
    program = r"import sys; sys.stdout.buffer.write(bytes(range(256))); sys.stderr.write('oops'); sys.exit(3)"
    said = watch(place, "--canaries", "www1", "--for", "2s", "--json", "--", sys.executable, "-c", program)
    assert said.returncode == 3, said
    assert bytes(range(256)) in said.stderr, "with --json the command's output goes beside the answer"
    page = json.loads(said.stdout)
    assert (page["exit_code"], page["interrupted"]) == (3, False)
    assert page["observation"]["decision"] in ("pass", "hold")


@pytest.mark.parametrize(
    ("code", "decision", "interrupted", "ends"),
    [
        (0, "pass", False, 0),
        (0, "hold", False, 0),
        (0, "fail", False, 5),
        (3, "fail", False, 3),
        (3, "pass", True, 3),
        (-9, "unknown", False, 137),
        (127, "", False, 127),
        (0, "continue", True, 130),
    ],
)
def test_the_exit_code_is_the_command_s_unless_the_verdict_fails(code, decision, interrupted, ends) -> None:
    page = {"decision": decision, "sentence": ""}
    assert exit_code(Seen(code, page, interrupted)) == ends


@pytest.mark.slow
def test_a_command_that_hangs_is_interrupted_and_the_watch_with_it(place: Path) -> None:
    running = subprocess.Popen(
        argv("watch", "--for", "60s", "--", "sh", "-c", "touch began; exec sleep 60"),
        cwd=place,
        env=surroundings(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _until((place / "began").exists)
        running.send_signal(signal.SIGINT)  # is handed to the command, which ends by it
        _until(lambda: _state(place) == "watching")
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode == 128 + signal.SIGINT, said
    assert _state(place) == "interrupted"


def test_what_cannot_be_watched_is_said_before_anything_runs(place: Path) -> None:
    said = watch(place, "--canaries", "www9", "--", "touch", str(place / "ran"))
    assert said.returncode == 4
    assert b"no host that is pushed to is called 'www9'" in said.stderr
    assert not (place / "ran").exists()
    assert ask(place, "watch", "--for", "soon", "--", "true").code == 2
    assert ask(place, "watch").code == 2


def _state(place: Path) -> str:
    found = ask(place, "log", "--watched", "--json").json
    return found[0]["state"] if found else ""


def _until(done, seconds: float = 45.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.1)
