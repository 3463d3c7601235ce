"""One pass over the watch says what a look at each tick would have said."""

import dataclasses

import numpy as np
import pytest
from tests.statistics.world import World, cut

from leuko.domain.verdict import Decision
from leuko.statistics.judge import judge
from leuko.statistics.path import path

CELLS = [
    {},
    {"hosts": 2, "canaries": 1},
    {"hosts": 1, "last": True, "canaries": 1},
    {"last": True, "held": 1},
]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("fault", ["", "errors5", "slow", "stop"])
def test_a_column_is_the_look_at_that_tick(fault, cell):
    world = World(seed=5, **cell)
    question = world.question(fault)
    found = path(question)
    assert found.logs.shape == (len(found.rows), world.watch)
    for ticks in range(1, world.watch + 1):
        verdict = judge(cut(question, world.history + ticks))
        assert np.log(verdict.evidence) == pytest.approx(
            min(found.total[ticks - 1], 60.0), rel=1e-5, abs=1e-5
        )


def test_it_fails_where_the_verdict_does():
    question = World(seed=7).question("slow")
    found = path(question)
    first = found.fails_at
    assert judge(cut(question, 40 + first)).decision is not Decision.FAIL
    assert judge(cut(question, 40 + first + 1)).decision is Decision.FAIL


def test_earlier_phases_carry_their_evidence_on():
    question = World(seed=7).question()
    alone = path(question)
    later = path(dataclasses.replace(question, carried=0.4, share=0.6))
    np.testing.assert_allclose(np.exp(later.total), 0.4 + 0.6 * np.exp(alone.total))


def test_a_resumed_watch_goes_on_with_its_evidence():
    question = World(seed=7).question("slow")
    whole = path(question)
    resumed = dataclasses.replace(
        question, watch_from=float(question.times[45]), evidence_from=question.watch_from, wanted=12
    )
    np.testing.assert_array_equal(path(resumed).total, whole.total)
    assert judge(resumed).ticks == 6
