"""Tests over many builds, quarantine, and the results of another CI: API and page."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.web.builders import LINE, TOKEN

from leuko.domain.case import Case, CaseState
from leuko.domain.quarantine import Quarantine
from leuko.store.case_outputs import CaseOutputs
from leuko.store.cases import CaseRow, settled

CART = Case("unit", "tests/test_cart.py", "test_total[<b>two</b>]")
SLOW = Case("unit", "tests/test_slow.py", "test_all")
REVISION = "a" * 40


@pytest.fixture
async def tested(served):
    """A build with a flaky test and a failed one, and a test in quarantine."""
    store, now = served.store, served.clock.now()
    (build, *_) = await store.builds.recent(LINE, limit=1)
    outputs = CaseOutputs(served.folder / "builds" / f"{build.id}-{build.attempt}")
    outputs.begin()
    place = outputs.append_all({"x": ("one\nAssertionError: \x1b[31mthree\n", True)})["x"]
    rows = [
        CaseRow(CART, CaseState.FAILED, 1, 0.2, "w1", "assert 1 == 2"),
        CaseRow(CART, CaseState.PASSED, 2, 0.2, "w2", flaky=True),
        CaseRow(SLOW, CaseState.FAILED, 1, 9.0, "w1", "boom", output=place),
    ]
    async with store.write(LINE) as tx:
        await store.cases.save(tx, build.id, rows, 1)
        await store.cases.settle(tx, settled(await store.cases.history(LINE), rows[1:], build.id, now))
        await store.build_facts.set(
            tx, build.id, "tests", {"counts": {"all": 2, "passed": 1, "failed": 1}}, now
        )
        held = Quarantine(0, SLOW, "ann", "races", "bob", now, now + timedelta(days=3))
        await store.quarantines.add(tx, held)
    return replace(served, story=build)


async def test_lists_of_tests(tested):
    async def names(**query):
        answer = await tested.client.get(f"{tested.api}/tests", params=query)
        return [one["name"] for one in answer.json()]

    assert await names(order="flaky") == [CART.name]
    assert await names(order="slow") == [SLOW.name, CART.name]
    assert await names(order="failing") == [SLOW.name]
    assert await names(text="CART") == [CART.name]
    wrong = await tested.client.get(f"{tested.api}/tests", params={"order": "best"})
    assert (wrong.status_code, wrong.json()["error"]["where"]) == (400, "order")
    (one,) = (await tested.client.get(f"{tested.api}/tests", params={"order": "failing"})).json()
    assert (one["quarantine"]["state"], one["quarantine"]["owner"], one["owner"]) == ("held", "ann", "ann")
    assert {"build": tested.story.id, "state": "failed", "worker": "w1", "reason": "boom"} in one["strip"]


async def test_a_build_says_what_failed_and_the_end_of_its_output(tested):
    view = (await tested.client.get(f"{tested.api}/builds/{tested.story.id}")).json()
    assert view["tests"] == {"all": 2, "passed": 1, "failed": 1}
    failures = {one["test"]: one for one in view["failures"]}
    assert failures[str(CART)]["flaky"] is True
    assert failures[str(SLOW)]["tail"] == ["one", "AssertionError: \ufffd[31mthree"]
    rows = (await tested.client.get(f"{tested.api}/builds")).json()
    assert (rows[0]["id"], rows[0]["tests"]["failed"]) == (tested.story.id, 1)


async def test_the_page_of_flaky_tests(tested):
    page = (await tested.client.get(f"{tested.page}/flaky")).text
    assert "test_total[&lt;b&gt;two&lt;/b&gt;]" in page
    assert "100.0%" in page
    assert f"build {tested.story.id}: flaky" in page
    assert "races" in page
    assert '<form id="hold"' not in page, "who may not write has no form"


async def post(served, path, body, token=f"Bearer {TOKEN}"):
    headers = {"Authorization": token} if token else {}
    return await served.client.post(path, json=body, headers=headers)


async def test_a_status_is_kept_and_the_newest_counts(served):
    path = f"{served.api}/statuses/{REVISION}"
    body = {"state": "pending", "context": "ci/unit", "url": "https://ci/1", "description": "began"}
    assert (await post(served, path, body)).status_code == 201
    assert (await post(served, path, {"state": "success", "context": "ci/unit"})).status_code == 201
    (one,) = (await served.client.get(path)).json()
    assert (one["state"], one["context"], one["by"]) == ("success", "ci/unit", "token")
    events = await served.store.events.latest(LINE, kind="status")
    assert len(events) == 2


@pytest.mark.parametrize(
    "token", [f"token {TOKEN}", f"Basic {base64.b64encode(b'x:' + TOKEN.encode()).decode()}"]
)
async def test_what_posts_github_statuses_needs_only_another_address(served, token):
    path = f"{served.serving.address}/api/v3/repos/acme/shop/statuses/{REVISION}"
    body = {"state": "failure", "target_url": "https://ci/2", "description": "2 failed", "context": "ci"}
    answer = await post(served, path, body, token)
    assert (answer.status_code, answer.json()["lines"]) == (201, ["shop/production"])
    (one,) = await served.store.statuses.of(LINE, REVISION)
    assert (str(one), one.by) == ("ci says failure: 2 failed (https://ci/2)", "token")
    elsewhere = path.replace("/shop/", "/other/")
    assert (await post(served, elsewhere, body, token)).status_code == 404


@pytest.mark.parametrize(
    ("complete", "results", "state"),
    [
        (False, None, "pending"),
        (True, 0, "success"),
        (True, 1, "success"),
        (True, 2, "failure"),
        (True, 4, "error"),
    ],
)
async def test_buildbot_posts_its_builds(served, complete, results, state):
    body = {
        "buildid": 7, "number": 3, "complete": complete, "results": results, "state_string": "build text",
        "url": "http://ci:8010/#/builders/1/builds/3", "builder": {"builderid": 1, "name": "unit"},
        "buildset": {"sourcestamps": [{"revision": REVISION, "branch": "main"}]},
        "properties": {"owners": [["a"], "x"]},
    }  # fmt: skip
    assert (await post(served, f"{served.api}/buildbot", body)).status_code == 201
    (one,) = await served.store.statuses.of(LINE, REVISION)
    assert (one.context, one.state) == ("unit", state)
    got = body | {"properties": {"got_revision": ["b" * 40, "Git"]}}
    await post(served, f"{served.api}/buildbot", got)
    assert len(await served.store.statuses.of(LINE, "b" * 40)) == 1


@pytest.mark.parametrize(
    ("revision", "body", "where"),
    [
        ("abc", {"state": "success"}, "revision"),
        (REVISION, {"state": "good"}, "body"),
        (REVISION, {}, "body"),
        (REVISION, {"state": "success", "url": "javascript:alert(1)"}, "url"),
        (REVISION, {"state": "success", "context": "x" * 201}, "context"),
        (REVISION, [], "body"),
    ],
)
async def test_a_status_that_means_nothing_is_refused(served, revision, body, where):
    answer = await post(served, f"{served.api}/statuses/{revision}", body)
    assert (answer.status_code, answer.json()["error"]["where"]) == (400, where)


async def test_nobody_without_the_token_says_that_a_commit_is_good(served):
    for token in ("", "Bearer wrong", "token wrong", "Basic ????", "Basic eDp3cm9uZw=="):
        for path in (f"{served.api}/statuses/{REVISION}", f"{served.api}/buildbot"):
            assert (await post(served, path, {"state": "success"}, token)).status_code in (401, 429)
    assert await served.store.statuses.of(LINE, REVISION) == []


async def test_the_page_of_a_change_has_the_lines_that_no_test_ran(tested):
    file = {"path": "shop/<cart>.py", "measured": 4, "missed": [3, 4], "ranges": "3-4", "unknown": True}
    said = "no test ran 2 of the 4 lines that the change touches (50% ran)"
    fact = {"sentence": said, "share": 0.5, "missed": 2, "trouble": "", "files": [file], "remarks": []}
    async with tested.store.write(LINE) as tx:
        await tested.store.build_facts.set(tx, tested.story.id, "coverage", fact, tested.clock.now())
    page = (await tested.client.get(f"{tested.page}/changes/{tested.story.revision}")).text
    assert "shop/&lt;cart&gt;.py" in page
    assert "No test ran 2 of the 4 lines" in page
    why = (await tested.client.get(f"{tested.api}/why?about=change:{tested.story.revision}")).json()
    assert "No test ran 2 of the 4 lines that the change touches (50% ran)." in why["sentences"]
