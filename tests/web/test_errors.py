"""New kinds of errors on the push page and in `why`; the pages of recent errors and slow queries."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.web import builders as b

from leuko.domain.intent import IntentKind, IntentState
from leuko.domain.template import Template

EVIL = "KeyError: <script>alert(1)</script> `x` in cart"


@pytest.fixture
async def told(served):
    """The push that was rolled back brought two kinds of errors; another was there before."""
    rows = await served.store.hosts.progress(b.LINE, served.story.bad)
    at = min(row.switched_at for row in rows if row.switched_at)
    host = next(row.host for row in rows if row.switched_at)
    minute = timedelta(minutes=1)

    def template(name, first, seen, text, **more):
        return Template(
            "errors", name, text, f"12:00:01 {text}", first, first + minute, seen, {host: seen}, **more
        )

    async with served.store.write(b.LINE) as tx:
        await served.store.templates.save(
            tx,
            [
                template("old", at - 60 * minute, 900, "timeout of <*> ms", push=None),
                template("evil", at + timedelta(seconds=5), 12, EVIL, push=served.story.bad),
                template(
                    "more", at + timedelta(seconds=9), 40, "no column named total", push=served.story.bad
                ),
            ],
        )
    return host


async def test_a_push_names_the_kinds_that_began_with_it(served, told):
    page = (await served.client.get(f"{served.api}/pushes/{served.story.bad}")).json()
    assert [(one["text"], one["seen"], one["hosts"]) for one in page["kinds"]] == [
        ("no column named total", 40, {told: 40}),
        (EVIL, 12, {told: 12}),
    ]
    assert any(f"`no column named total`, 40 lines on {told}" in said for said in page["why"])
    text = (await served.client.get(f"{served.page}/pushes/{served.story.bad}")).text
    assert "New errors" in text
    assert "KeyError: &lt;script&gt;alert(1)" in text
    assert "<script>alert" not in text
    assert "timeout of" not in text
    assert (await served.client.get(f"{served.api}/pushes/{served.story.good}")).json()["kinds"] == []


async def test_recent_kinds_by_host_and_time(served, told):
    async def kinds(query=""):
        answer = await served.client.get(f"{served.api}/errors{query}")
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["kinds"]]

    assert await kinds() == ["more", "evil", "old"]
    assert await kinds(f"?host={told}") == ["more", "evil", "old"]
    assert await kinds("?host=nobody") == []
    assert await kinds("?since=1") == []
    for wrong in ("x", "nan", "-1", "1e99"):
        assert (await served.client.get(f"{served.api}/errors?since={wrong}")).status_code == 400
    text = (await served.client.get(f"{served.page}/errors")).text
    assert "timeout of" in text
    assert "&lt;script&gt;" in text
    assert "<script>alert" not in text
    assert "do-read-errors" not in text, "who may not write asks no host"
    of_one = (await served.client.get(f'{served.page}/errors?host="><script>alert(2)</script>')).text
    assert "timeout of" not in of_one
    assert "<script>alert" not in of_one
    push = (await served.client.get(f"{served.page}/pushes/{served.story.bad}")).text
    assert f'href="/shop/production/errors?host={told}"' in push


ANSWERS = {
    "errors": {
        "lines": [
            {"host": "www1", "at": "2026-03-02T12:00:00+00:00", "text": f"ERROR {EVIL}"},
            {"host": "www2", "at": None, "text": "ERROR without a time"},
        ]
    },
    "slow": {
        "queries": [
            {
                "query": "SELECT * FROM growing_table WHERE ?",
                "count": 1200,
                "total": 340.5,
                "worst": 2.25,
                "last": "2026-03-02T12:00:00+00:00",
                "hosts": {"db1": 1000, "db2": 200},
            }
        ]
    },
}


@pytest.mark.parametrize("what", ["errors", "slow"])
async def test_the_page_asks_the_hosts_and_shows_what_they_said(served, what):
    address = served.serving.address
    await served.client.post(f"{address}/session", data={"token": b.TOKEN, "name": "amara"})
    assert f"do-read-{what}" in (await served.client.get(f"{served.page}/{what}")).text

    async def obey() -> None:
        (intent,) = await served.store.intents.wait_news(b.LINE, 5)
        assert intent.kind is IntentKind.READ
        assert intent.arguments == {"what": what, "host": "www1", "since": 3600.0}
        trouble = [{"host": "www3", "file": "e.log", "reason": "<b>down</b>"}]
        answer = {
            "what": what,
            "since": "2026-03-02T11:00:00+00:00",
            "logs": 3,
            "failed": 1,
            "troubles": trouble,
        }
        async with served.store.write(b.LINE) as tx:
            done = IntentState.ACCEPTED
            await served.store.intents.answer(tx, intent.id, done, answer | ANSWERS[what], b.START)

    obeying = asyncio.create_task(obey())
    form = {"do": f"read {what}", "host": " www1 ", "since": "3600"}
    answer = await served.client.post(f"{served.page}/intents", data=form, headers={"Origin": address})
    await obeying
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"/shop/production/{what}?intent=")
    text = (await served.client.get(address + answer.headers["location"].partition("#")[0])).text
    assert "&lt;b&gt;down" in text
    expected = "ERROR without a time" if what == "errors" else "SELECT * FROM growing_table WHERE ?"
    assert expected in text
    assert "<script>alert" not in text


@pytest.mark.parametrize(
    "arguments",
    [{}, {"what": "passwords"}, {"what": "slow", "since": "x"}, {"what": "errors", "file": "/etc/shadow"}],
)
async def test_only_what_is_configured_can_be_read(served, arguments):
    body = {"kind": "read", "arguments": arguments}
    answer = await served.client.post(f"{served.api}/intents", json=body, headers=served.bearer)
    assert answer.status_code == 400
