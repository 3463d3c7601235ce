"""What waits is verified alone or together, given up when it is useless, and not twice; real git, real commands."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.builders import LINE, configuration
from tests.runtime.yard import git

from leuko.clock import SystemClock
from leuko.domain.build import Build, BuildState
from leuko.domain.case import Case, CaseState
from leuko.domain.outside import Status, StatusState
from leuko.domain.quarantine import Quarantine
from leuko.releases.archives import Archives
from leuko.runtime.builder import Builder
from leuko.runtime.ground import Ground
from leuko.runtime.watcher import Watcher
from leuko.store.changes import ChangeState
from leuko.store.store import Store
from leuko.vcs.checkout import check_out
from leuko.vcs.mirror import Mirror
from leuko.verify.account import current
from leuko.verify.build import LocalVerifier

TEST = "test ! -e red && { test ! -e slow || { echo ran > $(cat slow).began; read line < $(cat slow); }; }"


@dataclass
class Works:
    """A line with a repository, a watcher, and a builder with a verifier of this machine."""

    folder: Path
    ground: Ground
    watcher: Watcher
    builder: Builder

    @classmethod
    async def make(cls, folder: Path, **more: Any) -> Works:
        origin = folder / "origin"
        origin.mkdir()
        git(origin, "init", "-q", "-b", "main")
        clock = SystemClock()
        store = await Store.open(folder / "state" / "leuko.sqlite", clock)
        settings = {"repository": str(origin), "verify": {"tests": {"all": TEST}}} | more
        ground = Ground(LINE, store, clock, folder / "state", configuration(**settings))
        async with store.write(LINE) as tx:
            ground.lease = await store.leases.acquire(tx, "test", timedelta(days=999), clock.now())
        mirror = Mirror(folder / "mirror.git", str(origin), "main")

        async def checking_out(revision: str, place: Path) -> tuple[str, ...]:
            return (await check_out(mirror.git, revision, place)).warnings

        verifier = LocalVerifier(checking_out, current(), folder / "builds", folder / "state")
        builder = Builder(ground, mirror, verifier, Archives(folder / "archives"))
        return cls(folder, ground, Watcher(ground, mirror, mirror.history), builder)

    @property
    def store(self) -> Store:
        return self.ground.store

    def commit(self, name: str = "file", text: str | None = None) -> str:
        origin = self.folder / "origin"
        (origin / name).write_text(os.urandom(4).hex() if text is None else text)
        git(origin, "add", "-A")
        git(origin, "commit", "-q", "--allow-empty", "-m", f"Change {name}")
        return git(origin, "rev-parse", "HEAD")

    async def landed(self, *names: str) -> list[str]:
        """A commit for each, seen by the watcher one after the other."""
        revisions = []
        for name in names or ("file",):
            revisions.append(self.commit(name))
            await self.watcher.step()
        return revisions

    async def builds(self) -> list[Build]:
        """Oldest first."""
        return (await self.store.builds.recent(LINE))[::-1]

    async def covers(self) -> list[list[str]]:
        return [await self.store.builds.changes(LINE, build.id) for build in await self.builds()]

    async def state(self, revision: str) -> ChangeState:
        found = await self.store.changes.get(LINE, revision)
        assert found is not None
        return found.state


@pytest.fixture
async def works(tmp_path):
    made: list[Works] = []

    async def make(**more: Any) -> Works:
        made.append(await Works.make(tmp_path, **more))
        return made[-1]

    yield make
    for one in made:
        await one.store.close()


async def until(true, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "did not come true in time"
        await asyncio.sleep(0.02)


async def test_the_first_build_covers_all_that_was_there_before(works):
    line = await works()
    revisions = [line.commit(), line.commit()]
    await line.watcher.step()
    assert (await line.builder.step()).revision == revisions[-1]
    assert await line.covers() == [revisions]


async def test_few_changes_are_verified_alone_oldest_first_and_many_together(works):
    line = await works(verify={"tests": {"all": TEST}, "alone": 2})
    first = await line.landed()
    await line.builder.step()
    two = await line.landed("a", "b")
    await line.builder.step()
    await line.builder.step()
    three = await line.landed("c", "d", "e")
    await line.builder.step()
    assert await line.builder.step() is None
    assert await line.covers() == [first, two[:1], two[1:], three]
    assert {build.state for build in await line.builds()} == {BuildState.PASSED}


async def test_a_red_change_is_red_alone(works):
    line = await works()
    await line.landed()
    await line.builder.step()
    (red,) = await line.landed("red")
    git(line.folder / "origin", "rm", "-q", "red")
    (fixed,) = await line.landed("fix")
    await line.builder.step()
    await line.builder.step()
    assert (await line.state(red), await line.state(fixed)) == (ChangeState.RED, ChangeState.GREEN)


def blocking(line: Works) -> Path:
    pipe = line.folder / "pipe"
    os.mkfifo(pipe)
    return pipe


async def test_a_build_that_the_next_one_covers_is_given_up_at_once_but_only_once(works):
    line = await works(verify={"tests": {"all": TEST}, "alone": 1})
    await line.landed()
    await line.builder.step()
    pipe = blocking(line)
    slow = [line.commit("slow", str(pipe))]
    await line.watcher.step()
    step = asyncio.create_task(line.builder.step())
    began = Path(f"{pipe}.began")
    await until(began.exists)
    slow += await line.landed("b", "c")
    assert await step is None
    given_up = (await line.builds())[-1]
    assert given_up.state is BuildState.CANCELLED
    assert given_up.reason.startswith("superseded: 2 changes wait")
    began.unlink()
    step = asyncio.create_task(line.builder.step())
    await until(began.exists)
    later = await line.landed("d", "e", "f")
    line.ground.bell.ring()
    running = (await line.builds())[-1]
    assert await line.builder._choosing.useless(running, 0.0) == ""
    pipe.write_text("go\n")
    assert (await step).revision == slow[-1]
    assert (await line.covers())[-1] == slow
    assert {await line.state(revision) for revision in slow} == {ChangeState.GREEN}
    assert {await line.state(revision) for revision in later} == {ChangeState.WAITING}


async def test_what_is_gone_from_the_branch_is_given_up(works):
    line = await works()
    (first,) = await line.landed()
    await line.builder.step()
    pipe = blocking(line)
    line.commit("slow", str(pipe))
    await line.watcher.step()
    step = asyncio.create_task(line.builder.step())
    await until(Path(f"{pipe}.began").exists)
    git(line.folder / "origin", "reset", "-q", "--hard", first)
    (other,) = await line.landed("other")
    assert await step is None
    assert (await line.builds())[-1].reason == f"gone from the branch: {other[:12]} stands there now"
    assert (await line.builder.step()).revision == other


async def test_a_build_that_a_person_asked_for_is_never_given_up(works):
    line = await works(verify={"tests": {"all": TEST}, "alone": 1})
    (first,) = await line.landed()
    await line.builder.step()
    asked = await line.builder.request(first)
    await line.landed("a", "b", "c")
    assert await line.builder._choosing.useless(asked, 0.0) == ""


async def test_a_tree_that_passed_is_not_verified_again(works):
    line = await works(verify={"tests": {"all": TEST}})
    line.ground.configuration.verify.tests["all"] = f"{TEST}; echo ran >> {line.folder}/ran"
    await line.landed()
    await line.builder.step()
    (same,) = [line.commit("file", (line.folder / "origin" / "file").read_text())]
    await line.watcher.step()
    assert (await line.builder.step()).revision == same
    again = (await line.builds())[-1]
    assert (again.state, again.reason) == (BuildState.PASSED, "the very same tree passed in build 1")
    assert (line.folder / "ran").read_text() == "ran\n"
    await line.builder.request(same)
    await line.builder.step()
    assert (line.folder / "ran").read_text() == "ran\nran\n", "who asks for a build gets one"


async def say(line: Works, revision: str, **states: str) -> None:
    async with line.store.write(LINE) as tx:
        for context, state in states.items():
            status = Status(revision, context, StatusState(state), line.ground.clock.now(), "https://ci/1")
            await line.store.statuses.set(tx, status)


async def test_another_ci_is_waited_for_and_its_word_counts(works):
    line = await works(outside={"contexts": ["unit", "lint"]}, verify={"tests": {"all": "false"}})
    (first,) = await line.landed()
    assert await line.builder.step() is None
    (build,) = await line.builds()
    assert (build.state, build.reason) == (BuildState.WAITING, "waits for unit, lint")
    await say(line, first, unit="success", lint="pending")
    assert await line.builder.step() is None
    await say(line, first, lint="success")
    assert (await line.builder.step()).revision == first
    (build,) = await line.builds()
    assert (build.state, build.reason) == (BuildState.PASSED, "verified by lint, unit")


async def test_another_ci_may_change_its_mind(works):
    line = await works(outside={"contexts": ["unit"]})
    (first,) = await line.landed()
    await say(line, first, unit="failure")
    assert await line.builder.step() is None
    assert (await line.builds())[-1].reason == "unit says failure (https://ci/1)"
    assert await line.state(first) is ChangeState.RED
    await say(line, first, unit="pending")
    assert await line.builder.step() is None
    await say(line, first, unit="success")
    assert (await line.builder.step()).revision == first
    assert await line.state(first) is ChangeState.GREEN
    assert len(await line.builds()) == 2


async def test_silence_of_another_ci_is_broken_and_not_tried_again(works):
    line = await works(outside={"contexts": ["unit"], "patience": "1ms"})
    (first,) = await line.landed()
    for _ in range(3):
        assert await line.builder.step() is None
    (build,) = await line.builds()
    assert (build.state, build.reason) == (BuildState.BROKEN, "no answer from unit within 0.001 s")
    assert await line.state(first) is ChangeState.BROKEN


async def test_both_must_be_green_where_ours_run_besides(works):
    outside = {"contexts": ["unit"], "besides": True}
    line = await works(outside=outside, verify={"tests": {"all": TEST}})
    (red,) = await line.landed("red")
    await say(line, red, unit="success")
    assert await line.builder.step() is None
    assert await line.state(red) is ChangeState.RED


async def test_a_commit_nobody_spoke_of_is_carried_by_the_one_above(works):
    line = await works(outside={"contexts": ["unit"]})
    (below,) = await line.landed()
    await line.builder.step()
    (above,) = await line.landed("b")
    await line.builder.step()
    await say(line, above, unit="success")
    assert (await line.builder.step()).revision == above
    assert await line.state(below) is ChangeState.GREEN
    assert [build.state for build in await line.builds()] == [BuildState.CANCELLED, BuildState.PASSED]


MEASURED = """test -e uncovered || cat > coverage.json <<E
{"files": {"$PWD/shop/new.py": {"executed_lines": [1, 2], "missing_lines": [4, 9]}}}
E"""


async def covered(works, gate: str) -> tuple[Works, str]:
    """A line whose second change adds four lines, of which tests ran two."""
    section = {"reports": ["coverage.json"], "gate": gate}
    line = await works(coverage=section, verify={"tests": {"all": MEASURED}})
    (line.folder / "origin" / "shop").mkdir()
    line.commit("shop/old.py", "a = 1\n" * 8)
    await line.watcher.step()
    await line.builder.step()
    git(line.folder / "origin", "mv", "shop/old.py", "shop/new.py")
    revision = line.commit("shop/new.py", "b = 1\nb = 2\n# b\nb = 4\n" + "a = 1\n" * 8)
    await line.watcher.step()
    return line, revision


@pytest.mark.parametrize(
    ("gate", "state"), [("off", ChangeState.GREEN), ("warn", ChangeState.GREEN), ("hard", ChangeState.RED)]
)
async def test_lines_of_a_change_that_no_test_ran(works, gate, state):
    line, revision = await covered(works, gate)
    await line.builder.step()
    build = (await line.builds())[-1]
    facts = await line.store.build_facts.of(LINE, build.id)
    said = "no test ran 1 of the 3 lines that the change touches (67% ran)"
    assert (facts["coverage"]["sentence"], facts["coverage"]["files"][0]["ranges"]) == (said, "4")
    assert await line.state(revision) is state
    assert (said in build.reason) is (gate == "hard")
    assert any(said in warning for warning in facts.get("warnings", ())) is (gate == "warn")


async def test_no_report_is_never_whole_coverage(works):
    line = await works(coverage={"reports": ["coverage.json"], "gate": "hard"})
    (first,) = await line.landed("file.py")
    assert await line.builder.step() is None
    assert await line.state(first) is ChangeState.RED
    assert "the tests left no report that fits coverage.json" in (await line.builds())[-1].reason


async def test_what_passed_only_because_a_test_was_held_back_is_tested_again(works):
    suites = {"unit": {"runner": "exit", "command": 'sh "$@"', "files": ["tests/*.sh"]}}
    line = await works(verify={"tests": {}, "suites": suites})
    (line.folder / "origin" / "tests").mkdir()
    line.commit("tests/good.sh", "true\n")
    line.commit("tests/held.sh", "true\n")
    await line.watcher.step()
    assert await line.builder.step() is not None
    held = Case("unit", "tests/held.sh")
    now = line.ground.clock.now()
    async with line.store.write(LINE) as tx:
        wanted = Quarantine(0, held, "ann", "races", "ann", now, now + timedelta(days=1))
        await line.store.quarantines.add(tx, wanted)
    first = line.commit("tests/held.sh", "echo no; exit 3\n")
    await line.watcher.step()
    assert (await line.builder.step()).revision == first
    build = (await line.builds())[-1]
    (row,) = [
        row for row in await line.store.cases.rows(LINE, build.id) if row.quarantined and row.attempt == 2
    ]
    assert (row.case, row.state) == (held, CaseState.FAILED)
    async with line.store.write(LINE) as tx:
        await line.store.quarantines.end(tx, held, line.ground.clock.now(), "ann", "mended")
    git(line.folder / "origin", "commit", "-q", "--allow-empty", "-m", "The same tree")
    await line.watcher.step()
    assert await line.builder.step() is None
    build = (await line.builds())[-1]
    assert (build.state, "held.sh" in build.reason) == (BuildState.FAILED, True)
    history = await line.store.cases.history(LINE)
    assert history.failed_last(held)
    assert history.seconds(Case("unit", "tests/good.sh")) is not None
