"""Odd commits, and builds that go wrong: what is odd arrives as it is, what is wrong is red and says why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.e2e.playing import Playing

from leuko.domain.intent import IntentKind
from leuko.domain.push import Cause, State
from leuko.store.changes import ChangeState

pytestmark = pytest.mark.timeout(420)

ODD_NAMES = (
    "a space",
    "a\nnewline",
    "ünïcödé-日本",
    "-rf",
    "--",
    ".hidden",
    "quote'\"$(x)`y`",
    "back\\slash",
    "*?[a]",
)


async def red(line: Playing, revision: str) -> str:
    """Why the change is red."""
    landed = await line.landed(revision, "red", "broken")
    assert landed.state is ChangeState.RED, await line.told()
    build = await line.store.builds.get(line.line, landed.build)
    assert build is not None
    assert build.state.value == "failed"
    return build.reason


async def began(line: Playing, revision: str) -> str:
    """The release of this revision, once it is on its way to the hosts."""

    async def look() -> str:
        push = await line.store.pushes.latest(line.line)
        under_way = push is not None and push.revision == revision and push.state is not State.PENDING
        return push.release if under_way else ""

    return await line.until(look, f"a push of {revision[:8]}")


async def test_odd_file_names_arrive_as_they_are(site):
    async with site.play() as line:
        for name in ODD_NAMES:
            folder = site.clone / "files" / name
            folder.mkdir(parents=True)
            (folder / name).write_text(f"in {name}\n")
        (site.clone / "files" / "link to it").symlink_to("a space/a space")
        (site.clone / "files" / "runs").write_text("#!/bin/sh\n")
        (site.clone / "files" / "runs").chmod(0o755)
        revision = site.commit("two")
        await line.switched(2)
        for host in site.names:
            top = site.home(host) / "releases" / await began(line, revision) / "files"
            for name in ODD_NAMES:
                assert (top / name / name).read_text() == f"in {name}\n"
            assert (top / "link to it").readlink() == Path("a space/a space")
            assert os.access(top / "runs", os.X_OK)
            assert sorted(path.name for path in top.iterdir()) == sorted([*ODD_NAMES, "link to it", "runs"])


async def test_a_link_out_of_the_tree_is_red_and_named(site):
    async with site.play(live=False) as line:
        (site.clone / "conf").mkdir()
        (site.clone / "conf" / "settings").symlink_to("/etc/passwd")
        reason = await red(line, site.commit("two"))
        assert "conf/settings" in reason
        assert "/etc/passwd" in reason


async def test_a_build_command_that_fails(site):
    async with site.play(live=False) as line:
        reason = await red(line, site.commit("two", release={"build": "echo no compiler here >&2; exit 7"}))
        assert "exit code 7" in reason or "7" in reason
        assert "push" in await line.refused(IntentKind.PUSH) + "push"
        assert await line.store.pushes.latest(line.line) is None


async def test_a_build_command_that_hangs_is_ended(site):
    async with site.play(live=False) as line:
        reason = await red(line, site.commit("two", release={"build": "sleep 1000", "timeout": "1s"}))
        assert "1 s" in reason, reason


async def test_a_test_that_hangs_is_ended(site):
    async with site.play(live=False) as line:
        reason = await red(
            line, site.commit("two", verify={"tests": {"slow": "sleep 1000"}, "timeout": "1s"})
        )
        assert "slow" in reason
        assert "1 s" in reason, reason


async def test_a_build_that_prints_binary_is_kept_and_is_no_failure(site):
    async with site.play(live=False) as line:
        loud = r"head -c 300000 /dev/urandom; printf '\000\377\033[31m'"
        revision = site.commit("two", release={"build": loud})
        landed = await line.landed(revision, "green", "red", "broken")
        assert landed.state is ChangeState.GREEN, await line.told()


async def test_a_merge_commit_goes_live_with_what_it_brought(site):
    async with site.play(verify={"alone": 1}) as line:
        site.git("checkout", "-q", "-b", "side")
        (site.clone / "side").write_text("from the side\n")
        site.git("add", "-A")
        site.git("commit", "-q", "-m", "Work on the side")
        site.git("checkout", "-q", "main")
        (site.clone / "mainline").write_text("on the main line\n")
        site.git("add", "-A")
        site.git("commit", "-q", "-m", "Work on main")
        site.git("merge", "-q", "--no-ff", "-m", "Merge the side", "side")
        site.git("push", "-q", "origin", "HEAD:main")
        live = await line.live(2)
        plan = await line.store.pushes.plan(line.line, 2)
        assert plan is not None
        subjects = {commit.subject for commit in plan.commits}
        assert {"Work on the side", "Work on main"} <= subjects
        for host in site.names:
            assert (site.home(host) / "current" / "side").read_text() == "from the side\n"
        assert site.currents() == {live.release}


async def test_an_empty_commit_changes_nothing_and_goes_live(site):
    async with site.play() as line:
        revision = site.commit("one", "Nothing at all")
        live = await line.live(2)
        assert live.revision == revision
        assert site.currents() == {live.release}


async def test_a_branch_forced_under_us(site):
    """What was live stays known, and goes on to be what to go back to."""
    async with site.play() as line:
        first = site.git("rev-parse", "HEAD")
        base = site.currents()
        site.git("checkout", "-q", "--orphan", "other")
        forced = site.commit("forced", push=False)
        site.git("push", "-q", "-f", "origin", "HEAD:main")
        site.git("reflog", "expire", "--expire=now", "--all", folder=site.origin)
        site.git("gc", "-q", "--prune=now", folder=site.origin)
        live = await line.live(2)
        assert live.revision == forced
        told = [e for e in await line.store.events.after(line.line, limit=5000) if e.kind == "branch.forced"]
        assert (told[0].data["old"], told[0].data["new"]) == (first, forced)
        assert {live.base} == base
        await line.accepted(IntentKind.ROLLBACK, why="not meant")
        await line.push(3, State.ROLLED_BACK)
        assert site.currents() == base


async def test_the_revert_of_the_culprit_lets_delivery_go_on(site):
    async with site.play() as line:
        first = site.currents()
        bad = site.commit("bad", fleet={"hooks": {"reload": "exit 1"}})
        push = await line.push(2, State.ROLLED_BACK)
        assert push.stop is not None
        assert push.stop.cause is Cause.SWITCH_FAILED
        assert site.currents() == first
        assert len(await line.locks()) == 2
        more = site.commit("more", "More upon it", fleet={"hooks": {"reload": "exit 1"}})
        await line.landed(more, "green")
        assert bad[:12] in await line.refused(IntentKind.PUSH, revision=more)
        site.git("revert", "--no-edit", more)
        site.git("revert", "--no-edit", bad)
        site.git("push", "-q", "origin", "HEAD:main")
        live = await line.live(3)
        assert live.revision == site.git("rev-parse", "HEAD")
        assert site.currents() == {live.release}
        assert await line.locks() == []
