"""The page of limits, its forms, and the same over the API."""

from __future__ import annotations

import asyncio

import pytest
from tests.builders import configuration
from tests.web import builders as b

from leuko.domain.gauge import Limit
from leuko.domain.intent import Intent, IntentKind, IntentState
from leuko.store.limit_changes import LimitChange
from leuko.store.overrides import Override
from leuko.web.forms import wanted_of

SIX, TWELVE = Limit(above=6.0), Limit(above=12.0, host="www3")
WHY = "<script>alert(1)</script> a larger machine"


@pytest.fixture
async def limited(served):
    """The file says 6 a minute; ann set www3 to 12."""
    text = configuration(gauges={"errors": {"limits": [{"above": 6}]}}).model_dump_json()
    async with served.store.write(b.LINE) as tx:
        await served.store.lines.serve(tx, text)
        await served.store.overrides.set(tx, Override("errors", TWELVE, "ann", WHY, b.START))
        change = LimitChange(0, "errors", None, TWELVE, "ann", WHY, b.START)
        await served.store.limit_changes.add(tx, change)
    return served


async def test_the_api_tells_where_each_limit_comes_from(limited):
    found = (await limited.client.get(f"{limited.api}/limits")).json()
    (errors,) = found["gauges"]
    assert (errors["gauge"], errors["change"]) == ("errors", 1)
    assert [(one["text"], one["about"], one["origin"], one["by"]) for one in errors["limits"]] == [
        (">6", "on each host", "installation", ""),
        (">12", "on www3", "person", "ann"),
    ]
    assert errors["limits"][0]["besides"] == ["www3"]
    changes = (await limited.client.get(f"{limited.api}/limits/changes?gauge=errors")).json()
    assert [(one["was"], one["became"], one["why"]) for one in changes] == [("", ">12", WHY)]
    assert (await limited.client.get(f"{limited.api}/limits/changes?gauge=load")).json() == []


async def test_the_page_shows_them_and_what_people_wrote_stays_text(limited):
    text = (await limited.client.get(f"{limited.page}/limits")).text
    for words in ("&gt;6", "&gt;12", "on www3", "but www3", "Who changed what", "a larger machine"):
        assert words in text
    assert "<script>alert" not in text
    assert 'value="set-limit"' not in text, "who may not write gets no button"
    written = (await limited.client.get(f"{limited.page}/limits", headers=limited.bearer)).text
    assert 'value="set-limit"' in written
    assert 'value="clear-limit"' in written


async def test_a_page_without_gauges_says_so(served):
    assert "Nothing is watched yet" in (await served.client.get(f"{served.page}/limits")).text


@pytest.mark.parametrize(
    ("form", "kind", "arguments"),
    [
        (
            {"do": "set-limit", "gauge": "load", "place": "host host www3", "above": "12", "seen": "4"},
            IntentKind.LIMIT,
            {"gauge": "load", "scope": "host", "host": "www3", "above": 12.0, "seen": 4},
        ),
        (
            {"do": "clear-limit", "gauge": "load", "place": "aggregate role www", "seen": "x"},
            IntentKind.LIMIT,
            {"gauge": "load", "scope": "aggregate", "role": "www", "clear": True},
        ),
        (
            {"do": "try-limit", "gauge": "load", "place": "host", "above": "4,5", "readings": "3"},
            IntentKind.TRY,
            {"gauge": "load", "scope": "host", "above": 4.5, "readings": 3},
        ),
    ],
)
def test_buttons_are_intents(form, kind, arguments):
    wish = wanted_of(form)
    assert (wish.kind, wish.arguments) == (kind, arguments)


async def test_the_form_sets_a_limit_without_javascript(limited):
    form = {"do": "set-limit", "gauge": "errors", "place": "host", "above": "5", "why": "stricter"}

    async def obey() -> None:
        (intent,) = await limited.store.intents.wait_news(b.LINE, 10)
        async with limited.store.write(b.LINE) as tx:
            answer = {"gauge": "errors", "change": 2}
            await limited.store.intents.answer(tx, intent.id, IntentState.ACCEPTED, answer, b.START)

    obeying = asyncio.create_task(obey())
    said = await limited.client.post(f"{limited.page}/intents", data=form, headers=limited.bearer)
    await obeying
    assert said.status_code == 303
    assert "/limits?intent=" in said.headers["location"]
    shown = await limited.client.get(
        f"{limited.serving.address}{said.headers['location']}", headers=limited.bearer
    )
    assert "Limit: accepted." in shown.text


async def test_what_a_trial_came_to_is_shown(limited):
    stopped = {"push": 2, "state": "ROLLED_BACK", "phase": 0, "at": "2026-11-23T11:46:10Z", "seconds": 35}
    stopped |= {"gauge": "errors", "subject": "www1", "value": 44.0, "bad": "yes, <b>says ann"}
    answer = {"what": "errors >4", "sentences": ["It would have stopped 1."], "stopped": [stopped]}
    intent = Intent(0, IntentKind.TRY, "ann", "", b.START, b.START)
    async with limited.store.write(b.LINE) as tx:
        kept = await limited.store.intents.add(tx, intent)
    async with limited.store.write(b.LINE) as tx:
        await limited.store.intents.answer(tx, kept.id, IntentState.ACCEPTED, answer, b.START)
    text = (await limited.client.get(f"{limited.page}/limits?intent={kept.id}")).text
    for words in (
        "It would have stopped 1.",
        "35 s into phase 1",
        "errors www1",
        "44",
        "yes, &lt;b&gt;says ann",
    ):
        assert words in text
    assert "35 s into" not in (await limited.client.get(f"{limited.page}/limits?intent=99")).text


async def test_garbage_in_the_form_is_said(limited):
    form = {"do": "set-limit", "gauge": "errors", "place": "host", "above": "many", "why": "x"}
    said = await limited.client.post(f"{limited.page}/intents", data=form, headers=limited.bearer)
    assert said.status_code == 400
    assert "should be a number" in said.text
