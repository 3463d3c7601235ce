"""Batches over a real Buildbot master to two real workers, and everything that can be killed in between."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest
from tests.verify.farm.rig import farm_of, until

from leuko.config.verify import Suite, Verify
from leuko.domain.case import Batch, CaseBegan, CaseEnded, CaseState
from leuko.verify.buildbot.engine import BuildbotEngine, Ground
from leuko.verify.buildbot.errand import pending
from leuko.verify.buildbot.errors import FarmError
from leuko.verify.buildbot.order import set_up
from leuko.verify.engine import Assignment, WorkerLostError

pytestmark = pytest.mark.needs("buildbot")

EXIT = Suite(runner="exit", command='sh "$@"', files=("*.sh",))
PYTEST = Suite(runner="pytest", files=("test_*.py",), warm=False)


def engine_of(farm, repository, revision, name="1.1", verify=None, **more):
    ground = Ground(
        str(repository.folder),
        revision,
        f"shop/production/{name}",
        setup=set_up(verify or Verify(), None),
        **more,
    )
    return BuildbotEngine(farm, ground)


def assignment(files, suite=EXIT, number=1, timeout=60.0, **more):
    return Assignment(
        Batch(number, "unit", tuple(files), timeout=timeout, **more), suite, "", "shop/production/1.1"
    )


async def run(engine, one, on_case=lambda _event: None):
    return await engine.run(await engine.idle(), one, on_case)


def states(events):
    return {
        "::".join(filter(None, (one.result.case.file, one.result.case.name))): one.result.state
        for one in events
        if isinstance(one, CaseEnded)
    }


async def test_tests_are_told_one_by_one_from_a_tree_that_is_set_up_once(farm, repository):
    revision = repository.commit(
        {"test_a.py": "def test_good(): pass\ndef test_bad(): assert open('made').read() == 'no'\n"}
    )
    verify = Verify(setup=("echo once >> count; echo hi > made",))
    engine = engine_of(farm, repository, revision, verify=verify)
    events = []
    end = await run(engine, assignment(["test_a.py"], PYTEST), events.append)
    assert states(events) == {
        "test_a.py::test_good": CaseState.PASSED,
        "test_a.py::test_bad": CaseState.FAILED,
    }
    assert end.exit_code == 1
    failed = next(
        one.result for one in events if isinstance(one, CaseEnded) and one.result.state is CaseState.FAILED
    )
    assert "assert" in failed.reason
    assert failed.worker in ("worker1", "worker2")
    again = []
    await run(engine, assignment(["test_a.py"], PYTEST, 2), again.append)
    assert states(again) == states(events)
    await engine.close()
    assert await pending(farm.master, "leuko") == []


async def test_a_test_is_seen_while_its_batch_runs(farm, repository, tmp_path):
    go = tmp_path / "go"
    revision = repository.commit({"a.sh": "exit 0\n", "b.sh": f"while [ ! -e {go} ]; do sleep 0.05; done\n"})
    engine = engine_of(farm, repository, revision)
    events = []
    task = asyncio.create_task(run(engine, assignment(["a.sh", "b.sh"]), events.append))
    await until(lambda: any(isinstance(one, CaseEnded) for one in events), "the first test is told of")
    await until(
        lambda: len([one for one in events if isinstance(one, CaseBegan)]) == 2, "the second has begun"
    )
    assert not task.done()
    go.touch()
    await task
    assert states(events) == {"a.sh": CaseState.PASSED, "b.sh": CaseState.PASSED}


@pytest.mark.slow
async def test_two_workers_work_at_once(farm, repository, tmp_path):
    """Each waits for the other's file: one after the other they would wait for ever."""
    wait = "touch {here}; while [ ! -e {there} ]; do sleep 0.05; done\n"
    one, two = tmp_path / "one", tmp_path / "two"
    revision = repository.commit(
        {"a.sh": wait.format(here=one, there=two), "b.sh": wait.format(here=two, there=one)}
    )
    engine = engine_of(farm, repository, revision)
    ends = await asyncio.gather(
        run(engine, assignment(["a.sh"])), run(engine, assignment(["b.sh"], number=2))
    )
    assert [end.exit_code for end in ends] == [0, 0]


def pid_of(path: Path) -> int:
    return int(path.read_text()) if path.exists() and path.read_text().strip() else 0


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def hanging(tmp_path, repository):
    """A test that writes its pid and never ends."""
    where = tmp_path / "pid"
    return where, repository.commit(
        {"hang.sh": f"echo $$ > {where}.new; mv {where}.new {where}; exec sleep 600\n"}
    )


async def test_a_cancelled_batch_ends_at_the_worker(farm, repository, tmp_path):
    where, revision = hanging(tmp_path, repository)
    engine = engine_of(farm, repository, revision)
    task = asyncio.create_task(run(engine, assignment(["hang.sh"])))
    await until(lambda: pid_of(where), "the test runs")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not alive(pid_of(where)), "its process is gone", 10)
    assert await pending(farm.master, "leuko") == []
    assert len(engine.workers()) == 2  # and the worker is as good as before


async def test_a_killed_worker_is_lost_and_what_it_ran_with_it(farm, rig, repository, tmp_path):
    where, revision = hanging(tmp_path, repository)
    engine = engine_of(farm, repository, revision)
    worker = await engine.idle()
    task = asyncio.create_task(engine.run(worker, assignment(["hang.sh"]), lambda _event: None))
    await until(lambda: pid_of(where), "the test runs")
    rig.end(worker, signal.SIGKILL)
    with pytest.raises(WorkerLostError, match="retry"):
        await task
    await until(lambda: not alive(pid_of(where)), "no orphan is left", 10)
    assert worker not in engine.workers()
    other = await engine.idle()
    assert other != worker
    engine.release(other)
    await rig.ready()
    await until(lambda: worker in farm.workers(), "it is used again when it comes back")
    assert await pending(farm.master, "leuko") == []


async def test_a_master_that_is_killed_loses_the_batch_and_nothing_else(farm, rig, repository, tmp_path):
    where, revision = hanging(tmp_path, repository)
    engine = engine_of(farm, repository, revision)
    task = asyncio.create_task(run(engine, assignment(["hang.sh"])))
    await until(lambda: pid_of(where), "the test runs")
    rig.end("master", signal.SIGKILL)
    rig.start("master")
    with pytest.raises(WorkerLostError):
        await task
    await rig.ready()
    fine = repository.commit({"a.sh": "exit 0\n"})
    end = await run(engine_of(farm, repository, fine, "2.1"), assignment(["a.sh"]))
    assert end.exit_code == 0
    await until(lambda: not alive(pid_of(where)), "the lost batch does not run on", 20)
    assert await pending(farm.master, "leuko") == []


CONTROLLER = """
import asyncio, sys
from leuko.config.verify import Suite
from leuko.domain.case import Batch
from leuko.verify.buildbot.engine import BuildbotEngine, Ground
from leuko.verify.buildbot.farm import Farm
from leuko.verify.buildbot.master import Master
from leuko.verify.engine import Assignment

async def main(url, password, repository, revision):
    farm = Farm(Master(url, "leuko", password), "leuko", "line-a")
    await farm.start()
    engine = BuildbotEngine(farm, Ground(repository, revision, "1.1"))
    suite = Suite(runner="exit", command='sh "$@"', files=("*.sh",))
    batch = Batch(1, "unit", ("hang.sh",))
    await engine.run(await engine.idle(), Assignment(batch, suite, revision, "1.1"), lambda event: None)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_what_a_dead_controller_left_running_is_stopped(rig, repository, tmp_path):
    where, revision = hanging(tmp_path, repository)
    argv = [
        sys.executable,
        "-c",
        CONTROLLER,
        rig.farm.url,
        rig.farm.password,
        str(repository.folder),
        revision,
    ]
    controller = await asyncio.create_subprocess_exec(*argv)
    await until(lambda: pid_of(where), "the test runs")
    controller.kill()
    await controller.wait()
    assert alive(pid_of(where))
    second = farm_of(rig, "line-a")
    await second.start()
    await until(lambda: not alive(pid_of(where)), "it is stopped")
    await second.close()


@pytest.mark.slow
async def test_a_worker_that_falls_silent_is_lost_and_used_again_when_it_wakes(
    farm, rig, repository, tmp_path
):
    where, revision = hanging(tmp_path, repository)
    farm.silent = 12.0
    engine = engine_of(farm, repository, revision)
    worker = await engine.idle()
    task = asyncio.create_task(engine.run(worker, assignment(["hang.sh"]), lambda _event: None))
    await until(lambda: pid_of(where), "the test runs")
    rig.processes[worker].send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(WorkerLostError, match="has said nothing"):
            await task
    finally:
        rig.processes[worker].send_signal(signal.SIGCONT)
    await until(lambda: not alive(pid_of(where)), "the batch ends when the worker wakes")


async def test_a_master_that_tells_nothing_by_itself_is_asked(farm, repository):
    await farm._notices.close()
    farm._notices._open.clear()
    revision = repository.commit({"a.sh": "exit 0\n"})
    assert (await run(engine_of(farm, repository, revision), assignment(["a.sh"]))).exit_code == 0


async def test_who_is_not_let_in_does_not_wait(rig, repository):
    from leuko.verify.buildbot.farm import Farm

    farm = Farm(rig.master("wrong"), "leuko", "test")
    await farm.start()
    with pytest.raises(FarmError, match="does not let"):
        await engine_of(farm, repository, repository.commit({"a.sh": ""})).idle()
    await farm.close()


async def test_a_set_up_that_fails_there_is_the_workers_fault(farm, repository):
    revision = repository.commit({"a.sh": "exit 0\n"})
    verify = Verify(setup=("echo no database; exit 3",))
    engine = engine_of(farm, repository, revision, verify=verify)
    with pytest.raises(FarmError, match=r"set-up .* failed \(exit 3\): no database"):
        await engine.idle()
    farm._resting.clear()


@pytest.mark.slow
async def test_a_revision_that_cannot_be_had_is_said(farm, repository):
    repository.commit({"a.sh": ""})
    engine = engine_of(farm, repository, "0" * 40)
    with pytest.raises(FarmError, match="could be got ready"):
        await engine.idle()
    farm._resting.clear()


async def test_another_tree_than_the_verified_one_is_refused(farm, repository):
    revision = repository.commit({"a.sh": ""})
    engine = engine_of(farm, repository, revision, tree="1" * 40)
    with pytest.raises(FarmError, match="another tree"):
        await engine.idle()
    farm._resting.clear()


async def test_a_wrong_password_is_said(rig):
    master = rig.master("wrong")
    with pytest.raises(FarmError, match="does not let 'leuko' in") as caught:
        await master.get("builders")
    assert caught.value.code == "F002"
    await master.close()


async def test_no_master_is_said(rig):
    from tests.verify.farm.rig import free_port

    from leuko.verify.buildbot.master import Master

    master = Master(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(FarmError) as caught:
        await master.get("builders")
    assert caught.value.code == "F001"
    assert caught.value.exit_code == 6


async def test_nobody_reads_without_the_password(rig):
    from leuko.verify.buildbot.master import Master

    master = Master(rig.farm.url)
    with pytest.raises(FarmError, match="forbids"):
        await master.get("builders")
    await master.close()
