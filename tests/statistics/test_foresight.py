"""What a push will be able to see, and what pretend pushes on the history come to."""

import dataclasses

import numpy as np
from tests.statistics.world import World

from leuko.domain.gauge import Limit
from leuko.statistics.placebo import placebo, tail
from leuko.statistics.sight import sight
from leuko.statistics.transient import ENOUGH, transient


def test_before_a_push_more_ticks_and_more_canaries_show_more():
    found = {one.gauge: one for one in sight(World(seed=7, history=120, watch=30).question())}
    latency, errors = found["latency"], found["errors"]
    assert 1 < latency.longer <= latency.rise
    assert latency.more <= 1.2 * latency.rise
    assert errors.traffic > 1
    assert "could only have shown" in errors.sentence


def test_pretend_pushes_are_the_same_again_and_rarely_rolled_back():
    question = World(seed=3, history=120).question()
    found = placebo(question, pretend=30, seed=1)
    assert found == placebo(question, pretend=30, seed=1)
    assert (found.pushes, found.rolled_back) == (30, 0)
    assert found.threshold >= -np.log(question.budget)
    assert found.per_gauge["latency"][1] < 20


def test_limits_have_a_rate_of_their_own():
    question = World(seed=3, history=120).question()
    low, high = Limit(above=0.1, readings=1), Limit(above=1e9)
    gauges = tuple(
        dataclasses.replace(g, limits=(low, high)) if g.name == "cpu" else g for g in question.gauges
    )
    found = placebo(dataclasses.replace(question, gauges=gauges), pretend=20)
    assert found.limits["cpu"][1] == 0.0
    assert placebo(World(seed=3, history=14).question(), pretend=5).pushes == 0, "too little history for any"


def test_a_heavy_tail_raises_the_threshold():
    assert tail(np.full(5, 9.0)) == 0.0
    assert tail(np.random.default_rng(1).exponential(3.0, 200)) > 10


def test_warm_ups_are_learned_from_enough_good_pushes():
    questions = [World(seed=seed, history=60, watch=30).question() for seed in range(ENOUGH)]
    assert not transient(questions[:-1])
    found = transient(questions)["latency"]
    assert found.pushes == ENOUGH
    assert found.mean[0] > 0.15 > abs(found.mean[-1])
    mean, deviation = found.at(np.array([1.0, 1e6]))
    assert mean[1] == deviation[1] == 0.0
