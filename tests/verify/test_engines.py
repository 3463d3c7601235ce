"""The contract of an engine (leuko.verify.engine): each one passes these, the fake for tests included.

To add an engine: a class like `LocalWorld` that plants a checkout and makes an engine with so many workers.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest
from tests.verify.scripted import Scripted

from leuko.config.verify import Suite
from leuko.domain.case import OUTPUT_CAP, Batch, Case, CaseBegan, CaseEnded, CaseFound, CaseState
from leuko.verify.engine import Assignment, WorkerLostError
from leuko.verify.local import LocalEngine, Surroundings

GOOD = """
import unittest
class T(unittest.TestCase):
    def test_a(self): print("said by a")
    def test_b(self): self.fail("because")
    @unittest.skip("not now")
    def test_c(self): pass
"""
OTHER = "import unittest\nclass T(unittest.TestCase):\n    def test_d(self): pass\n"
HANGS = """
import time, unittest
class T(unittest.TestCase):
    def test_a(self): pass
    def test_b(self): time.sleep(1000)
    def test_c(self): pass
"""
LOUD = """
import sys, unittest
class T(unittest.TestCase):
    def test_loud(self):
        line = "x" * 99 + "\\n"
        block = line * 10000
        print("the beginning")
        for _ in range(1000): sys.stdout.write(block)
        print("the end")
"""
FILES = {
    "tests/test_good.py": GOOD,
    "tests/test_other.py": OTHER,
    "tests/test_hangs.py": HANGS,
    "tests/test_loud.py": LOUD,
}
SCRIPTS = {
    "tests/test_good.py": "T.test_a pass\nT.test_b fail:because\nT.test_c skip",
    "tests/test_other.py": "T.test_d pass",
    "tests/test_hangs.py": "T.test_a pass\nT.test_b hang\nT.test_c pass",
    "tests/test_loud.py": "T.test_loud pass",
}


class LocalWorld:
    """Real processes of this machine."""

    real = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)

    def engine(self, workers: int):
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.folder), "TMPDIR": "/tmp"}
        return LocalEngine(workers, Surroundings(self.folder, environment, python=sys.executable))

    async def kill(self, engine, worker: str) -> None:
        engine.kill(worker)


class ScriptedWorld:
    """The fake that the dispatcher is tested with."""

    real = False

    def __init__(self, _folder: Path) -> None:
        self.lost: dict[str, asyncio.Event] = {}

    def engine(self, workers: int):
        return Scripted(SCRIPTS, tuple(f"worker {number + 1}" for number in range(workers)))

    async def kill(self, engine, worker: str) -> None:
        engine.kill(worker)


@pytest.fixture(params=[LocalWorld, ScriptedWorld], ids=["local", "scripted"])
def world(request, tmp_path):
    return request.param(tmp_path)


@pytest.fixture
async def opened(world):
    """Makes engines, and closes them."""
    engines = []

    def make(workers=1):
        engines.append(world.engine(workers))
        return engines[-1]

    yield make
    for engine in engines:
        await engine.close()
        await engine.close()


def assignment(*files, number=1, timeout=60.0, only=(), without=()):
    suite = Suite(
        runner="unittest",
        command=f"{sys.executable} -m unittest",
        files=("tests/**/test_*.py",),
        timeout=timeout,
    )
    batch = Batch(number, "unit", files, only=only, without=without, timeout=timeout * len(files))
    return Assignment(batch, suite, "ab" * 20, "7.1", {"LEUKO_BUILD": "7.1"})


async def run(engine, assignment, events, worker=None):
    async with asyncio.timeout(60):
        return await engine.run(worker or await engine.idle(), assignment, events.append)


def short(name):
    return re.split(r"[.:]", name)[-1]


async def until(true, seconds=30.0):
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)


def ends(events):
    return {event.result.case.name: event.result for event in events if isinstance(event, CaseEnded)}


def ends_by_case(events):
    return [event.result.case for event in events if isinstance(event, CaseEnded)]


def began(events, name):
    return any(isinstance(event, CaseBegan) and event.case.name.endswith(name) for event in events)


async def test_a_batch_is_run_and_told_live_in_order(opened):
    events = []
    engine = opened()
    end = await run(engine, assignment("tests/test_good.py", "tests/test_other.py"), events)
    assert end.exit_code == 1
    results = {short(name): result for name, result in ends(events).items()}
    assert {name: result.state for name, result in results.items()} == {
        "test_a": CaseState.PASSED,
        "test_b": CaseState.FAILED,
        "test_c": CaseState.SKIPPED,
        "test_d": CaseState.PASSED,
    }
    assert "because" in results["test_b"].reason + results["test_b"].output
    for name in ("test_a", "test_b", "test_d"):
        mine = [type(event) for event in events if _case(event).name.endswith(name)]
        assert mine == [CaseFound, CaseBegan, CaseEnded]
    assert {result.worker for result in results.values()} == set(engine.workers())


def _case(event):
    return event.result.case if isinstance(event, CaseEnded) else event.case


async def test_results_are_told_before_the_batch_ends(opened):
    events = []
    engine = opened()
    task = asyncio.create_task(run(engine, assignment("tests/test_hangs.py"), events))
    await until(lambda: began(events, "test_b"))
    assert [result.state for name, result in ends(events).items() if name.endswith("test_a")] == [
        CaseState.PASSED
    ]
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelled_it_ends_what_runs_and_the_worker_is_there_for_the_next(opened):
    engine = opened()
    events = []
    task = asyncio.create_task(run(engine, assignment("tests/test_hangs.py"), events))
    await until(lambda: began(events, "test_b"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    events = []
    end = await run(engine, assignment("tests/test_other.py", number=2), events)
    assert end.exit_code == 0
    assert [result.case.file for result in ends(events).values()] == ["tests/test_other.py"]


async def test_a_worker_killed_in_the_middle_is_lost_and_another_takes_its_place(opened, world):
    engine = opened()
    events = []
    worker = await engine.idle()
    task = asyncio.create_task(run(engine, assignment("tests/test_hangs.py"), events, worker))
    await until(lambda: began(events, "test_b"))
    await world.kill(engine, worker)
    with pytest.raises(WorkerLostError):
        await task
    assert [short(name) for name in ends(events)] == ["test_a"]
    events = []
    assert (await run(engine, assignment("tests/test_other.py", number=2), events)).exit_code == 0


async def test_two_batches_run_at_once_on_two_workers(opened):
    engine = opened(2)
    first, second = [], []
    tasks = [
        asyncio.create_task(run(engine, assignment("tests/test_hangs.py"), first)),
        asyncio.create_task(run(engine, assignment("tests/test_hangs.py", number=2), second)),
    ]
    await until(lambda: began(first, "test_b") and began(second, "test_b"))
    assert {_worker(first), _worker(second)} == set(engine.workers())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _worker(events):
    return next(event.worker for event in events if isinstance(event, CaseBegan))


async def test_a_hung_test_does_not_outlive_its_time(opened, world):
    if not world.real:
        pytest.skip("the fake hangs until it is cancelled: that is how the dispatcher's own net is tested")
    events = []
    end = await run(opened(), assignment("tests/test_hangs.py", timeout=2.0), events)
    results = {short(name): result for name, result in ends(events).items()}
    assert results["test_a"].state is CaseState.PASSED
    assert end.exit_code is None
    assert results["test_b"].state is CaseState.FAILED
    assert results["test_b"].reason == "did not end within 2 s"


async def test_a_test_that_prints_a_gigabyte_passes_and_keeps_both_ends(opened, world):
    events = []
    end = await run(opened(), assignment("tests/test_loud.py", timeout=110.0), events)
    assert end.exit_code == 0
    (result,) = ends(events).values()
    assert result.state is CaseState.PASSED
    assert len(result.output) <= OUTPUT_CAP
    if world.real:
        assert "the beginning" in result.output[:100]
        assert result.output.rstrip().endswith("the end")


async def test_only_what_was_asked_for_is_run(opened):
    engine = opened()
    events = []
    await run(engine, assignment("tests/test_good.py"), events)
    wanted = next(_case(event) for event in events if _case(event).name.endswith("test_a"))
    again = []
    end = await run(engine, assignment("tests/test_good.py", number=2, only=(wanted,)), again)
    assert end.exit_code == 0
    assert {_case(event) for event in again} == {wanted}


async def test_what_was_to_be_left_out_is_not_run(opened):
    """The last part of a giant file: whatever the other parts do not name."""
    engine = opened()
    events = []
    await run(engine, assignment("tests/test_good.py"), events)
    named = tuple(case for case in ends_by_case(events) if case.name.endswith(("test_b", "test_c")))
    rest = []
    end = await run(engine, assignment("tests/test_good.py", number=2, without=named), rest)
    assert end.exit_code == 0
    assert {short(_case(event).name) for event in rest} == {"test_a"}


async def test_a_worker_is_handed_out_once_until_it_is_given_back(opened):
    engine = opened(2)
    first, second = await engine.idle(), await engine.idle()
    assert {first, second} == set(engine.workers())
    third = asyncio.create_task(engine.idle())
    await asyncio.sleep(0)
    assert not third.done()
    engine.release(first)
    async with asyncio.timeout(10):
        assert await third == first
    engine.release(first)
    engine.release(second)


async def test_a_waiting_for_a_worker_that_is_cancelled_takes_none(opened):
    engine = opened(1)
    worker = await engine.idle()
    waiting = asyncio.create_task(engine.idle())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    engine.release(worker)
    async with asyncio.timeout(10):
        assert await engine.idle() == worker
    engine.release(worker)


async def test_run_frees_the_worker(opened):
    engine = opened(1)
    for number in range(3):
        events = []
        await run(engine, assignment("tests/test_other.py", number=number), events)
        assert [result.state for result in ends(events).values()] == [CaseState.PASSED]
        assert isinstance(_case(events[0]), Case)
