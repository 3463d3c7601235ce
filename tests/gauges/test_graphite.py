"""Gauges out of a real carbon and graphite-web."""

import pytest
from tests.gauges.asked import Line
from tests.gauges.servers import free_port, opened, wait_for
from tests.gauges.test_http import ok, serving

from leuko.clock import SystemClock
from leuko.gauges.source import Target

pytestmark = pytest.mark.timeout(60)

NODES = (
    Target("www1.example.com", "www", "/srv", variables={"dc": "north"}),
    Target("www2.example.com", "www", "/srv", variables={"dc": "south"}),
    Target("db1", "db", "/srv", variables={"dc": "north"}),
)


def gauge(url, target, kind="level", **more):
    roles = more.pop("roles", [])
    asked = {"url": url, "target": target, "every": "10s", "timeout": "20s", **more}
    return {"kind": kind, "roles": roles, "graphite": asked}


def line(gauges, **more):
    return Line(gauges, NODES, clock=SystemClock(), **more)


def sent(server, values, age=0.0):
    """Writes values, and waits until they are rendered."""
    at = SystemClock().now().timestamp() - age
    for path, value in values.items():
        server.send(path, value, at)
    last = list(values)[-1]
    wait_for(
        lambda: (
            b"[%d.0," % values[last] in opened(f"{server.url}/render?format=json&from=-90s&target={last}")
        ),
        f"{last} at graphite",
    )


@pytest.mark.needs("graphite")
async def test_of_the_whole_of_each_host_and_as_a_ratio(graphite):
    values = {"shop.www1_example_com.errors": 3, "shop.www2_example_com.errors": 4}
    values |= {"shop.www1_example_com.all": 100, "shop.www2_example_com.all": 200}
    values |= {"cpu.north.www1.example.com": 11, "cpu.south.www2.example.com": 12}
    sent(graphite, values)
    url = graphite.url
    gauges = {
        "all": gauge(url, "sumSeries(shop.{www1_example_com,www2_example_com}.errors)"),
        "each": gauge(url, "shop.{node}.errors", roles=["www"]),
        "other": gauge(url, "cpu.{dc}.{name}", roles=["www"]),
        "share": gauge(url, "shop.{node}.errors", "ratio", of="shop.{node}.all", roles=["www"], counter=True),
        "events": gauge(url, "sumSeries(shop.*.errors)", "count"),
        "none": gauge(url, "no.such.{name}"),
        "several": gauge(url, "shop.*.errors"),
        "wrong": gauge(url, "noSuchFunction(shop.*.errors)"),
        "open": gauge(url, "sumSeries(shop.*.errors"),
    }
    async with line(gauges) as asked:
        found = await asked.look()
        assert found["all"] == {"-": 7}
        assert found["each"] == {"www1.example.com": 3, "www2.example.com": 4}
        assert found["other"] == {"www1.example.com": 11, "www2.example.com": 12}
        assert found["events"] == {"-": 3.5}, "seven events in ten seconds are three and a half in five"
        assert [found[name] for name in ("none", "several", "wrong", "open", "share")] == [{}] * 5
        assert "gauges.none.graphite `no.such.{name}`: no series, or nothing new in it" in asked.reason
        assert "gauges.several.graphite `shop.*.errors`: gives 2 series, not one" in asked.reason
        assert "unknown function: noSuchFunction" in asked.reason
        sent(graphite, {"shop.www1_example_com.errors": 5, "shop.www1_example_com.all": 150})
        found = await asked.look()
        assert found["share"]["www1.example.com"] == 2
        assert found["share:of"]["www1.example.com"] == 50


@pytest.mark.needs("graphite")
async def test_what_is_older_than_a_tick_and_an_interval_is_absent(graphite):
    sent(graphite, {"old.orders": 6}, age=30)
    gauges = {
        "old": gauge(graphite.url, "old.orders"),
        "fresh": gauge(graphite.url, "old.orders", every="60s"),
    }
    async with line(gauges) as asked:
        assert await asked.look() == {"old": {}, "fresh": {"-": 6}}


async def test_a_server_that_is_down_hangs_or_speaks_html():
    async def said(answer):
        async with serving([answer]) as port:
            patience = "200ms" if answer is None else "20s"
            gauges = {"g": gauge(f"http://127.0.0.1:{port}", "a", timeout=patience)}
            async with line(gauges) as asked:
                assert await asked.look() == {"g": {}}
                return asked.reason

    async with line({"g": gauge(f"http://127.0.0.1:{free_port()}", "a")}) as asked:
        assert await asked.look() == {"g": {}}
        assert "ConnectError" in asked.reason
    assert "no answer within 0.2 s" in await said(None)
    assert "gave nothing that can be read" in await said(ok("<html>Log in</html>"))
    assert "answered 500: down" in await said(ok("oh\ndown", b"500 Broken"))
    for text in (
        "null",
        "{}",
        '[{"target":"0"}]',
        '[{"target":"0","datapoints":[[1]]}]',
        "[" * 9000,
        "\0\xff",
    ):
        assert await said(ok(text)), text
    for text in ("[]", '[{"target":"7","datapoints":[[1,2]]}]', '[{"target":"0","datapoints":[]}]'):
        assert "nothing new" in await said(ok(text)), text
