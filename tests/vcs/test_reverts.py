"""Reverts: made as git makes them, landed without force, never twice, never over a conflict."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime

import pytest

from leuko.vcs.git import GitError
from leuko.vcs.reverts import RevertConflictError, RevertedError, land, prepare, ref_of, reverted_by

AT = datetime(2026, 5, 5, 12, tzinfo=UTC)


@pytest.fixture
def bare(origin):
    """The origin takes pushes, as a bare repository does."""
    origin.git("config", "receive.denyCurrentBranch", "ignore")
    return origin


async def test_a_prepared_revert_is_what_git_itself_would_make(origin, mirror):
    origin.change("a", "1\n")
    bad = origin.change("a", "2\n", "Break it")
    origin.change("b")
    await mirror.fetch()
    made = await prepare(mirror, bad, AT, ["It broke unit.", "Leuko-Fix: L4"])
    change = await mirror.history.landing(made.revision)
    assert change.parent == origin.head
    assert await mirror.history.show_file(made.revision, "a") == "1\n"
    assert await mirror.history.show_file(made.revision, "b") == "b\n"
    commit = change.commits[0]
    assert commit.subject == 'Revert "Break it"'
    assert commit.reverts == (bad,)
    assert commit.fixes == ("L4",)
    origin.git("revert", "--no-edit", bad)
    assert origin.out("rev-parse", "HEAD^{tree}") == change.tree, "the same tree as git's own"
    assert await prepare(mirror, bad, AT, ["It broke unit.", "Leuko-Fix: L4"]) == made, "and the same again"
    kept = (await mirror.git.ask("rev-parse", ref_of(bad))).decode().strip()
    assert kept == made.revision
    await mirror.fetch()
    with pytest.raises(RevertedError, match=origin.head[:12]):
        await prepare(mirror, bad, AT)


async def test_a_merge_goes_as_a_whole(origin, mirror):
    origin.change("a")
    origin.git("checkout", "-q", "-b", "side")
    origin.change("s1")
    origin.change("s2")
    origin.git("checkout", "-q", "main")
    origin.change("between")
    origin.git("merge", "-q", "--no-ff", "-m", "Merge side", "side")
    merge = origin.head
    origin.change("after")
    await mirror.fetch()
    made = await prepare(mirror, merge, AT)
    assert await mirror.history.files_changed(origin.head, made.revision) == ("s1", "s2")
    assert (await mirror.history.landing(made.revision)).commits[0].reverts == (merge,)


async def test_what_does_not_come_off_cleanly_is_left_to_a_person(origin, mirror):
    origin.change("a b", "1\n")
    bad = origin.change("a b", "2\n")
    origin.change("a b", "3\n")
    await mirror.fetch()
    with pytest.raises(RevertConflictError) as caught:
        await prepare(mirror, bad, AT)
    assert caught.value.files == ("a b",)
    assert bad[:12] in caught.value.way_out


async def test_undone_by_hand_there_is_nothing_to_take_back(origin, mirror):
    origin.change("a", "1\n")
    bad = origin.change("a", "2\n")
    origin.change("a", "1\n")
    await mirror.fetch()
    with pytest.raises(GitError, match="nothing to take back"):
        await prepare(mirror, bad, AT)
    origin.git("checkout", "-q", "-b", "elsewhere")
    other = origin.change("x")
    origin.git("checkout", "-q", "main")
    await mirror.fetch()
    with pytest.raises(GitError, match="does not have"):
        await prepare(mirror, other, AT)


async def test_it_lands_once_and_never_again(bare, mirror):
    bare.change("a", "1\n")
    bad = bare.change("a", "2\n")
    await mirror.fetch()
    landed = await land(mirror, bad, AT)
    assert bare.head == landed.revision
    with pytest.raises(RevertedError) as caught:
        await land(mirror, bad, AT)
    assert caught.value.by == landed.revision
    assert bare.out("rev-list", "--count", "HEAD") == "3"


async def test_a_revert_that_was_reverted_does_not_stand(bare, mirror):
    bare.change("a", "1\n")
    bad = bare.change("a", "2\n")
    bare.git("revert", "--no-edit", bad)
    bare.git("revert", "--no-edit", "HEAD")
    await mirror.fetch()
    assert await reverted_by(mirror, bad, bare.head) == ""
    assert (await land(mirror, bad, AT)).of == bad


async def test_whoever_lands_in_the_same_moment_goes_first(bare, mirror, tmp_path):
    bare.change("a", "1\n")
    bad = bare.change("a", "2\n")
    await mirror.fetch()
    stale = await prepare(mirror, bad, AT)
    other = bare.change("b")
    answer = await mirror.send(stale.revision)
    assert answer.code != 0, "never with force"
    landed = await land(mirror, bad, AT)
    assert landed.onto == other


async def test_a_repository_that_does_not_take_it_says_why_and_the_way_out(bare, mirror):
    bare.change("a", "1\n")
    bad = bare.change("a", "2\n")
    hook = bare.path / ".git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho closed for the night >&2\nexit 1\n")
    hook.chmod(0o755)
    await mirror.fetch()
    with pytest.raises(GitError, match="did not take the revert") as caught:
        await land(mirror, bad, AT)
    assert f"git revert {bad[:12]}" in caught.value.way_out
    assert bare.head == bad


async def test_what_was_pushed_before_a_crash_is_found_after_it(bare, mirror):
    """The controller died between the push and its row: the next one finds the revert on the branch."""
    bare.change("a", "1\n")
    bad = bare.change("a", "2\n")
    await mirror.fetch()
    made = await prepare(mirror, bad, AT)
    subprocess.run(
        ["git", "push", "-q", str(bare.path), f"{made.revision}:refs/heads/main"], cwd=mirror.path, check=True
    )
    with pytest.raises(RevertedError) as caught:
        await land(mirror, bad, AT)
    assert caught.value.by == made.revision
