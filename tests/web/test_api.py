"""The API over a really served application and a real store."""

from __future__ import annotations

import asyncio

import httpx2
import pytest
from tests.web import builders as b

from leuko.domain.errors import Refused
from leuko.domain.intent import IntentKind, IntentState
from leuko.domain.push import Promote, advance
from leuko.store.changes import ChangeState
from leuko.store.store import Store
from leuko.web.app import create_app
from leuko.web.serving import Serving

PATHS = [
    "status",
    "pushes",
    "pushes/1",
    "pushes/2",
    "changes",
    "builds/1",
    "releases",
    "hosts",
    "locks",
    "operations",
    "events",
    "why",
    "why?about=push:2",
    "why?about=push:1",
    "why?about=host:www5",
    "why?about=change:bbb",
]


async def test_every_view_answers(served):
    for path in PATHS:
        answer = await served.client.get(f"{served.api}/{path}")
        assert answer.status_code == 200, (path, answer.text)
        assert answer.headers["content-type"] == "application/json"
    assert (await served.client.get(f"{served.serving.address}/api/v1/lines")).json()[0][
        "application"
    ] == "shop"


async def test_status_says_it_all(served):
    status = (await served.client.get(f"{served.api}/status")).json()
    assert status["commit_lock"]["id"] == "L2"
    assert status["push_lock"]["id"] == "L1"
    assert status["live"]["push"] == served.story.good
    assert status["last"]["state"] == "ROLLED_BACK"
    assert status["serving"]["alive"] is True
    standings = [change["standing"] for change in status["changes"]]
    assert standings == [
        "verifying, 2 of 3 commands done, now pytest",
        "rolled back with push 2",
        "live with push 1",
    ]
    assert status["fleet"]["unreachable"] == 1
    assert "push lock L1 and commit lock L2 of leuko" in status["why"][0]


async def test_push_page_has_phases_findings_timeline(served):
    push = (await served.client.get(f"{served.api}/pushes/2")).json()
    assert [moment["state"] for moment in push["timeline"]] == [
        "PENDING",
        "STAGING",
        "SWITCHING",
        "WATCHING",
        "ROLLING_BACK",
        "ROLLED_BACK",
    ]
    assert push["timeline"][3]["seconds"] == 45.0
    findings = push["phases"][0]["verdict"]["findings"]
    assert findings[0]["gauge"] == "errors"
    assert findings[0]["percent"] == pytest.approx(20550.0)
    assert {lock["id"] for lock in push["locks"]} == {"L1", "L2"}
    assert any("912" in sentence for sentence in push["why"])
    assert any("by jlee" in sentence for sentence in push["why"])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("pushes/99", 404),
        ("pushes/x", 400),
        ("pushes/99999999999999999999999", 400),
        ("changes/zzz", 404),
        ("builds/77", 404),
        ("builds/1/steps/9/output", 404),
        ("intents/5", 404),
        ("why?about=nonsense", 400),
        ("why?about=push:ten", 404),
        ("events?limit=1000000", 400),
        ("events?after=-1", 400),
        ("nothing", 404),
    ],
)
async def test_wrong_asks_get_a_clear_answer(served, path, status):
    answer = await served.client.get(f"{served.api}/{path}")
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["rule"]


async def test_an_unknown_line_names_the_known_ones(served):
    answer = await served.client.get(f"{served.serving.address}/api/v1/lines/shp/production/status")
    assert answer.status_code == 404
    assert "shop/production" in answer.json()["error"]["way_out"]


async def test_output_of_a_step(served):
    folder = served.folder / "builds" / "1"
    folder.mkdir(parents=True)
    (folder / "001-setup.log").write_bytes(b"first\n\x1b[31mred\x00\xff\nlast\n")
    answer = await served.client.get(f"{served.api}/builds/1/steps/0/output")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert "\x1b" not in answer.text
    assert answer.text.endswith("last\n")


async def test_output_outside_the_state_directory_is_not_read(served, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret"
    outside.write_text("secret")
    (served.folder / "builds" / "1").mkdir(parents=True)
    (served.folder / "builds" / "1" / "001-setup.log").symlink_to(outside)
    assert (await served.client.get(f"{served.api}/builds/1/steps/0/output")).status_code == 404


# -- intents --------------------------------------------------------------------------------------------


async def tiny_runtime(store: Store, clock: b.HandClock, count: int) -> None:
    """Obeys so many intents as the pusher does: through the state table, refusing what was seen too long ago."""
    answered = 0
    while answered < count:
        for intent in await store.intents.wait_news(b.LINE, 5):
            push = await store.pushes.get(b.LINE, intent.push) if intent.push else None
            state, answer = IntentState.ACCEPTED, {}
            try:
                if push and intent.seen_version is not None and intent.seen_version != push.version:
                    raise Refused(
                        f"{push.name} went on since you looked",
                        way_out="look again",
                        where=push.name,
                        code="R1",
                    )
                if push and intent.kind is IntentKind.PROMOTE:
                    push = advance(push, Promote(intent.by, intent.why), clock.now())
                    answer = {"push": push.number, "state": str(push.state)}
            except Refused as refused:
                state = IntentState.REFUSED
                answer = {
                    "rule": refused.rule,
                    "where": refused.where,
                    "way_out": refused.way_out,
                    "code": refused.code,
                }
            async with store.write(b.LINE) as tx:
                await store.intents.answer(tx, intent.id, state, answer, clock.now())
            answered += 1


async def watching_push(served):
    push = await b.create_push(served.store, "c", "fix", served.clock.at, None)
    return await b.to_watching(served.store, push, served.clock.at)


async def test_a_promote_is_accepted_and_a_stale_one_refused(served):
    push = await watching_push(served)
    runtime = asyncio.create_task(tiny_runtime(served.store, served.clock, 2))
    body = {"kind": "promote", "push": push.number, "seen_state": "WATCHING", "why": "I looked"}
    fresh = await served.client.post(
        f"{served.api}/intents", json=body | {"seen_version": push.version}, headers=served.bearer
    )
    assert (fresh.status_code, fresh.json()["state"]) == (200, "accepted")
    assert fresh.json()["answer"] == {"push": push.number, "state": "SWITCHING"}
    stale = await served.client.post(
        f"{served.api}/intents", json=body | {"seen_version": push.version - 1}, headers=served.bearer
    )
    assert (stale.status_code, stale.json()["state"]) == (409, "refused")
    assert stale.json()["error"]["way_out"] == "look again"
    await runtime
    kept = await served.client.get(f"{served.api}/intents/{stale.json()['id']}")
    assert kept.json()["error"] == stale.json()["error"]


async def test_without_an_answer_it_is_kept_and_says_so(served):
    answer = await served.client.post(
        f"{served.api}/intents?wait=0", json={"kind": "poke"}, headers=served.bearer
    )
    assert (answer.status_code, answer.json()["state"]) == (202, "waiting")
    assert (await served.store.intents.waiting(b.LINE))[0].by == "token"


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"[]",
        b'{"kind": "explode"}',
        b'{"kind": "hold"}',
        b'{"kind": "hold", "push": "two"}',
        b'{"kind": "push", "arguments": {"frist": true}}',
        b'{"kind": "push", "arguments": {"first": "yes"}}',
        b'{"kind": "lock", "arguments": {"kind": "push"}}',
        b'{"kind": "lock", "why": "x", "arguments": {"kind": "door"}}',
        b'{"kind": "lock", "why": "x", "arguments": {"kind": "push", "expires_in": -4}}',
        b'{"kind": "lock", "why": "x", "arguments": {"kind": "push", "expires_in": true}}',
        b'{"kind": "unlock"}',
        b'{"kind": "poke", "by": "root"}',
        b'{"kind": "poke", "why": "' + b"x" * 3000 + b'"}',
        b'{"kind": "poke", "why": "' + b"x" * 90000 + b'"}',
        b"\xff\xfe",
    ],
)
async def test_garbage_is_refused_and_nothing_is_stored(served, body):
    answer = await served.client.post(f"{served.api}/intents", content=body, headers=served.bearer)
    assert answer.status_code in (400, 413), answer.text
    assert answer.json()["error"]["rule"]
    assert await served.store.intents.recent(b.LINE) == []


async def test_the_nearest_argument_is_named(served):
    body = {"kind": "push", "arguments": {"frist": True}}
    answer = await served.client.post(f"{served.api}/intents", json=body, headers=served.bearer)
    assert "did you mean first?" in answer.json()["error"]["rule"]


async def test_a_push_may_bring_every_argument_that_the_command_line_has(served):
    arguments = {
        "revision": "abc",
        "first": True,
        "override_blocks": "why",
        "override_window": True,
        "approve": True,
    }
    for kind, named in (("push", "revision"), ("hotfix", "commit")):
        given = {named if name == "revision" else name: value for name, value in arguments.items()}
        body = {"kind": kind, "arguments": given}
        answer = await served.client.post(f"{served.api}/intents?wait=0", json=body, headers=served.bearer)
        assert answer.status_code == 202, answer.text
        (intent, *_) = await served.store.intents.recent(b.LINE)
        assert (intent.kind, dict(intent.arguments)) == (kind, given)


# -- what the queue told of what waits ------------------------------------------------------------------


async def test_why_reads_the_reasons_that_the_queue_told(served):
    store = served.store
    for lock in await store.locks.held(b.LINE, None, b.START):
        async with store.write(b.LINE) as tx:
            await store.locks.release(tx, lock.id, "amara", "mended", b.START)
    await b.add_change(store, "d", "Next", ChangeState.GREEN, b.START)
    for kind in ("waits", "blocked", "refused"):
        async with store.write(b.LINE) as tx:
            tx.event(f"push.{kind}", b.revision("d"), {"reason": f"it was told: {kind}"}, b.START)
        said = (await served.client.get(f"{served.api}/why")).json()["sentences"]
        assert any(f"is green and waits: it was told: {kind}." in one for one in said), said
    push = await b.create_push(store, "d", "Next", b.START, None)
    async with store.write(b.LINE) as tx:
        tx.event("push.waits", push.name, {"reason": "the window opens at 9"}, b.START)
    said = (await served.client.get(f"{served.api}/why")).json()["sentences"]
    assert any(
        f"Push {push.number} of dddddddd" in one and "the window opens at 9." in one for one in said
    ), said


# -- other processes ------------------------------------------------------------------------------------


async def test_two_processes_give_the_same_answers(served):
    other = await b.open_store(served.folder, served.clock)
    app = create_app(other, served.clock, token=b.TOKEN, state=served.folder)
    second = await Serving.start(app, port=0)
    try:
        for path in PATHS:
            first = await served.client.get(f"{served.api}/{path}")
            again = await served.client.get(f"{second.address}/api/v1/lines/shop/production/{path}")
            assert first.content == again.content, path
        for path in ("", "/pushes/1", "/pushes/2", f"/changes/{b.revision('b')}", "/operations", "/hosts"):
            first = await served.client.get(f"{served.page}{path}")
            again = await served.client.get(f"{second.address}/shop/production{path}")
            assert first.status_code == again.status_code == 200
            assert first.text == again.text, path
    finally:
        await second.stop()
        await other.close()


async def test_metrics_and_health(served):
    text = (await served.client.get(f"{served.serving.address}/metrics")).text
    assert 'leuko_locks_held{application="shop",environment="production",kind="push"} 1.0' in text
    assert 'leuko_hosts{application="shop",environment="production",state="unreachable"} 1.0' in text
    assert (await served.client.get(f"{served.serving.address}/health")).json()["ok"] is True


async def test_the_unix_socket_knows_its_peer(served):
    transport = httpx2.AsyncHTTPTransport(uds=str(served.folder / "leuko.sock"))
    async with httpx2.AsyncClient(transport=transport) as client:
        url = "http://leuko/api/v1/lines/shop/production/intents?wait=0"
        assert (await client.post(url, json={"kind": "poke"})).status_code == 202
        await client.post(url, json={"kind": "poke"}, headers={"X-Leuko-By": "amara<script>"})
    second, first = await served.store.intents.recent(b.LINE)
    import getpass

    assert first.by == getpass.getuser()
    assert second.by == "amara script"
