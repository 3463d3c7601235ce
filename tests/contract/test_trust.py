"""Limits that people set, who changed them, and deployments of others that were watched."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from leuko.domain.gauge import Limit
from leuko.domain.line import Line
from leuko.store.errors import Lost
from leuko.store.limit_changes import LimitChange, people_at
from leuko.store.observations import Observation, ObservationState
from leuko.store.overrides import Override

NOW = datetime(2026, 11, 23, 12, 30, 15, 123456, tzinfo=UTC)
LINE = Line("shop", "production")
OTHER = Line("shop", "preview")
ODD = "naïve \u2603 'quote' \"double\" \\ back\nnewline\ttab %s ; -- DROP"
SECOND = timedelta(seconds=1)


def change(was: Limit | None, became: Limit | None, gauge: str = "errors", at: datetime = NOW) -> LimitChange:
    return LimitChange(0, gauge, was, became, "ann", ODD, at)


async def test_a_limit_is_set_in_one_place_and_taken_back_there(store):
    everywhere, on_www3 = Limit(above=6.0), Limit(above=12.0, host="www3", readings=4)
    async with store.write(LINE) as tx:
        for limit in (everywhere, on_www3, Limit(above=9.0, role="www")):
            await store.overrides.set(tx, Override("load", limit, "ann", ODD, NOW))
        await store.overrides.set(tx, Override("load", replace(everywhere, above=5.0), "bob", "", NOW))
    found = await store.overrides.all(LINE)
    assert [(one.limit.above, one.limit.host, one.limit.role) for one in found] == [
        (5.0, "", ""),
        (12.0, "www3", ""),
        (9.0, "", "www"),
    ]
    assert found[1] == Override("load", on_www3, "ann", ODD, NOW)
    async with store.write(LINE) as tx:
        assert await store.overrides.clear(tx, "load", host="www3")
        assert not await store.overrides.clear(tx, "load", host="www3")
    assert len(await store.overrides.all(LINE)) == 2
    assert await store.overrides.all(OTHER) == []


async def test_changes_of_limits_tell_what_held_at_any_moment(store):
    six, four = Limit(above=6.0), Limit(above=4.0)
    async with store.write(LINE) as tx:
        first = await store.limit_changes.add(tx, change(None, six))
        await store.limit_changes.add(tx, change(None, Limit(below=1.0, host="www3"), "load", NOW + SECOND))
        await store.limit_changes.add(tx, change(six, four, at=NOW + 2 * SECOND), seen=first.id)
        await store.limit_changes.add(tx, change(four, None, at=NOW + 3 * SECOND))
    newest, *_, oldest = await store.limit_changes.recent(LINE)
    assert (newest.was, newest.became, newest.id) == (four, None, 4)
    assert (oldest.was, oldest.became, oldest.why, oldest.at) == (None, six, ODD, NOW)
    assert [one.id for one in await store.limit_changes.recent(LINE, gauge="errors", before=4)] == [3, 1]
    assert await store.limit_changes.newest(LINE) == {"errors": 4, "load": 2}
    held = await store.limit_changes.timeline(LINE)
    assert people_at(held, NOW - SECOND) == {}
    assert people_at(held, NOW) == {"errors": [six]}
    assert people_at(held, NOW + 2 * SECOND)["errors"] == [four]
    assert list(people_at(held, NOW + 3 * SECOND)) == ["load"]
    assert await store.limit_changes.recent(OTHER) == []


async def test_who_saw_an_older_limit_changes_nothing(store):
    async with store.write(LINE) as tx:
        await store.limit_changes.add(tx, change(None, Limit(above=6.0)), seen=0)

    async def set_without_having_seen_it() -> None:
        async with store.write(LINE) as tx:
            await store.overrides.set(tx, Override("errors", Limit(above=9.0), "bob", "", NOW))
            await store.limit_changes.add(tx, change(None, Limit(above=9.0)), seen=0)

    with pytest.raises(Lost, match="changed in the meantime"):
        await set_without_having_seen_it()
    assert await store.overrides.all(LINE) == []
    assert len(await store.limit_changes.recent(LINE)) == 1


async def test_observations(store):
    new = Observation(0, ("cap", ODD, "deploy"), ObservationState.RUNNING, NOW, "ann", record={"hosts": {}})
    async with store.write(LINE) as tx:
        one = await store.observations.create(tx, new)
        two = await store.observations.create(tx, new)
    assert (one.id, two.id, one) == (1, 2, replace(new, id=1))
    ended = replace(
        one,
        state=ObservationState.ENDED,
        ended_at=NOW + SECOND,
        exit_code=-9,
        decision="fail",
        sentence=ODD,
        record={"hosts": {"www1": 1.5}},
    )
    async with store.write(LINE) as tx:
        saved = await store.observations.save(tx, ended)
    assert await store.observations.get(LINE, 1) == saved == replace(ended, version=1)
    async with store.write(LINE) as tx:
        with pytest.raises(Lost):
            await store.observations.save(tx, ended)
    assert [each.id for each in await store.observations.recent(LINE)] == [2, 1]
    assert [each.id for each in await store.observations.open(LINE)] == [2]
    assert await store.observations.get(OTHER, 1) is None
