"""The API's calls, and the page, for tests over many builds: flaky ones, quarantine, lists of builds."""

from __future__ import annotations

from typing import Any, get_args

from litestar import Response, get

from leuko.domain.errors import LeukoError
from leuko.store.cases import Ordering
from leuko.web.api import L
from leuko.web.pages import fresh, of_line, reply_of
from leuko.web.site import Asked, Site, answer, limit, may_read
from leuko.web.views.builds import builds
from leuko.web.views.quarantines import quarantines
from leuko.web.views.tests import flaky, known_tests


@get(L + "/builds")
async def get_builds(request: Asked, site: Site, application: str, environment: str) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    rows = limit(request.query_params.get("limit"), 20)
    return answer(await builds(site.store, line, site.clock.now(), limit=rows))


@get(L + "/tests")
async def get_tests(request: Asked, site: Site, application: str, environment: str) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    query = request.query_params
    order = ordering(query.get("order", "name"))
    found = await known_tests(
        site.store,
        line,
        site.clock.now(),
        order,
        text=query.get("text", "")[:200],
        suite=query.get("suite", "")[:200],
        limit=limit(query.get("limit"), 100),
    )
    return answer(found)


@get(L + "/quarantines")
async def get_quarantines(request: Asked, site: Site, application: str, environment: str) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    rows = limit(request.query_params.get("limit"), 50)
    return answer(await quarantines(site.store, line, site.clock.now(), limit=rows))


@get("/{application:str}/{environment:str}/flaky")
async def get_flaky_page(request: Asked, site: Site, application: str, environment: str) -> Response[Any]:
    may_read(request)
    line = await site.line(application, environment)

    async def render() -> str:
        view = await flaky(site.store, line, site.clock.now())
        return site.pages.render(
            "flaky.html",
            **of_line(request, site, line, view.event),
            view=view,
            chosen=request.query_params.get("test", "")[:2000],
            reply=await reply_of(request, site, line),
        )

    return await fresh(request, site, line, render)


def ordering(text: str) -> Ordering:
    """One of the lists that there are."""
    known: tuple[Ordering, ...] = get_args(Ordering)
    for order in known:
        if order == text:
            return order
    raise LeukoError(
        f"should be one of {', '.join(known)}, not {text[:40]!r}",
        where="order",
        way_out="docs/reference/api.md",
        code="W002",
    )


ROUTES = (get_builds, get_tests, get_quarantines, get_flaky_page)
