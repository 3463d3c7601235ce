"""The simulator makes what its parts say."""

import numpy as np
import pytest
from _noise import Jumps, Ramp, Restart, Scene, Slow, Step, Wander, lasting
from _pushes import CPU, ERRORS, RATIO, TEN, Fleet, push
from _readings import Gaps, counted, load_average, quantile_of
from _worlds import STUDY, WORLDS

RNG = np.random.default_rng


def scene(ticks=4000, hosts=20, canaries=5, gauges=1, seed=0):
    times = (np.arange(ticks) - ticks // 2 + 1) * 5.0
    canary = np.arange(hosts) < canaries
    since = np.where(canary, times[:, None], times[:, None] - 1e9)
    return Scene(gauges, times, 5.0, since, canary, RNG(seed))


def test_the_same_seed_is_the_same_push_and_another_is_another():
    first, again, other = (push(STUDY, Fleet(10, 1), TEN, seed) for seed in (7, 7, 8))
    for name, series in first.readings.items():
        np.testing.assert_array_equal(series.values, again.readings[name].values)
        assert not np.array_equal(series.values, other.readings[name].values)


def test_a_wander_has_its_deviation_and_remembers_as_long_as_it_says():
    values = Wander(0.5, 60.0)(scene(20_000))[0]
    assert values.std() == pytest.approx(0.5, rel=0.05)
    apart = np.mean([np.corrcoef(one[:-12], one[12:])[0, 1] for one in values.T])
    assert apart == pytest.approx(np.exp(-1), abs=0.05)


def test_jumps_last_as_long_and_come_as_often_as_they_say():
    moved = Jumps(3.0, 30.0, 1800.0)(scene(20_000))
    assert set(np.round(np.unique(moved), 6)) == {0.0, round(float(np.log(3)), 6)}
    assert (moved > 0).mean() == pytest.approx(30 / 1800, rel=0.15)


def test_what_begins_lasts_so_many_ticks():
    begins = np.zeros((1, 8, 1))
    begins[0, 2] = 1
    np.testing.assert_array_equal(lasting(begins, 3)[0, :, 0], [0, 0, 1, 1, 1, 0, 0, 0])


def test_events_have_the_variance_that_they_are_asked_for():
    for phi in (1.0, 1.4, 15.0):
        events = counted(np.full(200_000, 3.0), phi, RNG(1))
        assert events.mean() == pytest.approx(3.0, rel=0.03)
        assert events.var() / events.mean() == pytest.approx(phi, rel=0.05)


def test_a_step_shows_in_a_load_average_as_the_kernel_shows_it():
    queue = np.ones((1, 40, 1))
    queue[0, 20:] = 2.0
    read = load_average(queue, 5.0)[0, :, 0]
    assert read[:20] == pytest.approx(1.0)
    assert read[20] - 1 == pytest.approx(0.08, abs=0.005)
    assert read[31] - 1 == pytest.approx(0.63, abs=0.005)


def test_a_quantile_of_many_requests_is_that_of_their_distribution():
    shape = (1, 200, 10)
    found = quantile_of(np.zeros(shape), np.full(shape, 10_000.0), 0.99, 0.6, RNG(2))
    assert np.median(found) == pytest.approx(np.exp(0.6 * 2.326), rel=0.01)
    assert np.isnan(quantile_of(np.zeros((1, 1, 1)), np.zeros((1, 1, 1)), 0.99, 0.6, RNG(2))).all()


def test_only_canaries_feel_the_switch_and_a_restart_fades():
    made = scene()
    for part in (Step(2.0), Slow(), Restart(0.3)):
        moved = np.broadcast_to(part(made), (1, 4000, 20))[0]
        assert (moved[:2000] == 0).all()
        assert (moved[:, 5:] == 0).all()
        assert (moved[2000:2010, :5] > 0).all()
    assert Restart(0.3)(made)[0, -1, 0] == pytest.approx(0.0, abs=1e-9)
    assert np.exp(Slow(2.0, 180.0)(made)[1999 + 36, 0]) == pytest.approx(2.0)


def test_a_ramp_is_in_common_and_stops():
    grown = np.exp(Ramp(2.0, -300.0, 300.0)(scene())[0, :, 0])
    assert grown[0] == pytest.approx(1.0)
    assert grown[1999] == pytest.approx(np.sqrt(2))
    assert grown[-1] == pytest.approx(2.0)


def test_gaps_take_all_hosts_where_the_collector_is_away():
    lost = Gaps(10.0, 900.0, common=True)(scene())
    assert (lost.all(axis=1) == lost.any(axis=1)).all()
    assert 0.005 < lost.mean() < 0.02


def test_the_studys_errors_are_as_rough_as_the_study_says():
    """Dispersion of single ticks and of minutes, capped at three a tick and not: 1.4, 1.6, 1.8 and 2.2."""
    found = []
    for seed in range(12):
        one = push(STUDY, Fleet(50, 5), (ERRORS,), seed)
        events = one.values(ERRORS)[: one.split]
        capped = np.minimum(events, max(3.0, np.quantile(events, 0.995)))
        found.append(
            [dispersion(capped, 1), dispersion(capped, 12), dispersion(events, 1), dispersion(events, 12)]
        )
    assert np.mean(found, axis=0) == pytest.approx([1.4, 1.6, 1.8, 2.2], rel=0.1)


def dispersion(events, length):
    blocks = len(events) // length
    each = events[: blocks * length].reshape(blocks, length, -1).sum(axis=1)
    expected = each.sum(axis=1, keepdims=True) * each.sum(axis=0) / each.sum()
    return ((each - expected) ** 2 / np.maximum(expected, 1e-9)).sum() / ((blocks - 1) * (each.shape[1] - 1))


@pytest.mark.parametrize("world", WORLDS.values(), ids=lambda world: world.name)
def test_every_world_is_a_question(world):
    one = push(world, Fleet(10, 3), (*TEN, RATIO), 1, {CPU.name: Step(2.0)})
    question = one.question()
    assert len(question.times) == len(one.times) == one.readings["cpu0"].values.shape[0]
    assert np.isfinite(question.switched_at).sum() == 3
    assert question.times[one.split - 1] == 0.0
    assert set(question.roles) == set(world.roles)
    for meter in one.meters:
        assert np.isnan(one.values(meter)).mean() < 0.25
    if len(world.roles) > 1:
        assert question.pushed_roles == set(world.roles)
