"""Files of deployments as people and tools write them; what makes no sense is left out by name."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from leuko.domain.errors import LeukoError
from leuko.runtime.deploys import read_deploys
from leuko.runtime.retrospect import ends_of
from leuko.runtime.server_past import increases

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TEN = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-23T10:00:00Z",
        "2026-11-23T11:00:00+01:00",
        "2026-11-23 10:00 UTC",
        str(int(TEN.timestamp())),
        str(int(TEN.timestamp() * 1000)),
    ],
)
def test_times_as_people_write_them(time: str) -> None:
    (one,), left_out = read_deploys(f"Time;Revision\n{time};abc\n", NOW)
    assert (one.began, one.ended, one.revision, left_out) == (TEN, TEN, "abc", ())


def test_a_zone_for_those_without_one() -> None:
    (one,), _ = read_deploys("time\n2026-11-23 11:00\n", NOW, ZoneInfo("Europe/Berlin"))
    assert one.began == TEN


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"time": "2026-11-23 10:00"}, "has no time zone"),
        ({"time": "yesterday"}, "is no time"),
        ({"revision": "abc"}, "has no time"),
        ({"time": 5}, "too long ago"),
        ({"time": 1e300}, "is no time"),
        ({"time": "2026-11-23T10:00Z", "end": "2026-11-23T09:00Z"}, "before it begins"),
        ({"time": "2026-11-20T10:00Z", "end": "2026-11-23T09:00Z"}, "more than a day"),
        ({"time": "2026-11-23T13:00Z"}, "in the future"),
        ({"time": "2026-11-23T10:00Z", "bad": "perhaps"}, "yes or no"),
        ({"time": None}, "has no time"),
    ],
)
def test_rows_that_make_no_sense_are_left_out_with_their_reason(row, why) -> None:
    good = {"time": "2026-11-23T08:00:00Z", "bad": True, "canaries": ["www1", "www2"]}
    (one,), (left_out,) = read_deploys(json.dumps([good, row]), NOW)
    assert (one.bad, one.canaries) == (True, ("www1", "www2"))
    assert left_out.place == "entry 2"
    assert why in left_out.why


@pytest.mark.parametrize(
    "text", ["", "{", "time\n", "[]", "[1, null]", '"\n\0', "\0\xff\n1,2", '{"a": 1}', "time\n\n,,\n"]
)
def test_garbage_is_refused_with_a_way_out(text: str) -> None:
    with pytest.raises(LeukoError):
        read_deploys(text, NOW)


def test_lines_of_json_and_lists_inside_of_something() -> None:
    row = '{"started_at": "2026-11-23T10:00:00Z", "ended_at": "2026-11-23T10:01:00Z", "servers": "www1 www2"}'
    for text in (f"{row}\n{row}", f'{{"deploys": [{row}]}}'):
        found, _ = read_deploys(text, NOW)
        assert found[0].hosts == ("www1", "www2")
        assert found[0].ended - found[0].began == timedelta(minutes=1)


def test_counters_that_begin_anew_or_have_gaps() -> None:
    nan = np.nan
    grown = increases(np.array([10.0, 12, 3, 3, nan, 9, 10]))
    np.testing.assert_array_equal(grown, [2, 3, 0, nan, nan, 1])


def test_a_long_past_is_looked_at_all_over() -> None:
    assert len(ends_of(1e9, 6 * 3600)) == 3
    two_days = ends_of(1e9, 48 * 3600)
    assert np.array_equal(np.diff(two_days), np.full(23, -7200.0))
    month = ends_of(1e9, 720 * 3600)
    assert len(month) == 24
    assert 1e9 - month[-1] > 700 * 3600
