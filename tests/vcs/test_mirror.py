from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import stat
import subprocess

import pytest

from leuko.vcs.git import Git, GitError, git_argv, git_environment, mask_address, printable, text
from leuko.vcs.mirror import Mirror
from leuko.vcs.trouble import (
    BranchMissingError,
    MirrorCorruptError,
    NotARepositoryError,
    OriginUnreachableError,
)


async def test_first_fetch_then_news_then_none(origin, mirror):
    first = origin.change("a")
    fetched = await mirror.fetch()
    assert (fetched.head, fetched.previous, fetched.forced, fetched.news) == (first, None, False, True)
    second = origin.change("b")
    fetched = await mirror.fetch()
    assert (fetched.head, fetched.previous, fetched.forced) == (second, first, False)
    assert not (await mirror.fetch()).news
    assert stat.S_IMODE(mirror.path.stat().st_mode) == 0o700


async def test_force_push_is_told_and_released_revisions_stay(origin, mirror):
    base = origin.change("a")
    lost = origin.change("b")
    await mirror.fetch()
    await mirror.keep(lost)
    origin.git("reset", "-q", "--hard", base)
    new = origin.change("c")
    fetched = await mirror.fetch()
    assert fetched.forced
    assert (fetched.previous, fetched.head) == (lost, new)
    await mirror.git.ask("reflog", "expire", "--expire=now", "--all")
    await mirror.git.ask("gc", "--quiet", "--prune=now")
    assert await mirror.history.has(lost)
    assert await mirror.kept() == (lost,)
    await mirror.let_go(lost)
    assert await mirror.kept() == ()


async def test_deleted_branches_are_pruned_but_our_refs_are_not(origin, mirror):
    origin.change("a")
    origin.git("checkout", "-q", "-b", "side")
    side = origin.change("s")
    origin.git("checkout", "-q", "main")
    await mirror.fetch()
    await mirror.keep(side)
    origin.git("branch", "-D", "side")
    await mirror.fetch()
    with pytest.raises(GitError):
        await mirror.history.resolve("side")
    assert await mirror.history.resolve(side[:10]) == side


async def test_branch_missing_names_those_there_are(origin, mirror):
    origin.git("checkout", "-q", "-b", "trunk")
    origin.change("a")
    with pytest.raises(BranchMissingError, match="trunk"):
        await mirror.fetch()


async def test_empty_repository_says_so(mirror):
    with pytest.raises(BranchMissingError, match="no commits yet"):
        await mirror.fetch()


async def test_branch_that_goes_away_later(origin, mirror):
    origin.change("a")
    await mirror.fetch()
    origin.git("checkout", "-q", "-b", "trunk")
    origin.git("branch", "-D", "main")
    with pytest.raises(BranchMissingError):
        await mirror.fetch()


async def test_no_repository_there(tmp_path):
    for place in ("nowhere", "folder"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        with pytest.raises(NotARepositoryError, match="git repository"):
            await Mirror(tmp_path / "m.git", str(tmp_path / place), "main").fetch()


async def test_dead_server_is_unreachable_and_shows_no_password(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mirror = Mirror(tmp_path / "m.git", f"http://user:s3cr3tw0rd@127.0.0.1:{port}/x.git", "main")
    with pytest.raises(OriginUnreachableError) as caught:
        await mirror.fetch()
    assert "s3cr3tw0rd" not in str(caught.value)
    assert caught.value.code == "V016"


async def test_silent_server_ends_at_the_deadline_and_leaves_no_process(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        mirror = Mirror(tmp_path / "m.git", f"git://127.0.0.1:{port}/x.git", "main")
        with pytest.raises(GitError, match="did not end within"):
            await mirror.fetch(timeout=1.0)
    assert str(port) not in subprocess.run(["ps", "ax"], check=True, capture_output=True, text=True).stdout


async def test_running_programs_as_transport_is_refused(tmp_path):
    mirror = Mirror(tmp_path / "m.git", f"ext::sh -c 'touch {tmp_path}/pwned'", "main")
    with pytest.raises(GitError, match="not allowed"):
        await mirror.fetch()
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("origin_name", ["--upload-pack=touch pwned", 'we"ird \\ name', "naïve é"])
async def test_odd_origin_names(tmp_path, origin, origin_name):
    head = origin.change("a")
    place = tmp_path / origin_name
    origin.path.rename(place)
    assert (await Mirror(tmp_path / "m.git", str(place), "main").fetch()).head == head
    with pytest.raises(GitError):
        await Mirror(tmp_path / "m2.git", origin_name, "main").fetch()


async def test_damaged_mirror_says_what_to_do(origin, mirror):
    origin.change("a")
    await mirror.fetch()
    for pack in (mirror.path / "objects").rglob("*"):
        if pack.is_file():
            pack.chmod(0o600)
            pack.write_bytes(b"garbage")
    origin.change("b")
    with pytest.raises(MirrorCorruptError, match="damaged") as caught:
        await mirror.fetch()
    assert "fetched anew" in caught.value.way_out


async def test_lock_files_of_a_killed_git_do_not_stop_the_next_fetch(origin, mirror):
    origin.change("a")
    await mirror.fetch()
    (mirror.path / "refs" / "heads" / "main.lock").touch()
    (mirror.path / "packed-refs.lock").touch()
    head = origin.change("b")
    assert (await mirror.fetch()).head == head
    (mirror.path / "refs" / "heads" / "main.lock").touch()
    head = origin.change("c")
    assert (await Mirror(mirror.path, mirror.origin, "main").fetch()).head == head


async def test_a_controller_killed_while_it_made_the_mirror(origin, mirror):
    head = origin.change("a")
    mirror.path.mkdir(parents=True)
    for name in ("config.lock", "HEAD.lock"):
        (mirror.path / name).touch()
    assert (await mirror.fetch()).head == head


async def test_waits_for_a_writer_that_outlived_its_controller(origin, mirror):
    origin.change("a")
    await mirror.fetch()
    other = os.open(mirror.path.with_name("mirror.git.flock"), os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX)
    fetch = asyncio.create_task(mirror.fetch())
    done, _ = await asyncio.wait({fetch}, timeout=0.3)
    assert not done
    os.close(other)
    assert (await fetch).head == origin.head


async def test_many_at_once_do_not_trip_over_each_other(origin, mirror):
    head = origin.change("a")
    fetched = await asyncio.gather(*(mirror.fetch() for _ in range(8)))
    assert {one.head for one in fetched} == {head}


async def test_a_cancelled_fetch_leaves_the_mirror_usable(origin, mirror):
    head = origin.change("a")
    for _ in range(5):
        task = asyncio.create_task(mirror.fetch())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (await mirror.fetch()).head == head


async def test_hooks_and_settings_of_the_surroundings_are_not_used(origin, mirror, tmp_path, monkeypatch):
    trap = tmp_path / "trap"
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("reference-transaction", "post-checkout"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {trap}\n")
        (hooks / name).chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f"[core]\n\thooksPath = {hooks}\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    head = origin.change("a")
    assert (await mirror.fetch()).head == head
    assert not trap.exists()


async def test_a_full_disk_is_named(tmp_path, origin):
    """Real `No space left` from a program in git's place is not needed: git's own words are judged."""
    from leuko.vcs.git import Answer, failure

    error = failure("fetch", Answer(128, b"", b"fatal: write error: No space left on device\n"), tmp_path)
    assert error.code == "V004"


def test_environment_is_scrubbed_and_argv_is_data():
    env = git_environment(
        {"GIT_DIR": "x", "GIT_SSH": "y", "PATH": "/bin", "SSH_AUTH_SOCK": "/s", "SSH_ASKPASS": "z"}
    )
    assert not {"GIT_DIR", "GIT_SSH", "SSH_ASKPASS"} & set(env)
    assert env["GIT_TERMINAL_PROMPT"] == "0"
    assert env["SSH_AUTH_SOCK"] == "/s"
    argv = git_argv(None, ["fetch", "a b; rm"])
    assert argv[-1] == "a b; rm"
    assert "protocol.ext.allow=never" in argv


def test_words_from_outside_are_made_fit():
    assert mask_address("https://u:p@h/x y ssh://git@h/z") == "https://***@h/x y ssh://***@h/z"
    assert text(b"J\xf6rg") == "Jörg"
    assert text("Jörg".encode()) == "Jörg"
    assert "\x1b" not in printable("\x1b[31mred")


async def test_nul_in_a_name_is_an_error_of_ours(mirror, origin):
    origin.change("a")
    await mirror.fetch()
    with pytest.raises(GitError, match="NUL"):
        await mirror.history.resolve("a\0b")


async def test_git_missing_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="not installed"):
        await Git(tmp_path).run("status")
