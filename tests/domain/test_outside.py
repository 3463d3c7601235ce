"""What the statuses of another CI come to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from leuko.domain.build import BuildState
from leuko.domain.outside import Status, StatusState, answer

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def said(**states: str) -> list[Status]:
    return [
        Status("a" * 40, context, StatusState(state), NOW, f"https://ci/{context}")
        for context, state in states.items()
    ]


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        ({}, None),
        ({"unit": "success"}, None),
        ({"unit": "success", "lint": "pending"}, None),
        ({"unit": "success", "lint": "success"}, BuildState.PASSED),
        ({"unit": "success", "lint": "success", "other": "failure"}, BuildState.PASSED),
        ({"unit": "failure"}, BuildState.FAILED),
        ({"unit": "failure", "lint": "error"}, BuildState.FAILED),
        ({"unit": "error"}, None),
        ({"unit": "error", "lint": "success"}, BuildState.BROKEN),
    ],
)
def test_all_green_is_green_and_one_failure_is_red(statuses, state):
    assert answer(["unit", "lint"], said(**statuses)).state is state


def test_silence_is_never_green():
    late = answer(["unit", "lint"], said(unit="success"), silent_for="2h")
    assert late.state is BuildState.BROKEN
    assert late.reason == "no answer from lint within 2h"
    assert answer(["unit"], said(unit="failure"), silent_for="2h").state is BuildState.FAILED


def test_a_failure_names_where_to_look():
    assert answer(["unit"], said(unit="failure")).reason == "unit says failure (https://ci/unit)"
