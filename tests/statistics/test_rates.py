"""How often healthy pushes are rolled back, and how soon sick ones are seen, looking at every tick."""

import collections

import pytest
from tests.statistics.world import World, cut

from leuko.domain.verdict import Decision
from leuko.statistics.judge import judge

CELLS = [
    pytest.param({}, id="8 hosts, 2 canaries, 1 s ticks, 40 s of history"),
    pytest.param({"history": 20}, id="8/2, 20 s of history"),
    pytest.param({"hosts": 10, "canaries": 1, "tick": 5.0, "history": 60}, id="10/1, 5 s ticks"),
    pytest.param({"last": True, "history": 60}, id="all 8 switched, no control"),
    pytest.param({"last": True, "held": 1, "history": 60}, id="7 of 8 switched, one held back"),
    pytest.param({"hosts": 2, "canaries": 1}, id="2/1"),
    pytest.param({"hosts": 1, "canaries": 1, "last": True}, id="a single host"),
]


def first_fail(fault, seed, every=1, **cell):
    world = World(seed=seed, **cell)
    question = world.question(fault)
    for ticks in range(every, world.watch + 1, every):
        verdict = judge(cut(question, world.history + ticks))
        if verdict.decision is Decision.FAIL:
            return ticks, verdict
    return None, verdict


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.timeout(1800)
def test_healthy_pushes_are_left_alone(cell):
    failed = collections.Counter()
    for seed in range(300):
        ticks, verdict = first_fail("", seed, every=3, **cell)
        if ticks is not None:
            failed[verdict.sentence.split()[0]] += 1
    print(f"{cell}: {failed.total()} of 300 rolled back {dict(failed)}")
    assert failed.total() <= 3


@pytest.mark.parametrize(
    ("fault", "soon", "part"),
    [
        ("errors5", 9, 0.8),
        ("errors10", 5, 0.8),
        ("slow", 7, 0.8),
        ("leak", 8, 0.9),
        ("stop", 8, 0.9),
        ("silent", 10, 1.0),
    ],
)
def test_sick_pushes_are_seen_soon(fault, soon, part):
    found = [first_fail(fault, seed)[0] for seed in range(12)]
    assert sum(ticks is not None and ticks <= soon for ticks in found) >= part * len(found), found


def test_a_few_healthy_pushes_are_left_alone():
    assert [first_fail("", seed, every=4)[0] for seed in range(15)] == [None] * 15
