"""`leuko serve` as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import httpx2
from tests.cli.conftest import argv, leuko, surroundings

from leuko.cli.background import stop_running
from leuko.cli.presence import HERE, holder, holders, present, taken

FLEET = "application: shop\nrepository: {}\nfleet:\n  roles: {{www: [www1, www2, www3, www4]}}\n"


def test_detached_it_goes_by_the_names_it_was_given_and_stops(tmp_path: Path) -> None:
    repository = tmp_path / "shop.git"
    subprocess.run(["git", "init", "-q", "--bare", str(repository)], check=True)
    (tmp_path / "leuko.yml").write_text(FLEET.format(repository))
    started = leuko(
        tmp_path, "serve", "--detach", "--listen", "127.0.0.1:0", "--name", "leuko.example", "--json"
    )
    try:
        assert started.code == 0, started.out
        health = f"{started.json['address']}/health"
        assert httpx2.get(health, headers={"Host": "leuko.example"}).status_code == 200
        refused = httpx2.get(health, headers={"Host": "evil.example"})
        assert refused.status_code == 421
        assert "leuko serve --name" in refused.json()["error"]["way_out"]
        twice = leuko(tmp_path, "serve", "--detach", "--listen", "127.0.0.1:0")
        assert (twice.code, "serves here already" in twice.err) == (1, True)
        assert httpx2.get(health).status_code == 200
        assert leuko(tmp_path, "hosts").err == ""
    finally:
        stopped = leuko(tmp_path, "serve", "--stop")
    assert (stopped.code, "no controller runs here now" in stopped.out + stopped.err) == (0, True)


def controllers(folder: Path) -> list[int]:
    """Processes that serve from this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended meanwhile
        if b"serve" in words and any(bytes(folder) in word for word in words):
            found.append(int(process.name))
    return found


def test_ctrl_c_while_a_controller_is_being_started_leaves_none(tmp_path: Path) -> None:
    """Nobody would know of the one that comes up a moment after they gave up."""
    repository = tmp_path / "shop.git"
    subprocess.run(["git", "init", "-q", "--bare", str(repository)], check=True)
    (tmp_path / "leuko.yml").write_text(FLEET.format(repository))
    program = subprocess.Popen(
        argv("plan"), cwd=tmp_path, env=surroundings(), stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    until = time.monotonic() + 60
    try:
        while not (seen := controllers(tmp_path)) and program.poll() is None and time.monotonic() < until:
            time.sleep(0.01)  # between looks; the deadline is above
        program.send_signal(signal.SIGINT)
        _, said = program.communicate(timeout=60)
        assert seen, said
        assert program.returncode == 130, said
        while controllers(tmp_path) and time.monotonic() < until:
            time.sleep(0.05)
        assert controllers(tmp_path) == []
    finally:
        program.kill()
        leuko(tmp_path, "serve", "--stop")


def test_one_that_is_only_starting_is_stopped(tmp_path: Path) -> None:
    """From the moment in which the process is there: before it has read anything, or has any other lock."""
    repository = tmp_path / "shop.git"
    subprocess.run(["git", "init", "-q", "--bare", str(repository)], check=True)
    (tmp_path / "leuko.yml").write_text(FLEET.format(repository))
    detaching = subprocess.Popen(
        argv("serve", "--detach", "--listen", "127.0.0.1:0"),
        cwd=tmp_path,
        env=surroundings(),
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    until = time.monotonic() + 60
    state = tmp_path / ".leuko"
    try:
        while not holder(state, HERE) and detaching.poll() is None and time.monotonic() < until:
            time.sleep(0.001)  # between looks; the deadline is above
        pid = holder(state, HERE)
        assert stop_running(state) == 0
        assert not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()
        _, said = detaching.communicate(timeout=60)
        assert detaching.returncode == 1
        assert "was ended while it started" in said
        assert controllers(tmp_path) == []
        assert holders(state) == (False, set())
    finally:
        detaching.kill()
        leuko(tmp_path, "serve", "--stop")


def test_presence_is_not_believed_from_an_old_text(tmp_path: Path) -> None:
    """In a container each start may have the same process id."""
    (tmp_path / HERE).write_text(f"pid {os.getpid()}")
    assert holders(tmp_path) == (False, set())
    with present(tmp_path):
        assert holders(tmp_path) == (True, {os.getpid()})
        assert taken(tmp_path) is None
        with present(tmp_path):
            pass  # as one that was handed it
        assert holders(tmp_path) == (True, {os.getpid()})
    assert holders(tmp_path) == (False, set())
