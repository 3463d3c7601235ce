"""The pages as a browser without JavaScript sees them."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import insert
from tests.web import builders as b

from leuko.domain.intent import IntentState
from leuko.domain.plan import Foreseen, Plan
from leuko.domain.push import Spared
from leuko.domain.rollout import HostProgress, HostState
from leuko.domain.verdict import Decision, Verdict
from leuko.store import schema
from leuko.store.marks import Mark
from leuko.store.studies import SAID


async def page(served, path: str = "", **more) -> str:
    answer = await served.client.get(f"{served.page}{path}", headers={"Accept": "text/html"}, **more)
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_the_only_line_is_the_front(served):
    answer = await served.client.get(served.serving.address + "/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/shop/production")


async def test_console_has_what_the_talk_shows(served):
    text = await page(served)
    for words in ("Commit lock status", "Push lock status", "Production push status", "Operations", "Hosts"):
        assert words in text
    assert "6 min 20 s" in text  # the duration of the first push
    assert "rolled back" in text


async def test_push_page_is_the_talk_s(served):
    text = await page(served, "/pushes/2")
    assert re.search(r"Push 2 of revision .*bbbbbbbbbbbb", text)
    assert "This push was rolled back." in text
    for words in ("Metrics of phase 1", "Before", "After", "Delta", "Limit", "Evidence", "blind", "no data"):
        assert words in text
    assert "+20,550 %" in text
    assert text.index(">www<") < text.index(">www1<")  # aggregates lead


async def test_a_rollback_is_marked_on_its_page(served):
    text = await page(served, "/pushes/2")
    assert "Was the verdict right?" in text
    assert "Nobody has said yet" in text
    assert 'value="mark false"' not in text, "who only looks gets no buttons"
    await served.client.post(f"{served.serving.address}/session", data={"token": b.TOKEN, "name": "amara"})
    assert 'value="mark false"' in await page(served, "/pushes/2")
    assert "Was the verdict right?" not in await page(served, "/pushes/1"), "it went live"
    async with served.store.write(b.LINE) as tx:
        await served.store.marks.set(tx, Mark(2, False, "ann", "the database was down", served.clock.now()))
        await served.store.studies.keep(tx, 2, SAID, ["0 of 120 pretend pushes ..."], served.clock.now())
        tx.event("mark", "push 2", {"push": 2, "correct": False}, served.clock.now())
    text = await page(served, "/pushes/2")
    assert "the database was down" in text
    assert "0 of 120 pretend pushes ..." in text


async def test_what_a_push_was_able_to_see_and_that_it_only_observed_stand_on_its_page(served):
    seen = Foreseen("latency", "www", 1.28, None, 1.19, 1.21, None, "")
    plan = Plan(hosts=(), watches=(12,), tick=5.0, sight=(seen,))
    spared = (Spared(0, Decision.FAIL, "errors tripled", served.clock.now()),)
    live = await served.store.pushes.get(b.LINE, 1)
    observed = replace(live, rules=replace(live.rules, observe=True), spared=spared)
    async with served.store.write(b.LINE) as tx:
        number = (await served.store.pushes.create(tx, observed, plan=plan)).number
    text = await page(served, f"/pushes/{number}")
    assert "this push can show latency: +28 %" in text
    assert "latency would show +19 % with twice the watch, +21 % with one canary more" in text
    assert "would have rolled back: errors tripled" in text
    assert "judged without acting" in text


@pytest.mark.parametrize("path", ["", "/pushes/2", f"/changes/{b.revision('b')}", "/operations"])
async def test_what_people_wrote_stays_text(served, path):
    text = await page(served, path)
    assert "<script>alert" not in text
    assert "style=" not in text
    assert "onclick" not in text
    assert "<script>" not in text
    if path != "/operations":
        assert "&lt;script&gt;alert(1)" in text


async def test_hostile_words_everywhere(served):
    evil = "<img src=x onerror=alert(1)>\"'`</title>"
    async with served.store.write(b.LINE) as tx:
        number = await served.store.operations.start(tx, evil, b.START, person=evil, revision=evil)
        await served.store.operations.finish(tx, number, evil, b.START)
        await served.store.hosts.save(
            tx, [replace((await served.store.hosts.all(b.LINE))[0], name=evil, role=evil, quarantined=evil)]
        )
        tx.event("push.waits", "push 9", {"reason": evil}, b.START)
        tx.event("source", evil, {"ok": False, "reason": evil, "hosts": [evil]}, b.START)
    for path in ("", "/operations", "/hosts"):
        assert "<img" not in await page(served, path)


async def test_a_form_without_javascript(served):
    address = served.serving.address
    await served.client.post(f"{address}/session", data={"token": b.TOKEN, "name": "amara", "next": "/"})

    async def refuse() -> None:
        (intent,) = await served.store.intents.wait_news(b.LINE, 5)
        assert (intent.by, intent.why, intent.arguments["kind"]) == ("amara (console)", "inventory", "push")
        answer = {"rule": "the lock is held <already>", "way_out": "unlock it", "where": "", "code": "X"}
        async with served.store.write(b.LINE) as tx:
            await served.store.intents.answer(tx, intent.id, IntentState.REFUSED, answer, b.START)

    runtime = asyncio.create_task(refuse())
    answer = await served.client.post(
        f"{served.page}/intents", data={"do": "lock-push", "why": "inventory"}, headers={"Origin": address}
    )
    await runtime
    assert answer.status_code == 303
    text = (await served.client.get(address + answer.headers["location"].partition("#")[0])).text
    assert "Lock: refused." in text
    assert "the lock is held &lt;already&gt;. unlock it" in text


async def test_buttons_follow_the_state_table(served):
    push = await b.create_push(served.store, "c", "fix", b.START, None)
    push = await b.to_watching(served.store, push, b.START)
    address = served.serving.address
    await served.client.post(f"{address}/session", data={"token": b.TOKEN, "name": "amara"})
    text = await page(served)
    button = {
        kind: re.search(f'id="do-{kind}"[^>]*>', text)[0] for kind in ("hold", "resume", "promote", "abort")
    }
    assert "disabled" in button["resume"]
    assert "it is not held" in button["resume"]
    assert not any("disabled" in button[kind] for kind in ("hold", "promote", "abort"))
    assert f'name="seen_version" value="{push.version}"' in text


async def test_pages_that_are_not_there(served):
    for path in ("/pushes/99", "/changes/fff", "/nope"):
        answer = await served.client.get(f"{served.page}{path}", headers={"Accept": "text/html"})
        assert answer.status_code == 404
        assert "To the console" in answer.text


async def test_two_thousand_hosts_and_ten_thousand_operations(served):
    names = tuple(f"www{number}" for number in range(1, 2001))
    await b.hosts(served.store, names, "aaaaaaaaaaaa-aaaaaaaa", b.START, away=("www1999",))
    async with served.store.write(b.LINE) as tx:
        rows = [
            {
                **schema.key(b.LINE),
                "id": tx.number("operations"),
                "operation": "Verify",
                "started_at": b.START + timedelta(seconds=number),
                "finished_at": b.START + timedelta(seconds=number + 5),
                "outcome": "green",
            }
            for number in range(10_000)
        ]
        await tx.execute(insert(schema.operation), rows)
    push = await b.create_push(served.store, "c", "fix", b.START, None, names)
    rows = [
        HostProgress(name, "www", 0, HostState.SWITCHED, output="ok\n", switched_at=b.START) for name in names
    ]
    findings = tuple(
        b.finding(gauge, name, 1.0, 2.0) for gauge in ("errors", "load", "cpu") for name in names
    )
    async with served.store.write(b.LINE) as tx:
        await served.store.hosts.save_progress(tx, push.number, rows)
        verdict = Verdict(Decision.CONTINUE, "so far", findings, 3, 12)
        await served.store.findings.save(tx, push.number, 0, verdict, b.START)
    for path, bound in (("", 150), (f"/pushes/{push.number}", 250), ("/operations", 150), ("/hosts", 150)):
        started = time.monotonic()
        text = await page(served, path)
        took = time.monotonic() - started
        print(f"{path or '/'}: {took * 1000:.0f} ms, {len(text) / 1000:.0f} kB")
        assert len(text) < bound * 1000
    assert "www1999" in await page(served)  # the troubled one leads
    assert "1,975 more rows of errors" in await page(served, f"/pushes/{push.number}")
    following = re.search(r'href="([^"]+)" rel="next"', await page(served, "/operations"))[1]
    assert "before=" in following
    second = (await served.client.get(served.serving.address + following)).text
    assert "First page" in second


async def test_many_viewers_share_one_rendering(served):
    started = time.monotonic()
    texts = await asyncio.gather(*(page(served) for _ in range(100)))
    print(f"100 viewers: {time.monotonic() - started:.2f} s")
    assert len(set(texts)) == 1
