"""What `check --hosts` says of gauges: each tried against what is really there."""

from tests.gauges.conftest import start_here

from leuko.clock import SystemClock
from leuko.config.model import Gauge
from leuko.config.secrets import Secrets
from leuko.gauges import trial as trying
from leuko.gauges.source import Target


async def test_each_gauge_says_what_it_gives_or_why_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(trying, "LONGEST", 3.5)
    (tmp_path / "app.log").write_text("x\n")
    gauges = {
        "load": {"kind": "level", "host": {"figure": "load"}},
        "lines": {"kind": "count", "log": {"file": "app.log", "match": "x"}},
        "missing": {"kind": "count", "log": {"file": "none.log", "match": "x"}},
        "five": {"kind": "level", "command": {"argv": ["echo", "5"], "on": "controller"}},
        "down": {"kind": "level", "prometheus": {"url": "http://127.0.0.1:9", "query": "up"}},
        "sql": {"kind": "level", "sql": {"address": f"sqlite:///{tmp_path}/no", "query": "SELECT 1"}},
    }
    found = await trying.trial(
        [Target("www1", "www", str(tmp_path)), Target("www2", "www", str(tmp_path))],
        {name: Gauge.model_validate(gauge) for name, gauge in gauges.items()},
        clock=SystemClock(),
        start=start_here,
        secrets=Secrets(),
        folder=tmp_path,
    )
    said = {one.gauge: (one.source, one.given, one.hosts, one.reason) for one in found}
    assert said["load"] == ("host", 2, 2, "")
    assert said["lines"] == ("log", 2, 2, "")
    assert said["five"] == ("command", 1, 1, "")
    assert next(one.example for one in found if one.gauge == "five") == 5
    assert said["missing"][:3] == ("log", 0, 2)
    assert "the log file is not there" in said["missing"][3]
    assert "ConnectError" in said["down"][3]
    assert "there is no file" in said["sql"][3]


async def test_it_ends_as_soon_as_everything_was_read(tmp_path):
    gauge = Gauge.model_validate({"kind": "level", "command": {"argv": ["echo", "5"], "on": "controller"}})
    clock = SystemClock()
    began = clock.now()
    await trying.trial([], {"g": gauge}, clock=clock, start=start_here, secrets=Secrets(), folder=tmp_path)
    assert (clock.now() - began).total_seconds() < trying.LONGEST
