"""The web application: API, pages, stream and metrics over one store. It never acts: it stores intents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from litestar import Litestar, Response
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.middleware import DefineMiddleware
from prometheus_client import CollectorRegistry

from leuko.clock import Clock
from leuko.domain.errors import LeukoError
from leuko.store.store import Store
from leuko.web import api
from leuko.web.callers import Sessions
from leuko.web.door import Door
from leuko.web.failures import error_body, status_of
from leuko.web.feed import Feeds
from leuko.web.outputs import Outputs
from leuko.web.site import Asked, Site, answer

BODY = 64 << 10


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
    site = Site(store, clock, outputs, Feeds(store), sessions, registry or CollectorRegistry())
    known = frozenset(name.lower() for name in names)

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        yield
        await site.feeds.close()

    app = Litestar(
        route_handlers=[*api.ROUTES],
        dependencies={"site": Provide(lambda: site, sync_to_thread=False)},
        middleware=[DefineMiddleware(Door, sessions=sessions, names=known)],
        exception_handlers={LeukoError: _told, HTTPException: _http},
        lifespan=[lifespan],
        openapi_config=None,
        request_max_body_size=BODY,
        logging_config=None,
        signature_types=[Site],
    )
    app.state["site"] = site
    return app


def _told(_request: Asked, error: LeukoError) -> Response[Any]:
    return answer(error_body(error), status_of(error))


def _http(_request: Asked, error: HTTPException) -> Response[Any]:
    """What the framework itself found: no such path, a wrong method, a body that is too long."""
    told = LeukoError(error.detail, way_out="docs/reference/api.md lists every path", code="W004")
    return answer(error_body(told), error.status_code)
