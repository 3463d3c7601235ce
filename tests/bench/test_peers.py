"""The peers do what their descriptions say, on cases worked by hand and beside scipy."""

import math

import numpy as np
import pytest
from _peers import (
    PEERS,
    Seen,
    argo,
    deltas,
    flagger,
    kayenta_calls_it_bad,
    kayenta_once,
    kayenta_peeking,
    kayenta_score,
    poisson,
    poisson_logs,
    shift,
)
from scipy import stats

SPLIT = 60


def seen(canary, control, *, events=False, rises=True):
    """Two hosts with given readings after the switch and a level of 1 before it."""
    after = np.column_stack([canary, control]).astype(float)
    values = np.vstack([np.ones((SPLIT, 2)), after])
    return Seen(values, np.array([True, False]), SPLIT, 5.0, events=events, rises=rises)


def flat(value, ticks=60):
    return np.full(ticks, value)


def test_the_shift_of_a_moved_sample_is_what_it_was_moved_by():
    control = np.arange(1.0, 21.0)
    low, middle, high = shift(control + 100, control)
    assert middle == pytest.approx(100)
    assert low < 100 < high


def test_the_interval_excludes_zero_where_the_rank_test_rejects():
    rng = np.random.default_rng(1)
    for _ in range(300):
        canary, control = rng.normal(0.5, 1, 40), rng.normal(0, 1, 40)
        low, _, high = shift(canary, control)
        p = stats.mannwhitneyu(canary, control, method="asymptotic", use_continuity=False).pvalue
        if abs(p - 0.02) > 0.002:  # at the very edge ranks are whole numbers
            assert (low > 0 or high < 0) == (p < 0.02)


def test_its_tolerance_is_a_part_of_the_shift_itself_and_so_guards_little():
    """A shift of one per mille is bad as soon as it is certain."""
    rng = np.random.default_rng(2)
    canary = 1.001 + rng.normal(0, 1e-5, 60)
    control = 1.0 + rng.normal(0, 1e-5, 60)
    assert kayenta_calls_it_bad(seen(canary, control), 60)
    assert not kayenta_calls_it_bad(seen(control, canary), 60)
    assert kayenta_calls_it_bad(seen(control, canary, rises=False), 60)


def test_equal_series_pass_and_absent_ones_are_no_data():
    assert not kayenta_calls_it_bad(seen(flat(1), flat(1)), 60)
    assert not kayenta_calls_it_bad(seen(flat(np.nan), flat(1)), 60)


def test_one_bad_metric_of_five_is_above_its_score_of_75():
    good, bad = seen(flat(1), flat(1)), seen(flat(2) + np.arange(60) / 1e3, flat(1))
    assert kayenta_once([good] * 4 + [bad]) == 300
    assert math.isnan(kayenta_score([good] * 4 + [bad]))
    assert kayenta_score([good] * 2 + [bad]) == 300
    assert kayenta_peeking([good] * 4 + [bad]) == 30


def test_argo_aborts_at_the_fourth_failed_measurement_of_one_metric():
    assert argo([seen(flat(2.1), flat(1))]) == 40
    assert math.isnan(argo([seen(flat(1.9), flat(1))]))
    three = np.where(np.arange(60) < 6, 9.0, 1.0)  # seconds 0 to 30: over for the first minute and a bit
    assert argo([seen(three, flat(1))]) == 40
    assert math.isnan(argo([seen(np.where(np.arange(60) < 1, 3.0, 1.0), flat(1))]))


def test_flagger_rolls_back_at_the_fifth_interval_with_a_failed_check():
    assert flagger([seen(flat(3), flat(1))]) == 150
    assert flagger([seen(flat(1), flat(1)), seen(flat(3), flat(1))]) == 150
    assert math.isnan(flagger([seen(flat(1.9), flat(1))]))


def test_events_may_be_five_times_as_many_before_a_threshold_breaks():
    assert math.isnan(argo([seen(flat(4.9), flat(1), events=True)]))
    assert argo([seen(flat(5.1), flat(1), events=True)]) == 40


def test_a_drop_breaks_thresholds_of_what_must_not_fall():
    assert argo([seen(flat(0.4), flat(1), rises=False)]) == 40
    assert deltas([seen(flat(0.4), flat(1), rises=False)]) == 30
    assert math.isnan(argo([seen(flat(3), flat(1), rises=False)]))


def test_deltas_compare_with_the_same_hosts_before():
    assert deltas([seen(flat(1.6), flat(1))]) == 30
    assert math.isnan(deltas([seen(flat(1.4), flat(1.4))]))


def test_poisson_is_the_beta_binomial_mixture_over_the_simple_hypothesis():
    """One event on the canary: the mixture gives it 1/2 with a share of one half, and so does the null."""
    one = seen([1], [0], events=True)
    assert poisson_logs(one)[0] == pytest.approx(0.0)
    three = seen([3], [0], events=True)
    # integral of p^3 is 1/4; the null's probability of it is 1/8
    assert poisson_logs(three)[0] == pytest.approx(math.log(2))


def test_poisson_keeps_its_promise_where_events_are_poisson():
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(1000):
        values = rng.poisson(1.0, (120, 10)).astype(float)
        one = Seen(values, np.arange(10) < 1, SPLIT, 5.0, events=True)
        wrong += not math.isnan(poisson([one], alpha=0.05))
    assert wrong <= 50


def test_every_peer_sees_a_hundredfold_level_of_events_and_none_a_still_one():
    rng = np.random.default_rng(4)
    noise = rng.poisson(5.0, (120, 10)).astype(float)
    quiet = Seen(noise, np.arange(10) < 5, SPLIT, 5.0, events=True)
    loud = noise.copy()
    loud[SPLIT:, :5] *= 100
    for peer in PEERS.values():
        assert not math.isnan(peer([Seen(loud, np.arange(10) < 5, SPLIT, 5.0, events=True)]))
    for name in ("Argo", "Flagger", "fixed deltas", "Poisson"):
        assert math.isnan(PEERS[name]([quiet]))
