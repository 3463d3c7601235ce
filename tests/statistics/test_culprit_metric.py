"""Which commit moved a number: steps, noise, no step at all, and what cannot be told."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from leuko.statistics.culprit_metric import (
    ENDS,
    Measurement,
    MetricAnswer,
    MetricQuestion,
    MetricStanding,
    look,
)
from leuko.statistics.student import log_student


def search(
    n, step, culprit, *, noise=1.0, level=100.0, seed=0, workers=1, **more
) -> tuple[MetricStanding, int]:
    rng = np.random.default_rng(seed)
    values: list[Measurement] = []
    while True:
        standing = look(MetricQuestion(n, tuple(values), **more), workers)
        if standing.answer is not MetricAnswer.OPEN:
            return standing, len(values)
        assert 1 <= len(standing.next) <= workers
        for v in standing.next:
            values.append(Measurement(v, level + (step if v >= culprit else 0.0) + noise * rng.normal()))


@pytest.mark.parametrize("step", [4.0, 20.0, 1000.0])
def test_a_clear_step_is_found_wherever_it_is(step) -> None:
    for seed, culprit in enumerate((1, 2, 8, 15, 16)):
        standing, runs = search(16, step, culprit, seed=seed)
        assert (standing.answer, standing.culprits) == (MetricAnswer.CULPRIT, (culprit,))
        assert standing.after - standing.before == pytest.approx(step, abs=2.5)
        assert runs < 40


def test_a_fall_is_found_only_when_a_fall_is_bad() -> None:
    assert search(10, -5.0, 4, rises=False)[0].culprits == (4,)
    assert search(10, -5.0, 4)[0].answer is MetricAnswer.NONE


def test_no_step_names_nobody() -> None:
    for seed in range(6):
        standing, runs = search(16, 0.0, 5, seed=seed)
        assert standing.answer in (MetricAnswer.NONE, MetricAnswer.UNCLEAR)
        assert runs <= 2 * ENDS
        assert 0 < standing.visible < 3


def test_a_step_below_what_matters_is_none() -> None:
    assert search(8, 0.5, 3, noise=0.01, least=0.01)[0].answer is MetricAnswer.NONE
    assert search(8, 2.0, 3, noise=0.01, least=0.01)[0].culprits == (3,)


def test_a_number_without_noise() -> None:
    standing, runs = search(20, 3.0, 13, noise=0.0, level=52_000.0)
    assert standing.culprits == (13,)
    assert runs < 16
    assert search(20, 0.0, 13, noise=0.0)[0].answer is MetricAnswer.NONE
    assert search(20, 0.0, 13, noise=0.0, level=0.0)[0].answer is MetricAnswer.NONE


def test_a_step_that_the_noise_nearly_hides_is_rarely_pinned_on_the_wrong_one() -> None:
    wrong = 0
    for seed in range(12):
        culprit = seed % 16 + 1
        standing, _ = search(16, 1.5, culprit, seed=seed)
        wrong += standing.answer is MetricAnswer.CULPRIT and standing.culprits != (culprit,)
    assert wrong <= 2


def test_commits_that_do_not_build_are_named_together() -> None:
    assert search(12, 9.0, 6, untestable=frozenset({5, 6}))[0].culprits == (5, 6, 7)


def test_units_do_not_matter() -> None:
    values = [
        Measurement(v, 10.0 + (v >= 3) + 0.1 * math.sin(7 * v + k)) for v in (0, 2, 3, 5) for k in range(3)
    ]
    big = [Measurement(one.version, one.value * 1e6) for one in values]
    assert look(MetricQuestion(5, big)).changes == pytest.approx(
        look(MetricQuestion(5, values)).changes, abs=1e-9
    )


@pytest.mark.parametrize("degrees", [1, 2, 5, 40, 79, 400])
def test_student_s_t_agrees_with_scipy(degrees) -> None:
    t = np.linspace(-8, 8, 41)
    assert log_student(t, degrees) == pytest.approx(np.log(stats.t.cdf(t, degrees)), rel=1e-7, abs=1e-12)


@pytest.mark.parametrize("degrees", [1, 2, 5, 40, 79, 400])
def test_student_s_t_is_right_where_scipy_says_nothing(degrees) -> None:
    """Far out the tail is a power of t."""
    t = np.array([-1e6, -1e9])
    v = degrees
    power = (
        math.lgamma((v + 1) / 2) - math.lgamma(v / 2) - 0.5 * math.log(math.pi) + (v / 2 - 1) * math.log(v)
    )
    assert log_student(t, v) == pytest.approx(power - v * np.log(-t), rel=1e-9, abs=1e-9)


def test_a_number_that_moved_the_other_way_without_noise_is_nobody_s_fault() -> None:
    assert search(12, 300.0, 7, noise=0.0, level=1000.0, rises=False)[0].answer is MetricAnswer.NONE
