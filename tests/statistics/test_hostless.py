"""Gauges that belong to no host: compared with their own past, held when they fall silent, said without a host."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leuko.domain.gauge import HOSTLESS, Direction, Gauge, Kind, Limit
from leuko.domain.verdict import Decision
from leuko.statistics.judge import judge
from leuko.statistics.question import Question, Series

TICKS, HOSTS, WATCH = 300, 6, 24
ORDERS = Gauge("orders", Kind.COUNT, Direction.DOWN, roles=(HOSTLESS,))
ERRORS = Gauge("errors", Kind.COUNT)


def asked(orders: np.ndarray, *gauges: Gauge, limits: tuple[Limit, ...] = ()) -> Question:
    """Two canaries of six, healthy errors; orders of the whole as given for the watch."""
    random = np.random.default_rng(5)
    errors = np.full((TICKS, HOSTS + 1), np.nan)
    errors[:, :HOSTS] = random.poisson(8.0, (TICKS, HOSTS))
    whole = np.full((TICKS, HOSTS + 1), np.nan)
    whole[:, HOSTS] = random.poisson(20.0, TICKS)
    whole[-WATCH:, HOSTS] = orders
    began = (TICKS - WATCH) * 5.0
    switched = np.full(HOSTS + 1, np.nan)
    switched[[0, 1, HOSTS]] = began
    return Question(
        gauges=gauges or (ERRORS, replace(ORDERS, limits=limits)),
        hosts=(*(f"www{i}" for i in range(HOSTS)), HOSTLESS),
        roles=(*["www"] * HOSTS, HOSTLESS),
        pushed_roles=frozenset({"www"}),
        tick=5.0,
        times=np.arange(1, TICKS + 1) * 5.0,
        series={"errors": Series(errors), "orders": Series(whole)},
        switched_at=switched,
        watched=np.isfinite(switched),
        watch_from=began,
        wanted=WATCH,
    )


def healthy() -> np.ndarray:
    return np.random.default_rng(6).poisson(20.0, WATCH).astype(float)


def test_a_healthy_push_passes_and_counts_only_hosts():
    verdict = judge(asked(healthy()))
    assert verdict.decision is Decision.PASS, verdict.sentence
    assert verdict.sentence.startswith("2 hosts watched")
    rows = [(one.gauge, one.subject, one.role) for one in verdict.findings]
    assert rows.count(("orders", HOSTLESS, HOSTLESS)) == 1
    assert not any(gauge == "errors" and subject == HOSTLESS for gauge, subject, _ in rows)
    assert not any(gauge == "orders" and subject != HOSTLESS for gauge, subject, _ in rows)


def test_orders_that_stop_convict_by_their_own_past():
    verdict = judge(asked(np.zeros(WATCH)))
    assert verdict.decision is Decision.FAIL, verdict.sentence
    assert verdict.sentence.startswith("orders everywhere have stopped, against what the last")
    assert "-" not in verdict.sentence.split()


def test_a_source_that_is_down_holds_and_never_fails():
    for silent in (4, 12, WATCH):
        orders = healthy()
        orders[-silent:] = np.nan
        verdict = judge(asked(orders))
        assert verdict.decision is Decision.HOLD, verdict.sentence
        assert verdict.sentence.startswith("nothing gave orders for ")
        assert "fault of its source" in verdict.sentence


def test_without_hosts_of_its_role_it_covers_no_role():
    verdict = judge(asked(healthy(), ORDERS))
    assert verdict.decision is Decision.HOLD
    assert "no required gauge covers it" in verdict.sentence


@pytest.mark.parametrize("scope", ["host", "aggregate"])
def test_a_limit_of_either_scope_is_the_same(scope):
    limit = Limit(below=60.0, scope=scope)
    low = healthy()
    low[-3:] = 1.0
    verdict = judge(asked(low, limits=(limit,)))
    assert verdict.decision is Decision.FAIL
    assert verdict.sentence.startswith("orders reached 12 a minute, which breaks the limit <60 a minute")
    finding = next(one for one in verdict.findings if one.gauge == "orders")
    assert (finding.decision, finding.limit) == (Decision.FAIL, "<60")
    assert sum(one.gauge == "orders" for one in verdict.findings) == 1


def test_ordinary_limits_over_all_hosts_are_told_once():
    wide = replace(ERRORS, limits=(Limit(above=10.0, scope="aggregate", readings=1),))
    verdict = judge(asked(healthy(), wide, ORDERS))
    assert sum(one.gauge == "errors" and one.aggregate for one in verdict.findings) == 1
