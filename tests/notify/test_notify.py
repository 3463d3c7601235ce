"""Every way to tell people keeps one contract: it delivers or says why not, shows no secret, raises nothing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from leuko.notify.command import CommandNotifier
from leuko.notify.port import Message, Tone, send_all
from leuko.notify.recording import RecordingNotifier
from leuko.notify.services import AddressError, AppriseNotifier

SECRET = "hunter2hunter2"
MESSAGE = Message(
    "rolled_back",
    "shop/production",
    "Rolled back é\x07",
    f"5 % errors; token {SECRET}\nby Ann",
    Tone.FAILURE,
    "http://console/push/7",
)


def hide(text):
    return text.replace(SECRET, "***")


class Server:
    """A web service that answers as told and keeps what it was sent."""

    def __init__(self, status=200, silent=False):
        self.status = status
        self.silent = silent
        self.bodies = []

    async def start(self):
        self.server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def _answer(self, reader, writer):
        if self.silent:
            await reader.read()
            writer.close()
            return
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        self.bodies.append((await reader.readexactly(length)).decode())
        writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@pytest.fixture(params=["recording", "command", "apprise"])
async def way(request, tmp_path):
    """Makes (good notifier, failing notifier, reader of what was told)."""
    if request.param == "recording":
        good = RecordingNotifier(hide)
        yield (
            good,
            RecordingNotifier(hide, failing=f"no way, {SECRET}"),
            lambda: [json.dumps([m.title, m.text], ensure_ascii=False) for m in good.messages],
        )
    elif request.param == "command":
        out = tmp_path / "out"
        good = CommandNotifier(["/bin/sh", "-c", f"cat >> {out}; echo . >> {out}"], hide)
        bad = CommandNotifier(["/bin/sh", "-c", f"echo no way, {SECRET} >&2; exit 3"], hide)
        yield good, bad, lambda: [out.read_text()] if out.exists() else []
    else:
        server, broken = Server(), Server(500)
        port, other = await server.start(), await broken.start()
        good = AppriseNotifier(f"json://user:{SECRET}@127.0.0.1:{port}/path", hide)
        bad = AppriseNotifier(f"json://user:{SECRET}@127.0.0.1:{other}/{SECRET}", hide)
        yield good, bad, lambda: [json.dumps(json.loads(body), ensure_ascii=False) for body in server.bodies]
        server.server.close()
        broken.server.close()


async def test_delivered_without_secrets(way):
    good, _bad, told = way
    delivery = await good.send(MESSAGE)
    assert delivery.ok, delivery
    assert delivery.reason == ""
    assert len(told()) == 1
    for word in ("Rolled back é", "5 % errors; token ***", "by Ann", "http://console/push/7"):
        assert word in told()[0]
    assert SECRET not in told()[0]


async def test_not_delivered_comes_back_as_a_reason_without_secrets(way):
    _good, bad, _told = way
    delivery = await bad.send(MESSAGE)
    assert not delivery.ok
    assert delivery.reason
    assert delivery.via
    assert SECRET not in delivery.reason + delivery.via


async def test_odd_messages_go_out(way):
    good, _bad, told = way
    for message in (
        Message("x", "a/b", "only a title", ""),
        Message("x", "a/b", "t" * 300, "x" * 100_000),
        Message("x", "a/b", "nul \0 in it", "nul \0"),
    ):
        assert (await good.send(message)).ok
    assert "only a title" in told()[0]


async def test_one_that_fails_holds_up_none_of_the_others(way):
    good, bad, told = way
    results = await send_all([bad, good, bad], MESSAGE)
    assert [result.ok for result in results] == [False, True, False]
    assert len(told()) == 1


async def test_a_command_gets_the_facts_and_little_else(tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_PASSWORD", SECRET)
    out = tmp_path / "env"
    assert (await CommandNotifier(["/bin/sh", "-c", f"env > {out}"]).send(MESSAGE)).ok
    env = dict(line.split("=", 1) for line in out.read_text().splitlines() if "=" in line)
    assert env["LEUKO_EVENT"] == "rolled_back"
    assert env["LEUKO_LINE"] == "shop/production"
    assert env["LEUKO_TONE"] == "failure"
    assert "DATABASE_PASSWORD" not in env


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        ([], "could not be started"),
        (["/nonexistent/program"], "could not be started"),
        (["/etc/passwd"], "could not be started"),
        (["/bin/sh", "-c", "exec 0<&-; exit 0"], ""),
        (["/bin/sh", "-c", "head -c 100000000 /dev/zero >&2; exit 1"], "ended with 1"),
        (["/bin/sh", "-c", "kill -9 $$"], "ended with -9"),
    ],
)
async def test_commands_of_every_kind(argv, reason):
    long = Message("x", "a/b", "t", "x" * 1_000_000)
    delivery = await CommandNotifier(argv).send(long)
    assert delivery.ok is (not reason)
    assert reason in delivery.reason
    assert len(delivery.reason) < 600


async def test_a_hanging_command_is_ended_with_its_children(tmp_path):
    pid = tmp_path / "pid"
    delivery = await CommandNotifier(
        ["/bin/sh", "-c", f"sleep 1000 & echo $! > {pid}; wait"], timeout=0.5
    ).send(MESSAGE)
    assert delivery.reason == "did not end within 0.5 s"
    stat = Path("/proc") / pid.read_text().strip() / "stat"
    async with asyncio.timeout(20):  # a kill is a wish: the kernel takes a moment
        while lives(stat):
            await asyncio.sleep(0.01)


def lives(stat: Path) -> bool:
    try:
        return b") Z" not in stat.read_bytes()
    except OSError:
        return False


async def test_a_child_that_keeps_stderr_open_holds_nothing_up():
    assert (await CommandNotifier(["/bin/sh", "-c", "sleep 1000 & exit 0"], timeout=20).send(MESSAGE)).ok


async def test_a_silent_service_ends_at_the_deadline():
    server = Server(silent=True)
    port = await server.start()
    delivery = await AppriseNotifier(f"json://127.0.0.1:{port}/?rto=1&cto=1", timeout=2).send(MESSAGE)
    assert not delivery.ok
    server.server.close()


@pytest.mark.parametrize("url", ["", "nonsense", f"nosuch://{SECRET}", f"slack://{SECRET}", "json://", "\0"])
def test_addresses_that_make_no_sense(url):
    with pytest.raises(AddressError) as caught:
        AppriseNotifier(url)
    assert SECRET not in str(caught.value)


def test_the_library_logs_no_address():
    """In a process of its own: pytest listens to loggers in a way that a program's own logging does not."""
    code = (
        "import logging; logging.basicConfig(level=0)\n"
        "from leuko.notify.services import AddressError, AppriseNotifier\n"
        f"for scheme in ('nosuch', 'slack'):\n    try: AppriseNotifier(scheme + '://{SECRET}')\n    except AddressError: print('refused')\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert answer.stdout == "refused\n" * 2
    assert SECRET not in answer.stderr


def test_the_library_is_only_loaded_when_asked_for():
    code = "import sys, leuko.notify.services, leuko.notify.command; sys.exit('apprise' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
