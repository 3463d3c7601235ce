"""`leuko calibrate` on a real Prometheus: deployments of a file judged, with nothing else there."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from tests.cli.backfill import Fleet, prometheus_with
from tests.cli.conftest import ask, leuko

from leuko.clock import SystemClock

pytestmark = pytest.mark.needs("prometheus")
HOUR = 3600


@cache
def end() -> float:
    """A minute before these tests began, not before they were collected: that may be a quarter of an hour ago."""
    return float(int(SystemClock().now().timestamp()) // 15 * 15 - 60)


def at(before: float) -> str:
    return datetime.fromtimestamp(end() - before, UTC).isoformat()


ONE_CANARY = (4 * HOUR, [0], 1.0)
BAD_CANARY = (3 * HOUR, [1], 25.0)
EVERYBODY = (2 * HOUR, list(range(10)), 1.0)
BAD_EVERYWHERE = (1 * HOUR, list(range(10)), 60.0)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    fleet = Fleet(
        end(), deploys=[ONE_CANARY, BAD_CANARY, EVERYBODY, BAD_EVERYWHERE], gap=(5.5 * HOUR, 5.4 * HOUR)
    )
    with (
        tempfile.TemporaryDirectory(prefix="past-", dir="/tmp") as folder,
        prometheus_with(fleet, Path(folder)) as it,
    ):
        yield it


def test_deployments_are_judged_from_a_prometheus_alone(url: str, tmp_path: Path) -> None:
    rows = [
        "time,end,canaries,revision,bad",
        f"{at(4 * HOUR + 30)},{at(4 * HOUR)},www1:9100,aaaa,no",
        f"{at(3 * HOUR + 30)},{at(3 * HOUR)},www2.example.com,bbbb,yes",
        f"{end() - 2 * HOUR:.0f},,,cccc,no",
        f"{(end() - HOUR) * 1000:.0f},,,dddd,yes",
        "rubbish,,,eeee,",
        f"{at(5 * HOUR)},{at(6 * HOUR)},,backwards,",
        "2026-01-01 10:00,,,nozone,",
        f"{at(-HOUR)},,,future,",
        f"{at(50 * HOUR)},,,before,",
        f"{at(4.5 * HOUR)},,www99,stranger,",
    ]
    (tmp_path / "deploys.csv").write_text("\n".join(rows))
    args = ("calibrate", "--prometheus", url, "--deploys", "deploys.csv", "--hours", "3", "--pushes", "30")
    said = leuko(tmp_path, *args, "--json")
    assert said.code == 0, said
    found = json.loads(said.out)
    decisions = {one["deploy"]["revision"]: one["decision"] for one in found["deploys"]}
    assert decisions == {
        "before": "unknown",
        "stranger": "unknown",
        "aaaa": "pass",
        "bbbb": "fail",
        "cccc": "pass",
        "dddd": "fail",
    }
    bad = next(one for one in found["deploys"] if one["deploy"]["revision"] == "bbbb")
    assert "php_errors" in bad["sentence"]
    assert 0 < bad["seconds"] <= 180
    assert (bad["hosts"], bad["controls"]) == (1, 9)
    assert [one["why"].split(":")[0].split(" ")[0] for one in found["left_out"]] == [
        "time",
        "ends",
        "time",
        f"{datetime.fromtimestamp(end() + HOUR, UTC):%Y-%m-%d}",
    ]
    assert {one["gauge"] for one in found["watched"]} == {"http_requests", "load", "php_errors"}
    assert found["calibration"]["pushes"] >= 30
    assert any("it would have caught 2" in text for text in found["sentences"])


def test_queries_of_ones_own_and_what_is_wrong_with_them(url: str, tmp_path: Path) -> None:
    base = ("calibrate", "--prometheus", url, "--hours", "1", "--pushes", "20")
    said = ask(
        tmp_path, *base, "--query", "errors=php_errors_total", "--query", "busy:level=node_load1", "--json"
    )
    assert [one["kind"] for one in said.json["watched"]] == ["count", "level"], said
    text = ask(tmp_path, *base, "--query", "errors=php_errors_total").out
    assert "pretend pushes" in text
    assert "sum by (instance) (php_errors_total)" in text
    for query, rule in (
        ("errors=sum by (instance", "parse error"),
        ("nonsense", "should be NAME=PROMQL"),
        ("two=node_load1[5m]", "answered 400"),
    ):
        wrong = ask(tmp_path, *base, "--query", query)
        assert wrong.code == 1, wrong
        assert rule in wrong.err
    nothing = ask(tmp_path, *base, "--query", "errors=no_such_metric_total")
    assert "too little quiet history" in nothing.out


@pytest.mark.parametrize(("ended", "minutes"), [(400, 60), (0, 3)])
def test_a_server_that_was_down_or_has_just_begun_is_read_as_finely(
    tmp_path: Path, ended: int, minutes: int
) -> None:
    fleet = Fleet(end() - ended, hosts=3, hours=minutes / 60)
    with prometheus_with(fleet, tmp_path) as server:
        said = ask(tmp_path, "calibrate", "--prometheus", server, "--hours", "1", "--pushes", "20", "--json")
    assert said.code == 0, said
    assert said.json["step"] == 15.0


CONFIGURATION = """
application: shop
repository: .
fleet: {{roles: {{www: [www1, www2]}}}}
gauges:
  errors:
    kind: count
    prometheus: {{url: {url}, query: php_errors_total, by: instance, host: "(www[0-9]+):.*"}}
    limits: [{{above: 6}}]
  everything:
    kind: count
    direction: down
    prometheus: {{url: {url}, query: sum(http_requests_total)}}
  load: {{kind: level, host: {{figure: load}}}}
"""


def test_the_gauges_of_a_configuration(url: str, tmp_path: Path) -> None:
    (tmp_path / "leuko.yml").write_text(CONFIGURATION.format(url=url))
    (tmp_path / "deploys.json").write_text(json.dumps([{"time": at(3 * HOUR), "canaries": ["www2"]}]))
    args = ("calibrate", "--prometheus", url, "--config", "leuko.yml", "--hours", "1", "--pushes", "20")
    said = ask(tmp_path, *args, "--deploys", "deploys.json", "--json")
    assert said.code == 0, said
    found = said.json
    assert [one["gauge"] for one in found["watched"]] == ["errors", "everything"]
    rows = {row["gauge"]: row for row in found["calibration"]["gauges"]}
    assert rows["everything"]["role"] == "-"
    assert [limit["limit"] for limit in rows["errors"]["limits"]] == [">6 on each host"]
    assert [one["decision"] for one in found["deploys"]] == ["fail"]


def test_a_server_that_is_none(tmp_path: Path) -> None:
    for address in ("http://127.0.0.1:1", "ftp://x", "prometheus"):
        said = ask(tmp_path, "calibrate", "--prometheus", address)
        assert said.code == 1
        assert "fault in Leuko" not in said.err
    assert ask(tmp_path, "calibrate", "--deploys", "x.csv").code == 2
