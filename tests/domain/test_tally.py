"""The tally beside the promise, and when the two part."""

from __future__ import annotations

import pytest
from scipy.stats import binom

from leuko.domain.tally import Tally, binomial_tail


@pytest.mark.parametrize(
    ("seen", "number", "chance"), [(1, 40, 0.005), (3, 40, 0.005), (12, 900, 0.01), (0, 5, 0.1)]
)
def test_the_tail_is_that_of_the_binomial_distribution(seen, number, chance) -> None:
    assert binomial_tail(seen, number, chance) == pytest.approx(float(binom.sf(seen - 1, number, chance)))


def test_the_sentence_has_numbers_and_the_promise() -> None:
    tally = Tally(0.005, live=39, stopped=5, marked=3, false=1)
    assert tally.sentence == (
        "false rollbacks: 1 of 40 healthy pushes (2.5 %), promised at most 0.5 %; 3 of 5 stopped pushes marked"
    )
    assert tally.alarms == (), "one in forty happens to a verdict that keeps its promise"


def test_it_alarms_when_chance_explains_it_no_more() -> None:
    assert Tally(0.005).alarms == ()
    (alarm,) = Tally(0.005, live=36, stopped=4, marked=4, false=4).alarms
    assert alarm.startswith("the verdict rolled back 4 of 40 healthy pushes")


def test_it_alarms_on_evidence_that_good_pushes_should_not_reach() -> None:
    fine = Tally(0.005, live=200, crossed={0.1: (18, 200), 0.05: (9, 200), 0.01: (2, 200)})
    assert fine.alarms == ()
    (alarm,) = Tally(0.005, live=200, crossed={0.1: (20, 200), 0.05: (30, 200)}).alarms
    assert "evidence of 20 to 1 or more was reached in 30 of 200 pushes" in alarm
