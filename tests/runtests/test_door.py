"""Nobody but the developer's own browser can make RunTests run anything."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
import pytest
from tests.runtests.scripted import TOKEN, S, Scripted, served, shop_board

from leuko.domain.board_rows import RunState


@pytest.fixture
async def shop(tmp_path: Path):
    async with served(tmp_path, shop_board(), Scripted()) as one:
        yield one


@pytest.fixture
async def client(shop):
    async with httpx2.AsyncClient(base_url=shop.serving.address, timeout=20) as client:
        yield client


def own(shop) -> dict[str, str]:
    return {"Cookie": shop.cookie, "Origin": shop.serving.address}


async def post(client, shop, path="run", headers=None, body=None):
    told = {"board": shop.session.board.name} | (body or {})
    return await client.post(f"/api/board/{path}", json=told, headers=headers or {})


async def test_the_printed_address_lets_in_and_hides_the_token(shop, client):
    answer = await client.get("/enter", params={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "lax" in cookie.lower()
    page = await client.get("/", headers={"Cookie": shop.cookie})
    assert page.status_code == 200
    assert TOKEN not in page.text
    assert "default-src 'self'" in page.headers["content-security-policy"]


async def test_without_the_cookie_nothing_is_told(shop, client):
    for path in ("/", "/api/board", "/api/stream", "/api/rows/0"):
        assert (await client.get(path)).status_code == 403, path
    assert (await client.get("/enter", params={"token": "guess"})).status_code == 403
    assert (await client.get("/api/board", headers={"Cookie": f"runtests-1={TOKEN}"})).status_code == 403


async def test_a_page_elsewhere_cannot_run_tests(shop, client):
    port = shop.serving.port
    for origin in (
        "https://evil.example",
        f"http://127.0.0.1:{port + 1}",
        "null",
        "",
        f"https://127.0.0.1:{port}",
    ):
        headers = {"Cookie": shop.cookie, "Origin": origin} if origin else {"Cookie": shop.cookie}
        for path in ("run", "stop", "watch"):
            assert (await post(client, shop, path, headers)).status_code == 403, (origin, path)
    assert not shop.session.running


async def test_a_name_that_was_made_to_point_here_is_refused(shop, client):
    headers = {**own(shop), "Host": f"evil.example:{shop.serving.port}"}
    headers["Origin"] = f"http://{headers['Host']}"
    assert (await post(client, shop, headers=headers)).status_code == 421
    assert (await client.get("/api/board", headers=headers)).status_code == 421


async def test_run_and_stop(shop, client):
    assert (await post(client, shop, body={"rows": [[0, 1], [3, 3]]}, headers=own(shop))).status_code == 200
    assert [case.name for case in shop.carrier.wanted[0].cases] == [
        "test_rounding",
        "test_currency[EUR]",
        "TestSearch::test_empty",
    ]
    again = await post(client, shop, headers=own(shop))
    assert (again.status_code, again.json()["error"]["code"]) == (409, "T001")
    assert (await post(client, shop, "stop", headers=own(shop))).status_code == 200
    assert (shop.carrier.cancelled, shop.session.board.state) == (1, RunState.STOPPED)


async def test_whole_files_are_told_from_single_tests(shop, client):
    await post(client, shop, body={"rows": [[0, 3]]}, headers=own(shop))
    assert shop.carrier.wanted[0].whole == {("unit", "tests/catalog/test_prices.py")}


@pytest.mark.parametrize(
    "body", [b"", b"[", b'{"rows": "all"}', b'{"rows": [[1]]}', b"\xff\xfe", b'{"rows": [[0, 1e99]]}']
)
async def test_garbage_is_an_answer(shop, client, body):
    answer = await client.post("/api/board/run", content=body, headers=own(shop))
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "T003"


async def test_names_and_outputs_that_are_no_unicode_do_no_harm(shop, client):
    shop.session.run([0])
    shop.session.said = "half a letter: \ud800"
    async with asyncio.timeout(10):
        while not shop.carrier.wanted:
            await asyncio.sleep(0.01)
    shop.end("test_rounding", S.FAILED, reason="\ud800", output="\ud800 </script><b>&")
    headers = {"Cookie": shop.cookie}
    answer = await client.get("/api/board", headers=headers)
    assert (answer.status_code, answer.json()["mark"][0]) == (200, "f")
    assert (await client.get("/api/rows/0", headers=headers)).json()["attempts"][0]["state"] == "failed"


async def test_enormous_ranges_cost_nothing(shop, client):
    body = {"rows": [[-(2**60), 2**60]] * 1000}
    assert (await post(client, shop, body=body, headers=own(shop))).status_code == 200
    assert len(shop.carrier.wanted[0].cases) == 13


async def test_a_page_of_an_earlier_session_is_told_so(shop, client):
    answer = await client.post("/api/board/run", json={"board": "earlier"}, headers=own(shop))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "T004")


async def test_the_stream_tells_what_happens(shop, client):
    headers = {"Cookie": shop.cookie}
    whole = (await client.get("/api/board", headers=headers)).json()
    query = {"since": whole["change"], "board": whole["board"]}
    async with client.stream("GET", "/api/stream", params=query, headers=headers) as answer:
        lines = answer.aiter_lines()
        assert (await anext(lines)).startswith("retry")
        shop.session.run([0])
        async for line in lines:
            if line.startswith("data: "):
                assert '"rows":[0]' in line
                assert '"mark":"w"' in line
                break
    assert (await client.get("/api/rows/99", headers=headers)).status_code == 400
