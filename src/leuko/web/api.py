"""The API: `docs/reference/api.md` describes it. Every answer comes from a view."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from litestar import Response, get, post
from litestar.response import Stream

from leuko.domain.errors import LeukoError
from leuko.domain.release import Release
from leuko.store.events import Event
from leuko.web.failures import NotThere
from leuko.web.site import Asked, Site, answer, limit, may_read, may_write, number
from leuko.web.views.builds import build_view
from leuko.web.views.changes import change, changes
from leuko.web.views.culprits import culprit, culprits
from leuko.web.views.drills import drills
from leuko.web.views.errors import DAY, errors
from leuko.web.views.hosts import hosts
from leuko.web.views.limits import limit_changes, limits
from leuko.web.views.locks import locks
from leuko.web.views.observations import observation, observations
from leuko.web.views.operations import operations
from leuko.web.views.push import push
from leuko.web.views.pushes import pushes
from leuko.web.views.status import status
from leuko.web.views.trends import trends
from leuko.web.views.why import why
from leuko.web.wishes import Wish, wish, wished

BASE = "/api/v1/lines"
L = BASE + "/{application:str}/{environment:str}"
LONGEST_WAIT = 120.0
T = TypeVar("T")


@get(BASE)
async def get_lines(request: Asked, site: Site) -> Response[bytes]:
    may_read(request)
    now = site.clock.now()
    return answer([await status(site.store, line, now) for line in await site.store.lines.all()])


@get(L + "/status")
async def get_status(request: Asked, site: Site, application: str, environment: str) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    return answer(await status(site.store, line, site.clock.now(), site.outputs))


@get(L + "/pushes")
async def get_pushes(request: Asked, site: Site, application: str, environment: str) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    rows, before = _page(request, 20)
    return answer(await pushes(site.store, line, site.clock.now(), limit=rows, before=before))


@get(L + "/pushes/{which:str}")
async def get_push(
    request: Asked, site: Site, application: str, environment: str, which: str
) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    wanted = number(which, "a push's number") or 0
    return answer(
        _there(await push(site.store, line, site.clock.now(), wanted, site.outputs), f"push {wanted}")
    )


@get(L + "/changes")
async def get_changes(request: Asked, site: Site, application: str, environment: str) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    rows, before = _page(request, 20)
    return answer(await changes(site.store, line, site.clock.now(), limit=rows, before=before))


@get(L + "/changes/{revision:str}")
async def get_change(
    request: Asked, site: Site, application: str, environment: str, revision: str
) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    found = await change(site.store, line, site.clock.now(), revision, site.outputs)
    return answer(_there(found, f"change {revision[:64]}"))


@get(L + "/builds/{which:str}")
async def get_build(
    request: Asked, site: Site, application: str, environment: str, which: str
) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    wanted = number(which, "a build's number") or 0
    found = await build_view(site.store, line, wanted, site.clock.now(), site.outputs)
    return answer(_there(found, f"build {wanted}"))


@get(L + "/builds/{which:str}/steps/{step:str}/output")
async def get_output(
    request: Asked, site: Site, application: str, environment: str, which: str, step: str
) -> Response[str]:
    may_read(request)
    line = await site.line(application, environment)
    wanted = number(which, "a build's number") or 0
    position = number(step, "a step's number") or 0
    steps = await site.store.builds.steps(line, wanted)
    text = None
    if site.outputs is not None and position < len(steps):
        text = await site.outputs.whole(steps[position].output)
    return Response(_there(text, f"output of step {position} of build {wanted}"), media_type="text/plain")


@get(L + "/releases")
async def get_releases(request: Asked, site: Site, application: str, environment: str) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    found = await site.store.releases.recent(line, limit=_page(request, 20)[0])
    return answer([_release(release) for release in found])


@get(L + "/hosts")
async def get_hosts(request: Asked, site: Site, application: str, environment: str) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    return answer(await hosts(site.store, line, site.clock.now()))


@get(L + "/locks")
async def get_locks(request: Asked, site: Site, application: str, environment: str) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    return answer(await locks(site.store, line, site.clock.now(), limit=_page(request, 50)[0]))


@get(L + "/errors")
async def get_errors(request: Asked, site: Site, application: str, environment: str) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    host, seconds = request.query_params.get("host", ""), _seconds(request.query_params.get("since"))
    return answer(await errors(site.store, line, site.clock.now(), host=host, seconds=seconds))


@get(L + "/trends")
async def get_trends(request: Asked, site: Site, application: str, environment: str) -> Response[bytes]:
    may_read(request)
    return answer(await trends(site.store, await site.line(application, environment)))


@get(L + "/culprits")
async def get_culprits(request: Asked, site: Site, application: str, environment: str) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    return answer(await culprits(site.store, line, limit=_page(request, 20)[0]))


@get(L + "/culprits/{number:int}")
async def get_culprit(
    request: Asked, site: Site, application: str, environment: str, number: int
) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    return answer(_there(await culprit(site.store, line, number), f"search {number}"))


@get(L + "/drills")
async def get_drills(request: Asked, site: Site, application: str, environment: str) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    return answer(await drills(site.store, line, limit=_page(request, 50)[0]))


@get(L + "/limits")
async def get_limits(request: Asked, site: Site, application: str, environment: str) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    return answer(await limits(site.store, line))


@get(L + "/limits/changes")
async def get_limit_changes(
    request: Asked, site: Site, application: str, environment: str
) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    rows, before = _page(request, 20)
    gauge = request.query_params.get("gauge", "")
    return answer(await limit_changes(site.store, line, gauge=gauge, limit=rows, before=before))


@get(L + "/observations")
async def get_observations(request: Asked, site: Site, application: str, environment: str) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    rows, before = _page(request, 20)
    return answer(await observations(site.store, line, limit=rows, before=before))


@get(L + "/observations/{which:str}")
async def get_observation(
    request: Asked, site: Site, application: str, environment: str, which: str
) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    wanted = number(which, "an observation's number") or 0
    return answer(_there(await observation(site.store, line, wanted), f"observation {wanted}"))


@get(L + "/operations")
async def get_operations(request: Asked, site: Site, application: str, environment: str) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    rows, before = _page(request, 20)
    return answer(await operations(site.store, line, site.clock.now(), limit=rows, before=before))


@get(L + "/events")
async def get_events(request: Asked, site: Site, application: str, environment: str) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    after = number(request.query_params.get("after"), "after") or 0
    rows = _page(request, 100)[0]
    return answer([_event(event) for event in await site.store.events.after(line, after, limit=rows)])


@get(L + "/stream")
async def get_stream(request: Asked, site: Site, application: str, environment: str) -> Stream:
    may_read(request)
    line = await site.line(application, environment)
    told = request.headers.get("last-event-id") or request.query_params.get("after")
    after = number(told, "after")
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(site.feeds.messages(line, after), media_type="text/event-stream", headers=headers)


@get(L + "/why")
async def get_why(request: Asked, site: Site, application: str, environment: str) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    about = request.query_params.get("about", "now")
    return answer(await why(site.store, line, site.clock.now(), about, site.outputs))


@post(L + "/intents")
async def post_intent(request: Asked, site: Site, application: str, environment: str) -> Response[bytes]:
    by = may_write(request).by
    line = await site.line(application, environment)
    try:
        wanted = msgspec.json.decode(await request.body(), type=Wish)
    except msgspec.DecodeError as error:
        raise LeukoError(
            str(error), where="body", way_out="docs/reference/api.md lists every intent", code="W020"
        ) from error
    seconds = number(request.query_params.get("wait"), "wait", largest=int(LONGEST_WAIT))
    wait = 10.0 if seconds is None else float(seconds)
    said = await wish(site.store, line, wanted, by, site.clock.now(), wait, site.feeds.closing)
    return answer(said.body, said.status)


@get(L + "/intents/{which:str}")
async def get_intent(
    request: Asked, site: Site, application: str, environment: str, which: str
) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    said = await wished(site.store, line, number(which, "an intent's number") or 0)
    return answer(said.body)


@get("/health")
async def get_health(site: Site) -> Response[bytes]:
    """200 while the store answers; an error of the store is a 503."""
    lines = await site.store.lines.all()
    return answer({"ok": True, "installation": site.store.installation, "lines": len(lines)}, HTTPStatus.OK)


def _page(request: Asked, default: int) -> tuple[int, int | None]:
    query = request.query_params
    return limit(query.get("limit"), default), number(query.get("before"), "before")


def _there(value: T | None, what: str) -> T:
    if value is None:
        raise NotThere(what, "this line has no such thing, or it has expired", "`leuko log`")
    return value


def _event(event: Event) -> dict[str, Any]:
    return {
        "number": event.number,
        "at": event.at,
        "kind": event.kind,
        "subject": event.subject,
        "data": event.data,
    }


def _release(release: Release) -> dict[str, Any]:
    return {
        "name": release.name,
        "revision": release.revision,
        "built_at": release.built_at,
        "components": release.components,
        "good": release.good,
        "convicted": release.convicted,
    }


def _seconds(text: str | None) -> float:
    """How far back; a day where it is not said."""
    if not text:
        return DAY
    try:
        seconds = float(text)
    except ValueError:
        seconds = float("nan")
    if not 0 < seconds <= 365 * DAY:
        raise LeukoError(
            f"should be a number of seconds, not {text[:40]!r}", where="since", way_out="600", code="W002"
        )
    return seconds


ROUTES = (
    get_lines,
    get_status,
    get_pushes,
    get_push,
    get_changes,
    get_change,
    get_build,
    get_output,
    get_releases,
    get_hosts,
    get_locks,
    get_limits,
    get_culprits,
    get_culprit,
    get_drills,
    get_errors,
    get_trends,
    get_limit_changes,
    get_observations,
    get_observation,
    get_operations,
    get_events,
    get_stream,
    get_why,
    post_intent,
    get_intent,
    get_health,
)
