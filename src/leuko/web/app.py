"""The web application: API, pages, stream and metrics over one store. It never acts: it stores intents."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import structlog
from litestar import Litestar, Response
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.middleware import DefineMiddleware
from prometheus_client import CollectorRegistry

from leuko.clock import Clock
from leuko.domain.errors import LeukoError
from leuko.store.store import Store
from leuko.web import api, build_page, forms, metrics, pages, statuses, verification
from leuko.web.boards import Boards
from leuko.web.callers import Sessions
from leuko.web.door import HEADERS, Door
from leuko.web.failures import NotAllowed, error_body, status_of
from leuko.web.feed import Feeds
from leuko.web.outputs import Outputs
from leuko.web.site import Asked, Site, answer

BODY = 64 << 10

log = structlog.get_logger(__name__)


def create_app(
    store: Store,
    clock: Clock,
    *,
    token: str,
    state: Path | None = None,
    registry: CollectorRegistry | None = None,
    names: frozenset[str] = frozenset(),
) -> Litestar:
    """`state`: where build output lies. `names`: host names besides localhost that the server goes by."""
    if not token:
        raise ValueError("a console without a token would let everybody write")
    outputs = Outputs(state) if state else None
    sessions = Sessions(token, clock)
    boards = Boards(store, clock, state)
    site = Site(store, clock, outputs, Feeds(store), sessions, registry or CollectorRegistry(), boards)
    known = frozenset(name.lower() for name in names)

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        yield
        await site.feeds.close()

    app = Litestar(
        route_handlers=[
            *api.ROUTES,
            *metrics.ROUTES,
            *pages.ROUTES,
            *build_page.ROUTES,
            *verification.ROUTES,
            *statuses.ROUTES,
            *forms.ROUTES,
        ],
        dependencies={"site": Provide(lambda: site, sync_to_thread=False)},
        middleware=[DefineMiddleware(Door, sessions=sessions, names=known)],
        exception_handlers={LeukoError: _told, HTTPException: _http, Exception: _bug},
        lifespan=[lifespan],
        openapi_config=None,
        request_max_body_size=BODY,
        logging_config=None,
        signature_types=[Site],
    )
    app.state["site"] = site
    app.state["closing"] = site.feeds.closing
    return app


def _told(request: Asked, error: LeukoError) -> Response[Any]:
    """JSON, or a page for a browser that asked for one."""
    status = status_of(error)
    # a path that does not exist never comes to the door, which puts these on every other answer
    headers = {**HEADERS, "Cache-Control": "no-store"}
    if not wants_page(request):
        return answer(error_body(error), status, headers)
    site: Site = request.app.state["site"]
    sign_in = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)
    values = {"by": "", "writes": False, "stream": "", "here": request.url.path, "now": site.clock.now()}
    text = site.pages.render("error.html", **values, error=error_body(error)["error"], sign_in=sign_in)
    return Response(text, media_type="text/html; charset=utf-8", status_code=status, headers=headers)


def _http(request: Asked, error: HTTPException) -> Response[Any]:
    """What the framework itself found: no such path, a wrong method, a body that is too long."""
    told = NotAllowed(
        error.detail,
        way_out="docs/reference/api.md lists every path",
        code="W004",
        status=HTTPStatus(error.status_code),
    )
    return _told(request, told)


def _bug(request: Asked, error: Exception) -> Response[Any]:
    """A fault of ours: it is logged whole, and the answer says no more than that."""
    # formatted here: a renderer that shows local variables would show the token
    log.error("web.bug", path=request.url.path, trace="".join(traceback.format_exception(error)))
    told = NotAllowed(
        "a fault in Leuko itself",
        way_out="the controller's log has the details; please report it",
        code="W005",
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
    )
    return _told(request, told)


def wants_page(request: Asked) -> bool:
    """True for a browser that loads a page, false for the API's clients and for scripts."""
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")
