"""Real pushes against a real bare repository with the hooks in it."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest

from leuko.clock import SystemClock
from leuko.domain.lock import Lock, LockKind, Severity
from leuko.vcs.git import GitError
from leuko.vcs.hook import LOCK_FILE, install, poked_at, read_overrides, remove, write_lock_file

now = SystemClock().now  # the hook reads the machine's clock
NOW = now()
LOCK = Lock(
    "L7", LockKind.COMMIT, Severity.HARD, "leuko", "5 % errors on www\x1b[31m", NOW, blocks=("ab" * 20,)
)


@pytest.fixture
def bare(tmp_path, origin):
    """The people's repository; `origin` is one person's clone of it, with one commit pushed."""
    place = tmp_path / "shop.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", place], check=True)
    origin.git("remote", "add", "shared", str(place))
    origin.change("a")
    push(origin)
    return place


@pytest.fixture
async def lock_file(bare):
    path = bare / LOCK_FILE
    await install(bare, path, "main")
    write_lock_file(path, [], now())
    return path


def push(origin, *what, env=None):
    return origin.git("push", "shared", *(what or ("main",)), check=False, env=env)


def refused(answer):
    return answer.returncode != 0 and b"pre-receive hook declined" in answer.stderr


async def test_without_a_lock_nothing_is_said(origin, bare, lock_file):
    origin.change("b")
    answer = push(origin)
    assert answer.returncode == 0
    assert b"leuko" not in answer.stderr


async def test_a_hard_lock_refuses_and_says_who_why_since_and_the_way_through(origin, bare, lock_file):
    write_lock_file(lock_file, [LOCK], now())
    origin.change("b")
    answer = push(origin)
    assert refused(answer)
    said = answer.stderr.decode()
    for word in (
        "L7 (hard)",
        "leuko",
        "5 % errors on www",
        f"{NOW:%Y-%m-%d %H:%M:%S} UTC",
        "Leuko-Fix: L7",
        "Leuko-Override: <reason>",
    ):
        assert word in said
    assert "\x1b[31m" not in said
    write_lock_file(lock_file, [], now())
    assert push(origin).returncode == 0


async def test_a_fix_gets_in(origin, bare, lock_file):
    write_lock_file(lock_file, [LOCK], now())
    origin.change("b", message="mend it\n\nleuko-fix: L7")
    origin.change("c", message="and a test for it")
    assert push(origin).returncode == 0


@pytest.mark.parametrize(
    "message", ["Leuko-Fix: L7", "mend\n\nLeuko-Fix: L8", "mend\n\nLeuko-Fix:", "see Leuko-Fix: L7"]
)
async def test_what_only_looks_like_a_fix_does_not(origin, bare, lock_file, message):
    write_lock_file(lock_file, [LOCK], now())
    origin.change("b", message=message)
    assert refused(push(origin))


async def test_every_lock_must_be_named(origin, bare, lock_file):
    write_lock_file(
        lock_file, [LOCK, Lock("L8", LockKind.COMMIT, Severity.HARD, "ann", "freeze", NOW)], now()
    )
    origin.change("b", message="x\n\nLeuko-Fix: L7")
    answer = push(origin)
    assert refused(answer)
    assert b"L8 (hard)" in answer.stderr
    assert b"L7 (hard)" not in answer.stderr


async def test_the_revert_of_what_was_rolled_back_gets_in(origin, bare, lock_file):
    bad = origin.change("b")
    push(origin)
    write_lock_file(
        lock_file, [Lock("L9", LockKind.COMMIT, Severity.HARD, "leuko", "bad", NOW, blocks=(bad,))], now()
    )
    origin.git("revert", "--no-edit", bad)
    assert push(origin).returncode == 0


async def test_a_warning_lets_in(origin, bare, lock_file):
    write_lock_file(
        lock_file, [Lock("L7", LockKind.COMMIT, Severity.WARN, "leuko", "look first", NOW)], now()
    )
    origin.change("b")
    answer = push(origin)
    assert answer.returncode == 0
    assert b"look first" in answer.stderr


async def test_a_push_that_is_refused_is_not_told_that_it_goes_in(origin, bare, lock_file):
    """Two locks, one of which only warns; and nothing was rolled back that a revert would mend."""
    warns = Lock("L8", LockKind.COMMIT, Severity.WARN, "leuko", "look first", NOW)
    hard = Lock("L7", LockKind.COMMIT, Severity.HARD, "ann", "the database is being moved", NOW)
    write_lock_file(lock_file, [hard, warns], now())
    origin.change("b")
    answer = push(origin)
    assert refused(answer)
    assert b"goes in" not in answer.stderr
    assert b"git revert" not in answer.stderr
    origin.change("c", message="mend it\n\nLeuko-Fix: L7")
    answer = push(origin)
    assert answer.returncode == 0
    assert b"L8 (warn)" in answer.stderr


async def test_only_commit_locks_that_are_held_count(origin, bare, lock_file):
    push_lock = Lock("P1", LockKind.PUSH, Severity.HARD, "leuko", "x", NOW)
    released = Lock("L1", LockKind.COMMIT, Severity.HARD, "leuko", "x", NOW, released_at=NOW)
    soon = Lock(
        "L2", LockKind.COMMIT, Severity.HARD, "leuko", "x", NOW, expires_at=now() + timedelta(seconds=1)
    )
    write_lock_file(lock_file, [push_lock, released, soon], now() - timedelta(seconds=20))
    state = json.loads(lock_file.read_text())
    assert [lock["id"] for lock in state["locks"]] == ["L2"]
    state["locks"][0]["expires_at"] = (now() - timedelta(seconds=1)).isoformat()
    lock_file.write_text(json.dumps(state))
    origin.change("b")
    assert push(origin).returncode == 0


async def test_other_branches_deletion_creation_and_force(origin, bare, lock_file):
    subprocess.run(["git", "-C", bare, "config", "receive.denyDeleteCurrent", "ignore"], check=True)
    write_lock_file(lock_file, [LOCK], now())
    origin.git("checkout", "-q", "-b", "side")
    origin.change("b")
    assert push(origin, "side").returncode == 0
    assert push(origin, ":side").returncode == 0
    assert refused(push(origin, ":main"))
    assert refused(push(origin, "--force", "side:main"))
    write_lock_file(lock_file, [], now())
    assert push(origin, ":main").returncode == 0
    write_lock_file(lock_file, [LOCK], now())
    assert refused(push(origin, "side:main"))
    origin.commit("mend\n\nLeuko-Fix: L7")
    assert push(origin, "side:main").returncode == 0


async def test_an_override_counts_from_an_authenticated_identity_and_is_recorded(origin, bare, lock_file):
    write_lock_file(lock_file, [LOCK], now(), override=["ann"])
    revision = origin.change("b", message="urgent\n\nLeuko-Override: the shop is closing")
    answer = push(origin, env={"LEUKO_USER": "ann"})
    assert answer.returncode == 0
    assert b"overridden by ann" in answer.stderr
    found = read_overrides(lock_file)
    one = found.entries[0]
    assert (one.identity, one.known_by, one.reason, one.locks, one.branch, one.new) == (
        "ann",
        "LEUKO_USER",
        "the shop is closing",
        ("L7",),
        "main",
        revision,
    )
    assert read_overrides(lock_file, found.next).entries == ()
    assert found.damaged == ()


async def test_an_override_by_the_authors_name_does_not_count(origin, bare, lock_file):
    write_lock_file(lock_file, [LOCK], now(), override=["Ann", "ann@example.com"])
    origin.change("b", message="urgent\n\nLeuko-Override: I say so")
    answer = push(origin, env={"LEUKO_USER": "mallory"})
    assert refused(answer)
    assert b"does not count from mallory" in answer.stderr
    answer = push(origin)
    assert refused(answer)
    assert pwd.getpwuid(os.geteuid()).pw_name.encode() in answer.stderr
    assert read_overrides(lock_file).entries == ()


@pytest.mark.needs("root")
async def test_variables_are_not_believed_from_another_account(origin, bare, lock_file):
    """Somebody with an account of their own on the server sets LEUKO_USER: it is theirs to set, so it is nothing."""
    write_lock_file(lock_file, [LOCK], now(), override=["ann"])
    revision = origin.change("b", message="urgent\n\nLeuko-Override: let me")
    subprocess.run(["git", "-C", bare, "fetch", "-q", origin.path, "main:refs/heads/side"], check=True)
    for place in (bare, *bare.parents):
        if place != Path("/tmp") and place != Path("/"):
            place.chmod(0o755)
    old = subprocess.run(
        ["git", "-C", bare, "rev-parse", "main"], check=True, capture_output=True, text=True
    ).stdout.strip()
    answer = subprocess.run(
        ["/bin/sh", str(bare / "hooks" / "pre-receive")],
        input=f"{old} {revision} refs/heads/main\n",
        capture_output=True,
        text=True,
        check=False,
        cwd=bare,
        user="nobody",
        env={
            "LEUKO_USER": "ann",
            "PATH": "/usr/bin:/bin",
            "HOME": "/nonexistent",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        },
    )
    assert answer.returncode == 1, answer.stderr
    assert "does not count from nobody" in answer.stderr


async def test_an_override_that_cannot_be_recorded_does_not_count(origin, bare, lock_file):
    write_lock_file(lock_file, [LOCK], now(), override=["ann"])
    (bare / "leuko-overrides.jsonl").symlink_to("/dev/full")
    origin.change("b", message="urgent\n\nLeuko-Override: now")
    answer = push(origin, env={"LEUKO_USER": "ann"})
    assert refused(answer)
    assert b"cannot be recorded" in answer.stderr


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"locks": 3}',
        '{"locks": [1], "written_at": "x"}',
        '{"locks":[3],"written_at":"2026-01-01T00:00:00+00:00"}',
        "\udcff",
    ],
)
async def test_a_broken_lock_file_lets_in_with_a_warning(origin, bare, lock_file, content):
    lock_file.write_bytes(content.encode("utf-8", "surrogateescape"))
    origin.change("b")
    answer = push(origin)
    assert answer.returncode == 0
    assert b"the push goes in" in answer.stderr


async def test_old_missing_and_unreadable_lock_files_let_in_with_a_warning(origin, bare, lock_file):
    write_lock_file(lock_file, [LOCK], now() - timedelta(minutes=11))
    origin.change("b")
    answer = push(origin)
    assert answer.returncode == 0
    assert b"11 minutes old" in answer.stderr
    write_lock_file(lock_file, [LOCK], now() - timedelta(minutes=9))
    origin.change("c")
    assert refused(push(origin))
    lock_file.unlink()
    answer = push(origin)
    assert answer.returncode == 0
    assert b"no lock file" in answer.stderr
    lock_file.mkdir()
    origin.change("d")
    assert push(origin).returncode == 0


async def test_a_lock_file_that_hangs_is_given_up_within_two_seconds(origin, bare, lock_file):
    lock_file.unlink()
    os.mkfifo(lock_file)
    origin.change("b")
    answer = push(origin)
    assert answer.returncode == 0
    assert b"took too long" in answer.stderr


async def test_thousands_of_commits_are_judged_in_time(origin, bare, lock_file):
    write_lock_file(lock_file, [LOCK], now())
    lines = [
        f"commit refs/heads/many\ncommitter A <a@x> {1700000000 + n} +0000\ndata 4\nm {n % 10}\n"
        + (f"from {origin.head}\n" if n == 0 else "")
        for n in range(4000)
    ]
    origin.git("fast-import", "--quiet", given="".join(lines).encode())
    begun = time.monotonic()
    assert refused(push(origin, "many:main"))
    print(f"4,000 commits judged in {time.monotonic() - begun:.2f} s")


async def test_a_hook_that_was_there_is_asked_first_and_comes_back(origin, bare):
    theirs = bare / "hooks" / "pre-receive"
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text('#!/bin/sh\nread old new ref; echo "theirs saw $ref" >&2; [ ! -e veto ]\n')
    theirs.chmod(0o755)
    path = bare / LOCK_FILE
    said = await install(bare, path, "main")
    assert any("asked first" in sentence for sentence in said)
    await install(bare, path, "main")
    write_lock_file(path, [], now())
    origin.change("b")
    answer = push(origin)
    assert answer.returncode == 0
    assert b"theirs saw refs/heads/main" in answer.stderr
    (bare / "veto").touch()
    origin.change("c")
    assert refused(push(origin))
    (bare / "veto").unlink()
    write_lock_file(path, [LOCK], now())
    assert refused(push(origin))
    await remove(bare)
    assert b"theirs" in (bare / "hooks" / "pre-receive").read_bytes()
    assert not (bare / "hooks" / "leuko_hook.py").exists()
    assert push(origin).returncode == 0


async def test_somebody_elses_hook_on_top_of_ours_is_not_overwritten(bare):
    await install(bare, bare / LOCK_FILE, "main")
    (bare / "hooks" / "pre-receive.before-leuko").write_text("#!/bin/sh\n")
    (bare / "hooks" / "pre-receive").write_text("#!/bin/sh\n")
    with pytest.raises(GitError, match="somebody else's"):
        await install(bare, bare / LOCK_FILE, "main")


async def test_only_bare_repositories(tmp_path, origin):
    with pytest.raises(GitError, match="working copy"):
        await install(origin.path / ".git", tmp_path / LOCK_FILE, "main")
    with pytest.raises(GitError, match="not a git repository"):
        await install(tmp_path / "none", tmp_path / LOCK_FILE, "main")


async def test_a_push_wakes_the_controller(origin, bare, tmp_path):
    asked: asyncio.Queue[bytes] = asyncio.Queue()

    async def answer(reader, writer):
        asked.put_nowait(await reader.readline())
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    place = tmp_path / "s"
    server = await asyncio.start_unix_server(answer, place)
    path = bare / LOCK_FILE
    await install(bare, path, "main", socket=place)
    write_lock_file(path, [], now())
    before = poked_at(path)
    origin.change("b")
    done = await asyncio.to_thread(push, origin)
    assert done.returncode == 0
    assert await asyncio.wait_for(asked.get(), 5) == b"POST /api/poke HTTP/1.1\r\n"
    assert poked_at(path) != before
    server.close()


async def test_a_controller_that_is_gone_or_hangs_never_fails_the_push(origin, bare, tmp_path):
    path = bare / LOCK_FILE
    await install(bare, path, "main", socket=tmp_path / "nobody")
    write_lock_file(path, [], now())
    origin.change("b")
    assert push(origin).returncode == 0
    import socket

    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen(1)
        await install(bare, path, "main", socket=tmp_path / "silent")
        origin.change("c")
        answer = push(origin)
        assert answer.returncode == 0
