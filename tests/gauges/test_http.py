"""Real HTTP answers, good and bad, over loopback."""

import asyncio
import math
from contextlib import asynccontextmanager

import pytest

from leuko.config.model import Gauge
from leuko.gauges.answers import UnreadableError, json_number, prometheus_number
from leuko.gauges.http import HttpReadings
from leuko.gauges.source import Target

TEXT = """# HELP http_requests_total all
# TYPE http_requests_total counter
http_requests_total{code="200",path="/a b"} 10
http_requests_total{code="500",path="/"} 3
http_requests_total{code="503",path="/"} 4
http_requests_total_other 99
queue_depth 7.5
broken NaN
"""


@asynccontextmanager
async def serving(answers, seen=None):
    """Answers each request with the next of `answers`: raw bytes, or None to hang. `seen` gets the heads."""
    waiting = []

    async def serve(reader, writer):
        while not writer.is_closing():
            head = await reader.readuntil(b"\r\n\r\n")
            if not head:
                return
            if seen is not None:
                seen.append(head)
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if answer is None:
                waiting.append(asyncio.current_task())
                await asyncio.sleep(3600)
            writer.write(answer)
            await writer.drain()

    async def quiet(reader, writer):
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(quiet, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in waiting:
            task.cancel()


def ok(body, status=b"200 OK", extra=b""):
    body = body.encode() if isinstance(body, str) else body
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%b\r\n%b" % (status, len(body), extra, body)


def source(port, clock, kind="count", tick=5.0, **http):
    url = "http://{address}:{http_port}/stats"
    gauges = {"g": Gauge(kind=kind, http={"url": url, "timeout": 1.0, **http})}
    target = Target("h1", "www", "/srv", address="127.0.0.1", variables={"http_port": str(port)})
    return HttpReadings([target], gauges, tick=tick, clock=clock)


async def asked(readings, ticks):
    found = []
    for tick in ticks:
        await readings.ask(readings.asked[0], tick)
        found.append({name: float(array[0]) for name, array in readings.readings(tick).items()})
    await readings.close()
    return found


async def test_counter_differences_and_a_reset(still_clock):
    bodies = [ok(f'{{"a": {{"n": [0, {n}]}}}}') for n in (5, 12, 12, 3, 4)]
    async with serving(bodies) as port:
        readings = source(port, still_clock, json_path="a.n.1")
        found = await asked(readings, [1, 2, 3, 4, 5])
    values = [one["g"] for one in found]
    assert math.isnan(values[0])
    assert values[1:3] == [7, 0]
    assert math.isnan(values[3])
    assert values[4] == 1


async def test_a_gap_is_not_one_tick_with_everything(still_clock):
    bodies = [ok(f'{{"n": {n}}}') for n in (0, 20, 1000)]
    async with serving(bodies) as port:
        found = await asked(source(port, still_clock, json_path="n"), [1, 3, 30])
    assert found[1]["g"] == 10
    assert math.isnan(found[2]["g"])


async def test_ratio_of_prometheus_counters(still_clock):
    later = TEXT.replace(" 3\n", " 5\n").replace(" 10\n", " 20\n")
    async with serving([ok(TEXT), ok(later)]) as port:
        readings = source(
            port, still_clock, "ratio", metric='http_requests_total{code=~"5.."}', of="http_requests_total"
        )
        found = await asked(readings, [1, 2])
    assert (found[1]["g"], found[1]["g:of"]) == (2, 12)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ok("{"), "not JSON"),
        (ok('{"n": NaN}'), "not JSON"),
        (ok('{"n": "7"}'), "no number"),
        (ok('{"n": true}'), "no number"),
        (ok('{"n": 1e999}'), ""),
        (ok('{"m": 1}'), "nothing at n"),
        (ok(b"\xff\xfe\x00"), "not JSON"),
        (ok("[" * 100_000), "not JSON"),
        (ok("{}", b"500 Internal Server Error"), "answered 500"),
        (ok("", b"302 Found", b"Location: http://127.0.0.1:1/\r\n"), "answered 302"),
        (ok(b'{"n": 1, "x": "' + b"y" * 2_100_000 + b'"}'), "longer than 2 MB"),
        (b"garbage\r\n\r\n", ""),
        (None, "no answer within 1 s"),
    ],
)
async def test_bad_answers_are_absence_with_a_reason(still_clock, answer, reason):
    async with serving([answer]) as port:
        readings = source(port, still_clock, "level", json_path="n")
        found = await asked(readings, [1])
    assert math.isnan(found[0]["g"])
    health = readings.health()[0]
    assert health.last_good is None
    assert reason in health.reason
    assert health.reason


async def test_nobody_there(still_clock):
    readings = source(1, still_clock, "level", json_path="n")
    found = await asked(readings, [1])
    assert math.isnan(found[0]["g"])
    assert "Connect" in readings.health()[0].reason


async def test_unknown_field_in_the_address(still_clock):
    gauges = {
        "g": Gauge(kind="level", http={"url": "http://{nowhere.__class__}{nowhere}/", "json_path": "n"})
    }
    readings = HttpReadings([Target("h1", "www", "/srv")], gauges, tick=1.0, clock=still_clock)
    await readings.ask(readings.asked[0], 1)
    assert "no {nowhere}" in readings.health()[0].reason


async def test_an_answer_after_the_close_is_dropped_and_counted(still_clock):
    async with serving([ok('{"n": 1}')]) as port:
        readings = source(port, still_clock, "level", json_path="n")
        readings.readings(7)
        await readings.ask(readings.asked[0], 7)
        await readings.close()
    assert readings.slots.late == 1
    assert "after its tick" in readings.health()[0].reason


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("http_requests_total", 17),
        ('http_requests_total{code="500"}', 3),
        ('http_requests_total{code!="500"}', 14),
        ('http_requests_total{code=~"5..", path="/"}', 7),
        ('http_requests_total{code!~"5.."}', 10),
        ("queue_depth", 7.5),
    ],
)
def test_prometheus_series_are_summed(metric, value):
    assert prometheus_number(TEXT, metric) == value


@pytest.mark.parametrize(
    "metric", ["broken", "nothing", 'queue_depth{x="1"}', "{", 'a{b="c}', 'queue_depth{x=~"("}']
)
def test_prometheus_absence(metric):
    with pytest.raises(UnreadableError):
        prometheus_number(TEXT, metric)


def test_prometheus_garbage():
    with pytest.raises(UnreadableError):
        prometheus_number('metric{a="b 3\nmetric x y z\n', "metric")


def test_json_list():
    assert json_number(b'[{"n": 2.5}]', "0.n") == 2.5
