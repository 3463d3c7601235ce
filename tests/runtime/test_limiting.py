"""Limits that people set: kept with who and why, in force at once, never over somebody else's head."""

from __future__ import annotations

import pytest
from tests.runtime.yard import LINE, Yard

from leuko.domain.gauge import Limit
from leuko.domain.intent import IntentKind, IntentState

K = IntentKind


@pytest.fixture
async def yard(tmp_path):
    made = await Yard.make(tmp_path)
    yield made
    await made.obeying.close()
    await made.store.close()


async def test_a_limit_is_set_changed_and_cleared(yard) -> None:
    said = await yard.ask(K.LIMIT, gauge="errors", above=6, readings=3)
    assert (said.state, said.answer["about"]) == (IntentState.ACCEPTED, "on each host"), said.answer
    said = await yard.ask(K.LIMIT, gauge="errors", above=12.5, host="www3", seen=said.answer["change"])
    assert said.answer["limit"] == ">12.5"
    held = await yard.store.overrides.all(LINE)
    assert [one.limit for one in held] == [
        Limit(above=6.0, readings=3),
        Limit(above=12.5, host="www3"),
    ]
    said = await yard.ask(K.LIMIT, gauge="errors", clear=True)
    assert (said.state, said.answer["limit"]) == (IntentState.ACCEPTED, "")
    history = await yard.store.limit_changes.recent(LINE)
    assert [(one.was, one.became) for one in history] == [
        (Limit(above=6.0, readings=3), None),
        (None, Limit(above=12.5, host="www3")),
        (None, Limit(above=6.0, readings=3)),
    ]
    done = [one.operation for one in await yard.store.operations.recent(LINE)]
    assert done[:3] == ["Change limit"] * 3


async def test_who_looked_before_somebody_else_changed_it_is_refused(yard) -> None:
    first = await yard.ask(K.LIMIT, gauge="errors", above=6, seen=0)
    assert first.state is IntentState.ACCEPTED
    late = await yard.ask(K.LIMIT, gauge="errors", above=9, seen=0)
    assert (late.state, late.answer["code"]) == (IntentState.REFUSED, "P031")
    assert [one.limit.above for one in await yard.store.overrides.all(LINE)] == [6.0]


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"gauge": "nonsense", "above": 1}, "there is no gauge"),
        ({"gauge": "errors"}, "bounds nothing"),
        ({"gauge": "errors", "above": 1, "below": 2}, "broken by every value"),
        ({"gauge": "errors", "above": "many"}, "should be a number"),
        ({"gauge": "errors", "above": True}, "should be a number"),
        ({"gauge": "errors", "above": 1e300}, "between"),
        ({"gauge": "errors", "above": 1, "readings": 0}, "readings should be"),
        ({"gauge": "errors", "above": 1, "readings": 1e9}, "readings should be"),
        ({"gauge": "errors", "above": 1, "host": "www99"}, "no host of the fleet"),
        ({"gauge": "errors", "above": 1, "role": "nobody"}, "no host has the role"),
        ({"gauge": "errors", "above": 1, "host": "www1", "scope": "aggregate"}, "named by itself"),
        ({"gauge": "errors", "above": 1, "scope": "all"}, "scope should be"),
        ({"gauge": "errors", "clear": True}, "nobody has set"),
    ],
)
async def test_what_cannot_be_meant_changes_nothing(yard, arguments, rule) -> None:
    said = await yard.ask(K.LIMIT, **arguments)
    assert said.state is IntentState.REFUSED
    assert rule in said.answer["rule"]
    assert await yard.store.overrides.all(LINE) == []
