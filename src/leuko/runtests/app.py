"""The small web application of RunTests: one page, its board, its stream, and three things to ask for."""

from __future__ import annotations

import hmac
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import Cookie, State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.middleware import DefineMiddleware
from litestar.response import Redirect, Stream

from leuko.clock import Clock
from leuko.domain.errors import LeukoError
from leuko.runtests.door import Door, cookie_name
from leuko.runtests.session import Session
from leuko.web.assets import asset_answer
from leuko.web.boards import as_json
from leuko.web.failures import NotAllowed, error_body, status_of
from leuko.web.render import Pages
from leuko.web.site import answer, number

BODY = 4 << 20
"""Bytes of a request: ranges of 40,000 rows ticked here and there."""
Asked = Request[Any, Any, State]


class Ranges(msgspec.Struct, frozen=True):
    """Rows as pairs of first and last; None is all. `board` is the one that the page shows."""

    board: str = ""
    rows: list[tuple[int, int]] | None = None
    on: bool = False


class Desk:
    """What requests need."""

    def __init__(self, session: Session, clock: Clock, token: str) -> None:
        self.session = session
        self.clock = clock
        self.token = token
        self.pages = Pages()


@get("/enter")
async def get_enter(request: Asked, desk: Desk) -> Response[Any]:
    """The token in the address for a cookie; the address then is one that may be shown to others."""
    given = request.query_params.get("token", "")
    if not hmac.compare_digest(given.encode("utf-8", "replace"), desk.token.encode()):
        raise NotAllowed(
            "that is not this session's token",
            way_out="open the whole address that `leuko runtests` printed",
            code="T011",
            status=HTTPStatus.FORBIDDEN,
        )
    port = (request.scope.get("server") or ("", 0))[1] or 0
    cookie = Cookie(cookie_name(port), value=desk.token, httponly=True, samesite="lax")
    return Redirect("/", status_code=303, cookies=[cookie])


@get("/")
async def get_page(request: Asked, desk: Desk) -> Response[Any]:
    session = desk.session
    text = desk.pages.render(
        "runtests.html",
        now=desk.clock.now(),
        here=request.url.path,
        by="",
        writes=False,
        stream="",
        checkout=session.checkout.name,
        path=str(session.checkout),
        failures=session.failures(),
    )
    return Response(text, media_type="text/html; charset=utf-8")


@get("/static/{path:path}")
async def get_static(request: Asked, desk: Desk, path: str) -> Response[Any]:
    return asset_answer(desk.pages, path, request.headers.get("if-none-match", ""))


@get("/api/board")
async def get_board(request: Asked, desk: Desk) -> Response[bytes]:
    since, board = _since(request)
    return Response(desk.session.news(since, board), media_type="application/json")


@get("/api/stream")
async def get_stream(request: Asked, desk: Desk) -> Stream:
    since, board = _since(request)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(desk.session.stream(since, board), media_type="text/event-stream", headers=headers)


@get("/api/rows/{row:str}")
async def get_output(desk: Desk, row: str) -> Response[bytes]:
    told = desk.session.output(number(row, "a row's number") or 0)
    return Response(as_json(told), media_type="application/json")


@post("/api/board/run")
async def post_run(request: Asked, desk: Desk) -> Response[bytes]:
    wanted = await _wanted(request, desk)
    rows = None if wanted.rows is None else _rows(wanted.rows, len(desk.session.board.rows))
    desk.session.run(rows)
    return answer({"run": desk.session.board.run})


@post("/api/board/stop")
async def post_stop(request: Asked, desk: Desk) -> Response[bytes]:
    await _wanted(request, desk)
    await desk.session.stop("by the button")
    return answer({"run": desk.session.board.run})


@post("/api/board/watch")
async def post_watch(request: Asked, desk: Desk) -> Response[bytes]:
    desk.session.watch((await _wanted(request, desk)).on)
    return answer({"watching": desk.session.watching})


def create_app(session: Session, clock: Clock, token: str) -> Litestar:
    """`token`: what the printed address carries."""
    if not token:
        raise ValueError("without a token any page could run commands here")
    desk = Desk(session, clock, token)
    app = Litestar(
        route_handlers=[
            get_enter, get_page, get_static, get_board, get_stream, get_output,
            post_run, post_stop, post_watch,
        ],
        dependencies={"desk": Provide(lambda: desk, sync_to_thread=False)},
        middleware=[DefineMiddleware(Door, token=token)],
        exception_handlers={LeukoError: _told, HTTPException: _http},
        openapi_config=None,
        request_max_body_size=BODY,
        logging_config=None,
        signature_types=[Desk],
    )  # fmt: skip
    app.state["closing"] = session.closing
    return app


def _since(request: Asked) -> tuple[int, str]:
    return number(request.query_params.get("since"), "since") or 0, request.query_params.get("board", "")


async def _wanted(request: Asked, desk: Desk) -> Ranges:
    try:
        wanted = msgspec.json.decode(await request.body(), type=Ranges)
    except msgspec.DecodeError as error:
        raise LeukoError(str(error), where="body", way_out="load the page again", code="T003") from error
    if wanted.board != desk.session.board.name:
        raise NotAllowed(
            "the page shows an earlier session",
            way_out="load it again",
            code="T004",
            status=HTTPStatus.CONFLICT,
        )
    return wanted


def _rows(ranges: list[tuple[int, int]], most: int) -> set[int]:
    """Every row of the ranges that there is: a request cannot make more of them than the board has."""
    return {row for first, last in ranges for row in range(max(0, first), min(last + 1, most))}


def _told(_request: Asked, error: LeukoError) -> Response[Any]:
    return answer(error_body(error), status_of(error))


def _http(_request: Asked, error: HTTPException) -> Response[Any]:
    fields = {"where": "", "rule": error.detail, "way_out": "", "code": "T005"}
    return answer({"error": fields}, error.status_code)
