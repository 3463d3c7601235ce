"""Deployments of others over the API."""

from __future__ import annotations

from datetime import timedelta

from tests.web import builders as b

from leuko.store.observations import Observation, ObservationState

VERDICT = {"ticks": 7, "wanted": 60, "findings": [{"gauge": "errors", "subject": "www"}]}
RECORD = {"canaries": ["www1"], "watch": 300.0, "switched": {"www1": 1.5}, "runs": {}, "verdict": VERDICT}


async def test_what_was_watched_is_listed_and_shown(served):
    new = Observation(
        0,
        ("cap", "<b>deploy</b>"),
        ObservationState.ENDED,
        b.START,
        "ann",
        b.START + timedelta(seconds=90),
        0,
        "fail",
        "errors are 12x",
        RECORD,
    )
    async with served.store.write(b.LINE) as tx:
        await served.store.observations.create(tx, new)
        await served.store.observations.create(tx, new)
    listed = (await served.client.get(f"{served.api}/observations?limit=1")).json()
    assert [(one["id"], one["over"], one["ticks"], one["findings"]) for one in listed] == [(2, True, 7, [])]
    older = (await served.client.get(f"{served.api}/observations?before=2")).json()
    assert [one["id"] for one in older] == [1]
    one = (await served.client.get(f"{served.api}/observations/1")).json()
    assert (one["sentence"], one["exit_code"], one["canaries"]) == ("errors are 12x", 0, ["www1"])
    assert one["findings"] == VERDICT["findings"]
    for number in ("99", "x"):
        assert (await served.client.get(f"{served.api}/observations/{number}")).status_code in (400, 404)
