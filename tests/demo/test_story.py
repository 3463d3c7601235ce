"""The commits of the demo and the faults do in production what they say, and their tests see nothing of it."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.demo.rig import Rig, alive, until

from leuko.demo.repository import FAULTS, NOTHING, STORY, ShopRepository, patch_file
from leuko.demo.traffic import Traffic
from leuko.domain.errors import LeukoError


async def git(repository: ShopRepository, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "git", "-C", str(repository.origin), *arguments, stdout=asyncio.subprocess.PIPE
    )
    return (await process.communicate())[0].decode()


async def serve(rig: Rig, tmp_path: Path, rate: float, requests: int):
    traffic = Traffic(rig.fleet.addresses(), tmp_path / f"traffic{len(list(tmp_path.iterdir()))}")
    traffic.start(rate=rate, requests=requests)
    assert await traffic.wait() == 0
    return traffic.facts()


@pytest.fixture
async def live(rig, repository):
    """A host that serves the first commit."""
    assert (await rig.switch("first", repository.clone)).code == 0
    return rig


@pytest.mark.parametrize("name", [*STORY, *FAULTS, NOTHING])
async def test_the_tests_of_every_commit_pass(repository, name):
    upon = STORY[: STORY.index(name)] if name in STORY else ()
    for one in (*upon, name):
        await repository.commit(one)
    assert (
        subprocess.run(
            [sys.executable, "-B", "-m", "unittest", "-q"],
            cwd=repository.clone,
            capture_output=True,
            check=False,
        ).returncode
        == 0
    )


async def test_people_of_their_own_make_the_commits(repository):
    for name in STORY:
        await repository.commit(name, fixes="lock-7" if name == STORY[2] else "")
    log = await git(
        repository,
        "log",
        "--format=%an <%ae>|%cn|%s|%(trailers:key=Leuko-Fix,valueonly,separator=%x2C)",
        "main",
    )
    lines = [line.split("|") for line in log.splitlines()]
    assert [line[0].split("<")[0].strip() for line in lines] == [
        "Priya Nair",
        "Priya Nair",
        "Tomas Berg",
        "Ines Kowalski",
    ]
    assert [line[1] for line in lines] == ["Priya Nair", "Priya Nair", "Tomas Berg", "Ines Kowalski"]
    assert [line[3] for line in lines] == ["lock-7", "", "", ""]
    assert len(await repository.head()) == 40
    assert (await repository.head()) == (await git(repository, "rev-parse", "main")).strip()


async def test_faults_apply_upon_every_commit_of_the_story(repository):
    for name in STORY:
        await repository.commit(name, push=False)
        for fault in (*FAULTS, NOTHING):
            revision = await repository.commit(fault, push=False)
            await repository.revert(revision, push=False)


async def test_a_commit_that_does_not_apply_leaves_the_clone_as_it_was(repository):
    await repository.commit(STORY[0])
    head = await repository.head()
    with pytest.raises(LeukoError, match="git am failed"):
        await repository.commit(STORY[2])
    assert await repository.head() == head
    await repository.commit(STORY[1])


async def test_what_a_hook_of_the_origin_says_reaches_the_author(repository):
    hook = repository.origin / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'the line is locked' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(LeukoError, match="the line is locked"):
        await repository.commit(STORY[0])


async def test_the_recipe_does_what_it_says(repository):
    done = subprocess.run(
        ["sh", "-c", repository.recipe("leak")], capture_output=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert "pages" in await git(repository, "log", "-1", "--format=%s", "main")


def test_nothing_in_the_commits_says_which_of_them_go_wrong():
    for name in (*STORY, *FAULTS, NOTHING):
        text = patch_file(name).read_text().split("diff --git")[0]
        assert not re.search(r"fault|bad|broken|bug|demo|leuko|canary|rollback", text, re.IGNORECASE), name


async def test_the_story_in_production(live, repository, tmp_path):
    rig = live
    first = await serve(rig, tmp_path, 200, 300)
    assert first.total.failures == 0
    failed = []
    for name in STORY:
        revision = await repository.commit(name)
        assert (await rig.switch(revision[:12], repository.clone)).code == 0
        facts = await serve(rig, tmp_path, 200, 300)
        failed.append(facts.total.failures / facts.total.requests)
        assert set(facts.total.kinds) <= {"500"}
    assert failed[0] == failed[2] == 0
    assert 0.08 < failed[1] < 0.25
    assert "ZeroDivisionError" in rig.log("error.log")


async def test_errors(live, repository, tmp_path):
    await repository.commit("errors")
    assert (await live.switch("errors", repository.clone)).code == 0
    facts = await serve(live, tmp_path, 200, 400)
    assert facts.total.kinds == {"500": 20}
    assert " 500 " in live.log("access.log")


async def test_slow(live, repository, tmp_path):
    before = await serve(live, tmp_path, 100, 100)
    await repository.commit("slow")
    assert (await live.switch("slow", repository.clone)).code == 0
    after = await serve(live, tmp_path, 100, 100)
    assert after.total.failures == 0
    added = (after.total.milliseconds - before.total.milliseconds) / 100
    assert 140 < added < 1500
    logged = [
        float(line.split()[4]) for line in live.log("access.log").splitlines() if line.endswith(" slow")
    ]
    assert min(logged) >= 150


async def test_crash_at_start(live, repository, tmp_path):
    await repository.commit("crash-at-start")
    told = await live.switch("bad", repository.clone)
    assert told.code == 1
    assert "KeyError: 'SHOP_CURRENCY'" in told.err
    assert (await serve(live, tmp_path, 50, 20)).total.by_release == {"first": 20}


@pytest.mark.slow
async def test_crash_later(live, repository, tmp_path):
    await repository.commit("crash-later")
    assert (await live.switch("bad", repository.clone)).code == 0
    child = live.serving()
    started = asyncio.get_running_loop().time()
    await until(lambda: not alive(child), "its end", 30)
    assert 19 < asyncio.get_running_loop().time() - started < 25
    await until(lambda: live.serving() != child, "another one")
    assert " crashed release bad: status -14" in live.log("shopd.log")


async def test_leak(live, repository, tmp_path):
    def memory() -> int:
        text = Path(f"/proc/{live.serving()}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1])

    await serve(live, tmp_path, 100, 200)
    steady = memory()
    await repository.commit("leak")
    assert (await live.switch("leak", repository.clone)).code == 0
    before = memory()
    await serve(live, tmp_path, 100, 200)  # ten seconds of the demo's traffic
    assert memory() - before > 20_000
    assert steady < 40_000


async def test_silence(live, repository, tmp_path):
    await repository.commit("silence")
    assert (await live.switch("silent", repository.clone)).code == 0
    traffic = Traffic(live.fleet.addresses(), tmp_path / "traffic")
    traffic.start(rate=50)
    await until(lambda: (facts := traffic.facts()) and facts.total.kinds.get("timeout", 0) > 20, "timeouts")
    assert (await live.tell("bin/ask", "/health")).code == 0
    assert traffic.facts().total.by_release["silent"] == 40
    child = live.serving()
    assert alive(child)
    assert (await live.switch("first")).code == 0  # back again, though the silent one cannot finish anything
    await until(lambda: not alive(child), "its end")
    await traffic.stop()
    assert traffic.facts().total.by_release["first"] > 0
    assert " crashed " not in live.log("shopd.log")


async def test_nothing(live, repository, tmp_path):
    await repository.commit(NOTHING)
    assert (await live.switch("noop", repository.clone)).code == 0
    assert (await serve(live, tmp_path, 100, 100)).total.failures == 0
