"""The program as a real process, against a real server and a real store."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import CONFIGURATION, Room, argv, ask, leuko, surroundings
from tests.web.builders import (
    LINE,
    START,
    TOKEN,
    Story,
    add_build,
    bad_verdict,
    create_push,
    good_verdict,
    judge,
    revision,
    to_live,
    to_rolled_back,
    to_watching,
)

from leuko.domain.build import BuildState
from leuko.domain.intent import Intent, IntentState
from leuko.store.store import Store

MINUTE = timedelta(minutes=1)


def accepted(**answer: Any):
    return lambda _: (IntentState.ACCEPTED, answer)


READING = [
    (("status",), dict, "fleet"),
    (("why",), dict, "sentences"),
    (("why", "2"), dict, "sentences"),
    (("why", "www5"), dict, "sentences"),
    (("why", "bbbbbbb"), dict, "sentences"),
    (("log",), list, "operation"),
    (("log", "2"), dict, "timeline"),
    (("log", "#2"), dict, "timeline"),
    (("log", "bbbbbbb", "--output"), dict, "commits"),
    (("log", "--events"), list, "kind"),
    (("hosts",), list, "standing"),
    (("locks",), list, "severity"),
    (("limits",), dict, "gauges"),
    (("trends",), dict, "gauges"),
]


@pytest.mark.parametrize(("args", "kind", "key"), READING, ids=[" ".join(row[0]) for row in READING])
def test_reading_is_the_same_from_the_controller_and_from_the_store(
    shown: Room, idle: tuple[Path, Story], args: tuple[str, ...], kind: type, key: str
) -> None:
    asked = ask(shown.folder, *args, "--json")
    assert (asked.code, asked.err) == (0, "")
    assert isinstance(asked.json, kind)
    assert key in (asked.json[0] if kind is list else asked.json)
    text = ask(shown.folder, *args)
    assert (text.code, text.err) == (0, "")
    assert text.out.strip()
    alone = ask(idle[0], *args, "--json")
    assert (alone.code, alone.err) == (0, "")
    assert shape(alone.json) == shape(asked.json)


def test_a_controller_that_ended_is_not_missed_by_who_reads(room: Room) -> None:
    room.do(room.serving.stop())
    said = room.leuko("status")
    assert (said.code, "No controller is running since" in said.err) == (0, True)
    assert "Do not cache empty catalogues" in said.out


def shape(value: Any) -> Any:
    """Names and types: ages differ between two looks at a real clock."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items() if name not in ("facts", "moves")}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def test_what_people_read(shown: Room) -> None:
    status = ask(shown.folder, "status").out
    assert "push lock    LOCKED L1 by leuko" in status
    assert "Do not cache empty catalogues" in status
    push = ask(shown.folder, "log", "2").out
    assert "errors" in push
    assert "41.3 /min" in push
    assert "WATCHING 1" in push
    assert ask(shown.folder, "locks").out.count("hard") == 2
    assert "unreachable" in ask(shown.folder, "hosts").out


def test_intents_carry_who_why_and_what_was_seen(room: Room) -> None:
    push = room.do(to_watching(room.store, room.do(create_push(room.store, "d", "Next", START, None)), START))
    room.answers = {"abort": accepted(push=push.number, state="ROLLING_BACK"), "lock": accepted(lock="L9")}
    said = room.leuko("abort", "--why", "wrong branch", "--json")
    assert (said.code, said.json) == (0, {"push": push.number, "state": "ROLLING_BACK"})
    assert room.leuko("lock", "commit", "--warn", "--expires", "2h", "--why", "demo").code == 0
    abort, lock = room.seen
    assert (abort.by, abort.why, abort.push) == ("ann", "wrong branch", push.number)
    assert (abort.seen_state, abort.seen_version) == ("WATCHING", push.version)
    assert dict(lock.arguments) == {"kind": "commit", "severity": "warn", "expires_in": 7200.0}


@pytest.mark.parametrize(
    ("args", "code", "rule"),
    [
        (("abort",), 4, "no push is running"),
        (("lock", "--why", "x"), 4, "not now"),
        (("log", "99"), 1, "no such thing"),
        (("why", "www99"), 1, "no host of that name"),
        (("status", "--line", "shop/staging"), 1, "no such line"),
        (("status", "-e", "staging"), 1, "no such line"),
        (("status", "--line", "/"), 2, "application/environment"),
        (("lock", "--expires", "soon", "--why", "x"), 2, "duration"),
        (("push", "abc", "--hotfix", "def"), 2, "REVISION"),
        (("push", "--first", "--hotfix", "def"), 2, "--first does not fit"),
        (("push", "--override", " "), 2, "reason"),
        (("retry", "three"), 1, "push's number"),
        (("adopt",), 2, "--all"),
        (("log", "--after", "3"), 2, "--events"),
        (("status", "--url", "http://127.0.0.1:1"), 6, "no controller answers"),
        (("status", "--url", "nonsense"), 1, "address"),
        (("status", "--config", "other.yml"), 1, "is not there"),
    ],
)
def test_every_ending_has_its_code_and_its_json(
    shown: Room, args: tuple[str, ...], code: int, rule: str
) -> None:
    an_ending(shown.folder, args, code, rule)


def test_a_wrong_file_ends_with_code_3(tmp_path: Path) -> None:
    (tmp_path / "leuko.yml").write_text(CONFIGURATION + "fleeet: {}\n")
    an_ending(tmp_path, ("check",), 3, "is not a key")


def an_ending(folder: Path, args: tuple[str, ...], code: int, rule: str) -> None:
    said = ask(folder, *args)
    assert said.code == code
    assert rule.lower() in said.err.lower()
    assert "Traceback" not in said.err
    assert said.out == ""
    as_json = ask(folder, *args, "--json")
    assert as_json.code == code
    assert set(as_json.json["error"]) >= {"where", "rule", "way_out", "code"}
    assert as_json.err == ""


def test_over_http_writing_needs_the_token(room: Room) -> None:
    room.answers = {"lock": accepted(lock="L9")}
    elsewhere = room.folder.parent
    there = ("--url", room.url, "--line", "shop/production")
    assert leuko(elsewhere, "status", *there).code == 0
    refused = leuko(elsewhere, "lock", "--why", "x", *there)
    assert (refused.code, "needs the token" in refused.err) == (1, True)
    assert leuko(elsewhere, "lock", "--why", "x", *there, LEUKO_TOKEN=TOKEN).code == 0
    assert room.seen[-1].by == "token"
    assert TOKEN not in refused.err


def test_nothing_here_says_where_to_begin(tmp_path: Path) -> None:
    said = leuko(tmp_path, "status")
    assert (said.code, "none ever ran" in said.err) == (6, True)
    said = leuko(tmp_path, "push")
    assert (said.code, "leuko init" in said.err) == (6, True)
    assert not list(tmp_path.iterdir())


def test_a_socket_whose_path_is_too_long_for_the_kernel_is_reached(room: Room) -> None:
    deep = room.folder / ("d" * 100)
    deep.mkdir()
    (deep / ".leuko").mkdir()
    os.link(room.folder / ".leuko/leuko.sock", deep / ".leuko/leuko.sock")
    (deep / "leuko.yml").write_text(CONFIGURATION)
    said = leuko(deep, "status", "--json")
    assert (said.code, said.err) == (0, "")


def test_a_push_is_followed_to_its_live_end(room: Room) -> None:
    push = room.do(create_push(room.store, "d", "Next", START, None))
    room.answers = {"push": accepted(push=push.number, state="PENDING")}
    program = following(room, "push")
    push = room.do(to_watching(room.store, push, START))
    until_it_says(program, "is watched in phase 1 of 2")
    push = room.do(judge(room.store, push, good_verdict(), START + MINUTE))
    push = room.do(to_watching(room.store, push, START + MINUTE, phase=1))
    until_it_says(program, "is watched in phase 2 of 2")
    room.do(judge(room.store, push, good_verdict(), START + 6 * MINUTE))
    out, err = program.communicate(timeout=30)
    assert program.returncode == 0, err
    assert f"Push {push.number} is LIVE: dddddddddddd on 8 hosts" in out


def until_it_says(program: subprocess.Popen[str], words: str) -> None:
    """Reads what is printed up to a line with these words; a deadline ends the program."""
    assert program.stdout is not None
    late = threading.Timer(30, program.kill)
    late.start()
    read: list[str] = []
    for line in program.stdout:
        read.append(line)
        if words in line:
            break
    late.cancel()
    assert read, program.poll()
    assert words in read[-1], read


def test_a_bad_push_ends_with_code_5_the_gauge_the_locks_and_what_to_do(room: Room) -> None:
    push = room.do(create_push(room.store, "d", "Break the basket", START, "aaaaaaaaaaaa-aaaaaaaa"))
    room.answers = {"retry": accepted(push=push.number, state="PENDING")}
    program = following(room, "retry", "--why", "again")
    room.do(to_rolled_back(room.store, push, START))
    out, err = program.communicate(timeout=30)
    assert program.returncode == 5, err
    for words in (
        "was rolled back",
        "41.3 /min",
        "Leuko-Fix: L",
        "Break the basket",
        "leuko retry",
        "errors",
    ):
        assert words in out


def test_what_was_verified_and_then_refused_ends_with_code_4(room: Room) -> None:
    """Nothing was switched and nothing rolled back: that is no bad end."""
    number = room.do(add_build(room.store, "d", BuildState.PASSED, START, ()))
    room.answers = {"push": accepted(revision=revision("d"), build=number, state="verifying")}
    program = following(room, "push")
    room.do(refuse(room.store, revision("d"), "nothing is live yet"))
    out, err = program.communicate(timeout=30)
    assert program.returncode == 4, err
    assert "dddddddddddd is not pushed: nothing is live yet" in out


async def refuse(store: Store, subject: str, reason: str) -> None:
    async with store.write(LINE) as tx:
        tx.event("push.refused", subject, {"reason": reason}, START)


def test_following_as_json_prints_one_object_at_the_end(room: Room) -> None:
    push = room.do(create_push(room.store, "d", "Break", START, "aaaaaaaaaaaa-aaaaaaaa"))
    room.answers = {"push": accepted(push=push.number, state="PENDING")}
    program = following(room, "push", "--json")
    room.do(to_rolled_back(room.store, push, START))
    out, err = program.communicate(timeout=30)
    assert (program.returncode, err) == (5, "")
    told = json.loads(out)
    assert (told["state"], told["exit_code"]) == ("ROLLED_BACK", 5)
    assert told["push"]["push"]["number"] == push.number


def test_ctrl_c_ends_the_following_and_not_the_push(room: Room) -> None:
    push = room.do(create_push(room.store, "d", "Next", START, None))
    room.answers = {"push": accepted(push=push.number, state="PENDING")}
    program = following(room, "push")
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=30)
    assert program.returncode == 130
    assert f"push {push.number} goes on" in err
    assert "leuko status --follow" in err
    assert "Traceback" not in err
    assert room.do(room.store.pushes.get(LINE, push.number)).state == "PENDING"


def test_a_controller_that_restarts_is_waited_for(room: Room) -> None:
    push = room.do(create_push(room.store, "d", "Next", START, None))
    room.answers = {"push": accepted(push=push.number, state="PENDING")}
    program = following(room, "push")
    room.do(room.serving.stop())
    room.do(again(room))
    room.do(to_live(room.store, push, START))
    out, err = program.communicate(timeout=30)
    assert program.returncode == 0, err
    assert "is LIVE" in out
    assert "waiting for it" in err


async def again(room: Room) -> None:
    from leuko.web.app import create_app
    from leuko.web.serving import Serving

    state = room.folder / ".leuko"
    app = create_app(room.store, room.clock, token=TOKEN, state=state)
    room.serving = await Serving.start(app, port=0, path=state / "leuko.sock")


def test_an_answer_that_is_cut_off_is_asked_for_again(room: Room) -> None:
    push = room.do(create_push(room.store, "d", "Next", START, None))
    line = Cutting(room)
    server = room.do(asyncio.start_server(line.carry, "127.0.0.1", 0))
    port = server.sockets[0].getsockname()[1]
    program = following(
        room, "status", "--follow", "--url", f"http://127.0.0.1:{port}", "--line", "shop/production"
    )
    line.cuts = True
    watched = room.do(to_watching(room.store, push, START))
    assert line.cut.wait(20)
    line.cuts = False
    room.do(judge(room.store, watched, bad_verdict(), START + MINUTE))
    until_it_says(program, "goes back")
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=30)
    assert program.returncode == 130, err
    room.loop.call_soon_threadsafe(server.close)


class Cutting:
    """A way to the server that breaks, while it `cuts`, where somebody asks for a push."""

    def __init__(self, room: Room) -> None:
        self._path = room.folder / ".leuko/leuko.sock"
        self.cuts = False
        self.cut = threading.Event()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_unix_connection(str(self._path))
        answers = asyncio.create_task(_pass_on(back, writer))
        while asked := await reader.read(65536):
            if self.cuts and b"/pushes/" in asked:
                self.cut.set()
                break
            forth.write(asked)
        forth.close()
        answers.cancel()
        writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while answered := await reader.read(65536):
        writer.write(answered)
    writer.close()


def following(room: Room, *args: str) -> subprocess.Popen[str]:
    """Started, and known to follow: its stream is among the server's clients."""
    program = subprocess.Popen(
        argv(*args),
        cwd=room.folder,
        env=surroundings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    room.do(a_client(room, program))
    return program


async def a_client(room: Room, program: subprocess.Popen[str]) -> None:
    feeds = room.serving._app.state["site"].feeds
    async with asyncio.timeout(20):
        while not feeds.clients:
            assert program.poll() is None, program.communicate()
            await asyncio.sleep(0.01)  # between looks; the deadline is above


def test_whoever_reads_may_go_away(room: Room) -> None:
    program = subprocess.Popen(
        argv("log", "--events", "-n", "1000"),
        cwd=room.folder,
        env=surroundings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert program.stdout is not None
    program.stdout.close()
    assert program.wait(30) in (0, 141)
    assert program.stderr is not None
    assert program.stderr.read() == b""
    program.stderr.close()


def test_no_colours_in_a_pipe(room: Room) -> None:
    said = room.leuko("status", NO_COLOR="")
    assert "\x1b" not in said.out + said.err


def intent_of(room: Room) -> Intent:
    return room.seen[-1]


def test_a_push_says_all_that_it_was_told(room: Room) -> None:
    room.answers = {"push": accepted(revision="d" * 40, state="verifying", build=3)}
    said = room.leuko(
        "push", "dddd", "--first", "--override", "L1 is about chat", "--override-window", "--no-follow"
    )
    assert said.code == 0
    assert "is being verified in build 3" in said.out
    wanted = {
        "revision": "dddd",
        "first": True,
        "override_blocks": "L1 is about chat",
        "override_window": True,
    }
    assert dict(intent_of(room).arguments) == wanted
