"""Results of another CI: our own path, GitHub's, and what Buildbot's HttpStatusPush posts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from litestar import Response, get, post

from leuko.domain.errors import LeukoError
from leuko.domain.line import Line
from leuko.domain.outside import Status, StatusState
from leuko.web.api import L
from leuko.web.failures import NotThere
from leuko.web.site import Asked, Site, answer, may_read, may_write

T = TypeVar("T")
_REVISION = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
LONGEST = {"context": 200, "url": 2000, "description": 1000}
USUAL = "default"
"""GitHub's name for a status without a context."""
RESULTS = {0: "success", 1: "success", 2: "failure", 3: "success", 4: "error", 5: "error", 6: "error"}
"""Buildbot's: success, warnings, failure, skipped, exception, retry, cancelled. None: it still runs."""


class Posted(msgspec.Struct, frozen=True):
    """The body of our own path, and of GitHub's (`target_url`). More fields are let pass."""

    state: StatusState
    context: str = USUAL
    url: str = ""
    target_url: str | None = None
    description: str | None = None


class Stamp(msgspec.Struct, frozen=True):
    """A source stamp of Buildbot."""

    revision: str | None = None


class Set(msgspec.Struct, frozen=True):
    """A buildset of Buildbot."""

    sourcestamps: list[Stamp] = []


class Builder(msgspec.Struct, frozen=True):
    """A builder of Buildbot."""

    name: str = ""


class Built(msgspec.Struct, frozen=True):
    """What Buildbot's HttpStatusPush posts, as far as it is read here: a build of its data API."""

    complete: bool = False
    results: int | None = None
    state_string: str = ""
    url: str = ""
    builder: Builder = Builder()
    buildset: Set = Set()
    properties: dict[str, Any] = {}


@post(L + "/statuses/{revision:str}")
async def post_status(
    request: Asked, site: Site, application: str, environment: str, revision: str
) -> Response[bytes]:
    by = may_write(request).by
    line = await site.line(application, environment)
    posted = await _body(request, Posted)
    return await _kept(site, [line], _status(site, revision, posted, by))


@get(L + "/statuses/{revision:str}")
async def get_statuses(
    request: Asked, site: Site, application: str, environment: str, revision: str
) -> Response[bytes]:
    may_read(request)
    line = await site.line(application, environment)
    return answer([_told(status) for status in await site.store.statuses.of(line, revision)])


@post("/api/v3/repos/{owner:str}/{repo:str}/statuses/{revision:str}")
async def post_github_status(
    request: Asked, site: Site, owner: str, repo: str, revision: str
) -> Response[bytes]:
    """For every line of an application called `repo`, or of the line owner/repo where there is one."""
    by = may_write(request).by
    posted = await _body(request, Posted)
    known = await site.store.lines.all()
    exact = [line for line in known if (line.application, line.environment) == (owner, repo)]
    lines = exact or [line for line in known if line.application == repo]
    if not lines:
        names = ", ".join(str(line) for line in known[:10]) or "none yet"
        rule = f'no application is called "{repo[:80]}"'
        raise NotThere(f"{owner}/{repo}"[:200], rule, f"lines here: {names}")
    return await _kept(site, lines, _status(site, revision, posted, by))


@post(L + "/buildbot")
async def post_buildbot(request: Asked, site: Site, application: str, environment: str) -> Response[bytes]:
    """The context is the builder's name; the revision is the source stamp's, else `got_revision`."""
    by = may_write(request).by
    line = await site.line(application, environment)
    built = await _body(request, Built)
    posted = Posted(_result(built), built.builder.name, built.url, description=built.state_string)
    revisions = [stamp.revision for stamp in built.buildset.sourcestamps if stamp.revision]
    revision = _property(built.properties, "got_revision") or next(iter(revisions), "")
    if not revision:
        raise _wrong("buildset.sourcestamps", "names no revision: Leuko would not know what was tested")
    return await _kept(site, [line], _status(site, revision, posted, by))


def _result(built: Built) -> StatusState:
    if not built.complete or built.results is None:
        return StatusState.PENDING
    return StatusState(RESULTS.get(built.results, "error"))


def _property(properties: Mapping[str, Any], name: str) -> str:
    """Buildbot has (value, source) for each."""
    found = properties.get(name)
    value = found[0] if isinstance(found, list) and found else found
    return value if isinstance(value, str) else ""


def _status(site: Site, revision: str, posted: Posted, by: str) -> Status:
    said = {
        "context": posted.context.strip() or USUAL,
        "url": (posted.target_url or posted.url or "").strip(),
        "description": (posted.description or "").strip(),
    }
    if not _REVISION.fullmatch(revision):
        raise _wrong("revision", "should be a whole revision: 40 or 64 lower-case hex digits")
    if said["url"] and not said["url"].startswith(("http://", "https://")):
        raise _wrong("url", "should begin with http:// or https://")
    if not said["context"].isprintable() or len(said["context"]) > LONGEST["context"]:
        raise _wrong("context", f"should be at most {LONGEST['context']} printable characters")
    if len(said["url"]) > LONGEST["url"]:
        raise _wrong("url", f"should be at most {LONGEST['url']} characters")
    description = " ".join(said["description"].split())[: LONGEST["description"]]
    now = site.clock.now()
    return Status(revision, said["context"], posted.state, now, said["url"], description, by)


async def _kept(site: Site, lines: list[Line], status: Status) -> Response[bytes]:
    for line in lines:
        async with site.store.write(line) as tx:
            await site.store.statuses.set(tx, status)
            tx.event("status", status.revision, _told(status), status.at)
    return answer(_told(status) | {"lines": [str(line) for line in lines]}, HTTPStatus.CREATED)


def _told(status: Status) -> dict[str, Any]:
    return {
        "revision": status.revision,
        "context": status.context,
        "state": status.state.value,
        "url": status.url,
        "description": status.description,
        "by": status.by,
        "at": status.at.isoformat(),
    }


async def _body(request: Asked, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except msgspec.DecodeError as error:
        raise _wrong("body", str(error)) from error


def _wrong(where: str, rule: str) -> LeukoError:
    return LeukoError(rule, where=where, way_out="docs/how-to/outside-ci.md", code="W022")


ROUTES = (post_status, get_statuses, post_github_status, post_buildbot)
