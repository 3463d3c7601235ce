from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from leuko.config.model import Window
from leuko.config.windows import closed

WEEKEND = Window(start="0 16 * * FRI", lasts="2d16h", timezone="Europe/Berlin", reason="nobody is here")
NIGHT = Window(start="30 2 * * *", lasts="1h", timezone="Europe/Berlin")

CASES = {
    "Friday noon": (WEEKEND, "2026-07-03T12:00", None),
    "the minute before": (WEEKEND, "2026-07-03T13:59", None),
    "as it begins": (WEEKEND, "2026-07-03T14:00", "2026-07-06T06:00"),
    "Sunday": (WEEKEND, "2026-07-05T10:00", "2026-07-06T06:00"),
    "the second before it ends": (WEEKEND, "2026-07-06T05:59", "2026-07-06T06:00"),
    "as it ends": (WEEKEND, "2026-07-06T06:00", None),
    "in winter": (WEEKEND, "2026-01-02T15:00", "2026-01-05T07:00"),
    "over the end of summer time": (WEEKEND, "2026-10-24T12:00", "2026-10-26T06:00"),
    "a night": (NIGHT, "2026-07-03T00:45", "2026-07-03T01:30"),
    "a night that has 02:30 twice": (NIGHT, "2026-10-25T00:45", "2026-10-25T01:30"),
    "its second 02:30": (NIGHT, "2026-10-25T01:45", None),
}


@pytest.mark.parametrize("name", CASES)
def test_when_no_push_starts(name):
    window, now, until = CASES[name]
    found = closed([window], datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert (found and found.until) == (until and datetime.fromisoformat(until).replace(tzinfo=UTC))


def test_a_night_without_half_past_two_is_closed_at_some_time():
    day = datetime(2026, 3, 29, tzinfo=UTC)
    minutes = [n for n in range(24 * 60) if closed([NIGHT], day + timedelta(minutes=n))]
    assert len(minutes) == 60


def test_of_several_the_last_to_end_counts_and_says_why():
    long = Window(start="0 0 * * *", lasts="20h")
    found = closed([WEEKEND, long], datetime(2026, 7, 5, 10, 0, tzinfo=UTC))
    assert found is not None
    assert found.window is WEEKEND
    assert found.sentence == "no push starts before 2026-07-06 06:00 UTC (nobody is here)"
    assert closed([], datetime(2026, 7, 5, tzinfo=UTC)) is None
