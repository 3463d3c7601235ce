"""Slow failures: slopes and guards against an independent library, and worlds in which the answer is known."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats

from leuko.domain.gauge import Direction
from leuko.domain.trend import Shape
from leuko.statistics.trends import fills, look
from leuko.statistics.trends_chain import between_restarts, joined, uptimes, whole_days
from leuko.statistics.trends_kendall import as_normal, guard, inflation, kendall_s, theil_sen, variance_of_s
from leuko.statistics.trends_question import CELLS, Bar, History, Landing, Over, Watched, deviate, hourly
from leuko.statistics.trends_season import DAY, day_slopes, is_step, middle, wave
from leuko.statistics.trends_subjects import count, polish

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
from _slow import START, World, backups, busy_days, noise, pushes, restarted, times, uptime
from _slow import wave as customers

QUICK = settings(deadline=None, max_examples=40)
BAR = Bar.of(1.0, 20 * 11)
numbers = some.lists(some.floats(-1e6, 1e6, allow_subnormal=False), min_size=4, max_size=40)


# -- against scipy --------------------------------------------------------------------------------------


@QUICK
@given(numbers)
def test_the_slope_is_scipys(values):
    y, x = np.array(values), np.arange(float(len(values)))
    assert theil_sen(y, x) == pytest.approx(stats.theilslopes(y, x).slope, rel=1e-9, abs=1e-9)


@QUICK
@given(some.lists(some.integers(-5, 5), min_size=4, max_size=40))
def test_s_and_its_variance_are_scipys_ties_included(values):
    y, x = np.array(values, dtype=float), np.arange(float(len(values)))
    found = stats.kendalltau(x, y, variant="b")
    if np.isnan(found.statistic):
        assert kendall_s(y) == 0
        return
    n = len(y)
    _, ties = np.unique(y, return_counts=True)
    below = np.sqrt((n * (n - 1) / 2) * (n * (n - 1) / 2 - (ties * (ties - 1) / 2).sum()))
    assert kendall_s(y) / below == pytest.approx(found.statistic, abs=1e-12)
    asymptotic = stats.kendalltau(x, y, method="asymptotic")
    z = kendall_s(y) / np.sqrt(variance_of_s(y))
    assert 2 * stats.norm.sf(abs(z)) == pytest.approx(asymptotic.pvalue, rel=1e-6)


@pytest.mark.parametrize("freedom", [3.0, 8.0, 30.0, 200.0])
def test_students_t_becomes_a_normal_deviate(freedom):
    for t in (0.5, 2.0, 4.0, 8.0):
        exact = stats.norm.isf(stats.t.sf(t, freedom))
        assert as_normal(t, freedom) == pytest.approx(exact, rel=0.03)
    assert as_normal(3.0, 0.5) == 0.0


def test_a_chance_becomes_the_deviate_that_is_exceeded_so_often():
    for chance in (0.5, 1e-3, 1e-9):
        assert deviate(chance) == pytest.approx(stats.norm.isf(chance), abs=1e-9)


def test_the_range_of_white_noise_is_scipys():
    y = np.random.default_rng(4).normal(size=60) + 0.03 * np.arange(60)
    found, theirs = guard(y, np.arange(60.0)), stats.theilslopes(y, np.arange(60.0), alpha=0.95)
    assert found.inflation < 1.3
    assert found.low == pytest.approx(theirs.low_slope, abs=0.003)
    assert found.high == pytest.approx(theirs.high_slope, abs=0.003)


def test_autocorrelation_widens_chance():
    rng = np.random.default_rng(5)
    lasting = noise(rng, 168, 1, 1.0, 4.0).reshape(-1, CELLS).mean(axis=1)
    assert inflation(rng.normal(size=168)) < 1.6
    assert 3.0 < inflation(lasting) < 25.0


# -- properties -----------------------------------------------------------------------------------------


@QUICK
@given(some.floats(0.01, 1e6), some.floats(-1e6, 1e6))
def test_units_do_not_matter(scale, offset):
    y = np.random.default_rng(6).normal(size=72) + 0.05 * np.arange(72)
    one, other = guard(y, np.arange(72.0)), guard(y * scale + offset, np.arange(72.0))
    assert other.slope == pytest.approx(one.slope * scale, rel=1e-4)
    assert other.evidence == pytest.approx(one.evidence, rel=1e-3)


def test_the_middle_is_the_median_and_nothing_of_nothing():
    values = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan], [2.0, 9.0, np.nan]])
    np.testing.assert_array_equal(middle(values), [2.0, 7.0, np.nan])
    np.testing.assert_array_equal(middle(values, axis=1), [1.0, 4.0, 5.5])
    np.testing.assert_array_equal(middle(np.empty((0, 2))), [np.nan, np.nan])


def test_what_comes_back_every_day_is_no_growth():
    hours = np.arange(120.0)
    spikes = np.where(hours % 24 == 3, 50.0, 0.0) + 10 * np.sin(hours / 24 * 2 * np.pi)
    assert day_slopes(spikes[:, None])[0] == pytest.approx(0.0, abs=1e-9)
    pattern = wave(spikes + 0.5 * hours, 0.5, 0)
    np.testing.assert_allclose(pattern - pattern[0], (spikes - spikes[0])[:24], atol=1e-9)


def test_a_step_is_no_slope():
    rng = np.random.default_rng(7)
    assert is_step(np.where(np.arange(72) > 40, 10.0, 0.0) + rng.normal(size=72))
    assert not is_step(0.2 * np.arange(72) + rng.normal(size=72))


def test_hosts_that_come_and_go_do_not_bend_the_course():
    rng = np.random.default_rng(8)
    course = np.cumsum(rng.normal(size=168))
    values = course[:, None] + rng.normal(0, 100, size=20) + rng.normal(0, 0.1, size=(168, 20))
    values[:90, :8], values[60:, 15:] = np.nan, np.nan
    found, _ = polish(values)
    assert np.std(found - course) < 0.3
    assert count(("www",) * 10 + ("db",) * 2 + ("",)) == 11 + 2 + 1


def test_stretches_and_uptimes_begin_anew_with_each_restart():
    stretches = between_restarts([110.5, 130.0, 50.0], 100, 48)
    assert [(each.begin, each.end) for each in stretches] == [(0, 10), (11, 30), (31, 48)]
    found = uptimes([110.5, 130.0], 100, 48)
    assert found[[0, 9, 10, 11, 29, 30]].tolist() == [0.5, 9.5, 0.0, 1.0, 19.0, 0.5]
    assert [each.hours for each in whole_days(80)] == [24, 24, 24]
    assert whole_days(80)[-1].end == 80


def test_caches_that_fill_after_each_restart_are_laid_on_one_another():
    moments = np.arange(12.0, 168.0, 24.0)
    up = uptimes(moments, 0, 168)
    filling = 30 * (1 - np.exp(-up / 3))
    rest = joined(filling + 0.1 * np.arange(168), up, between_restarts(list(moments), 0, 168))
    known = rest[~np.isnan(rest)]
    assert theil_sen(known, np.flatnonzero(~np.isnan(rest)).astype(float)) == pytest.approx(0.1, abs=0.02)


# -- worlds ---------------------------------------------------------------------------------------------


def world(seed=1, hosts=10, days=8, watched=None, **more):
    rng = np.random.default_rng(seed)
    cells = 300 + customers(rng, days * 24, hosts, 10.0) + noise(rng, days * 24, hosts, 4.0, 1.0)
    landings = pushes(np.array([60.0, 100.0, 130.0]))
    return World("w", watched or Watched("rss", "MB"), cells, ("www",) * hosts, landings, **more)


def leaking(it, host, a_hour=2.0, since=100.0):
    it.cells[:, host] += a_hour * np.maximum(0.0, times(it.hours) - since).reshape(
        -1, *([1] * (np.ndim(host)))
    )
    return it


def test_nothing_is_found_where_nothing_is():
    found = look(world().at(192), BAR)
    assert found.trends == ()
    assert ("www", True, Shape.GROWTH) in found.cleared


def test_one_host_of_ten_that_leaks_is_named_with_its_push():
    (trend,) = look(leaking(world(), 3).at(192), BAR).trends
    assert (trend.subject, trend.aggregate) == ("h003", False)
    assert trend.suspects[0].push == 2
    assert trend.slope.low < 48 < trend.slope.high * 1.1
    assert "push 2" in trend.sentence


def test_a_role_that_leaks_is_one_finding():
    it = world()
    it.cells[:] += (2.0 * np.maximum(0.0, times(192) - 100))[:, None]
    (trend,) = look(it.at(192), BAR).trends
    assert (trend.subject, trend.aggregate, trend.hosts) == ("www", True, 10)


def test_all_hosts_of_a_small_role_are_one_finding():
    it = world(hosts=2)
    it.cells[:] += (2.0 * np.maximum(0.0, times(192) - 100))[:, None]
    (trend,) = look(it.at(192), BAR).trends
    assert (trend.subject, trend.hosts) == ("www", 2)


def test_fifty_restarts_a_day_without_a_leak_say_nothing_and_with_one_the_night_tells():
    rng, hours = np.random.default_rng(3), 10 * 24
    moments = busy_days(rng, hours)
    first = int(np.searchsorted(moments, 202.0))
    up = uptime(moments, hours)
    course = 300 + 30 * (1 - np.exp(-up / 0.3))
    quiet = course[:, None] + customers(rng, hours, 6, 10.0) + noise(rng, hours, 6, 4.0, 1.0)
    more = 20 * up * (times(hours) - up >= moments[first] - 0.01)
    made = [
        World(
            "fifty",
            Watched("memory", "MB", over=Over.UPTIME),
            cells,
            ("www",) * 6,
            pushes(moments),
            restarted(moments, 6),
        )
        for cells in (quiet, quiet + more[:, None])
    ]
    assert look(made[0].at(224), BAR).trends == ()
    (trend,) = look(made[1].at(224), BAR).trends
    assert (trend.subject, trend.shape) == ("www", Shape.LEAK)
    assert first + 1 in [each.push for each in trend.suspects]
    # by day, between two pushes, nothing can be said: neither is it over
    assert ("www", True, Shape.LEAK) not in look(made[1].at(234), BAR).cleared


def test_a_nightly_backup_is_no_fill_and_a_fill_is_found_within_hours():
    rng, hours = np.random.default_rng(4), 8 * 24
    cells = 50 + backups(rng, hours, 1, 25.0) + noise(rng, hours, 1, 0.3, 6.0)
    watched = Watched("disk", "%", capacity=100.0)
    calm = World("disk", watched, cells, ("www",))
    for hour in range(168, 192):
        assert look(calm.at(hour), BAR).trends == ()
    worse = World("disk", watched, cells + np.maximum(0.0, times(hours) - 180.0)[:, None] * 6, ("www",))
    history = worse.at(187)
    (trend,) = fills(history, BAR)
    assert trend.shape is Shape.FILL
    assert trend.room is not None
    assert trend.room.earliest <= 3 <= trend.room.hours + 2
    assert look(history, BAR).trends[0].shape is Shape.FILL


def test_time_left_is_within_its_range():
    it = world(watched=Watched("pool", "", capacity=500.0))
    it.cells[:] += (1.0 * np.maximum(0.0, times(192) - 60))[:, None]
    (trend,) = look(it.at(192), BAR).trends
    assert trend.room is not None
    assert trend.room.earliest <= 68 <= (trend.room.latest or 1e9)
    assert trend.room.hours == pytest.approx(68, rel=0.25)


def test_what_belongs_to_no_host_goes_by_its_name():
    it = world(hosts=1)
    it.cells[:] += (2.0 * np.maximum(0.0, times(192) - 100))[:, None]
    asked = it.at(192)
    whole = History(asked.watched, ("-",), ("",), asked.start, asked.cells, {}, asked.landings)
    (trend,) = look(whole, BAR).trends
    assert trend.sentence.startswith("rss rises by")


def test_what_falls_is_bad_where_down_is_bad():
    for direction, expected in ((Direction.DOWN, 1), (Direction.UP, 0), (Direction.BOTH, 1)):
        it = world(watched=Watched("free", "MB", direction))
        it.cells[:] -= (1.0 * np.maximum(0.0, times(192) - 60))[:, None]
        assert len(look(it.at(192), BAR).trends) == expected


def test_a_leak_is_laid_along_the_requests_where_it_is_asked_for():
    """It leaks with each request: two days with different traffic have one slope over requests."""
    it = world(days=9, watched=Watched("rss", "MB", over=Over.UPTIME))
    served = np.where(times(216) > 192, 3.0, 1.0)[:, None] * np.ones(10)
    moments = np.arange(24.0, 216.0, 24.0)
    up = np.cumsum(served[:, 0]) / CELLS
    up -= np.interp(times(216) - uptime(moments, 216), times(216), up)
    it.cells[:] += 4.0 * np.maximum(0.0, up)[:, None]
    made = World(it.name, it.watched, it.cells, it.roles, pushes(moments), restarted(moments, 10))
    by_time = look(made.at(215), BAR)
    by_requests = look(replace(made.at(215), mileage=served[47 * CELLS : 215 * CELLS]), BAR)
    assert [trend.shape for trend in by_time.trends] == [Shape.LEAK], "three times the traffic looks steeper"
    assert by_requests.trends == ()


# -- attacks --------------------------------------------------------------------------------------------


def history(cells, **more):
    width = cells.shape[1]
    watched = Watched("g", "", capacity=100.0)
    hosts = tuple(f"h{index}" for index in range(width))
    return History(watched, hosts, ("www",) * width, START, cells, **more)


@pytest.mark.parametrize("hosts", [1, 5])
@pytest.mark.parametrize(
    "cells",
    [
        lambda n, h: np.full((n, h), np.nan),
        lambda n, h: np.zeros((n, h)),
        lambda n, h: np.full((n, h), 100.0),
        lambda n, h: np.where(np.arange(n)[:, None] % 7 == 0, 5.0, np.nan) * np.ones(h),
        lambda n, h: np.where(np.arange(n)[:, None] == 500, 1e30, 1.0) * np.ones(h),
        lambda n, h: 1e-300 * np.random.default_rng(1).normal(size=(n, h)),
        lambda n, h: 1e30 * np.random.default_rng(2).normal(size=(n, h)),
    ],
)
def test_degenerate_readings_raise_nothing_and_find_nothing(cells, hosts):
    for length in (0, 1, CELLS, 3 * DAY * CELLS, 168 * CELLS):
        asked = history(np.asarray(cells(length, hosts), dtype=float), landings=(Landing(1, START + 5.0),))
        assert look(asked, BAR).trends == ()
        assert fills(asked, BAR) == ()


def test_gaps_of_hours_and_a_silent_end():
    it = leaking(world(), 3)
    gone = it.cells.copy()
    gone[120 * CELLS : 131 * CELLS] = np.nan
    holed = World(it.name, it.watched, gone, it.roles, it.landings)
    assert [trend.subject for trend in look(holed.at(192), BAR).trends] == ["h003"]
    gone[-4 * CELLS :] = np.nan
    answer = look(holed.at(192), BAR)
    assert answer.trends == ()
    assert answer.cleared == frozenset()
    assert "nothing can be said" in answer.outlooks[0].sentence


def test_too_little_is_said_with_how_much_is_missing():
    (outlook,) = [each for each in look(world().at(30), BAR).outlooks if each.aggregate]
    assert outlook.needs == 42
    assert outlook.sentence == "too little to say: needs 42 h more of readings"


def test_a_step_at_a_push_is_the_verdicts_business():
    it = world()
    it.cells[100 * CELLS :] += 60.0
    assert look(it.at(150), BAR).trends == ()
    assert look(it.at(192), BAR).trends == ()


def test_the_same_history_has_the_same_answer_whatever_the_order_of_hosts():
    it = leaking(world(), 3)
    asked = it.at(192)
    order = [3, 1, 9, 0, 2, 4, 5, 6, 7, 8]
    turned = History(
        asked.watched,
        tuple(asked.hosts[place] for place in order),
        asked.roles,
        asked.start,
        asked.cells[:, order],
        asked.restarts,
        asked.landings,
    )
    assert look(asked, BAR) == look(asked, BAR)
    assert look(asked, BAR).trends == look(turned, BAR).trends


def test_an_hour_of_which_less_than_half_was_read_is_absent():
    cells = np.array([1.0, 1.0, np.nan, np.nan, np.nan, np.nan, 2.0, 2.0, 2.0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(hourly(cells[:, None])[:, 0], [np.nan, 2.0])
