from __future__ import annotations

import pytest

from leuko.vcs.git import GitError
from leuko.vcs.hotfix import ConflictError, cherry_pick


async def test_live_plus_one_commit(origin, mirror):
    live = origin.change("a", "1\n")
    origin.change("unrelated")
    origin.write("a", "2\n")
    fix = origin.commit(
        b"fix the till\n\nLeuko-Fix: L3\n",
        "--author=Bob Bö <bob@example.com>",
    )
    await mirror.fetch()
    picked = await cherry_pick(mirror, live, fix)
    change = await mirror.history.landing(picked)
    assert change.parent == live
    assert await mirror.history.files_changed(live, picked) == ("a",)
    assert await mirror.history.show_file(picked, "a") == "2\n"
    commit = change.commits[0]
    assert (commit.author, commit.email) == ("Bob Bö", "bob@example.com")
    assert commit.fixes == ("L3",)
    assert f"(cherry picked from commit {fix})" in commit.message
    assert await cherry_pick(mirror, live, fix) == picked, "the same again after a restart"
    await mirror.fetch()
    await mirror.git.ask("gc", "--quiet", "--prune=now")
    assert await mirror.history.has(picked)


async def test_a_commit_right_on_top_of_live_is_itself(origin, mirror):
    live = origin.change("a")
    fix = origin.change("b")
    await mirror.fetch()
    assert await cherry_pick(mirror, live, fix) == fix


async def test_a_conflict_names_the_files_and_the_way_out(origin, mirror):
    live = origin.change("a b\nc", "1\n")
    origin.change("a b\nc", "2\n")
    fix = origin.change("a b\nc", "3\n")
    await mirror.fetch()
    with pytest.raises(ConflictError) as caught:
        await cherry_pick(mirror, live, fix)
    assert caught.value.files == ("a b\nc",)
    assert live[:12] in caught.value.way_out


async def test_a_merge_is_picked_as_the_landing_it_is(origin, mirror):
    live = origin.change("a")
    origin.change("skipped")
    origin.git("checkout", "-q", "-b", "side")
    origin.change("s1")
    origin.change("s2")
    origin.git("checkout", "-q", "main")
    origin.change("more")
    origin.git("merge", "-q", "--no-ff", "-m", "m", "side")
    await mirror.fetch()
    picked = await cherry_pick(mirror, live, origin.head)
    assert await mirror.history.files_changed(live, picked) == ("s1", "s2")


async def test_what_is_there_already_and_what_changes_nothing(origin, mirror):
    first = origin.change("a")
    live = origin.change("b")
    origin.commit("empty")
    origin.commit("empty too")
    await mirror.fetch()
    with pytest.raises(GitError, match="already"):
        await cherry_pick(mirror, live, first)
    with pytest.raises(GitError, match="changes nothing"):
        await cherry_pick(mirror, live, origin.head)


async def test_a_rename_on_the_branch_is_followed(origin, mirror):
    body = "".join(f"line {number}\n" for number in range(40))
    live = origin.change("old", body)
    origin.git("mv", "old", "new")
    origin.commit("rename")
    fix = origin.change("new", body.replace("line 7\n", "line seven\n"))
    await mirror.fetch()
    picked = await cherry_pick(mirror, live, fix)
    assert "line seven" in await mirror.history.show_file(picked, "old")
