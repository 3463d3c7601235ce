from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from leuko.config.quantities import (
    parse_duration,
    parse_percentage,
    parse_share,
    parse_ticks,
    portion,
    share,
    ticks,
)
from leuko.domain.fleet import Share

QUICK = settings(deadline=None, max_examples=60)

WRITTEN = some.lists(
    some.tuples(some.integers(0, 10**6), some.sampled_from(["ms", "s", "m", "h", "d"])),
    min_size=1,
    max_size=4,
)
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


@QUICK
@given(WRITTEN, some.booleans())
def test_a_duration_is_the_sum_of_its_parts(parts, spaced):
    text = (" " if spaced else "").join(f"{number}{unit}" for number, unit in parts)
    seconds = sum(number * SECONDS[unit] for number, unit in parts)
    if seconds > 0:
        assert parse_duration(text) == pytest.approx(seconds)
    else:
        with pytest.raises(ValueError, match="should be a duration"):
            parse_duration(text)


@QUICK
@given(
    some.one_of(
        some.text(), some.integers(), some.floats(), some.booleans(), some.none(), some.lists(some.integers())
    )
)
def test_anything_else_is_a_clear_refusal(value):
    for parse, rule in (
        (parse_duration, "should be a duration"),
        (parse_share, "should be a count"),
        (parse_ticks, "should be a number of ticks"),
    ):
        try:
            parsed = parse(value)
        except ValueError as error:
            assert rule in str(error)  # noqa: PT017 - a refusal is one of two right answers
        else:
            assert parse(parsed) == parsed
            if parse is parse_share:
                share(parsed)
            elif parsed != float("inf"):
                assert parsed > 0


@QUICK
@given(some.decimals(0, 100, places=4))
def test_a_share_keeps_its_percentage(percent):
    assert share(parse_share(f"{percent}%")).percent == pytest.approx(float(percent))


@pytest.mark.parametrize(
    ("written", "value"),
    [(2, Share(count=2)), ("2", Share(count=2)), ("007", Share(count=7)), ("10 %", Share(percent=10.0))],
)
def test_a_share_is_a_count_or_a_percentage(written, value):
    assert share(parse_share(written)) == value


@QUICK
@given(some.floats(0.1, 10**5), some.floats(0.1, 600))
def test_a_watch_in_time_is_never_shorter_than_asked_for(seconds, tick):
    assert ticks(seconds, tick) * tick >= seconds * (1 - 1e-6)
    assert (ticks(seconds, tick) - 1) * tick < seconds * (1 + 1e-9) or ticks(seconds, tick) == 1


@pytest.mark.parametrize(
    ("written", "count"), [(12, 12), ("12 ticks", 12), ("1 tick", 1), ("1m", 12), ("61s", 13), ("1s", 1)]
)
def test_a_watch_in_ticks_of_five_seconds(written, count):
    assert ticks(parse_ticks(written), 5.0) == count


@pytest.mark.parametrize(
    "written",
    ["5 minutes", "5", "-5m", "", "5M", "m", "1h 5", 0, -1, True, float("nan"), "٣m", "9" * 5000 + "s"],
)
def test_what_is_no_duration(written):
    with pytest.raises(ValueError, match="should be a duration"):
        parse_duration(written)


@pytest.mark.parametrize(
    "written", ["", "-1", "101%", "ten", "²", "9" * 5000, 10**9, 1.5, True, "0x10", "1e1%"]
)
def test_what_is_no_share(written):
    with pytest.raises(ValueError, match="should be a count"):
        parse_share(written)


@pytest.mark.parametrize(("written", "value"), [("0.5%", 0.005), ("10 %", 0.1), ("100%", 1.0)])
def test_percentages(written: str, value: float) -> None:
    assert portion(parse_percentage(written)) == pytest.approx(value)


@pytest.mark.parametrize("written", ["0%", "0.5", 0.005, "101%", "-1%", "", None, True, "a half"])
def test_what_is_no_percentage(written: object) -> None:
    with pytest.raises(ValueError, match=r'should be a percentage such as "0.5%"'):
        parse_percentage(written)
