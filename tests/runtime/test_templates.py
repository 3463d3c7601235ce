"""Kinds of lines that hosts told: kept with the push that ran, hidden where they hold a secret, known after."""

from datetime import timedelta

import numpy as np
import pytest
from tests.builders import LINE, NOON, HandClock, configuration

from leuko.config.secrets import Secrets
from leuko.domain.gauge import Kind
from leuko.domain.verdict import Decision
from leuko.gauges.kinds import FRESH, Kinds
from leuko.runtime.ground import Ground
from leuko.runtime.questions import gauges_of
from leuko.runtime.templates import Templates
from leuko.statistics.judge import judge
from leuko.statistics.question import Question, Series
from leuko.store.store import Store

WITH = {"gauges": {"errors": {"log": {"templates": True}}}}


@pytest.fixture
async def ground(tmp_path):
    clock = HandClock()
    store = await Store.open(tmp_path / "leuko.sqlite", clock)
    yield Ground(LINE, store, clock, tmp_path, configuration(**WITH), secrets=Secrets({"KEY": "open-sesame"}))
    await store.close()


async def test_a_restart_knows_what_was_seen(ground):
    first = {"errors": Kinds("errors")}
    lines = ["ERROR no key open-sesame here", "ERROR 17 of them"]
    assert first["errors"].take("www1", lines, 1, NOON) == 2
    await Templates(ground).keep(first)
    known = await ground.store.templates.of_gauge(LINE, "errors")
    assert {one.example for one in known} == {"ERROR 17 of them", "ERROR no key ***KEY*** here"}

    again = {"errors": Kinds("errors")}
    await Templates(ground).learn(again)
    assert again["errors"].take("www2", lines[1:], 9, NOON + FRESH) == 0
    assert again["errors"].take("www2", ["quite another thing, never seen"], 9, NOON + FRESH) == 1
    await Templates(ground).keep(again)
    known = {one.example: one.seen for one in await ground.store.templates.of_gauge(LINE, "errors")}
    assert known["ERROR 17 of them"] == 2


def test_a_gauge_with_templates_brings_the_count_of_unseen_kinds():
    plain, unseen = gauges_of(configuration(**WITH), [])
    assert (plain.name, unseen.name, unseen.kind, unseen.required) == (
        "errors",
        "errors.unseen",
        Kind.COUNT,
        False,
    )
    assert len(gauges_of(configuration(), [])) == 1


@pytest.mark.parametrize(("lines", "decision"), [(2, Decision.FAIL), (0, Decision.PASS)])
def test_new_kinds_on_the_canaries_alone_are_evidence(lines, decision):
    """Errors stay as many as they were: only what kind of errors they are has changed."""
    random = np.random.default_rng(3)
    ticks, hosts, watch = 200, 10, 12
    errors = random.poisson(5.0, (ticks, hosts)).astype(float)
    unseen = np.zeros((ticks, hosts))
    unseen[-watch:, 0] = lines
    switched = np.full(hosts, np.nan)
    switched[0] = (ticks - watch) * 5.0
    question = Question(
        gauges=gauges_of(configuration(**WITH), []),
        hosts=tuple(f"www{i}" for i in range(hosts)),
        roles=("www",) * hosts,
        pushed_roles=frozenset({"www"}),
        tick=5.0,
        times=np.arange(1, ticks + 1) * 5.0,
        series={"errors": Series(errors), "errors.unseen": Series(unseen)},
        switched_at=switched,
        watched=np.arange(hosts) == 0,
        watch_from=float(switched[0]),
        wanted=watch,
    )
    verdict = judge(question)
    assert verdict.decision is decision, verdict.sentence
    if decision is Decision.FAIL:
        assert verdict.sentence.startswith("errors.unseen"), verdict.sentence


def test_fresh_is_longer_than_a_watch():
    assert timedelta(minutes=5) < FRESH < timedelta(minutes=30)
