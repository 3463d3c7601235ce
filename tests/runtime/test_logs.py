"""Hosts' logs read on demand: what they say, which hosts could not be asked, and what nobody may ask."""

from datetime import timedelta

import pytest
from tests.builders import LINE, NOON, HandClock, configuration
from tests.gauges.conftest import start_here

from leuko.config.secrets import Secrets
from leuko.domain.errors import LeukoError, Refused
from leuko.domain.intent import Intent, IntentKind
from leuko.runtime.ground import Ground
from leuko.runtime.logs import Logs
from leuko.store.store import Store

SLOW = """\
# Query_time: 2.5  Lock_time: 0.0
SET timestamp={at};
SELECT * FROM t WHERE id = 7;
"""


@pytest.fixture
async def logs(tmp_path):
    """Three hosts with an error log and a slow log each; the third cannot be reached."""
    names = ("www1", "www2", "www3")
    settings = configuration(
        names,
        fleet={"root": str(tmp_path / "{name}")},
        gauges={"errors": {"log": {"templates": True}}},
        slow_queries=[{"file": str(tmp_path / "slow.log"), "format": "mysql"}],
    )
    (tmp_path / "slow.log").write_text(SLOW.format(at=int(NOON.timestamp()) - 5) * 2)
    store = await Store.open(tmp_path / "leuko.sqlite", HandClock())
    ground = Ground(LINE, store, HandClock(), tmp_path, settings, secrets=Secrets({"KEY": "open-sesame"}))
    for name in names[:2]:
        folder = tmp_path / name / "shop" / "app" / "log"
        folder.mkdir(parents=True)
        recent, old = NOON - timedelta(minutes=1), NOON - timedelta(hours=2)
        (folder / "error.log").write_text(
            f"{old.isoformat()} ERROR old\n{recent.isoformat()} ERROR {name} open-sesame\nfine\nERROR whenever\n"
        )

    async def start(host, argv):
        if host == "www3":
            raise LeukoError("www3 cannot be reached", way_out="Is it up?")
        return await start_here(host, argv)

    yield Logs(ground, start)
    await store.close()


def intent(**arguments):
    expires = NOON + timedelta(minutes=1)
    return Intent(1, IntentKind.READ, "ann", "", NOON, expires, arguments=arguments)


async def test_recent_errors_of_all_hosts_without_secrets(logs):
    found = await logs.read(intent(what="errors"))
    said = [(line["host"], line["text"].partition("ERROR ")[2]) for line in found["lines"]]
    assert said[:2] == [("www2", "www2 ***KEY***"), ("www1", "www1 ***KEY***")]
    assert sorted(said[2:]) == [("www1", "whenever"), ("www2", "whenever")]
    assert (found["logs"], found["failed"]) == (3, 1)
    assert "www3 cannot be reached" in found["troubles"][0]["reason"]


async def test_of_one_host_and_further_back(logs):
    found = await logs.read(intent(what="errors", host="www1", since=3 * 3600.0))
    assert {line["host"] for line in found["lines"]} == {"www1"}
    assert any("ERROR old" in line["text"] for line in found["lines"])
    with pytest.raises(Refused, match='no host "nobody"'):
        await logs.read(intent(what="errors", host="nobody"))


async def test_slow_queries_are_grouped_over_hosts(logs):
    found = await logs.read(intent(what="slow"))
    (group,) = found["queries"]
    assert group["query"] == "SELECT * FROM t WHERE id = ?"
    assert (group["count"], group["total"], group["worst"]) == (4, 10.0, 2.5)
    assert group["hosts"] == {"www1": 2, "www2": 2}
    assert found["failed"] == 1


async def test_without_a_log_that_is_named_it_says_how(logs):
    logs.ground.configure(configuration(("www1",)), None, Secrets())
    for what, way_out in (("errors", "templates: true"), ("slow", "slow_queries")):
        with pytest.raises(Refused) as refused:
            await logs.read(intent(what=what))
        assert way_out in refused.value.way_out


async def test_a_host_that_hangs_holds_nobody_up(logs, monkeypatch):
    monkeypatch.setattr("leuko.runtime.logs.SECONDS", 0.3)

    async def start(host, argv):
        return await start_here(host, ["sleep", "60"] if host == "www3" else argv)

    logs.start = start
    found = await logs.read(intent(what="errors"))
    assert found["troubles"][0]["reason"] == "no answer within 0.3 s"
    assert {line["host"] for line in found["lines"]} == {"www1", "www2"}
