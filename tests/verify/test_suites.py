"""Suites in a real build: real worker programs, shut in as the build is."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from leuko.config.model import Release
from leuko.config.verify import SetupNode, Suite, Verify
from leuko.domain.build import BuildState
from leuko.domain.case import Case, CaseBegan, CaseEnded, CaseState, NodeChanged
from leuko.verify.knowledge import Knowledge

REVISION = "ab" * 20
PYTHON = "/usr/bin/python3"


def shell_suite(**more):
    return Suite(runner="exit", command='exec sh "$@"', files=("tests/*.sh",), **more)


def unit_suite(**more):
    return Suite(runner="exit", command=f'{PYTHON} -m unittest "$@"', files=("tests/test_*.py",), **more)


def results(outcome):
    return {one.case.file: one.state.value for one in outcome.verified.results}


async def until(true, seconds=30.0):
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)


def running(mark):
    """Processes that carry this mark in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found


async def test_set_up_suites_and_commands_then_the_release(place, own, verifier):
    events = []
    files = {
        "tests/a.sh": 'echo "home $HOME"; cat "$HOME/left"; echo mine > "$HOME/own"; test "$LEUKO_BUILD" = 7.1',
        "tests/two words.sh": 'test ! -e "$TMPDIR/x"; touch "$TMPDIR/x"',
        "tests/-dash.sh": "exit 0",
    }
    configuration = Verify(
        setup=(SetupNode(name="sandbox", run='echo by-setup > "$HOME/left"; echo done'),),
        tests={"lint": "test -e tests/a.sh"},
        suites={"shell": shell_suite(tags={"quick": ("tests/-*",)})},
    )
    one = verifier(own, files)
    outcome = await one.verify("7.1", REVISION, configuration, on_event=events.append)
    assert outcome.state is BuildState.PASSED, outcome.reason
    assert results(outcome) == dict.fromkeys(files, "passed")
    assert [(step.name, step.kind) for step in outcome.steps] == [("sandbox", "setup"), ("lint", "test")]
    assert outcome.tags == {"tests/-dash.sh": ("quick",)}
    said = next(result.output for result in outcome.verified.results if result.case.file == "tests/a.sh")
    assert "by-setup" in said
    assert "/workers/" in said
    assert NodeChanged("sandbox", CaseState.PASSED, outcome.steps[0].seconds, output="done\n") in events
    assert sum(isinstance(event, CaseEnded) for event in events) == 3
    tree = await one.release_tree(outcome, Release())
    assert not (tree / "own").exists()
    await outcome.discard()
    assert not running(f"LEUKO_FOLDER={place}")


async def test_what_fails_is_named_with_the_commands_that_fail(own, verifier):
    configuration = Verify(tests={"lint": "exit 3"}, suites={"shell": shell_suite()})
    outcome = await verifier(own, {"tests/a.sh": "exit 2", "tests/b.sh": "true"}).verify(
        "1", REVISION, configuration
    )
    assert outcome.state is BuildState.FAILED
    assert outcome.reason == "1 of 1 tests failed: lint (exit 3); 1 of 2 tests failed: shell: tests/a.sh"
    await outcome.discard()


async def test_a_failed_node_leaves_what_needs_it_not_run(own, verifier):
    configuration = Verify(
        setup=(SetupNode(name="good", run="true"), SetupNode(name="bad", run="echo why; exit 4")),
        tests={"lint": "touch ran"},
        suites={"one": shell_suite(needs=("good",)), "two": shell_suite()},
    )
    outcome = await verifier(own, {"tests/a.sh": "true"}).verify("1", REVISION, configuration)
    assert outcome.state is BuildState.FAILED
    assert outcome.reason == "set-up failed: bad (exit 4)"
    states = {one.case.suite: (one.state.value, one.reason) for one in outcome.verified.results}
    assert states == {"one": ("passed", ""), "two": ("skipped", 'not run: "bad" did not pass')}
    assert [step.name for step in outcome.steps] == ["good", "bad"]
    assert outcome.verified.nodes[1].output == "why\n"
    await outcome.discard()


async def test_secrets_are_masked_in_results(own, verifier):
    one = verifier(
        own, {"tests/a.sh": "echo my hunter2 is; exit 1"}, mask=lambda data: data.replace(b"hunter2", b"***")
    )
    outcome = await one.verify("1", REVISION, Verify(suites={"shell": shell_suite()}))
    assert outcome.verified.results[0].output == "my *** is"
    await outcome.discard()


@pytest.mark.parametrize(
    ("files", "suite", "state", "reason"),
    [
        ({"app.py": ""}, {}, BuildState.FAILED, "no file matches its patterns"),
        ({"tests/a.sh": "no-such-program-here"}, {}, BuildState.BROKEN, "is not there or cannot be run"),
        ({"tests/a.sh": "sleep 1000"}, {"timeout": 0.5}, BuildState.FAILED, "1 of 1 tests failed"),
    ],
)
async def test_other_endings(own, verifier, files, suite, state, reason):
    outcome = await verifier(own, files).verify("1", REVISION, Verify(suites={"shell": shell_suite(**suite)}))
    assert outcome.state is state
    assert reason in outcome.reason
    await outcome.discard()


async def test_tests_of_a_tree_that_passed_need_not_run_again(own, verifier):
    knowledge = Knowledge(tested="the same tree passed in build 3")
    configuration = Verify(setup=("true",), suites={"shell": shell_suite()})
    outcome = await verifier(own, {"tests/a.sh": "exit 1"}).verify(
        "1", REVISION, configuration, knowledge=knowledge
    )
    assert outcome.state is BuildState.PASSED
    assert outcome.reason == "the same tree passed in build 3"
    await outcome.discard()


async def test_a_worker_that_is_killed_is_replaced_and_the_build_goes_on(place, own, verifier):
    """The machine's memory ran out, say: the program that carries the batch is gone in the middle of a test."""
    flag = place / "flag"
    script = f"if [ -e {flag} ]; then exit 0; fi; touch {flag}; kill -9 $PPID; sleep 1000"
    files = {"tests/a.sh": script, "tests/b.sh": "true", "tests/c.sh": "true"}
    outcome = await verifier(own, files).verify("1", REVISION, Verify(suites={"shell": shell_suite()}))
    assert outcome.state is BuildState.PASSED, outcome.reason
    assert results(outcome) == dict.fromkeys(files, "passed")
    assert flag.exists()
    await outcome.discard()


async def test_a_test_that_kills_its_worker_each_time_is_broken_not_red(own, verifier):
    files = {"tests/a.sh": "kill -9 $PPID; sleep 1000", "tests/b.sh": "true"}
    outcome = await verifier(own, files).verify("1", REVISION, Verify(suites={"shell": shell_suite()}))
    assert outcome.state is BuildState.BROKEN
    assert "shell: tests/a.sh: 3 workers died while it ran" in outcome.reason
    assert results(outcome)["tests/b.sh"] == "passed"
    await outcome.discard()


async def test_cancelled_nothing_is_left(place, own, verifier):
    events = []
    configuration = Verify(tests={"long": "sleep 1000"}, suites={"shell": shell_suite()}, workers=3)
    task = asyncio.create_task(
        verifier(own, {"tests/a.sh": "sleep 1000", "tests/b.sh": "trap '' TERM; sleep 1000"}).verify(
            "1", REVISION, configuration, on_event=events.append
        )
    )
    await until(lambda: sum(isinstance(event, CaseBegan) for event in events) == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not running(f"LEUKO_FOLDER={place}")
    assert list((place / "builds").iterdir()) == []


HOSTILE = """
import os, signal, unittest
class T(unittest.TestCase):
    def test_it_reaches_nothing_of_the_controller(self):
        for name in {names!r}:
            with self.assertRaises(OSError):
                open(name).read()
        with self.assertRaises(OSError):
            os.kill({controller}, 0)
        self.assertEqual([], [key for key in os.environ if "SECRET" in key])
    def test_it_leaves_a_daemon(self):
        if os.fork() == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.execv("/bin/sleep", ["leuko-daemon", "1000"])
"""


@pytest.mark.needs("root")
@pytest.mark.parametrize("namespaces", [True, False], ids=["namespaces", "user"])
async def test_shut_in_as_another_user_nothing_gets_out_and_nothing_stays(
    place, separate, verifier, namespaces, monkeypatch
):
    monkeypatch.setenv("PLANTED_SECRET", "treasure")
    (place / "state").mkdir(mode=0o700)
    (place / "state" / "leuko.db").write_text("treasure")
    text = HOSTILE.format(names=[str(place / "state" / "leuko.db"), "/etc/shadow"], controller=os.getpid())
    one = verifier(separate, {"tests/test_hostile.py": text, "tests/__init__.py": ""}, namespaces=namespaces)
    outcome = await one.verify("1", REVISION, Verify(suites={"unit": unit_suite()}))
    assert outcome.state is BuildState.PASSED, [one.output for one in outcome.verified.results]
    await one.release_tree(outcome, Release())
    left = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and _is_daemon(entry)]
    assert not left
    await outcome.discard()


def _is_daemon(entry):
    try:
        return b"leuko-daemon" in (entry / "cmdline").read_bytes()
    except OSError:
        return False


@pytest.mark.needs("root")
async def test_the_process_that_holds_the_build_together_is_killed(place, separate, verifier):
    events = []
    one = verifier(separate, {"tests/a.sh": "sleep 1000", "tests/b.sh": "sleep 1000"})
    task = asyncio.create_task(
        one.verify("1", REVISION, Verify(suites={"shell": shell_suite()}), on_event=events.append)
    )
    await until(lambda: any(isinstance(event, CaseBegan) for event in events))
    first = next(
        entry
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _holds(entry, str(place / "builds"))
    )
    os.kill(int(first.name), signal.SIGKILL)
    async with asyncio.timeout(60):
        outcome = await task
    assert outcome.state is BuildState.BROKEN
    assert "held the build together" in outcome.reason
    await outcome.discard()


def _holds(entry, folder):
    try:
        words = (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return (
        b"leuko-build" in words and words[0] == b"/bin/sh" and any(folder.encode() in word for word in words)
    )


async def test_a_flaky_test_is_green_and_named(place, own, verifier):
    flag = place / "seen"
    outcome = await verifier(
        own, {"tests/a.sh": f"test -e {flag} || {{ touch {flag}; echo once; exit 1; }}"}
    ).verify("1", REVISION, Verify(suites={"shell": shell_suite()}))
    assert outcome.state is BuildState.PASSED
    assert outcome.verified.flaky == (Case("shell", "tests/a.sh"),)
    assert outcome.verified.failures[0].output == "once"
    assert outcome.verified.results[0].worker != outcome.verified.failures[0].worker
    await outcome.discard()


DYING = """
import asyncio, sys
from pathlib import Path
from leuko.config.verify import Suite, Verify
from leuko.domain.case import CaseBegan
from leuko.verify.account import current, find
from leuko.verify.build import LocalVerifier

async def check_out(_revision, folder):
    (folder / "tests").mkdir(parents=True)
    for name in "ab":
        (folder / "tests" / f"{name}.sh").write_text("trap '' TERM HUP; sleep 1000 & wait; sleep 1000")
    return ()

def told(event):
    if isinstance(event, CaseBegan):
        print("began", flush=True)

async def main():
    top = Path(sys.argv[1])
    account = find(sys.argv[2]) if sys.argv[2] else current()
    suite = Suite(runner="exit", command='sh "$@"', files=("tests/*.sh",))
    verifier = LocalVerifier(check_out, account, top / "builds", top / "state")
    await verifier.verify("1", "ab" * 20, Verify(suites={"shell": suite}), on_event=told)

asyncio.run(main())
"""


@pytest.mark.parametrize("who", ["own", pytest.param("separate", marks=pytest.mark.needs("root"))])
async def test_killed_without_warning_the_controller_leaves_no_worker_behind(place, who, request):
    account = request.getfixturevalue("separate").name if who == "separate" else ""
    (place / "state").mkdir(mode=0o700)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DYING, str(place), account, stdout=asyncio.subprocess.PIPE
    )
    for _ in range(2):
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"began\n"
    assert running(f"LEUKO_FOLDER={place}")
    process.kill()
    await process.wait()
    await until(lambda: not running(f"LEUKO_FOLDER={place}"))


async def test_two_builds_at_once_do_not_meet(own, verifier):
    files = {"tests/a.sh": "ls tests; pwd", "tests/b.sh": "true"}
    one = verifier(own, files)
    configuration = Verify(suites={"shell": shell_suite()})
    outcomes = await asyncio.gather(*(one.verify(name, REVISION, configuration) for name in ("1", "2")))
    assert [outcome.state for outcome in outcomes] == [BuildState.PASSED] * 2
    places = {result.output for outcome in outcomes for result in outcome.verified.results if result.output}
    assert len(places) == 2
    await outcomes[0].discard()
    assert outcomes[1].checkout.is_dir()
    await outcomes[1].discard()
