"""What the dispatcher makes of tests that pass, fail, hang, crash and take their worker with them."""

from __future__ import annotations

import asyncio

import pytest
from tests.verify.scripted import Scripted

from leuko.config.verify import SetupNode, Suite
from leuko.domain.build import BuildState
from leuko.domain.case import Case, CaseBegan, CaseEnded, CaseFound, CaseResult, CaseState, NodeChanged
from leuko.domain.errors import LeukoError
from leuko.domain.schedule import NothingKnown
from leuko.verify.dispatch import Dispatcher
from leuko.verify.engine import WorkerLostError
from leuko.verify.plan import Plan


async def good_node(name, _node):
    return NodeChanged(name, CaseState.PASSED, 0.1)


async def run(
    scripts, *, node=good_node, engine=None, runner="pytest", grace=0.05, most_retries=200, suite=None, **plan
):
    """Dispatches one suite of these files; (verified, engine, events)."""
    engine = engine or Scripted(scripts)
    suites = plan.pop("suites", None) or {"unit": Suite(runner=runner, files=("*",), **(suite or {}))}
    files = plan.pop("files", None) or {"unit": tuple(scripts)}
    events = []
    verified = await asyncio.wait_for(
        Dispatcher(node, grace=grace, most_retries=most_retries).run(
            Plan("ab" * 20, "1", suites, files, **plan), engine, events.append
        ),
        20,
    )
    assert not engine.running
    assert not engine.reserved
    return verified, engine, events


def results(verified):
    return {f"{one.case.file}::{one.case.name}": one.state.value for one in verified.results}


async def test_every_test_comes_to_a_result_and_is_told_live():
    verified, _, events = await run({"a": "one pass\ntwo skip", "b": "three pass"})
    assert verified.state is BuildState.PASSED
    assert results(verified) == {"a::one": "passed", "a::two": "skipped", "b::three": "passed"}
    assert events[:2] == [CaseFound(Case("unit", "a")), CaseFound(Case("unit", "b"))]
    for name, file in (("one", "a"), ("two", "a"), ("three", "b")):
        case = Case("unit", file, name)
        mine = [
            type(event)
            for event in events
            if getattr(event, "case", None) == case
            or (isinstance(event, CaseEnded) and event.result.case == case)
        ]
        assert mine == [CaseFound, CaseBegan, CaseEnded]


async def test_a_failure_is_tried_again_elsewhere_and_a_flake_leaves_the_build_green():
    verified, engine, events = await run({"a": "one flaky\ntwo pass"})
    assert verified.state is BuildState.PASSED
    assert verified.flaky == (Case("unit", "a", "one"),)
    assert verified.failures[0].reason == "now and then"
    (first, _), (second, again) = engine.batches
    assert first != second
    assert again.only == (Case("unit", "a", "one"),)
    assert again.attempt == 2
    ends = [
        event.result for event in events if isinstance(event, CaseEnded) and event.result.case.name == "one"
    ]
    assert [(end.state.value, end.attempt) for end in ends] == [("failed", 1), ("passed", 2)]


async def test_what_fails_twice_is_red_and_names_the_tests():
    verified, engine, _ = await run({"a": "one fail:1<2\ntwo pass\nthree fail"})
    assert verified.state is BuildState.FAILED
    assert verified.reason == "2 of 3 tests failed: unit: a::one, unit: a::three"
    assert len(engine.batches) == 2
    verified, engine, _ = await run({"a": "one fail"}, retry=False)
    assert verified.state is BuildState.FAILED
    assert len(engine.batches) == 1


async def test_with_one_worker_it_is_tried_again_at_the_same_and_that_is_said():
    engine = Scripted({"a": "one flaky"}, names=("w1",))
    verified, _, _ = await run({"a": "one flaky"}, engine=engine)
    assert verified.state is BuildState.FAILED
    assert verified.warnings == ("there is one worker only: what failed was tried again at the same one",)


async def test_a_worker_that_dies_once_is_nobodys_fault():
    scripts = {"a": "one pass\ntwo die\nthree pass", "b": "four pass"}
    verified, engine, _ = await run(scripts, engine=Scripted(scripts, dies={"unit: a::two": 1}))
    assert verified.state is BuildState.PASSED
    assert set(results(verified).values()) == {"passed"}
    assert not verified.flaky
    ran = [case for _, batch in engine.batches for case in batch.only]
    assert Case("unit", "a", "one") not in ran  # what had ended is not run again


async def test_a_test_that_kills_three_workers_is_broken_and_named():
    scripts = {"a": "one pass\ntwo die\nthree pass", "b": "four pass"}
    verified, _, _ = await run(scripts)
    assert verified.state is BuildState.BROKEN
    assert verified.reason.startswith("unit: a::two: 3 workers died while it ran: ")
    assert results(verified) == {
        "a::one": "passed",
        "a::two": "failed",
        "a::three": "passed",
        "b::four": "passed",
    }


async def test_which_file_kills_its_workers_is_found_where_nothing_is_told_live():
    scripts = dict.fromkeys("abcdefgh", "t pass") | {"e": "t die"}
    verified, _, _ = await run(scripts, engine=Scripted(scripts, live=False), runner="tap")
    assert verified.state is BuildState.BROKEN
    assert "unit: e: 3 workers died" in verified.reason
    assert sum(state == "passed" for state in results(verified).values()) == 7


async def test_a_hung_test_fails_and_the_rest_of_its_file_is_run():
    verified, _, _ = await run(
        {"a": "one pass\ntwo hang\nthree pass", "b": "four pass"}, suite={"timeout": 0.2}
    )
    assert verified.state is BuildState.FAILED
    assert results(verified) == {
        "a::one": "passed",
        "a::two": "failed",
        "a::three": "passed",
        "b::four": "passed",
    }
    assert (
        next(one for one in verified.results if one.case.name == "two").reason == "did not end within 0.2 s"
    )


@pytest.mark.parametrize("outcome", ["crash", "timeout", "exit:3"])
@pytest.mark.parametrize("runner", ["pytest", "tap"])
async def test_a_command_that_ends_in_a_test_is_that_tests_fault(outcome, runner):
    verified, _, _ = await run({"a": f"one pass\ntwo {outcome}\nthree pass", "b": "four pass"}, runner=runner)
    assert verified.state is BuildState.FAILED
    assert results(verified)["a::two"] == "failed"
    assert results(verified)["b::four"] == "passed"
    assert results(verified)["a::one"] == "passed"
    assert results(verified)["a::three"] == ("passed" if runner == "pytest" else "failed")


@pytest.mark.parametrize("code", [1, 139, None])
async def test_a_command_that_says_nothing_is_divided_until_it_is_known_which_file_it_was(code):
    class Silent(Scripted):
        async def _play(self, worker, batch, on_case):
            end = await super()._play(worker, batch, on_case)
            return (
                type(end)(code, 0.0, "" if code else "was ended by SIGABRT", "bad file")
                if "c" in batch.files
                else end
            )

    scripts = dict.fromkeys("abdefgh", "t pass") | {"c": ""}
    verified, engine, _ = await run(
        scripts, engine=Silent(scripts, live=False), runner="junit", smallest=100.0
    )
    assert verified.state is BuildState.FAILED
    bad = [one for one in verified.results if one.state is CaseState.FAILED]
    assert [str(one.case) for one in bad] == ["unit: c"]
    assert bad[0].output == "bad file"
    assert len(engine.batches) <= 8


async def test_tests_that_pass_under_a_command_that_fails_are_no_pass():
    verified, _, _ = await run({"a": "one pass"}, engine=Scripted({"a": "one pass"}, code=1))
    assert verified.state is BuildState.FAILED
    assert verified.results[-1].reason == "its tests passed, and yet the command ended with exit code 1"


async def test_a_file_that_fails_as_a_whole_and_passes_elsewhere_is_flaky():
    class Once(Scripted):
        async def _play(self, worker, batch, on_case):
            self.code = 1 if batch.attempt == 1 else 0
            return await super()._play(worker, batch, on_case)

    verified, _, _ = await run({"a": "one pass"}, engine=Once({"a": "one pass"}))
    assert verified.state is BuildState.PASSED
    assert verified.flaky == (Case("unit", "a"),)


async def test_a_missing_program_is_broken_not_red():
    scripts = {"a": "x exit:127", "b": "y pass"}
    verified, _, _ = await run(scripts, engine=Scripted(scripts, live=False), runner="tap", smallest=0.1)
    assert verified.state is BuildState.BROKEN
    assert verified.reason == "unit: a: a program is not there or cannot be run (exit code 127)"


@pytest.mark.parametrize(
    ("scripts", "reason"),
    [
        ({}, "no file matches its patterns, and untested is not passed"),
        ({"a": "", "b": ""}, "no tests were found in its 2 files"),
        ({"a": "one skip\ntwo skip"}, "all of its 2 tests were skipped"),
    ],
)
async def test_untested_is_not_passed(scripts, reason):
    verified, _, _ = await run(scripts, files={"unit": tuple(scripts)})
    assert verified.state is BuildState.FAILED
    assert reason in verified.reason


async def test_a_file_without_tests_among_others_is_said():
    verified, _, _ = await run({"a": "one pass", "b": ""}, smallest=0.1)
    assert verified.state is BuildState.PASSED
    assert verified.warnings == ("1 files have no tests in them: b",)


async def test_two_tests_of_one_name_are_said_and_the_failed_one_counts():
    verified, _, _ = await run({"a": "one fail\none pass"})
    assert verified.state is BuildState.FAILED
    assert verified.warnings == ("several tests have one name, and the one that failed counts: unit: a::one",)


async def test_quarantined_failures_hold_up_nobody():
    verified, _, _ = await run({"a": "one fail\ntwo pass"}, quarantined={"unit: a::one"})
    assert verified.state is BuildState.PASSED
    assert results(verified)["a::one"] == "failed"


async def test_too_many_failures_are_no_flakes():
    verified, engine, _ = await run({f"f{number}": "one fail" for number in range(20)}, most_retries=3)
    assert verified.state is BuildState.FAILED
    assert sum(len(batch.only) for _, batch in engine.batches) == 3
    assert "more than 3 tests failed" in verified.warnings[0]


async def test_a_selection_runs_what_was_selected_and_nothing_else():
    scripts = {"a": "one pass\ntwo fail", "b": "three pass", "c": "four fail"}
    chosen = [Case("unit", "a", "one"), Case("unit", "b")]
    verified, _, events = await run(scripts, selection=chosen)
    assert results(verified) == {"a::one": "passed", "b::three": "passed"}
    assert verified.state is BuildState.PASSED
    assert CaseFound(Case("unit", "c")) not in events


async def test_set_up_nodes_run_in_order_and_what_needs_a_failed_one_is_not_run():
    ran = []

    async def node(name, _node):
        ran.append(name)
        good = name != "database"
        return NodeChanged(
            name,
            CaseState.PASSED if good else CaseState.FAILED,
            reason="" if good else "exit 1",
            output="no socket",
        )

    nodes = (
        SetupNode(name="sandbox", run="x"),
        SetupNode(name="database", run="x"),
        SetupNode(name="schema", run="x"),
        SetupNode(name="cache", run="x", needs=("sandbox",)),
    )
    suites = {
        "unit": Suite(runner="pytest", files=("*",), needs=("cache",)),
        "store": Suite(runner="pytest", files=("*",)),
    }
    scripts = {"a": "one pass", "s": "two pass"}
    verified, _, events = await run(
        scripts, node=node, suites=suites, files={"unit": ("a",), "store": ("s",)}, setup=nodes
    )
    assert sorted(ran) == ["cache", "database", "sandbox"]
    assert verified.state is BuildState.FAILED
    assert verified.reason == "set-up failed: database (exit 1)"
    assert results(verified) == {"a::one": "passed", "s::": "skipped"}
    assert (
        next(one for one in verified.results if one.case.file == "s").reason
        == 'not run: "database" did not pass'
    )
    told = [(event.name, event.state.value) for event in events if isinstance(event, NodeChanged)]
    assert told[:4] == [(node.name, "waiting") for node in nodes]
    assert ("schema", "skipped") in told
    assert [state for name, state in told if name == "database"] == ["waiting", "running", "failed"]
    began = next(index for index, event in enumerate(events) if isinstance(event, CaseBegan))
    assert began > events.index(NodeChanged("cache", CaseState.PASSED, output="no socket"))


async def test_a_broken_node_breaks_the_build():
    async def node(name, _node):
        return NodeChanged(
            name, CaseState.FAILED, reason="exit 127", broken="setup 1: a program is not there"
        )

    verified, _, _ = await run({"a": "one pass"}, node=node, setup=(SetupNode(run="x"),))
    assert verified.state is BuildState.BROKEN
    assert verified.reason == "setup 1: a program is not there"


async def test_exclusive_suites_never_run_at_the_same_time():
    most = []

    class Counting(Scripted):
        async def _play(self, worker, batch, on_case):
            most.append(len(self.running))
            return await super()._play(worker, batch, on_case)

    scripts = {f"f{number}": "t pass" for number in range(8)}
    suite = {"exclusive": ("port-8080",)}
    verified, engine, _ = await run(scripts, engine=Counting(scripts, names=("w1", "w2", "w3")), suite=suite)
    assert verified.state is BuildState.PASSED
    assert len(engine.batches) > 1
    assert max(most) == 1


async def test_cancelled_it_ends_all_at_once_and_gives_the_workers_back():
    engine = Scripted({"a": "one hang", "b": "two hang"})
    begun = asyncio.Event()

    def tell(event):
        if isinstance(event, CaseBegan) and len(engine.running) == 2:
            begun.set()

    plan = Plan(
        "ab" * 20, "1", {"unit": Suite(runner="pytest", files=("*",))}, {"unit": ("a", "b")}, smallest=0.1
    )
    task = asyncio.create_task(Dispatcher(good_node).run(plan, engine, tell))
    async with asyncio.timeout(10):
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not engine.running
    assert not engine.reserved


async def test_without_any_worker_the_build_is_broken():
    verified, _, _ = await run({"a": "one pass"}, engine=Scripted({"a": "one pass"}, names=()), patience=0.1)
    assert verified.state is BuildState.BROKEN
    assert verified.reason == "no worker came within 0.1 s"


async def test_an_engine_that_cannot_be_reached_breaks_the_build():
    class Gone(Scripted):
        async def idle(self):
            raise LeukoError("nobody answers", where="farm.url", code="F001")

    verified, _, _ = await run({"a": "one pass"}, engine=Gone({"a": "one pass"}))
    assert verified.state is BuildState.BROKEN
    assert "nobody answers" in verified.reason


async def test_a_retry_waits_for_the_other_worker_and_takes_the_last_one_when_that_is_gone():
    class Leaving(Scripted):
        async def _play(self, worker, batch, on_case):
            end = await super()._play(worker, batch, on_case)
            self.there = [worker]  # the other one is gone, without a word
            while not self._idle.empty():
                self._idle.get_nowait()
            return end

    verified, engine, _ = await run({"a": "one flaky"}, engine=Leaving({"a": "one flaky"}))
    assert verified.state is BuildState.FAILED
    assert len(engine.batches) == 2


async def test_fifteen_thousand_tests_take_few_batches():
    scripts = {f"f{number}": "t pass" for number in range(3000)}
    verified, engine, _ = await run(scripts, engine=Scripted(scripts, names=tuple(f"w{n}" for n in range(8))))
    assert verified.state is BuildState.PASSED
    assert len(verified.results) == 3000
    assert len(engine.batches) < 150


async def test_workers_that_all_die_at_once_break_the_build_soon():
    class Dead(Scripted):
        async def _play(self, worker, batch, on_case):
            raise WorkerLostError("the worker program ended with 1", where=worker)

    scripts = {f"f{number}": "t pass" for number in range(2000)}
    verified, engine, _ = await run(scripts, engine=Dead(scripts))
    assert verified.state is BuildState.BROKEN
    assert verified.reason == "workers die before they tell of any test: the worker program ended with 1"
    assert len(engine.batches) < 20


async def test_a_giant_is_run_in_parts_by_several_workers_and_what_history_alone_knows_is_let_go():
    class Past(NothingKnown):
        def seconds(self, case):
            return 1.0

        def file_seconds(self, suite, file):
            return 21.0 if file == "giant" else 1.0

        def cases(self, suite, file):
            return tuple(Case(suite, file, f"t{number}") for number in range(21)) if file == "giant" else ()

    class Knowing(Scripted):
        """Says of names that it does not know that it does not know them, as the real program does."""

        async def _play(self, worker, batch, on_case):
            for case in batch.only:
                if case.name not in self.scripts[case.file].split():
                    on_case(CaseEnded(CaseResult(case, CaseState.FAILED, reason="no test of this name")))
            return await super()._play(worker, batch, on_case)

    scripts = {"giant": "\n".join(f"t{number} pass" for number in range(20)) + "\nnew pass", "b": "t pass"}
    verified, engine, _ = await run(scripts, engine=Knowing(scripts), known=Past())
    assert verified.state is BuildState.PASSED
    assert len(verified.results) == 22
    assert "giant::t20" not in results(verified)
    assert results(verified)["giant::new"] == "passed"
    assert {worker for worker, batch in engine.batches if batch.files == ("giant",)} == {"w1", "w2"}
