"""Searches for the change that broke a red build: with real git, a real store, and a crash wherever one may be."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest
from tests.builders import LINE
from tests.runtime.yard import Yard, git

from leuko.domain.build import BuildState, StepResult
from leuko.domain.case import Case, CaseState
from leuko.domain.culprit import Inquiry, ProbeState, Subject
from leuko.domain.intent import IntentKind, IntentState
from leuko.domain.lock import LockKind, Severity
from leuko.runtime.culprits import Culprits
from leuko.runtime.probing import Seen
from leuko.runtime.reverting import Reverting
from leuko.store.cases import CaseRow
from leuko.store.changes import ChangeState
from leuko.store.records import from_json

UNIT = Case("unit", "tests/test_a.py", "test_one")


@dataclass
class GivenProber:
    """Says what a revision's tests do: those in `breaks` fail from that revision on."""

    yard: Yard
    breaks: dict[str, str]
    """Title -> the revision that broke it; "" is a flake."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    dies_at: int = 0
    untestable: frozenset[str] = frozenset()

    async def probe(self, name: str, revision: str, subjects) -> Seen:
        self.asked.append((name, revision))
        if self.dies_at and len(self.asked) >= self.dies_at:
            raise asyncio.CancelledError
        if revision in self.untestable:
            return Seen(reason="it does not build")
        failed, passed = [], []
        for subject in subjects:
            broke = self.breaks.get(subject.title, "")
            bad = bool(broke) and await self.yard.mirror.history.is_ancestor(broke, revision)
            (failed if bad else passed).append(subject.title)
        return Seen(tuple(failed), tuple(passed), 0.1)


@dataclass
class Scene:
    yard: Yard
    prober: GivenProber
    revisions: list[str]
    build: int

    @property
    def culprits(self) -> Culprits:
        """As a fresh process has it."""
        return Culprits(self.yard.ground, self.yard.mirror, self.prober)

    @property
    def reverting(self) -> Reverting:
        return Reverting(self.yard.ground, self.yard.mirror)

    async def search(self):
        found = await self.yard.store.culprits.recent(LINE)
        return found[0] if found else None

    async def states(self) -> list[str]:
        return [(await self.yard.store.changes.get(LINE, one)).state.value for one in self.revisions]


async def landed(yard: Yard, count: int, *, files: bool = True) -> list[str]:
    """So many changes on the branch, seen by the controller."""
    found = []
    for number in range(count):
        name = f"file{number}" if files else "file"
        (yard.origin / name).write_text(f"{number} {len(list(yard.origin.iterdir()))} {yard.clock.now()}")
        git(yard.origin, "add", "-A")
        git(yard.origin, "commit", "-q", "--allow-empty", "-m", f"Change {number}")
        found.append(git(yard.origin, "rev-parse", "HEAD"))
    await see(yard)
    return found


async def see(yard: Yard) -> None:
    head = (await yard.mirror.fetch()).head
    latest = await yard.store.changes.latest(LINE)
    changes = await yard.mirror.history.landings(latest.revision if latest else None, head)
    async with yard.store.write(LINE) as tx:
        for change in changes:
            await yard.store.changes.add(tx, change, concerns=True, at=yard.clock.now())


async def built(yard: Yard, revision: str, covers: list[str], state: BuildState, failed=(), steps=()) -> int:
    """A build that ended so, with these tests failed."""
    marks = {BuildState.FAILED: ChangeState.RED, BuildState.PASSED: ChangeState.GREEN}
    now = yard.clock.now()
    async with yard.store.write(LINE) as tx:
        build = await yard.store.builds.create(tx, revision, "tree", covers, now)
        build = await yard.store.builds.save(tx, build.to(BuildState.RUNNING, now))
        build = await yard.store.builds.save(tx, build.to(state, now))
        await yard.store.builds.save_steps(tx, build.id, list(steps))
        await yard.store.cases.save(tx, build.id, [CaseRow(case, CaseState.FAILED) for case in failed], 1)
        await yard.store.changes.mark(tx, covers, marks[state], build=build.id)
    return build.id


async def scene(tmp_path, breaks: dict[str, int], count: int = 8, failed=(UNIT,), **settings) -> Scene:
    """A green change, then a red build that covers so many; `breaks` by index of the change."""
    settings.setdefault("verify", {"tests": {"all": "true"}, "workers": 2})
    yard = await Yard.make(tmp_path, **settings)
    git(yard.origin, "config", "receive.denyCurrentBranch", "ignore")
    first = await landed(yard, 1)
    await built(yard, first[0], first, BuildState.PASSED)
    revisions = await landed(yard, count)
    number = await built(yard, revisions[-1], revisions, BuildState.FAILED, failed)
    named = {title: revisions[index] if index >= 0 else "" for title, index in breaks.items()}
    return Scene(yard, GivenProber(yard, named), revisions, number)


@pytest.mark.parametrize("culprit", [0, 3, 7])
async def test_the_culprit_is_red_those_before_it_go_on_and_those_after_say_why(tmp_path, culprit) -> None:
    made = await scene(tmp_path, {str(UNIT): culprit})
    assert await made.culprits.step()
    search = await made.search()
    assert (search.state, search.culprit, search.build) == ("ended", made.revisions[culprit], made.build)
    assert "broke unit: tests/test_a.py::test_one" in search.sentence
    inquiry = from_json(search.record, Inquiry)
    runs = {(probe.version, bool(probe.failed)) for probe in inquiry.probes}
    assert (culprit + 1, True) in runs
    assert (culprit, False) in runs, "the parent was run, and passed"
    states = await made.states()
    assert states[culprit:] == ["red"] * (8 - culprit)
    assert states[:culprit] == ["verifying"] * culprit
    if culprit:
        build = (await made.yard.store.builds.unfinished(LINE))[0]
        assert build.revision == made.revisions[culprit - 1]
        assert await made.yard.store.builds.changes(LINE, build.id) == made.revisions[:culprit]
        assert await made.yard.store.build_facts.get(LINE, build.id, "asked"), "nothing makes it useless"
    assert not await made.culprits.step(), "and no second search for the same build"
    await made.yard.store.close()


async def test_two_that_broke_two_tests_are_both_found_by_the_same_runs(tmp_path) -> None:
    other = Case("unit", "tests/test_b.py", "test_two")
    made = await scene(tmp_path, {str(UNIT): 2, str(other): 5}, failed=(UNIT, other))
    await made.culprits.step()
    inquiry = from_json((await made.search()).record, Inquiry)
    assert [one.revision for one in inquiry.culprits] == [made.revisions[2], made.revisions[5]]
    assert (await made.states())[:3] == ["verifying", "verifying", "red"]
    locks = await made.yard.store.locks.held(LINE, LockKind.COMMIT, made.yard.clock.now())
    assert {lock.blocks for lock in locks} == {(made.revisions[2],), (made.revisions[5],)}
    await made.yard.store.close()


async def test_a_flake_blames_nobody_and_the_build_is_made_again_but_not_for_ever(tmp_path) -> None:
    made = await scene(tmp_path, {str(UNIT): -1})
    for again in range(2):
        await made.culprits.step()
        search = await made.search()
        assert search.culprit == ""
        assert "No change broke" in search.sentence
        assert set(await made.states()) == {"verifying"}, again
        await built(made.yard, made.revisions[-1], made.revisions, BuildState.FAILED, (UNIT,))
    await made.culprits.step()
    assert set(await made.states()) == {"red"}, "somebody has to look at that test"
    assert not await made.yard.store.locks.held(LINE, None, made.yard.clock.now())
    await made.yard.store.close()


@pytest.mark.parametrize("dies_at", [1, 2, 4, 7])
async def test_killed_at_any_run_a_fresh_process_comes_to_the_same_answer(tmp_path, dies_at) -> None:
    made = await scene(tmp_path, {str(UNIT): 4})
    made.prober.dies_at = dies_at
    died = False
    try:
        await made.culprits.step()
    except asyncio.CancelledError:
        died = True
    made.prober.dies_at = 0
    await made.culprits.step()
    search = await made.search()
    assert search.culprit == made.revisions[4]
    probes = from_json(search.record, Inquiry).probes
    assert not [probe for probe in probes if probe.state is ProbeState.RUNNING]
    assert any(probe.state is ProbeState.CUT for probe in probes) is died
    assert len(await made.yard.store.culprits.recent(LINE)) == 1
    await made.yard.store.close()


async def test_revisions_that_do_not_build_are_gone_around(tmp_path) -> None:
    made = await scene(tmp_path, {str(UNIT): 5})
    made.prober.untestable = frozenset(made.revisions[2:4])
    await made.culprits.step()
    assert (await made.search()).culprit == made.revisions[5]
    await made.yard.store.close()


async def test_what_was_red_before_is_not_blamed_on_those_who_came_later(tmp_path) -> None:
    made = await scene(tmp_path, {str(UNIT): 3})
    await made.culprits.step()
    later = await landed(made.yard, 2)
    await built(made.yard, later[-1], later, BuildState.FAILED, (UNIT,))
    asked = len(made.prober.asked)
    await made.culprits.step()
    search = await made.search()
    assert (search.state, search.culprit) == ("inherited", made.revisions[3])
    assert "Nothing new failed" in search.sentence
    assert len(made.prober.asked) == asked, "nothing was run for that"
    await made.yard.store.close()


async def test_what_fails_newly_on_top_of_red_is_looked_for_alone(tmp_path) -> None:
    other = Case("unit", "tests/test_b.py", "test_two")
    made = await scene(tmp_path, {str(UNIT): 3})
    await made.culprits.step()
    later = await landed(made.yard, 4)
    made.prober.breaks[str(other)] = later[1]
    await built(made.yard, later[-1], later, BuildState.FAILED, (UNIT, other))
    await made.culprits.step()
    search = await made.search()
    assert search.culprit == later[1]
    assert [one.title for one in from_json(search.record, Inquiry).subjects] == [str(other)]
    await made.yard.store.close()


async def test_it_waits_for_earlier_changes_that_are_still_verified(tmp_path) -> None:
    made = await scene(tmp_path, {str(UNIT): 0}, count=1)
    later = await landed(made.yard, 2)
    async with made.yard.store.write(LINE) as tx:
        await made.yard.store.changes.mark(tx, later[:1], ChangeState.VERIFYING)
    await built(made.yard, later[1], later[1:], BuildState.FAILED, (UNIT,))
    await made.culprits.begin()
    assert len(await made.yard.store.culprits.recent(LINE)) == 1, "only the first build's"
    await made.yard.store.close()


async def test_commands_and_set_up_are_searched_for_as_tests_are(tmp_path) -> None:
    yard = await Yard.make(tmp_path)
    first = await landed(yard, 1)
    await built(yard, first[0], first, BuildState.PASSED)
    revisions = await landed(yard, 3)
    steps = [StepResult("make db", "setup", 0, 1.0, ""), StepResult("all", "test", 1, 1.0, "")]
    await built(yard, revisions[-1], revisions, BuildState.FAILED, (), steps)
    prober = GivenProber(yard, {"all": revisions[1]})
    await Culprits(yard.ground, yard.mirror, prober).step()
    assert (await yard.store.culprits.recent(LINE))[0].culprit == revisions[1]
    await yard.store.close()


# -- locks and reverts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["off", "warn", "hard"])
async def test_the_commit_lock_is_taken_as_configured_and_let_go_when_a_later_change_is_green(
    tmp_path, how
) -> None:
    made = await scene(tmp_path, {str(UNIT): 3}, culprits={"lock": how})
    await made.culprits.step()
    now = made.yard.clock.now()
    held = await made.yard.store.locks.held(LINE, LockKind.COMMIT, now)
    if how == "off":
        assert not held
    else:
        assert [lock.severity for lock in held] == [Severity(how)]
        assert "Change 3" in held[0].reason
    assert not await made.yard.store.locks.held(LINE, LockKind.PUSH, now), "what is green may be pushed"
    await made.reverting.step()
    fix = await landed(made.yard, 1, files=False)
    await built(made.yard, fix[0], fix, BuildState.PASSED)
    await made.reverting.step()
    assert not await made.yard.store.locks.held(LINE, None, made.yard.clock.now())
    assert not await made.yard.store.locks.blocking(LINE)
    await made.yard.store.close()


async def test_a_revert_is_prepared_and_does_not_land_by_itself(tmp_path) -> None:
    made = await scene(tmp_path, {str(UNIT): 3})
    await made.culprits.step()
    head = git(made.yard.origin, "rev-parse", "main")
    for _ in range(3):
        await made.reverting.step()
    search = await made.search()
    reversal = from_json(search.record, Inquiry).reversal(made.revisions[3])
    assert search.revert == reversal.revision
    assert reversal.landed_at is None
    assert git(made.yard.origin, "rev-parse", "main") == head
    change = await made.yard.mirror.history.landing(reversal.revision)
    assert change.commits[0].reverts == (made.revisions[3],)
    assert change.commits[0].fixes == ("L1",), "it gets through the lock that it is for"
    answer = await made.yard.store.intents.get(
        LINE, await made.yard.put(IntentKind.REVERT, revision=made.revisions[3])
    )
    said = await made.reverting.ask(answer)
    assert said["landed"]
    assert git(made.yard.origin, "log", "-1", "--format=%s", "main") == 'Revert "Change 3"'
    assert from_json((await made.search()).record, Inquiry).reversals[0].by == "ann"
    await made.yard.store.close()


async def test_a_person_s_revert_is_an_intent_like_any_other(tmp_path) -> None:
    made = await scene(tmp_path, {str(UNIT): 3})
    made.yard.obeying.revert = made.reverting.ask
    shown = await made.yard.ask(IntentKind.REVERT, revision=made.revisions[2], prepare=True)
    assert shown.state is IntentState.ACCEPTED
    assert (shown.answer["landed"], shown.answer["files"]) == (False, {"file2": 1})
    done = await made.yard.ask(IntentKind.REVERT, revision=made.revisions[2][:9])
    assert done.answer["landed"]
    twice = await made.yard.ask(IntentKind.REVERT, revision=made.revisions[2])
    assert (twice.state, twice.answer["code"]) == (IntentState.REFUSED, "V061")
    await made.yard.store.close()


async def automatic(tmp_path, breaks: dict[str, int], **more) -> Scene:
    return await scene(tmp_path, breaks, reverts={"automatic": True, **more})


async def test_a_revert_lands_by_itself_once_where_it_is_configured(tmp_path) -> None:
    made = await automatic(tmp_path, {str(UNIT): 3})
    await made.culprits.step()
    for _ in range(4):
        await made.reverting.step()
    assert git(made.yard.origin, "rev-list", "--count", "main") == "10", "nine changes and one revert"
    assert git(made.yard.origin, "log", "-1", "--format=%s", "main") == 'Revert "Change 3"'
    reversal = from_json((await made.search()).record, Inquiry).reversals[0]
    assert (reversal.automatic, reversal.by) == (True, "leuko")
    assert reversal.landed_as == git(made.yard.origin, "rev-parse", "main")
    await made.yard.store.close()


@pytest.mark.parametrize("pushed", [False, True])
async def test_killed_around_the_push_a_revert_still_lands_exactly_once(tmp_path, pushed) -> None:
    made = await automatic(tmp_path, {str(UNIT): 3})
    await made.culprits.step()
    await made.reverting.step()  # prepared
    search = await made.search()
    inquiry = from_json(search.record, Inquiry)
    known = replace(inquiry.reversals[0], landing_at=made.yard.clock.now(), automatic=True, by="leuko")
    await made.reverting._keep(search, inquiry, known)
    if pushed:
        assert (await made.yard.mirror.send(known.revision)).code == 0
    for _ in range(3):
        await made.reverting.step()
    assert git(made.yard.origin, "rev-list", "--count", "main") == "10"
    assert from_json((await made.search()).record, Inquiry).reversals[0].landed_at is not None
    await made.yard.store.close()


async def test_no_more_reverts_a_day_land_by_themselves_than_configured(tmp_path) -> None:
    other = Case("unit", "tests/test_b.py", "test_two")
    made = await automatic(tmp_path, {str(UNIT): 2, str(other): 5}, a_day=1)
    async with made.yard.store.write(LINE) as tx:
        await made.yard.store.cases.save(tx, made.build, [CaseRow(other, CaseState.FAILED)], 2)
    await made.culprits.step()
    for _ in range(4):
        await made.reverting.step()
    assert git(made.yard.origin, "rev-list", "--count", "main") == "10"
    reversals = from_json((await made.search()).record, Inquiry).reversals
    assert sorted("in the last 24 hours" in one.trouble for one in reversals) == [False, True]
    await made.yard.store.close()


async def test_what_does_not_come_off_cleanly_is_never_reverted_by_itself(tmp_path) -> None:
    yard = await Yard.make(tmp_path, reverts={"automatic": True})
    git(yard.origin, "config", "receive.denyCurrentBranch", "ignore")
    first = await landed(yard, 1)
    await built(yard, first[0], first, BuildState.PASSED)
    revisions = await landed(yard, 4, files=False)
    await built(yard, revisions[-1], revisions, BuildState.FAILED, (UNIT,))
    made = Scene(yard, GivenProber(yard, {str(UNIT): revisions[1]}), revisions, 2)
    await made.culprits.step()
    for _ in range(3):
        await made.reverting.step()
    assert git(yard.origin, "rev-parse", "main") == revisions[-1]
    reversal = from_json((await made.search()).record, Inquiry).reversals[0]
    assert "does not come off cleanly" in reversal.trouble
    assert "git revert" in reversal.trouble
    await yard.store.close()


async def test_whoever_mended_it_meanwhile_is_not_reverted_over(tmp_path) -> None:
    made = await automatic(tmp_path, {str(UNIT): 3})
    fix = await landed(made.yard, 1)
    await built(made.yard, fix[0], fix, BuildState.PASSED)
    await made.culprits.step()
    for _ in range(3):
        await made.reverting.step()
    assert git(made.yard.origin, "rev-parse", "main") == fix[0]
    assert not await made.yard.store.locks.held(LINE, None, made.yard.clock.now())
    await made.yard.store.close()


def test_titles_are_those_of_cases() -> None:
    from leuko.domain.culprit import SubjectKind

    assert Subject(SubjectKind.CASE, UNIT.name, UNIT.suite, UNIT.file).title == str(UNIT)
