"""Slow failures on their page, in the API, on the console and in `why`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.web.builders import LINE, START

from leuko.domain.trend import Leg, Outlook, Room, Shape, Slope, Suspect, Trend
from leuko.store.trends import Look
from leuko.web.sparks import HEIGHT, PAD, WIDTH, spark

SLOPE = Slope(4.1e9, 3.6e9, 4.5e9)
ROOM = Room(2e11, 74.0, 66.0, None)
BEGAN = START.timestamp() / 3600 - 30
TREND = Trend(
    gauge="disk<b>",
    subject="www1",
    role="www",
    aggregate=False,
    shape=Shape.GROWTH,
    slope=SLOPE,
    level=1.8e11,
    evidence=6.2,
    hours=72.0,
    hosts=1,
    room=ROOM,
    suspects=(Suspect(2, 0.7), Suspect(1, 0.2)),
    older=0.1,
    unit="B",
    sentence="disk<b> at www1 rises by 4.1 GB a day",
)
OUTLOOK = Outlook(
    "disk<b>",
    "www1",
    "www",
    False,
    "B",
    1.8e11,
    SLOPE,
    6.2,
    room=ROOM,
    chain=(Leg(1, BEGAN, 20.0, None), Leg(2, BEGAN + 20, 10.0, 4.0e9)),
    points=(1.0, 2.0, None, 3.0),
    hours=168.0,
    warned=True,
)
SHORT = replace(
    OUTLOOK,
    subject="www2",
    slope=None,
    level=None,
    room=None,
    needs=48.0,
    warned=False,
    sentence="needs 48 h",
)


async def warn(served, *more: Trend) -> None:
    async with served.store.write(LINE) as tx:
        for trend in (TREND, *more):
            await served.store.trends.begin(tx, trend, START)
        look = Look("disk<b>", START, START + timedelta(days=1), (SHORT, OUTLOOK))
        await served.store.trends.save_look(tx, look)


async def test_the_page_shows_warnings_and_what_is_missing(served):
    await warn(served)
    text = (await served.client.get(f"{served.page}/trends", headers={"Accept": "text/html"})).text
    assert "disk&lt;b&gt; at www1 rises by 4.1 GB a day" in text
    assert "<b>" not in text
    assert "needs 48 h" in text
    assert '<polyline points="' in text
    assert "/shop/production/pushes/2" in text


async def test_the_api_answers_the_same(served):
    await warn(served)
    found = (await served.client.get(f"{served.api}/trends", headers=served.bearer)).json()
    (one,) = found["open"]
    assert (one["gauge"], one["a_day"], one["left"]["latest"]) == ("disk<b>", 4.1e9, None)
    assert one["suspects"] == [{"push": 2, "share": 0.7}, {"push": 1, "share": 0.2}]
    assert [row["subject"] for row in found["gauges"][0]["subjects"]] == ["www1", "www2"]


async def test_the_console_and_why_name_the_most_urgent(served):
    later = replace(TREND, subject="www3", room=None, sentence="disk<b> at www3 rises")
    more = [replace(later, subject=f"www{number}") for number in (4, 5)]
    await warn(served, later, *more)
    text = (await served.client.get(served.page, headers={"Accept": "text/html"})).text
    assert "Slow failures" in text
    assert "4 warnings" in text
    status = (await served.client.get(f"{served.api}/status", headers=served.bearer)).json()
    slow = [sentence for sentence in status["why"] if sentence.startswith("Slowly going wrong")]
    assert slow[0] == "Slowly going wrong: disk<b> at www1 rises by 4.1 GB a day."
    assert "1 more slow failures: `leuko trends`." in status["why"]


async def test_without_any_look_the_page_says_how_to_begin(served):
    text = (await served.client.get(f"{served.page}/trends", headers={"Accept": "text/html"})).text
    assert "No warning is open." in text
    assert "trend: true" in text


@pytest.mark.parametrize(
    ("points", "pieces"),
    [
        ((), 0),
        ((None, None), 0),
        ((1.0,), 1),
        ((5.0, 5.0, 5.0), 1),
        ((1.0, None, 2.0, 3.0), 2),
        ((1e300, -1e300), 1),
    ],
)
def test_pictures_have_gaps_and_stay_inside(points, pieces):
    found = spark(points)
    assert len(found.pieces) == pieces
    for piece in found.pieces:
        for pair in piece.split():
            x, y = map(float, pair.split(","))
            assert PAD <= x <= WIDTH - PAD
            assert PAD <= y <= HEIGHT - PAD
