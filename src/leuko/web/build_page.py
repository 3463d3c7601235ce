"""One build: its page, and the API's calls for the board that the page shows."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

from litestar import Response, get

from leuko.domain.build import Build
from leuko.domain.line import Line
from leuko.web.api import L
from leuko.web.boards import as_json
from leuko.web.failures import NotThere
from leuko.web.pages import fresh, of_line
from leuko.web.site import Asked, Site, may_read, number
from leuko.web.views.builds import build_view

LARGE = 20_000
"""Bytes from which an answer is sent packed, where the browser takes that: 40,000 tests become a fifth."""


@get("/{application:str}/{environment:str}/builds/{which:str}")
async def get_build_page(
    request: Asked, site: Site, application: str, environment: str, which: str
) -> Response[Any]:
    may_read(request)
    line = await site.line(application, environment)
    build = await _build(site, line, which)

    async def render() -> str:
        event = await site.store.events.last_number(line)
        view = await build_view(site.store, line, build.id, site.clock.now(), site.outputs)
        return site.pages.render(
            "build.html",
            **of_line(request, site, line, event),
            view=view,
            tests=bool(await site.store.cases.counts(line, build.id)),
            failures=await site.boards.failures(line, build),
            changes=[await site.store.changes.get(line, revision) for revision in view.changes]
            if view
            else [],
        )

    return await fresh(request, site, line, render)


@get(L + "/builds/{which:str}/board")
async def get_board(
    request: Asked, site: Site, application: str, environment: str, which: str
) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    build = await _build(site, line, which)
    since = number(request.query_params.get("since"), "since") or 0
    body = await site.boards.news(line, build, since, request.query_params.get("board", ""))
    headers = {}
    if len(body) > LARGE and "gzip" in request.headers.get("accept-encoding", ""):
        body = await asyncio.to_thread(gzip.compress, body, 1)
        headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return Response(body, media_type="application/json", headers=headers)


@get(L + "/builds/{which:str}/rows/{row:str}")
async def get_row(
    request: Asked, site: Site, application: str, environment: str, which: str, row: str
) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    build = await _build(site, line, which)
    wanted = number(row, "a row's number") or 0
    told = await site.boards.output(line, build, wanted, request.query_params.get("board", ""))
    return Response(as_json(told), media_type="application/json")


async def _build(site: Site, line: Line, which: str) -> Build:
    wanted = number(which, "a build's number") or 0
    build = await site.store.builds.get(line, wanted)
    if build is None:
        raise NotThere(f"build {wanted}", "this line has no such build, or it has expired", "`leuko log`")
    return build


ROUTES = (get_build_page, get_board, get_row)
