"""The flake-aware search: by hand where that can be done, by simulation where it is about rates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leuko.statistics.culprit import (
    Answer,
    History,
    Question,
    Run,
    Standing,
    likely,
    look,
    rates,
)


def search(
    n: int, culprit: int, rate: float = 0.0, *, workers: int = 1, seed: int = 0, **more
) -> tuple[Standing, list[Run]]:
    """Runs to the end. `culprit` n + 1: none of them, the failure was a flake; 0: it was broken before."""
    rng = np.random.default_rng(seed)
    runs: list[Run] = []
    while True:
        standing = look(Question(n, tuple(runs), **more), workers)
        if standing.answer is not Answer.OPEN:
            return standing, runs
        assert 1 <= len(standing.next) <= workers
        runs += [Run(v, v >= culprit or bool(rng.random() < rate)) for v in standing.next]


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_every_culprit_is_found_when_nothing_is_flaky(n) -> None:
    for culprit in {1, 2, n // 2, n - 1, n} & set(range(1, n + 1)):
        standing, runs = search(n, culprit)
        assert (standing.answer, standing.culprits) == (Answer.CULPRIT, (culprit,))
        assert standing.confirmed
        assert sum(run == Run(culprit, failed=True) for run in runs) + (culprit == n) >= 2
        assert Run(culprit - 1, failed=False) in runs, "the parent was run, and passed"
        assert len(runs) <= 2 * np.ceil(np.log2(n + 2)) + 10


def test_a_flake_is_an_answer() -> None:
    standing, runs = search(32, 33)
    assert standing.answer is Answer.FLAKE
    assert Run(32, failed=False) in runs, "it passed where it had failed"
    assert standing.certainty > 0.99


def test_what_was_broken_before_the_range_blames_nobody_in_it() -> None:
    standing, runs = search(12, 0)
    assert standing.answer is Answer.BEFORE
    assert [run for run in runs if run.version == 0].count(Run(0, failed=True)) >= 2


@pytest.mark.parametrize("rate", [0.05, 0.2])
@pytest.mark.parametrize("workers", [1, 4])
def test_flaky_tests_name_the_right_change_though_nobody_knows_how_flaky_they_are(rate, workers) -> None:
    rng = np.random.default_rng(7)
    wrong = 0
    for seed in range(14):
        culprit = int(rng.integers(1, 34))
        flaked = int(rng.binomial(30, rate))
        standing, _ = search(32, culprit, rate, workers=workers, seed=seed, history=History(flaked, 30))
        right = standing.culprits == (culprit,) if culprit <= 32 else standing.answer is Answer.FLAKE
        wrong += not right
    assert wrong <= 1


def test_a_wrong_history_costs_runs_and_not_the_truth() -> None:
    """The test never failed by chance before, and today it does every third time."""
    rng = np.random.default_rng(3)
    named_wrongly = 0
    for seed in range(14):
        culprit = int(rng.integers(1, 34))
        standing, _ = search(32, culprit, 0.33, seed=seed, history=History(0, 200, 0.0001))
        named_wrongly += standing.answer is Answer.CULPRIT and standing.culprits != (culprit,)
        named_wrongly += standing.answer is Answer.FLAKE and culprit <= 32
    assert named_wrongly <= 1


def test_more_workers_need_fewer_rounds() -> None:
    def rounds(workers: int) -> int:
        runs: list[Run] = []
        for number in range(1, 50):
            standing = look(Question(64, tuple(runs)), workers)
            if standing.answer is not Answer.OPEN:
                return number
            runs += [Run(v, v >= 23) for v in standing.next]
        raise AssertionError

    assert rounds(4) < rounds(2) < rounds(1)


def test_neighbours_that_do_not_build_are_named_together() -> None:
    standing, runs = search(20, 9, untestable=frozenset({8, 9}))
    assert standing.answer is Answer.CULPRIT
    assert standing.culprits == (8, 9, 10)
    assert not {run.version for run in runs} & {8, 9}


def test_after_so_many_runs_it_says_that_it_cannot_tell() -> None:
    rng = np.random.default_rng(1)
    runs: list[Run] = []
    while (standing := look(Question(16, tuple(runs), most_runs=12))).answer is Answer.OPEN:
        runs += [Run(v, bool(rng.random() < 0.7)) for v in standing.next]
    if standing.answer is Answer.UNCLEAR:
        assert len(runs) == 12
        assert standing.culprits, "those that it may be"


def test_a_big_change_to_the_test_s_own_file_is_looked_at_first() -> None:
    weights = [1.0] * 30
    weights[11] = 40.0
    standing = look(Question(30, weights=weights))
    assert int(np.argmax(standing.changes)) == 11
    assert standing.next[0] in (11, 12)
    assert min(standing.changes) > 0, "and nobody is above suspicion"


def test_the_history_moves_the_rate_and_never_closes_it() -> None:
    clean, flaky = rates(History(0, 500)), rates(History(100, 500))
    assert clean.sum() == pytest.approx(1)
    assert clean[0] > flaky[0]
    assert clean[8:].sum() > 0.03, "it may be worse today than it ever was"


def test_the_smallest_sure_set() -> None:
    assert likely(np.array([0.01, 0.6, 0.02, 0.3, 0.0])) == (2, 4)
    assert likely(np.zeros(3)) == ()


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 60),
    ran=st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=12),
    workers=st.integers(1, 9),
    holes=st.frozensets(st.integers(1, 59), max_size=8),
)
def test_whatever_was_seen_probabilities_are_probabilities_and_probes_can_be_run(
    n, ran, workers, holes
) -> None:
    holes = frozenset(hole for hole in holes if 0 < hole < n)
    runs = [Run(v % (n + 1), failed) for v, failed in ran if v % (n + 1) not in holes]
    standing = look(Question(n, tuple(runs), untestable=holes), workers)
    total = standing.changes.sum() + standing.before + standing.flake
    assert total == pytest.approx(1)
    assert (standing.changes >= 0).all()
    if standing.answer is Answer.OPEN:
        assert standing.next
        assert len(standing.next) <= workers
        assert all(0 <= v <= n and v not in holes for v in standing.next)
    else:
        assert not standing.next


@settings(max_examples=10, deadline=None)
@given(st.permutations([Run(0, False), Run(3, False), Run(9, True), Run(6, True), Run(5, False)]))
def test_the_order_of_runs_does_not_matter(runs) -> None:
    assert look(Question(10, runs)).changes == pytest.approx(
        look(Question(10, sorted(runs, key=lambda run: run.version))).changes
    )
