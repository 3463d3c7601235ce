"""Exact values by hand for small cases, and agreement with what others compute."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from leuko.statistics import counts, gate, noise, series, steps
from leuko.statistics.clocks import log_mean_exp

COURSES = [np.ones(8), np.arange(1, 9) / 8]


def one_model(**more):
    spans = steps.blocks(20, 0)
    fields = {
        "noise": noise.Noise(0.01, (0.0, 0.02, 0.0, 0.0, 0.0, 0.0)),
        "scale": 0.5,
        "before": spans,
        "before_white": np.full(len(spans), 0.01),
        "ticks": 8,
        "white": np.full(8, 0.01),
        "scales": np.ones(8),
    }
    return steps.Model(**(fields | more))


def covariance(model):
    """Of every single tick, written down one by one."""
    begin = int(model.before[0, 0])
    times = np.arange(begin, model.ticks)
    apart = np.abs(times[:, None] - times[None, :])
    found = model.scale * 0.02 * np.exp(-apart / 4.0) + 0.01 * np.eye(len(times)) + steps.LEVEL
    return times, found


def test_blocks_cover_the_history_once():
    spans = steps.blocks(48, 3)
    ticks = [tick for begin, end in spans for tick in range(int(begin), int(end))]
    assert ticks == list(range(-51, -3))


@pytest.mark.parametrize("course", COURSES)
def test_the_evidence_is_the_ratio_of_two_likelihoods(course):
    """Against scipy's normal density over all ticks of history and watch, at every length of the watch."""
    model = one_model(
        before=np.array([[-k, -k + 1] for k in range(12, 0, -1)], dtype=float), before_white=np.full(12, 0.01)
    )
    random = np.random.default_rng(1)
    series = random.normal(0, 0.2, 20)
    series[12:] += 0.5 * course
    bet = steps.Bet(1.02, (1.5,), (1.0,), (steps.Shape(course, 1.0),), 1e9)
    logs = steps.evidence(model, model.surprises(series[:12], series[12:]), np.full(8, 9.0), bet)
    _, whole = covariance(model)
    for ticks in range(1, 9):
        part = whole[: 12 + ticks, : 12 + ticks]
        shape = np.concatenate([np.zeros(12), course[:ticks]])

        def density(size, seen=series[: 12 + ticks], shape=shape, part=part):
            return stats.multivariate_normal(shape * size, part).logpdf(seen)

        margin = np.log(1.02)
        expected = density(margin + np.log(1.5)) - density(margin)
        assert logs[ticks - 1] == pytest.approx(expected, abs=1e-6)


def test_absent_ticks_say_nothing():
    white = np.full(8, 0.01)
    white[3] = 1e8
    model, gap = one_model(), one_model(white=white)
    series = np.full(8, 0.4)
    series[3] = np.nan
    course = steps.Shape(np.ones(8), 1.0)
    bet = steps.Bet(1.02, (1.5,), (1.0,), (course,), 1e9)
    past = np.zeros(len(model.before))
    logs = steps.evidence(gap, gap.surprises(past, series), np.full(8, 9.0), bet)
    assert logs[3] == pytest.approx(logs[2], abs=1e-3)
    assert logs[-1] > logs[2]


def test_evidence_rises_no_faster_than_its_patience():
    model = one_model()
    series = np.concatenate([np.full(3, 3.0), np.zeros(5)])
    bet = steps.Bet(1.02, (20.0,), (1.0,), (steps.Shape(np.ones(8), 1.0),), 1.0)
    most = 1 + 1.4 * np.log(20)
    logs = steps.evidence(model, model.surprises(np.zeros(len(model.before)), series), np.full(8, 9.0), bet)
    assert (np.diff(np.concatenate([[0.0], logs])) <= most + 1e-9).all()
    gone = steps.evidence(model, model.surprises(np.zeros(len(model.before)), series), series, bet)
    assert (gone[3:] <= 0).all(), "what went away is no change"


def test_a_sequence_of_bets_wins_no_more_than_it_promises():
    """Under the very model the evidence passes 20 in fewer than one of twenty series."""
    model = one_model()
    times, whole = covariance(model)
    root = np.linalg.cholesky(whole - steps.LEVEL)
    random = np.random.default_rng(4)
    series = root @ random.standard_normal((len(times), 4000))
    past, _ = steps.means(series, model.before, 20)
    shapes = tuple(steps.Shape(course, 0.5) for course in COURSES)
    bet = steps.Bet(1.0, (1.05, 1.15), (0.5, 0.5), shapes, 1e9)
    logs = steps.evidence(model, model.surprises(past, series[20:]), np.full((8, 4000), 9.0), bet)
    assert (logs.max(axis=0) >= np.log(20)).mean() <= 0.05
    assert np.exp(logs[-1]).mean() == pytest.approx(1.0, abs=0.25)


def rare(**more):
    fields = {"ratio": 0.1, "deviation": 0.3, "phi": 1.0, "cap": 9.0, "canary_rate": 0.1, "other_rate": 0.1}
    return counts.Model(**(fields | more))


def look(x, y, ex, ey, margin=0.0, sizes=(3.0,)):
    one = [np.array([value], dtype=float) for value in (x, y, ex, ey, margin)]
    return counts.Look(*one, sizes)


def binomial(x, y, odds_log, deviation):
    """The same integral by scipy's quadrature."""

    def inner(z):
        eta = odds_log + deviation * z
        return np.exp(-x * np.logaddexp(0, -eta) - y * np.logaddexp(0, eta)) * stats.norm.pdf(z)

    return integrate.quad(inner, -8, 8, epsabs=1e-14)[0]


@pytest.mark.parametrize(("x", "y"), [(0, 0), (3, 0), (7, 9), (2, 40), (30, 30)])
def test_rare_events_are_a_ratio_of_binomials(x, y):
    found = counts.log_evidence(rare(), look(x, y, 10, 90), 1)[0]
    centre = 0.1 + np.log(10 / 90)
    expected = np.log(binomial(x, y, centre + np.log(3), 0.3) / binomial(x, y, centre, 0.3))
    assert found == pytest.approx(expected, abs=0.02, rel=0.015)


def test_rare_events_by_hand():
    """No doubt about the share, one event, and it is a canary's: three times the odds against the odds."""
    found = counts.log_evidence(rare(ratio=0.0, deviation=0.0), look(1, 0, 1, 1), 1)[0]
    assert found == pytest.approx(np.log((3 / 4) / (1 / 2)))
    tempered = counts.log_evidence(rare(ratio=0.0, deviation=0.0, phi=2.0), look(1, 0, 1, 1), 1)[0]
    assert tempered == pytest.approx(found / 2)


def test_history_stands_beside_the_controls():
    """A gamma prior of two events' worth on what happens to all: the same as two more events in as much more time."""
    with_prior = counts.log_evidence(rare(prior=2.0), look(4, 1, 10, 90), 1)[0]
    by_hand = counts.log_evidence(rare(), look(4, 3, 10, 90 + 2 / 0.1), 1)[0]
    assert with_prior == pytest.approx(by_hand)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(2, 8), st.integers(2, 5))
def test_least_squares_without_negative_parts_as_scipy(seed, rows, columns):
    random = np.random.default_rng(seed)
    table, wanted = random.normal(size=(rows + columns, columns)), random.normal(size=rows + columns)
    ours = noise.nonnegative(table, wanted)
    theirs, _ = optimize.nnls(table, wanted)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_memories_are_found_in_their_own_noise():
    random = np.random.default_rng(2)
    kept = np.exp(-1 / 10.0)
    series = np.zeros((400, 40))
    for tick in range(1, 400):
        series[tick] = kept * series[tick - 1] + random.normal(0, 0.1 * np.sqrt(1 - kept**2), 40)
    series[1:] += random.normal(0, 0.05, (399, 40))
    found = noise.fitted(series - series.mean(axis=0))
    assert found.white == pytest.approx(0.0025, rel=0.4)
    assert found.covariance(20)[10] == pytest.approx(0.01 * np.exp(-1), rel=0.3)


def test_a_noisy_past_takes_what_it_gives_often():
    quiet = gate.tail(np.random.default_rng(1).exponential(0.5, 360))
    noisy = gate.tail(np.random.default_rng(1).exponential(4.0, 360))
    logs = np.array([1.0, 3.0, 8.0, 20.0])
    assert quiet(logs) == pytest.approx(logs), "a model that holds loses nothing"
    assert (noisy(logs) <= logs).all()
    assert noisy(logs)[2] == 3.0
    assert noisy(logs)[3] < 7


def test_means_of_exponentials_do_not_overflow():
    assert log_mean_exp(np.array([1000.0, 1000.0]), np.array([0.5, 0.5])) == pytest.approx(1000.0)


def test_a_host_that_misses_a_tick_counts_as_where_it_was():
    nan = np.nan
    group = np.array([[1.0, 5.0, 9.0], [1.1, nan, 9.1], [1.2, nan, nan], [nan, nan, nan], [1.3, 5.3, nan]])
    found = series.carried(group)
    np.testing.assert_array_equal(
        found, [[1.0, 5.0, 9.0], [1.1, 5.0, 9.1], [1.2, nan, nan], [nan, nan, nan], [1.3, 5.3, 9.1]]
    )
    alone = np.array([[1.0], [nan], [2.0]])
    np.testing.assert_array_equal(series.carried(alone), alone)


def test_readings_that_come_late_move_no_quiet_group():
    """Two of five canaries are often late; each host has its own slow course. Healthy, and must stay so."""
    rng = np.random.default_rng(8)
    steps_of = rng.normal(0, 0.02, (240, 5))
    course = np.cumsum(steps_of, axis=0) * 0.5
    late = rng.random(course.shape) < np.array([0.0, 0.3, 0.3, 0.0, 0.3])
    whole, seen = course.mean(axis=1), np.where(late, np.nan, course)
    plain = np.nanmean(seen, axis=1)
    carried = np.nanmean(series.carried(seen), axis=1)
    assert np.abs(carried - whole).max() < 0.3 * np.abs(plain - whole).max()
