"""What must hold for any readings: hypothesis looks for those for which it does not."""

import dataclasses

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.statistics.world import World

from leuko.domain.gauge import Gauge, Kind
from leuko.domain.verdict import Decision
from leuko.statistics.judge import judge
from leuko.statistics.question import Series

FAULTS = ["", "errors5", "errors10", "slow", "leak", "stop", "silent", "latency2"]
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
worlds = st.builds(
    lambda seed, fault, hosts, canaries, ticks: World(seed=seed, hosts=hosts, canaries=min(canaries, hosts)).question(fault, upto=ticks),
    st.integers(0, 10_000), st.sampled_from(FAULTS), st.integers(1, 12), st.integers(1, 3), st.integers(1, 12),
)  # fmt: skip


def evidences(verdict):
    return {(f.gauge, f.subject): (f.evidence, f.decision) for f in verdict.findings if f.aggregate}


def reordered(question, order):
    series = {
        name: Series(one.values[:, order], None if one.denominators is None else one.denominators[:, order])
        for name, one in question.series.items()
    }
    return dataclasses.replace(
        question, series=series, hosts=tuple(question.hosts[i] for i in order),
        switched_at=question.switched_at[order], watched=question.watched[order], held_back=question.held_back[order],
    )  # fmt: skip


def same(one, other, rel=1e-6):
    first, second = evidences(one), evidences(other)
    assert one.decision == other.decision
    assert first.keys() == second.keys()
    for key, (evidence, decision) in first.items():
        assert decision == second[key][1], key
        np.testing.assert_allclose(evidence, second[key][0], rtol=rel, atol=1e-300)


@few
@given(worlds, st.randoms())
def test_the_order_of_hosts_does_not_matter(question, random):
    order = list(range(len(question.hosts)))
    random.shuffle(order)
    same(judge(question), judge(reordered(question, order)))


@few
@given(worlds, st.sampled_from([1e-6, 0.001, 60.0, 1024.0, 1e9]))
def test_the_unit_of_a_level_does_not_matter(question, unit):
    series = dict(question.series)
    for gauge in question.gauges:
        if gauge.kind is Kind.LEVEL:
            series[gauge.name] = Series(series[gauge.name].values * unit)
    # the same change in floating point is not the same to the last digit
    same(judge(question), judge(dataclasses.replace(question, series=series)), rel=1e-5)


@few
@given(
    st.integers(0, 10_000),
    st.sampled_from(["errors", "error_ratio"]),
    st.integers(1, 60),
    st.integers(0, 11),
    st.integers(0, 1),
)
def test_more_errors_on_canaries_never_make_a_fail_a_pass(seed, name, more, tick, host):
    world = World(seed=seed)
    question = world.question("errors5")
    gauge = next(one for one in question.gauges if one.name == name)
    question = dataclasses.replace(
        question, gauges=(gauge, *(g for g in question.gauges if g.name == "requests"))
    )
    before = judge(question)
    worse = question.series[name].values.copy()
    worse[world.history + tick, host] += more
    series = {**question.series, name: Series(worse, question.series[name].denominators)}
    after = judge(dataclasses.replace(question, series=series))
    if before.decision is Decision.FAIL:
        assert after.decision is Decision.FAIL


@few
@given(worlds)
def test_absence_never_passes(question):
    series = {}
    for name, one in question.series.items():
        values = one.values.copy()
        values[:, question.watched] = np.nan
        series[name] = Series(values, one.denominators)
    verdict = judge(dataclasses.replace(question, series=series))
    assert verdict.decision is not Decision.PASS
    for question_without in (dataclasses.replace(question, series={}),):
        assert judge(question_without).decision in {Decision.HOLD, Decision.CONTINUE}


@few
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=24, max_size=24),
    st.sampled_from(list(Kind)),
    st.booleans(),
)
def test_no_reading_raises(numbers, kind, flip):
    question = World(seed=1, hosts=4, canaries=2, history=20, watch=4).question()
    values = np.resize(np.array(numbers), (24, 4))
    series = Series(values, values[::-1] if flip and kind is Kind.RATIO else None)
    verdict = judge(dataclasses.replace(question, gauges=(Gauge("x", kind),), series={"x": series}))
    assert all(np.isfinite(f.evidence) for f in verdict.findings)
