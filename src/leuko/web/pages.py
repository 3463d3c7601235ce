"""The pages: the console, one push, one change, and the lists that outgrow them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from litestar import Response, get
from litestar.response import Redirect

from leuko.domain.line import Line
from leuko.domain.push import State
from leuko.web.failures import NotThere
from leuko.web.gathering import gather
from leuko.web.site import Asked, Site, caller, may_read, number
from leuko.web.tables import by_author, gauge_tables, rollback_bars
from leuko.web.views.changes import change
from leuko.web.views.errors import errors, reading
from leuko.web.views.hosts import host_view, troubled_first
from leuko.web.views.limits import limits, trial
from leuko.web.views.operations import operations
from leuko.web.views.push import push
from leuko.web.views.status import status, status_of
from leuko.web.views.trends import trends
from leuko.web.why_push import ENDS
from leuko.web.wishes import Reply, wished

OPERATIONS = 20
PAGE = 100
HOSTS = 40
PUSH_HOSTS = 200
FRESH = 1.0
"""Seconds for which one rendering serves everybody who asks for the same with nothing new in between."""


@get("/")
async def get_front(request: Asked, site: Site) -> Response[Any]:
    may_read(request)
    lines = await site.store.lines.all()
    if len(lines) == 1:
        return Redirect(_root(lines[0]), status_code=303)
    now = site.clock.now()
    shown = [await status(site.store, line, now) for line in lines[:100]]
    return html(site.pages.render("lines.html", **_common(request, site), lines=shown))


@get("/{application:str}/{environment:str}")
async def get_console(request: Asked, site: Site, application: str, environment: str) -> Response[Any]:
    may_read(request)
    line = await site.line(application, environment)

    async def render() -> str:
        now = site.clock.now()
        facts = await gather(site.store, line, now, site.outputs)
        view = status_of(facts)
        return site.pages.render(
            "console.html",
            **of_line(request, site, line, view.event),
            status=view,
            operations=await operations(site.store, line, now, limit=OPERATIONS),
            hosts=troubled_first(facts.hosts)[:HOSTS],
            rollbacks=rollback_bars(await site.store.pushes.rollbacks_per_day(line, now)),
            reply=await reply_of(request, site, line),
        )

    return await fresh(request, site, line, render)


@get("/{application:str}/{environment:str}/pushes/{which:str}")
async def get_push_page(
    request: Asked, site: Site, application: str, environment: str, which: str
) -> Response[Any]:
    may_read(request)
    line = await site.line(application, environment)
    wanted = number(which, "a push's number") or 0

    async def render() -> str:
        view = await push(site.store, line, site.clock.now(), wanted, site.outputs)
        if view is None:
            raise NotThere(f"push {wanted}", "this line has no such push", "`leuko log` lists them")
        return site.pages.render(
            "push.html",
            **of_line(request, site, line, view.event),
            view=view,
            ends=ENDS.get(State(view.push.state), f"It is {view.push.state.replace('_', ' ').lower()} now."),
            gauges=gauge_tables(view, request.query_params.get("gauge", "")),
            rows=view.hosts[:PUSH_HOSTS],
            more_hosts=max(0, len(view.hosts) - PUSH_HOSTS),
            authors=by_author(view.commits[:200]),
            more_commits=max(0, len(view.commits) - 200),
            reply=await reply_of(request, site, line),
        )

    return await fresh(request, site, line, render)


@get("/{application:str}/{environment:str}/changes/{revision:str}")
async def get_change_page(
    request: Asked, site: Site, application: str, environment: str, revision: str
) -> Response[Any]:
    may_read(request)
    line = await site.line(application, environment)

    async def render() -> str:
        event = await site.store.events.last_number(line)
        view = await change(site.store, line, site.clock.now(), revision, site.outputs)
        if view is None:
            raise NotThere(f"change {revision[:64]}", "this line has seen no such change", "`leuko log`")
        return site.pages.render("change.html", **of_line(request, site, line, event), view=view)

    return await fresh(request, site, line, render)


@get("/{application:str}/{environment:str}/operations")
async def get_operations_page(
    request: Asked, site: Site, application: str, environment: str
) -> Response[Any]:
    may_read(request)
    line = await site.line(application, environment)
    before = number(request.query_params.get("before"), "before")
    rows = await operations(site.store, line, site.clock.now(), limit=PAGE, before=before)
    here = f"{_root(line)}/operations"
    return html(
        site.pages.render(
            "list.html",
            **of_line(request, site, line, 0, live=False),
            title="Operations",
            operations=rows,
            first=here if before else "",
            next=f"{here}?before={rows[-1].id}" if len(rows) == PAGE else "",
        )
    )


@get("/{application:str}/{environment:str}/hosts")
async def get_hosts_page(request: Asked, site: Site, application: str, environment: str) -> Response[Any]:
    may_read(request)
    line = await site.line(application, environment)
    start = number(request.query_params.get("from"), "from") or 0
    known = await site.store.hosts.all(line)
    here = f"{_root(line)}/hosts"
    return html(
        site.pages.render(
            "list.html",
            **of_line(request, site, line, 0, live=False),
            title="Hosts",
            hosts=[host_view(host) for host in known[start : start + PAGE]],
            first=here if start else "",
            next=f"{here}?from={start + PAGE}" if start + PAGE < len(known) else "",
        )
    )


@get("/{application:str}/{environment:str}/errors")
async def get_errors_page(request: Asked, site: Site, application: str, environment: str) -> Response[Any]:
    may_read(request)
    return await _logs_page(request, site, await site.line(application, environment), "errors")


@get("/{application:str}/{environment:str}/slow")
async def get_slow_page(request: Asked, site: Site, application: str, environment: str) -> Response[Any]:
    may_read(request)
    return await _logs_page(request, site, await site.line(application, environment), "slow")


async def _logs_page(request: Asked, site: Site, line: Line, what: str) -> Response[Any]:
    async def render() -> str:
        host = request.query_params.get("host", "")[:200]
        view = await errors(site.store, line, site.clock.now(), host=host)
        asked = number(request.query_params.get("intent"), "intent")
        return site.pages.render(
            f"{what}.html",
            **of_line(request, site, line, view.event, live=False),
            view=view,
            host=host,
            reply=await reply_of(request, site, line),
            found=await reading(site.store, line, asked, what),
        )

    return await fresh(request, site, line, render)


@get("/{application:str}/{environment:str}/trends")
async def get_trends_page(request: Asked, site: Site, application: str, environment: str) -> Response[Any]:
    may_read(request)
    line = await site.line(application, environment)

    async def render() -> str:
        view = await trends(site.store, line)
        return site.pages.render("trends.html", **of_line(request, site, line, view.event), view=view)

    return await fresh(request, site, line, render)


@get("/{application:str}/{environment:str}/limits")
async def get_limits_page(request: Asked, site: Site, application: str, environment: str) -> Response[Any]:
    may_read(request)
    line = await site.line(application, environment)

    async def render() -> str:
        view = await limits(site.store, line)
        return site.pages.render(
            "limits.html",
            **of_line(request, site, line, view.event),
            view=view,
            reply=await reply_of(request, site, line),
            trial=await trial(site.store, line, number(request.query_params.get("intent"), "intent")),
        )

    return await fresh(request, site, line, render)


@dataclass(frozen=True, slots=True)
class Said:
    """The answer to an intent, for a page without JavaScript."""

    kind: str
    title: str
    rest: str


async def reply_of(request: Asked, site: Site, line: Line) -> Said | None:
    """The answer to the intent that the address names, from its row."""
    wanted = number(request.query_params.get("intent"), "intent")
    if wanted is None:
        return None
    return said(await wished(site.store, line, wanted))


def said(reply: Reply) -> Said:
    """In words."""
    body = reply.body
    name = str(body["kind"]).capitalize()
    match body["state"]:
        case "accepted":
            plain = {key: value for key, value in body["answer"].items() if isinstance(value, str | int)}
            return Said("accepted", f"{name}: accepted.", ", ".join(f"{k} {v}" for k, v in plain.items()))
        case "waiting":
            return Said("waiting", f"{name}: no answer yet.", "A controller will obey or refuse it.")
        case _:
            error = body["error"]
            rest = ". ".join(part for part in (error["rule"], error["way_out"]) if part)
            return Said("refused", f"{name}: refused.", rest)


async def fresh(
    request: Asked, site: Site, line: Line, render: Callable[[], Awaitable[str]]
) -> Response[Any]:
    """Renders once for all who ask for the same while nothing new happened, at most `FRESH` old."""
    event = await site.store.events.last_number(line)
    key = (request.url.path, request.url.query, caller(request).by, caller(request).writes, event)
    loop = asyncio.get_running_loop()
    held = site.rendered.get(key)
    if held is None or loop.time() - held[0] > FRESH:
        for old in [each for each, (at, _) in site.rendered.items() if loop.time() - at > FRESH]:
            del site.rendered[old]
        held = (loop.time(), asyncio.ensure_future(render()))
        site.rendered[key] = held
    return html(await asyncio.shield(held[1]))


def _root(line: Line) -> str:
    return f"/{quote(line.application, safe='')}/{quote(line.environment, safe='')}"


def _common(request: Asked, site: Site) -> dict[str, Any]:
    who = caller(request)
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    now = site.clock.now()
    return {"now": now, "by": who.by, "writes": who.writes, "here": here, "stream": ""}


def of_line(request: Asked, site: Site, line: Line, event: int, *, live: bool = True) -> dict[str, Any]:
    """What every page of a line needs."""
    api = f"/api/v1/lines{_root(line)}"
    stream = f"{api}/stream" if live else ""
    own = {"line": str(line), "root": _root(line), "api": api, "stream": stream, "event": event}
    return _common(request, site) | own


def html(text: str, status: int = HTTPStatus.OK) -> Response[Any]:
    """A page."""
    return Response(text, media_type="text/html; charset=utf-8", status_code=status)


ROUTES = (
    get_front,
    get_console,
    get_push_page,
    get_change_page,
    get_operations_page,
    get_hosts_page,
    get_limits_page,
    get_trends_page,
    get_errors_page,
    get_slow_page,
)
