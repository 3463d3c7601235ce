"""Gauges that programs print, on the controller and on hosts."""

import asyncio
import sys
from pathlib import Path

import pytest
from tests.gauges.asked import Line
from tests.gauges.conftest import start_here
from tests.gauges.servers import wait_for

from leuko.domain.errors import LeukoError
from leuko.gauges.answers import UnreadableError
from leuko.gauges.command import numbers_by_host, one_number
from leuko.gauges.roster import Roster
from leuko.gauges.source import Target
from leuko.hosts.transport.local import LocalConnection


def gauge(script, kind="level", **more):
    return {"kind": kind, "command": {"argv": ["sh", "-c", script], "timeout": "20s", **more}}


def hosts(folder):
    for name in ("www1", "www2"):
        (folder / name / "releases" / "r1").mkdir(parents=True)
        (folder / name / "releases" / "r1" / "name").write_text(name)
        (folder / name / "current").symlink_to("releases/r1")
    return [Target(name, "www", str(folder / name)) for name in ("www1", "www2")]


async def start_as_on_a_host(host, argv):
    return await LocalConnection(host).start(argv)


async def test_on_hosts_and_on_the_controller(tmp_path):
    targets = hosts(tmp_path)
    (tmp_path / "number").write_text("17\n")
    gauges = {
        "each": gauge("case $(cat name) in www1) echo 5;; *) echo 6.5;; esac"),
        "whole": gauge("cat number", on="controller"),
        "lines": gauge("printf 'www1 1\\nWWW2:80 2\\n\\nother 3\\n'", on="controller", by="host"),
        "share": gauge("echo 1 4", "ratio"),
        "grown": gauge("date +%s%N", "count", counter=True),
        "words": gauge("echo five"),
        "silent": gauge(":", on="controller"),
        "fails": gauge("echo no such queue >&2; exit 3", on="controller"),
    }
    async with Line(gauges, targets, folder=tmp_path) as line:
        found = await line.look()
        assert found["each"] == {"www1": 5, "www2": 6.5}
        assert found["whole"] == {"-": 17}
        assert found["lines"] == {"www1": 1, "www2": 2}
        assert (found["share"], found["share:of"]) == ({"www1": 1, "www2": 1}, {"www1": 4, "www2": 4})
        assert [found[name] for name in ("grown", "words", "silent", "fails")] == [{}] * 4
        assert 'www1: prints "five", which is no number' in line.reason
        assert 'silent: should print a number, not ""' in line.reason
        assert "sh ended with status 3: no such queue" in line.reason
        assert (await line.look())["grown"].keys() == {"www1", "www2"}


@pytest.mark.parametrize("on", ["host", "controller"])
async def test_one_that_hangs_is_killed_with_all_it_started(tmp_path, on):
    targets = hosts(tmp_path)[:1]
    pid = tmp_path / "pid"
    script = f"sleep 600 & echo $! > {pid}; echo 1; wait"
    async with Line({"g": gauge(script, on=on, timeout="300ms")}, targets, folder=tmp_path) as line:
        assert await line.look() == {"g": {}}
        assert "did not end within 0.3 s" in line.reason or "its time was over" in line.reason
    child = Path("/proc") / pid.read_text().strip()
    wait_for(lambda: not child.exists() or " Z " in (child / "stat").read_text(), "the child's end")


@pytest.mark.parametrize("on", ["host", "controller"])
async def test_one_that_floods_is_cut_off(tmp_path, on):
    targets = hosts(tmp_path)[:1]
    argv = [sys.executable, "-c", "while True: print('1' * 10000)"]
    gauges = {"g": {"kind": "level", "command": {"argv": argv, "on": on, "timeout": "5s"}}}
    async with Line(gauges, targets, folder=tmp_path, start=start_as_on_a_host) as line:
        assert await line.look() == {"g": {}}
        assert "gives more than 256 KiB" in line.reason


async def test_a_host_that_is_not_reached_is_absent_and_the_others_are_not(tmp_path):
    targets = hosts(tmp_path)

    async def start(host, argv):
        if host == "www1":
            raise LeukoError("www1 cannot be reached", way_out="Is it up?")
        return await start_here(host, argv)

    async with Line({"g": gauge("echo 2")}, targets, start=start) as line:
        assert await line.look() == {"g": {"www2": 2}}
        assert "www1 cannot be reached" in line.reason
        assert [one.failures for one in line.askings.asked] == [1, 0]


async def test_a_program_that_is_not_there(tmp_path):
    gauges = {
        "host": {"kind": "level", "command": {"argv": ["/no/such", "program"]}},
        "here": {"kind": "level", "command": {"argv": ["/no/such"], "on": "controller"}},
    }
    async with Line(gauges, hosts(tmp_path)[:1]) as line:
        assert await line.look() == {"host": {}, "here": {}}
        assert "/no/such could not be started" in line.reason
        assert "/no/such ended with status 127" in line.reason


@pytest.mark.parametrize("text", ["", "1 2", "x", "1,5", "\0", "1\n2", "0x10", "www1"])
def test_what_is_no_number(text):
    with pytest.raises(UnreadableError):
        one_number(text, "level")


def test_lines_by_host():
    roster = Roster([Target("www1", "www", "/"), Target("www2", "www", "/")])
    assert numbers_by_host("www1 1 2\n www2 3 4 \n", "ratio", roster) == {"www1": (1, 2), "www2": (3, 4)}
    for text in ("www1 1\nwww1 2", "other 1", "", "www1", "www1 1 2"):
        with pytest.raises(UnreadableError):
            numbers_by_host(text, "level", roster)


async def test_cancelling_ends_what_runs(tmp_path):
    pid = tmp_path / "pid"
    script = f"echo $$ > {pid}; exec sleep 600"
    gauges = {"g": gauge(script, on="controller", timeout="100s")}
    async with Line(gauges, hosts(tmp_path)[:1], folder=tmp_path) as line:
        look = asyncio.create_task(line.look())
        while not (pid.exists() and pid.read_text().strip()):
            await asyncio.sleep(0.01)
        look.cancel()
        await asyncio.gather(look, return_exceptions=True)
    child = Path("/proc") / pid.read_text().strip()
    wait_for(lambda: not child.exists(), "its end")
