"""Gauges out of a real Prometheus, and out of servers that say nonsense."""

import pytest
from tests.gauges.asked import WWW, Line
from tests.gauges.servers import free_port, opened, wait_for
from tests.gauges.test_http import ok, serving

from leuko.clock import SystemClock
from leuko.config.secrets import Secrets
from leuko.gauges.prometheus import query_of_what_is_new
from leuko.gauges.roster import Roster
from leuko.gauges.source import Target

pytestmark = pytest.mark.timeout(60)


def gauge(url, query, kind="level", **more):
    required = more.pop("required", True)
    asked = {"url": url, "query": query, "every": "15s", "timeout": "20s", **more}
    return {"kind": kind, "required": required, "prometheus": asked}


def scraped(server, text, *wanted):
    """Lets Prometheus scrape the text, until its answers show it."""
    server.metrics.text = text

    def there():
        return all(value in opened(f"{server.url}/api/v1/query?query={query}") for query, value in wanted)

    wait_for(there, f"a scrape with {wanted}")


@pytest.mark.needs("prometheus")
async def test_of_the_whole_by_host_and_as_a_ratio(prometheus):
    text = "".join(
        f'{name}_total{{instance="{host}:9100"}} {value}\n'
        for host, failed, all_ in (("www1", 3, 100), ("10.0.0.2", 4, 200), ("db1", 9, 900))
        for name, value in (("failed", failed), ("asked", all_))
    )
    scraped(prometheus, text, ("asked_total", b"900"))
    url = prometheus.url
    gauges = {
        "all": gauge(url, "sum(asked_total)"),
        "scalar": gauge(url, "scalar(sum(asked_total))"),
        "each": gauge(url, "asked_total", by="instance"),
        "named": gauge(url, "sum by (instance) (asked_total)", by="instance", host="(.+):9100"),
        "share": gauge(url, "failed_total", "ratio", of="asked_total", by="instance", counter=False),
        "grown": gauge(url, "sum(asked_total)", "count"),
    }
    async with Line(gauges) as line:
        found = await line.look()
        assert line.reason == ""
        assert found["all"] == found["scalar"] == {"-": 1200}
        assert found["each"] == found["named"] == {"www1": 100, "www2": 200}
        assert (found["share"], found["share:of"]) == ({"www1": 3, "www2": 4}, {"www1": 100, "www2": 200})
        assert found["grown"] == {}, "a first value is no growth"
        scraped(prometheus, text.replace("} 100\n", "} 107\n"), ("asked_total", b'"107"'))
        assert (await line.look())["grown"] == {"-": 7}
        scraped(prometheus, text.replace("} 100\n", "} 1\n"), ("asked_total", b'"1"'))
        found = await line.look()
        assert found["grown"] == {}, "a reset is missing, not negative and not zero"
        assert "the counter began anew" in line.reason


@pytest.mark.needs("prometheus")
async def test_absence_is_never_zero(prometheus):
    scraped(prometheus, "gone 5\nstays 1\n", ("gone", b'"5"'))
    gauges = {
        "none": gauge(prometheus.url, "sum(no_such_series)"),
        "gone": gauge(prometheus.url, "sum(gone)"),
        "nan": gauge(prometheus.url, "0/0 * sum(stays)"),
        "several": gauge(prometheus.url, '{__name__=~"up|stays"}'),
        "strange": gauge(prometheus.url, "stays", by="instance"),
    }
    async with Line(gauges) as line:
        found = await line.look()
        assert found == {"none": {}, "gone": {"-": 5}, "nan": {}, "several": {}, "strange": {}}
        assert "gauges.none.prometheus.query `sum(no_such_series)`: the answer is empty" in line.reason
        assert "gives 2 series, not one" in line.reason
        assert 'none of its 1 series is of a host of ours, for example "127.0.0.1:' in line.reason
        prometheus.metrics.text = "stays 1\n"
        wait_for(lambda: b'"result":[]' in opened(f"{prometheus.url}/api/v1/query?query=gone"), "the mark")
        assert (await line.look())["gone"] == {}


@pytest.mark.needs("prometheus")
async def test_what_is_older_than_a_tick_and_a_scrape_is_absent(prometheus):
    """A value with a time of its own gets no mark when it ends: Prometheus shows it for five minutes."""
    old = int((SystemClock().now().timestamp() - 25) * 1000)
    scraped(prometheus, f"pushed_at 7 {old}\n", ("pushed_at", b'"7"'))
    gauges = {
        "fresh": gauge(prometheus.url, "pushed_at", every="60s"),
        "old": gauge(prometheus.url, "pushed_at", every="15s"),
    }
    async with Line(gauges) as line:
        found = await line.look()
        assert found == {"fresh": {"-": 7}, "old": {}}


@pytest.mark.needs("prometheus")
async def test_a_query_it_cannot_read_is_said_with_text_and_key(prometheus):
    async with Line({"g": gauge(prometheus.url, "sum(foo")}) as line:
        assert await line.look() == {"g": {}}
        assert line.reason.startswith(
            "gauges.g.prometheus.query `sum(foo`: answered 400 bad_data: invalid parameter"
        )
        assert "unclosed left parenthesis" in line.reason


async def test_a_server_that_is_down_hangs_or_speaks_html():
    async def said(answer):
        async with serving([answer]) as port:
            patience = "200ms" if answer is None else "20s"
            asked = gauge(f"http://127.0.0.1:{port}", "up", timeout=patience)
            async with Line({"g": asked}) as line:
                assert await line.look() == {"g": {}}
                return line.reason

    down = gauge(f"http://127.0.0.1:{free_port()}", "up")
    async with Line({"g": down}) as line:
        assert await line.look() == {"g": {}}
        assert "ConnectError" in line.reason
        assert line.askings.health()[0].last_good is None
    assert "no answer within 0.2 s" in await said(None)
    assert "answered 200, and nothing that Prometheus would say" in await said(ok("<html>Log in</html>"))
    assert "answered 502" in await said(ok("<html>", b"502 Bad Gateway"))
    assert "answered 302" in await said(ok("", b"302 Found", b"Location: http://127.0.0.1/x\r\n"))
    for text in (
        "null",
        "[]",
        '{"status":"success"}',
        '{"status":"success","data":{"resultType":"string","result":[1,"x"]}}',
        '{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1]}]}}',
        '{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"x"]}]}}',
        '{"status":"success","data":{"resultType":"vector","result":' + "[" * 5000,
        "\0\xff\xfe" * 100,
    ):
        assert await said(ok(text)), text


async def test_a_hundred_thousand_series_are_refused_or_read():
    series = ",".join(f'{{"metric":{{"instance":"h{i}"}},"value":[1,"1"]}}' for i in range(100_000))
    text = f'{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}'
    async with serving([ok(text)]) as port:
        gauges = {"g": gauge(f"http://127.0.0.1:{port}", "up", by="instance", timeout="20s")}
        async with Line(gauges, [Target("h7", "www", "/srv")]) as line:
            assert await line.look() == {"g": {"h7": 1}}
    async with serving([ok(" " * 8_000_001)]) as port:
        gauges = {"g": gauge(f"http://127.0.0.1:{port}", "up", timeout="20s")}
        async with Line(gauges) as line:
            assert await line.look() == {"g": {}}
            assert "the answer is longer than 8 MB" in line.reason


async def test_headers_and_addresses_may_be_secrets_and_stay_so():
    seen = []
    good = ok('{"status":"success","data":{"resultType":"scalar","result":[1,"3"]}}')
    async with serving([good], seen) as port:
        secrets = Secrets({"URL": f"http://127.0.0.1:{port}/", "TOKEN": "sesame-open"})
        asked = gauge("secret:URL", "1", headers={"Authorization": "Bearer secret:TOKEN"})
        async with Line({"g": asked}, secrets=secrets) as line:
            assert await line.look() == {"g": {"-": 3}}
            assert line.askings.asked[0].question.source == "prometheus secret:URL"
    assert b"authorization: bearer sesame-open" in seen[0].lower()


def test_hosts_are_found_by_name_address_and_first_label_only_where_that_is_clear():
    roster = Roster([*WWW, Target("a.x", "r", "/"), Target("a.y", "r", "/"), Target("b.x", "r", "/")])
    said = ["www1", "WWW1:80", "10.0.0.2:9100", "[10.0.0.2]:9100", "b", "a", "a.y", "www1:port", "", ":80"]
    found = [roster.find(one) for one in said]
    assert found == ["www1", "www1", "www2", "www2", "b.x", None, "a.y", None, None, None]


@pytest.mark.parametrize(
    ("query", "plain"),
    [
        ("up", True),
        ("up{job=\"a{b}\",x=~'}'}", True),
        (" a:b ", True),
        ("sum(up)", False),
        ("up[5m]", False),
        ("up offset 5m", False),
        ("1", False),
        ('up{job="a"', False),
    ],
)
def test_only_a_plain_selector_is_asked_for_its_last_values(query, plain):
    assert query_of_what_is_new(query, "20s") == (f"{query.strip()}[20s]" if plain else query)


@pytest.mark.needs("prometheus")
async def test_a_source_that_fails_is_asked_ever_more_slowly(still_clock):
    asked = gauge(f"http://127.0.0.1:{free_port()}", "up")
    async with Line({"g": asked}, clock=still_clock) as line:
        one = line.askings.asked[0]
        pauses = []
        for _ in range(8):
            await line.look()
            pauses.append(line.askings._pause(one, 0.5))
        assert pauses == sorted(pauses)
        assert pauses[0] == 0
        assert pauses[-1] == 30
        assert {line.askings._pause(one, spread) for spread in (0, 0.5, 1)} == {22.5, 30, 37.5}
