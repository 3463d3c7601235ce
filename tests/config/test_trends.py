"""The section about slow failures: its short forms, and what it refuses."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from tests.builders import configuration

from leuko.config.notes import Notes
from leuko.config.problems import dotted
from leuko.config.trend_rules import check_trends

LEVEL = {"kind": "level", "host": {"figure": "memory"}}


def test_a_trend_is_switched_on_and_off_by_a_word():
    found = configuration(gauges={"on": {**LEVEL, "trend": True}, "off": {**LEVEL, "trend": False}})
    assert found.gauges["on"].trend.watched
    assert not found.gauges["off"].trend.watched
    assert found.gauges["errors"].trend is None


def test_a_chain_is_laid_along_what_counts():
    found = configuration(
        gauges={
            "good": {**LEVEL, "trend": {"over": "errors"}},
            "bad": {**LEVEL, "trend": {"over": "good"}},
            "gone": {**LEVEL, "trend": {"over": "nothing"}},
        }
    )
    notes = Notes(dotted)
    check_trends(found, notes)
    assert [(problem.where, problem.code) for problem in notes.problems] == [
        ("gauges.bad.trend.over", "C026"),
        ("gauges.gone.trend.over", "C026"),
    ]


@pytest.mark.parametrize(
    "wrong", [{"false_warnings": 0}, {"notable": "much"}, {"watch": "long"}, {"what": 1}]
)
def test_what_the_section_cannot_mean_is_refused(wrong):
    with pytest.raises(ValidationError):
        configuration(trends=wrong)
