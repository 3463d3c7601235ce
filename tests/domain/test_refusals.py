"""What a person asks of a push in the wrong moment is refused with a command that fits the moment."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from leuko.domain.errors import Refused
from leuko.domain.line import Line
from leuko.domain.push import Abort, Hold, Promote, Push, Resume, RollBack, Rules, State, advance

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PENDING = Push(
    number=1,
    line=Line("shop", "production"),
    release="new",
    revision="n" * 40,
    base="old",
    rules=Rules(phases=2),
    state=State.PENDING,
    since=NOW,
    created_at=NOW,
)
ASKED = (Abort("ann", ""), Hold("ann", ""), Resume("ann", ""), Promote("ann", ""), RollBack("ann", ""))


def moments():
    for state in State:
        if state is State.HELD:
            for held_from in (State.STAGING, State.SWITCHING, State.WATCHING, State.COMPLETING):
                yield state, held_from
        else:
            yield state, None


@pytest.mark.parametrize(("state", "held_from"), list(moments()))
@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: type(asked).__name__)
def test_every_refusal_names_a_command(state, held_from, asked):
    there = replace(PENDING, state=state, held_from=held_from)
    refused = refusal_of(there, asked)
    assert refused is not None or not state.ended
    if refused is not None:
        assert (refused.code, refused.where) == ("P001", there.name)
        assert "`leuko " in refused.way_out


def refusal_of(push, asked):
    try:
        advance(push, asked, NOW)
    except Refused as refused:
        return refused
    return None
