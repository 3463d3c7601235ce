"""A push's memory makes its looks cheaper and changes nothing that they say."""

import dataclasses

import numpy as np
import pytest
from tests.statistics.world import World, cut

from leuko.statistics.judge import judge
from leuko.statistics.memory import Memory
from leuko.statistics.question import Series


def counted(memory, values, calls):
    def learn():
        calls.append(1)
        return float(np.nansum(values))

    return memory.of(("latency", "www", "sum"), (values, 1.0), learn)


def test_the_same_bits_are_learned_once_and_others_anew():
    memory, calls = Memory(), []
    values = np.array([[1.0, np.nan], [2.0, 3.0]])
    assert counted(memory, values, calls) == counted(memory, values.copy(), calls) == 6.0
    assert len(calls) == 1
    values[0, 1] = 4.0  # a late reading fills the gap, in place
    assert counted(memory, values, calls) == 10.0
    assert counted(memory, values[:1], calls) == 5.0
    assert len(calls) == 3


@pytest.mark.parametrize("fault", ["", "slow", "errors5", "stop"])
@pytest.mark.parametrize(
    "cell", [{}, {"hosts": 2, "canaries": 1}, {"last": True, "held": 1}, {"hosts": 1, "last": True}]
)
def test_every_look_says_the_same_with_it(fault, cell):
    world, memory = World(seed=9, **cell), Memory()
    question = world.question(fault)
    for ticks in range(world.watch + 1):
        one = cut(question, world.history + ticks)
        assert judge(one, memory) == judge(one)


def test_late_readings_and_another_push_are_learned_anew():
    memory = Memory()
    first = World(seed=1).question()
    judge(first, memory)
    late = {
        name: Series(np.where(np.arange(len(one.values))[:, None] == 7, np.nan, one.values), one.denominators)
        for name, one in first.series.items()
    }
    for other in (
        dataclasses.replace(first, series=late),
        World(seed=2).question("slow"),
        dataclasses.replace(first, hosts=first.hosts[::-1]),
    ):
        assert judge(other, memory) == judge(other)
