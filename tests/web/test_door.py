"""Who gets in."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.web import builders as b

from leuko.domain.errors import LeukoError
from leuko.web.callers import Sessions, host_known
from leuko.web.door import CSP
from leuko.web.failures import NotAllowed

HOLD = {"kind": "poke"}


async def test_writing_needs_the_token(served):
    nobody = await served.client.post(f"{served.api}/intents", json=HOLD)
    assert nobody.status_code == 401
    wrong = await served.client.post(
        f"{served.api}/intents", json=HOLD, headers={"Authorization": "Bearer no"}
    )
    assert wrong.status_code == 401
    forged = await served.client.post(
        f"{served.api}/intents", json=HOLD, headers={"X-Leuko-By": "root", "X-Forwarded-For": "unix:0"}
    )
    assert forged.status_code == 401
    assert await served.store.intents.recent(b.LINE) == []


async def test_guessing_is_slowed_down(served):
    for _ in range(8):
        await served.client.get(f"{served.api}/status", headers={"Authorization": "Bearer guess"})
    blocked = await served.client.get(f"{served.api}/status", headers=served.bearer)
    assert blocked.status_code == 429
    served.clock.at += timedelta(seconds=61)
    assert (await served.client.get(f"{served.api}/status", headers=served.bearer)).status_code == 200


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("localhost:8420", True),
        ("127.0.0.1:8420", True),
        ("[::1]:8420", True),
        ("10.1.2.3", True),
        ("leuko.example:8420", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
def test_names_that_the_server_goes_by(host, known):
    assert host_known(host, frozenset({"leuko.example"})) is known


async def test_a_rebound_name_reads_nothing(served):
    for path in ("/shop/production", "/api/v1/lines/shop/production/status", "/health"):
        answer = await served.client.get(f"{served.serving.address}{path}", headers={"Host": "evil.example"})
        assert answer.status_code == 421, path


async def test_the_console_session(served):
    address = served.serving.address
    form = {"token": b.TOKEN, "name": "amara <b>", "next": "/shop/production"}
    wrong = await served.client.post(f"{address}/session", data=form | {"token": "x"})
    assert wrong.status_code == 401
    entered = await served.client.post(f"{address}/session", data=form)
    assert (entered.status_code, entered.headers["location"]) == (303, "/shop/production")
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert b.TOKEN not in cookie
    served.client.cookies.clear()
    session = {"Cookie": cookie.partition(";")[0]}
    body = {"do": "lock-push", "why": "inventory"}
    without = await served.client.post(f"{served.page}/intents", data=body, headers=session)
    assert without.status_code == 403  # no Origin: not from our page
    foreign = await served.client.post(
        f"{served.page}/intents", data=body, headers=session | {"Origin": "http://evil.example"}
    )
    assert foreign.status_code == 403
    assert await served.store.intents.recent(b.LINE) == []
    tampered = {"Cookie": session["Cookie"][:-1] + ("0" if session["Cookie"][-1] != "0" else "1")}
    assert (
        await served.client.post(f"{served.page}/intents", data=body, headers=tampered | {"Origin": address})
    ).status_code == 401


@pytest.mark.parametrize(
    "bad", ["//evil.example/", "https://evil.example", "/\\evil.example", "javascript:1", ""]
)
async def test_entering_never_leads_elsewhere(served, bad):
    form = {"token": b.TOKEN, "name": "x", "next": bad}
    answer = await served.client.post(f"{served.serving.address}/session", data=form)
    assert answer.headers["location"] == "/"


async def test_headers_are_on_every_answer(served):
    for path in ("/shop/production", "/nope/nope", "/nope", "/api/v1/nope", "/static/leuko.js", "/static/no"):
        answer = await served.client.get(f"{served.serving.address}{path}")
        assert answer.headers["content-security-policy"] == CSP, path
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"


def test_sessions_run_out_and_end_with_the_token():
    clock = b.HandClock()
    sessions = Sessions("one", clock)
    cookie = sessions.begin("amara")
    assert sessions.person(cookie) == "amara"
    assert Sessions("two", clock).person(cookie) is None
    assert Sessions("one", clock).person(cookie) == "amara"
    clock.at += timedelta(days=31)
    assert sessions.person(cookie) is None
    for garbage in ("", ".", "..", "a.b.c", cookie[:-1], "\udcff.\udcff.\udcff"):
        assert sessions.person(garbage) is None


def test_many_addresses_do_not_fill_memory():
    sessions = Sessions("one", b.HandClock())
    for number in range(1500):
        with pytest.raises(NotAllowed):
            sessions.check("no", f"10.0.{number // 256}.{number % 256}")
    assert len(sessions._wrong) <= 1001
    assert issubclass(NotAllowed, LeukoError)
