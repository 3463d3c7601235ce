"""`leuko farm`: its files, a farm that is started and ended, checked and shown; and what it says when it cannot."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.verify.farm.rig import free_port, programs

from leuko.cli.main import cli

LEUKO = [sys.executable, "-m", "leuko.cli.main"]


def run(*args):
    result = CliRunner().invoke(cli, [str(arg) for arg in args])
    return result.exit_code, result.output


def test_init_writes_what_only_its_owner_reads_and_never_overwrites(tmp_path):
    folder = tmp_path / "farm"
    code, text = run(
        "farm", "init", folder, "--workers", "3", "--repository", "ssh://git@example.com/shop.git"
    )
    assert code == 0
    assert "engine: buildbot" in text
    assert 'repository: "ssh://git@example.com/shop.git"' in text
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "farm.json", "master", "worker1", "worker2", "worker3",
    ]  # fmt: skip
    for secret in (*folder.rglob("*password*"),):
        assert secret.stat().st_mode & 0o077 == 0
    assert (folder / "master" / "secrets").stat().st_mode & 0o077 == 0
    password = (folder / "master" / "secrets" / "web-password").read_text().strip()
    assert password not in text
    assert password not in (folder / "master" / "master.cfg").read_text()
    for name in ("master/master.cfg", "master/buildbot.tac", "worker2/buildbot.tac"):
        compile((folder / name).read_text(), name, "exec")
        assert "$" not in (folder / name).read_text()
    code, text = run("farm", "init", folder)
    assert (code, "is there already" in text, "[F020]" in text) == (1, True, True)
    assert (folder / "master" / "secrets" / "web-password").read_text().strip() == password


def test_what_is_printed_for_leuko_yml_is_valid(tmp_path):
    from leuko.config.loading import load

    repository = tmp_path / "shop"
    repository.mkdir()
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    assert run("init", repository)[0] == 0
    section = json.loads(run("farm", "init", tmp_path / "farm", "--json")[1])["leuko_yml"]
    path = repository / "leuko.yml"
    path.write_text(path.read_text() + "\n" + section)
    farm = load(path).configuration.farm
    assert (farm.engine, farm.url, farm.password) == ("buildbot", "http://127.0.0.1:8010", "secret:FARM")


def test_without_a_farm_it_says_what_to_do(tmp_path):
    code, text = run("farm", "status", tmp_path)
    assert (code, "[F021]" in text) == (1, True)
    code, text = run("farm", "up", tmp_path / "none")
    assert (code, "[F021]" in text) == (1, True)


def test_a_master_that_is_not_there_is_unreachable(tmp_path):
    run("farm", "init", tmp_path / "farm", "--port", str(free_port()))
    for word in ("status", "check"):
        code, text = run("farm", word, tmp_path / "farm")
        assert (code, "[F001]" in text) == (6, True)
    code, text = run("farm", "status", tmp_path / "farm", "--json")
    assert json.loads(text)["error"]["code"] == "F001"


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.needs("buildbot")
@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_up_runs_a_farm_and_ends_all_of_it(tmp_path, how):
    folder = tmp_path / "farm"
    ports = ("--port", str(free_port()), "--workers-port", str(free_port()))
    assert run("farm", "init", folder, "--workers", "1", *ports)[0] == 0
    argv = [*LEUKO, "farm", "up", str(folder), "--programs", str(programs()), "--json"]
    up = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        facts = json.loads(up.stdout.readline())
        assert facts["workers"] == ["worker1"]
        mine = children(up.pid)
        assert len(mine) == 2
        if how is signal.SIGINT:
            code, text = run("farm", "check", folder, "--json")
            told = json.loads(text)
            assert (code, told["good"], told["problems"]) == (0, 1, [])
            assert told["workers"][0]["live"] is True
            code, text = run("farm", "status", folder)
            assert code == 0
            assert "1 of 1 workers connected, 0 busy, 0 batches wait" in text
        up.send_signal(how)
        assert up.wait(60) == (130 if how is signal.SIGINT else -signal.SIGKILL)
    finally:
        if up.poll() is None:
            up.kill()
    for pid in mine:
        ended(pid)


def ended(pid: int) -> None:
    """Waits until the process is gone."""
    descriptor = os.pidfd_open(pid) if Path(f"/proc/{pid}").exists() else None
    if descriptor is not None:
        import select

        assert select.select([descriptor], [], [], 30)[0], f"{pid} is still there"
        os.close(descriptor)
