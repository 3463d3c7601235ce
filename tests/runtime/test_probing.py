"""Runs of what failed, through the real verifier: what a small build says about each test, command and node."""

from __future__ import annotations

import sys

import pytest
from tests.builders import LINE
from tests.runtime.test_culprits import built, landed
from tests.runtime.yard import Yard, git

from leuko.config.verify import SetupNode, Suite, Verify
from leuko.domain.build import BuildState, StepResult
from leuko.domain.case import Case
from leuko.domain.culprit import Inquiry, Subject, SubjectKind
from leuko.runtime.culprits import Culprits
from leuko.runtime.freezing import frozen_for
from leuko.runtime.probing import BuildProber, reduced
from leuko.store.records import from_json
from leuko.vcs.checkout import check_out
from leuko.verify.account import current
from leuko.verify.build import LocalVerifier

SUITES = {
    "unit": {
        "runner": "pytest",
        "command": f"{sys.executable} -m pytest -p no:cacheprovider",
        "files": ["tests/test_*.py"],
    }
}
TEST = (
    "def test_one():\n    assert open('state').read().strip() == 'good'\n\ndef test_two():\n    assert True\n"
)
ONE = Subject(SubjectKind.CASE, "test_one", "unit", "tests/test_a.py")
TWO = Subject(SubjectKind.CASE, "test_two", "unit", "tests/test_a.py")


async def world(tmp_path, **verify) -> tuple[Yard, BuildProber]:
    yard = await Yard.make(tmp_path, verify=verify)

    async def tree(revision, folder):
        return (await check_out(yard.mirror.git, revision, folder)).warnings

    async def verify_of(revision: str) -> Verify:
        return (await frozen_for(yard.ground.configuration, yard.mirror.history, revision)).verify

    verifier = LocalVerifier(tree, current(), tmp_path / "builds", tmp_path / "state", namespaces=False)
    return yard, BuildProber(verifier, verify_of, yard.mirror.history.has_file)


async def commit(yard: Yard, message: str, **files: str) -> str:
    for name, text in files.items():
        path = yard.origin / name.replace("__", "/").replace("_py", ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(yard.origin, "add", "-A")
    git(yard.origin, "commit", "-q", "--allow-empty", "-m", message)
    await yard.mirror.fetch()
    return git(yard.origin, "rev-parse", "HEAD")


async def test_a_red_build_of_a_suite_finds_its_culprit_with_real_builds(tmp_path) -> None:
    yard, prober = await world(tmp_path, suites=SUITES, workers=2)
    files = {"tests__test_a_py": TEST}
    await commit(yard, "begin", state="good\n", **files)
    first = await landed(yard, 1)
    await built(yard, first[0], first, BuildState.PASSED)
    for number in range(5):
        await commit(
            yard, f"Step {number}", **({"state": "bad\n"} if number == 3 else {"other": str(number)})
        )
    changes = [git(yard.origin, "rev-parse", f"HEAD~{back}") for back in (4, 3, 2, 1, 0)]
    seen = await landed(yard, 1)
    changes += seen
    failed = (Case("unit", "tests/test_a.py", "test_one"),)
    await built(yard, changes[-1], changes, BuildState.FAILED, failed)
    await Culprits(yard.ground, yard.mirror, prober).step()
    search = (await yard.store.culprits.recent(LINE))[0]
    assert search.culprit == changes[3], search.sentence
    inquiry = from_json(search.record, Inquiry)
    assert {probe.state.value for probe in inquiry.probes} == {"done"}, [one.reason for one in inquiry.probes]
    assert not list((tmp_path / "builds").iterdir()), "nothing is left behind"
    await yard.store.close()


async def test_what_is_not_there_yet_does_not_fail_and_what_cannot_be_run_says_nothing(tmp_path) -> None:
    yard, prober = await world(tmp_path, suites=SUITES)
    bare = await commit(yard, "no tests", state="good\n")
    seen = await prober.probe("p1", bare, [ONE])
    assert (seen.failed, seen.passed) == ((), (ONE.title,))
    half = await commit(yard, "one of two", tests__test_a_py=TEST.partition("def test_two")[0])
    seen = await prober.probe("p2", half, [ONE, TWO])
    assert (seen.failed, set(seen.passed)) == ((), {ONE.title, TWO.title})
    broken = await commit(yard, "syntax", tests__test_a_py="def test_one(:\n")
    seen = await prober.probe("p3", broken, [ONE])
    assert not seen.told
    assert seen.reason
    bad = await commit(yard, "bad", state="bad\n", tests__test_a_py=TEST)
    seen = await prober.probe("p4", bad, [ONE, TWO])
    assert (seen.failed, seen.passed) == ((ONE.title,), (TWO.title,))
    await yard.store.close()


@pytest.mark.parametrize(
    ("node", "told"), [("true", True), ("false", False), ("no-such-program-here", False)]
)
async def test_commands_are_told_where_their_set_up_passes(tmp_path, node, told) -> None:
    yard, prober = await world(tmp_path, setup=[node], tests={"all": "grep -q good state", "other": "false"})
    good = await commit(yard, "good", state="good\n")
    seen = await prober.probe("p1", good, [Subject(SubjectKind.COMMAND, "all")])
    assert seen.passed == (("all",) if told else ())
    assert seen.failed == ()
    await yard.store.close()


async def test_a_set_up_that_fails_is_asked_about_by_itself(tmp_path) -> None:
    setup = [{"name": "db", "run": "grep -q good state"}]
    yard, prober = await world(tmp_path, setup=setup, tests={"all": "true"})
    bad = await commit(yard, "bad", state="bad\n")
    seen = await prober.probe("p1", bad, [Subject(SubjectKind.SETUP, "db")])
    assert seen.failed == ("db",)
    await yard.store.close()


def test_a_small_build_holds_what_failed_and_nothing_else() -> None:
    suite = Suite(runner="pytest", files=("tests/**",))
    verify = Verify(
        setup=(SetupNode(run="make db"),), tests={"a": "a", "b": "b"}, suites={"unit": suite, "slow": suite}
    )
    small = reduced(
        verify,
        [Subject(SubjectKind.CASE, "t", "unit", "tests/test_[x].py"), Subject(SubjectKind.COMMAND, "b")],
    )
    assert small.setup == verify.setup
    assert small.tests == {"b": "b"}
    assert {name: one.files for name, one in small.suites.items()} == {"unit": ("/tests/test_[[]x].py",)}
    assert small.retry is False
    assert StepResult("b", "test", 0, 0.0, "").passed
