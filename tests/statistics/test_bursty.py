"""Ticks of a second: a gauge that is full of pauses of one reading, as the latency of a small real fleet is.

The shape is that of readings recorded on the demo's fleet on a busy machine: a narrow middle, rounded; one
reading in twelve is up to fifteen times that; hosts share a slow wander.
"""

import dataclasses

import numpy as np
import pytest

from leuko.domain.gauge import Direction, Gauge, Kind
from leuko.statistics import series
from leuko.statistics.path import path
from leuko.statistics.question import Question, Series

GAUGES = (
    Gauge("latency", Kind.LEVEL),
    Gauge("requests", Kind.COUNT, Direction.DOWN),
    Gauge("orders", Kind.COUNT, Direction.DOWN),
    Gauge("errors", Kind.COUNT),
    Gauge("cpu", Kind.LEVEL),
    Gauge("memory", Kind.LEVEL),
)
HOSTS, CANARIES, HISTORY = 8, 2, 120
PUSHES = 16


def wander(random, ticks, hosts, deviation, seconds):
    kept = np.exp(-1 / seconds)
    found = random.normal(0, deviation, (ticks, hosts))
    for tick in range(1, ticks):
        found[tick] = kept * found[tick - 1] + np.sqrt(1 - kept**2) * found[tick]
    return found


def fleet(seed, watch, factor=1.0, traffic=1.0):
    random = np.random.default_rng(seed)
    ticks = HISTORY + watch
    shape = (ticks, HOSTS)
    common = wander(random, ticks, 1, 0.1, 20.0)
    pauses = (random.random(shape) < 0.08) * random.uniform(0.5, 2.7, shape)
    latency = 0.14 * np.exp(
        common + random.normal(0, 0.1, shape) + wander(random, *shape, 0.04, 8.0) + pauses
    )
    size, requests = np.ones(shape), np.full(shape, 20.0)
    size[HISTORY:, :CANARIES] = factor
    requests[HISTORY:, :CANARIES] *= traffic
    readings = {
        "latency": np.round(latency * size, 2),
        "requests": np.round(requests + random.normal(0, 1.5, shape)),
        "orders": random.poisson(requests * 0.18).astype(float),
        "errors": np.zeros(shape),
        "cpu": np.round(np.maximum(0, random.normal(1, 0.5, shape))),
        "memory": 2.34e7 + 4096 * np.round(wander(random, *shape, 20, 60.0)),
    }
    times = np.arange(1.0, ticks + 1)
    canary = np.arange(HOSTS) < CANARIES
    return Question(
        gauges=GAUGES, hosts=tuple(f"www{one}" for one in range(1, HOSTS + 1)), roles=("www",) * HOSTS,
        pushed_roles=frozenset({"www"}), tick=1.0, times=times,
        series={name: Series(values) for name, values in readings.items()},
        switched_at=np.where(canary, times[HISTORY - 1], np.nan), watched=canary,
        watch_from=float(times[HISTORY - 1]), wanted=watch,
    )  # fmt: skip


def caught(watch, **fault):
    """In how many of sixteen pushes it is rolled back."""
    return sum(path(fleet(seed, watch, **fault)).fails_at is not None for seed in range(PUSHES))


@pytest.mark.parametrize("watch", [12, 60])
def test_a_doubled_latency_is_seen_through_its_pauses(watch):
    assert caught(watch, factor=2.0) >= PUSHES - 2


def test_tenfold_latency_is_seen_in_seconds():
    assert all(path(fleet(seed, 12, factor=10.0)).fails_at <= 5 for seed in range(PUSHES))


def test_half_of_the_traffic_is_missed():
    assert caught(60, traffic=0.5) == PUSHES


@pytest.mark.parametrize("watch", [12, 60])
def test_its_pauses_alone_roll_nothing_back(watch):
    assert caught(watch) == 0


def test_a_pause_of_two_readings_is_bounded_and_what_lasts_is_whole():
    pause, lasting = np.zeros((12, 2)), np.zeros((12, 2))
    pause[5:7] = 3.0
    lasting[5:] = 3.0
    bound, ticks = np.full(2, 0.4), series.pauses(1.0)
    assert series.steadied(pause, bound, ticks).max() == pytest.approx(0.4)
    found = series.steadied(lasting, bound, ticks)
    np.testing.assert_allclose(found[:, 0], [0] * 5 + [0.4] * 2 + [3.0] * 5)


def test_absent_readings_are_no_middle_and_stay_absent():
    readings = np.full((9, 1), np.nan)
    readings[[0, 4, 8], 0] = [0.1, 0.2, 5.0]
    found = series.steadied(readings, np.full(1, 0.4), 5)
    assert np.isnan(found[[1, 2, 3, 5, 6, 7]]).all()
    np.testing.assert_allclose(found[[0, 4], 0], [0.1, 0.2])


def test_long_ticks_are_taken_as_they_are():
    assert series.pauses(5.0) == 1
    readings = np.random.default_rng(1).normal(size=(20, 3))
    assert series.steadied(readings, np.full(3, 0.01), series.pauses(5.0)) is readings


def test_units_do_not_matter():
    question = fleet(3, 12, factor=2.0)
    latency = question.series["latency"]
    other = dict(question.series) | {"latency": Series(latency.values * 1000)}
    scaled = dataclasses.replace(question, series=other)
    np.testing.assert_allclose(path(scaled).total, path(question).total, rtol=1e-6)
