"""Builds as the tests' own user: states, outputs, endings."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from pathlib import Path

import pytest

from leuko.config.model import Release
from leuko.config.verify import Verify
from leuko.domain.build import BuildState
from leuko.domain.errors import LeukoError
from leuko.verify.build import ReleaseBuildError, StepEnded, StepStarted
from leuko.verify.workshop import WorkshopError

REVISION = "ab" * 20


def output(place, step):
    return (place / "state" / step.output).read_bytes()


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except FileNotFoundError:
        return True


async def until(true, seconds=10.0):
    """Waits for a condition of the machine, with a deadline."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "did not come true in time"
        await asyncio.sleep(0.01)


async def test_set_up_then_tests_then_the_release(place, own, verifier):
    seen = []
    configuration = Verify(setup=("echo one > made",), tests={"a": "cat made", "b/x é": "test -f app.py"})
    outcome = await verifier(own).verify("7", REVISION, configuration, seen.append)
    assert outcome.state is BuildState.PASSED
    assert [(step.name, step.kind, step.exit_code) for step in outcome.steps] == [
        ("setup 1", "setup", 0),
        ("a", "test", 0),
        ("b/x é", "test", 0),
    ]
    assert output(place, outcome.steps[1]) == b"one\n"
    assert outcome.steps[1].output == "builds/7/002-a.log"
    assert isinstance(seen[0], StepStarted)
    assert seen[1] == StepEnded(outcome.steps[0])
    folder = await verifier(own).release_tree(
        outcome, Release(build="mkdir out; cp made out/it", path="out"), seen.append
    )
    assert (folder / "it").read_text() == "one\n"
    assert outcome.steps[-1].kind == "release"
    await outcome.discard()
    await outcome.discard()
    assert not folder.exists()
    assert list((place / "builds").iterdir()) == []
    assert (place / "state" / "builds" / "7" / "002-a.log").exists()


async def test_nothing_of_the_controllers_environment_comes_through(place, own, verifier, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hush")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/tmp/agent")
    monkeypatch.setenv("PYTHONPATH", "/x")
    outcome = await verifier(own).verify(
        "1",
        REVISION,
        Verify(tests={"env": "env; umask; cat; ls -A $HOME $TMPDIR"}),
        facts={"LEUKO_APPLICATION": "shop"},
    )
    said = output(place, outcome.steps[0]).decode()
    names = {line.partition("=")[0] for line in said.splitlines() if "=" in line}
    assert names == {
        "PATH",
        "LANG",
        "HOME",
        "TMPDIR",
        "USER",
        "LOGNAME",
        "SHELL",
        "CI",
        "PWD",
        "LEUKO_REVISION",
        "LEUKO_BUILD",
        "LEUKO_FOLDER",
        "LEUKO_APPLICATION",
    }
    assert "hush" not in said
    assert f"LEUKO_REVISION={REVISION}" in said
    await outcome.discard()


async def test_a_failing_test_fails_the_build_and_the_others_run_on(place, own, verifier):
    tests = {"bad": "echo because; exit 3", "good": "true", "signal": "kill -TERM $$"}
    outcome = await verifier(own).verify("1", REVISION, Verify(tests=tests))
    assert outcome.state is BuildState.FAILED
    assert outcome.reason == "2 of 3 tests failed: bad (exit 3), signal (was ended by SIGTERM)"
    assert [step.passed for step in outcome.steps] == [False, True, False]
    assert outcome.steps[2].exit_code is None
    assert outcome.steps[2].reason == "was ended by SIGTERM"
    with pytest.raises(LeukoError, match="only a build that passed"):
        await verifier(own).release_tree(outcome, Release())
    await outcome.discard()


@pytest.mark.parametrize(
    ("setup", "state", "reason"),
    [
        ("exit 1", BuildState.FAILED, "set-up failed"),
        ("no-such-program-here --x", BuildState.BROKEN, "not there"),
        ("./app.py/x", BuildState.BROKEN, "not there"),
        ("kill -9 $$", BuildState.BROKEN, "SIGKILL"),
        ("sh -c 'kill -9 $$'; exit $?", BuildState.BROKEN, "SIGKILL"),
    ],
)
async def test_set_up_that_goes_wrong(own, verifier, setup, state, reason):
    outcome = await verifier(own).verify("1", REVISION, Verify(setup=(setup, "true"), tests={"a": "true"}))
    assert outcome.state is state
    assert reason in outcome.reason
    assert len(outcome.steps) == 1
    await outcome.discard()


@pytest.mark.parametrize(
    ("configuration", "state"),
    [
        (Verify(), BuildState.FAILED),
        (Verify(tests={}), BuildState.FAILED),
        (Verify(setup=("true",)), BuildState.FAILED),
        (Verify(setup=("true",), tests={}), BuildState.PASSED),
        (Verify(setup=("false",), tests={}), BuildState.FAILED),
    ],
)
async def test_untested_is_not_passed_silently(own, verifier, configuration, state):
    outcome = await verifier(own).verify("1", REVISION, configuration)
    assert outcome.state is state
    assert outcome.reason
    await outcome.discard()


async def test_no_checkout_is_broken(place, own, verifier):
    one = verifier(own)

    async def fails(_revision, _folder):
        raise LeukoError("the mirror is damaged")

    one._check_out = fails
    outcome = await one.verify("1", REVISION, Verify(tests={"a": "true"}))
    assert outcome.state is BuildState.BROKEN
    assert "mirror is damaged" in outcome.reason
    assert list((place / "builds").iterdir()) == []


async def test_a_hanging_test_ends_at_its_deadline_with_its_children(place, own, verifier):
    command = "echo $$ > $HOME/../pid; trap '' TERM; echo before; sleep 1000 & wait; sleep 1000"
    outcome = await verifier(own).verify(
        "1", REVISION, Verify(tests={"hang": command, "ok": "true"}, timeout=0.5)
    )
    assert outcome.state is BuildState.FAILED
    step = outcome.steps[0]
    assert (step.exit_code, step.reason) == (None, "did not end within 0.5 s")
    assert b"before\n" in output(place, step)
    assert b"[leuko] hang did not end" in output(place, step)
    assert gone(int((outcome.checkout.parent / "pid").read_text()))
    await outcome.discard()


async def test_a_daemon_that_holds_the_output_hangs_nobody_and_lives_until_the_build_ends(
    place, own, verifier
):
    configuration = Verify(
        setup=("(while :; do echo tick; sleep 0.02; done) & echo $! > pid; echo up",),
        tests={"it is there": "sleep 0.3; kill -0 $(cat pid)"},
    )
    outcome = await verifier(own).verify("1", REVISION, configuration)
    assert outcome.state is BuildState.PASSED
    pid = int((outcome.checkout / "pid").read_text())
    assert not gone(pid)
    await verifier(own).release_tree(outcome, Release())
    assert gone(pid)
    await outcome.discard()


async def test_a_daemon_in_a_session_of_its_own_does_not_outlive_the_build(own, verifier):
    command = "setsid sh -c 'echo $$ > pid; cd /; exec sleep 1000' >/dev/null 2>&1 & while [ ! -s pid ]; do sleep 0.01; done"
    outcome = await verifier(own).verify("1", REVISION, Verify(tests={"a": command}))
    assert outcome.state is BuildState.PASSED
    pid = int((outcome.checkout / "pid").read_text())
    assert not gone(pid)
    await outcome.discard()
    assert gone(pid)


async def test_cancelled_at_once_and_nothing_is_left(place, own, verifier):
    mark = place / "pid"
    mark.touch()
    mark.chmod(0o666)
    command = f"trap '' TERM INT; echo $$ > {mark}; setsid sleep 1000 & sleep 1000"
    task = asyncio.create_task(
        verifier(own).verify("1", REVISION, Verify(tests={"a": command, "b": "sleep 1000"}))
    )
    await until(lambda: mark.read_text().strip())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone(int(mark.read_text()))
    assert list((place / "builds").iterdir()) == []


async def test_tests_run_in_as_many_workers_as_said(own, verifier):
    tests = {f"t{n}": "touch run.$$; ls | grep -c run; sleep 0.2; rm run.$$" for n in range(6)}
    one = verifier(own)
    outcome = await one.verify("1", REVISION, Verify(tests=tests, workers=3))
    assert outcome.state is BuildState.PASSED
    most = max(int((one._steps.state / step.output).read_text()) for step in outcome.steps)
    assert most <= 3
    await outcome.discard()


async def test_a_gigabyte_of_output_stays_small_with_its_head_and_tail(place, own, verifier):
    command = "echo first; head -c 1000000000 /dev/zero; echo; echo last"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = await verifier(own).verify("1", REVISION, Verify(tests={"a": command}))
    assert outcome.state is BuildState.PASSED
    kept = output(place, outcome.steps[0])
    assert len(kept) < 10_100_000
    assert kept.startswith(b"first\n\0\0")
    assert kept.endswith(b"\0\nlast\n")
    assert b"bytes of output were left out here" in kept
    print(
        f"1 GB in {outcome.steps[0].seconds:.1f} s; {(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024:.0f} MB"
    )
    await outcome.discard()


async def test_binary_output_is_kept_as_it_is(place, own, verifier):
    outcome = await verifier(own).verify(
        "1", REVISION, Verify(tests={"a": "head -c 100000 /dev/urandom | tee it; printf 'a\\r\\000b'"})
    )
    assert output(place, outcome.steps[0]) == (outcome.checkout / "it").read_bytes() + b"a\r\0b"
    await outcome.discard()


async def test_output_can_be_read_while_the_command_runs(place, own, verifier):
    seen = asyncio.Queue()
    task = asyncio.create_task(
        verifier(own).verify(
            "1",
            REVISION,
            Verify(tests={"a": "echo early; while [ ! -e go ]; do sleep 0.02; done"}),
            seen.put_nowait,
        )
    )
    started = await seen.get()
    path = place / "state" / started.output
    await until(lambda: path.exists() and path.read_bytes() == b"early\n")
    assert not task.done()
    folder = next((place / "builds").iterdir())
    (folder / "checkout" / "go").touch()
    outcome = await task
    assert outcome.state is BuildState.PASSED
    await outcome.discard()


async def test_secrets_are_masked_wherever_they_are_cut(place, own, verifier):
    def mask(data):
        return data.replace(b"hunter2hunter2", b"***")

    command = "printf 'x hunter2'; sleep 0.1; printf 'hunter2 y\\n'; head -c 200000 /dev/zero | tr '\\0' z; printf hunter2hunter2; head -c 200000 /dev/zero | tr '\\0' z; printf hunter2hunter2"
    outcome = await verifier(own, mask=mask, cap=150_000).verify("1", REVISION, Verify(tests={"a": command}))
    kept = output(place, outcome.steps[0])
    assert kept.startswith(b"x *** y\n")
    assert kept.endswith(b"***")
    assert b"hunter2" not in kept
    await outcome.discard()


async def test_a_secret_at_the_cut_of_a_long_output_is_not_shown_in_part(place, own, verifier):
    def mask(data):
        return data.replace(b"hunter2hunter2", b"***")

    command = "i=0; while [ $i -lt 9000 ]; do i=$((i+1)); printf hunter2hunter2hunter2hunter2hunter2hunter2hunter2hunter2; done"
    outcome = await verifier(own, mask=mask, cap=40_000).verify("1", REVISION, Verify(tests={"a": command}))
    kept = output(place, outcome.steps[0])
    assert b"were left out here" in kept
    assert len(kept) < 41_000
    await outcome.discard()


async def test_a_stuffed_command_line_is_an_error_not_a_crash(own, verifier):
    outcome = await verifier(own).verify("1", REVISION, Verify(tests={"a": "true " + "x" * 200_000}))
    assert outcome.state is BuildState.BROKEN
    assert "could not be started" in outcome.reason
    await outcome.discard()


@pytest.mark.parametrize("build", ["rm -rf out; ln -s /etc out", "ln -s ../.. out", "true", "touch out"])
async def test_a_release_path_out_of_the_checkout_is_refused(own, verifier, build):
    one = verifier(own)
    outcome = await one.verify("1", REVISION, Verify(tests={"a": "true"}))
    with pytest.raises(WorkshopError):
        await one.release_tree(outcome, Release(build=build, path="out"))
    with pytest.raises(WorkshopError):
        await one.release_tree(outcome, Release(path="/etc"))
    with pytest.raises(WorkshopError):
        await one.release_tree(outcome, Release(path="../.."))
    await outcome.discard()


async def test_a_release_build_that_fails(place, own, verifier):
    one = verifier(own)
    outcome = await one.verify("1", REVISION, Verify(tests={"a": "true"}))
    with pytest.raises(ReleaseBuildError, match="ended with 4") as caught:
        await one.release_tree(outcome, Release(build="echo why; exit 4"))
    assert output(place, caught.value.step) == b"why\n"
    assert not caught.value.broken
    with pytest.raises(ReleaseBuildError, match=r"did not end within 0\.2 s"):
        await one.release_tree(outcome, Release(build="sleep 100", timeout=0.2))
    await outcome.discard()


async def test_two_components_are_built_one_after_the_other(own, verifier):
    one = verifier(own)
    outcome = await one.verify("1", REVISION, Verify(tests={"a": "true"}))
    first = await one.release_tree(outcome, Release(build="mkdir a; touch a/x", path="a"))
    second = await one.release_tree(outcome, Release(build="mkdir b; touch b/y", path="b"))
    assert (first / "x").exists()
    assert (second / "y").exists()
    await outcome.discard()


async def test_what_a_build_does_to_its_modes_does_not_keep_it_from_being_removed(place, own, verifier):
    command = "mkdir -p deep/er; touch deep/er/f -- '-rf'; chmod 0 deep/er/f deep/er deep; ln -s / everything; chmod 0 ."
    outcome = await verifier(own).verify("1", REVISION, Verify(tests={"a": command}))
    assert outcome.state is BuildState.PASSED
    await outcome.discard()
    assert list((place / "builds").iterdir()) == []
    assert Path("/etc/passwd").exists()


async def test_sweeping_up_after_a_dead_controller(place, own, verifier):
    left = place / "builds" / "9-abc"
    (left / "checkout").mkdir(parents=True)
    process = await asyncio.create_subprocess_exec(
        "sleep", "1000", env={"LEUKO_FOLDER": str(left), "PATH": os.environ["PATH"]}
    )
    other = await asyncio.create_subprocess_exec("sleep", "1000", cwd=left)
    assert await verifier(own).sweep() == 1
    assert await asyncio.wait_for(process.wait(), 5) == -9
    assert other.returncode is None, "a person may have stood there"
    other.kill()
    await other.wait()
    assert not left.exists()


async def test_many_builds_at_once(place, own, verifier):
    one = verifier(own)
    outcomes = await asyncio.gather(
        *(one.verify(str(n), REVISION, Verify(tests={"a": f"echo {n}"})) for n in range(20))
    )
    assert {outcome.state for outcome in outcomes} == {BuildState.PASSED}
    for number, outcome in enumerate(outcomes):
        assert output(place, outcome.steps[0]) == f"{number}\n".encode()
        await outcome.discard()
    assert one._active == set()
