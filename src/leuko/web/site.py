"""What every request needs, made once by `create_app`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from prometheus_client import CollectorRegistry

from leuko.clock import Clock
from leuko.domain.line import Line
from leuko.store.store import Store
from leuko.web.boards import Boards
from leuko.web.callers import Caller, Sessions
from leuko.web.failures import NotAllowed, NotThere
from leuko.web.feed import Feeds
from leuko.web.outputs import Outputs
from leuko.web.render import Pages

Asked = Request[Any, Any, State]


@dataclass(frozen=True, slots=True)
class Site:
    """The store and what stands around it."""

    store: Store
    clock: Clock
    outputs: Outputs | None
    feeds: Feeds
    sessions: Sessions
    registry: CollectorRegistry
    boards: Boards
    pages: Pages = field(default_factory=Pages)
    rendered: dict[tuple[object, ...], tuple[float, asyncio.Future[str]]] = field(default_factory=dict)

    async def line(self, application: str, environment: str) -> Line:
        """The line of a path, or NotThere with those that there are."""
        line = Line(application, environment)
        known = await self.store.lines.all()
        if line not in known:
            names = ", ".join(str(each) for each in known[:10]) or "none yet"
            raise NotThere(str(line)[:200], "this store has no such line", f"lines here: {names}")
        return line


def caller(request: Asked) -> Caller:
    """Who asks, as the door found."""
    found = request.scope["state"]["caller"]
    assert isinstance(found, Caller)
    return found


def may_read(request: Asked) -> None:
    """Anybody on this machine; others with the token or a session."""
    if not caller(request).reads:
        raise _token_needed("reading from another machine needs the token")


def may_write(request: Asked) -> Caller:
    """Peers of the unix socket, bearers of the token, sessions of the console."""
    found = caller(request)
    if not found.writes:
        raise _token_needed("changing anything needs the token")
    return found


def answer(
    value: Any, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response[bytes]:
    """JSON."""
    body = msgspec.json.encode(value, enc_hook=dict)  # read-only views of mappings are what it does not know
    return Response(body, status_code=status, media_type="application/json", headers=dict(headers or {}))


def number(text: str | None, name: str, *, largest: int = 1 << 53) -> int | None:
    """A whole number from a query, or NotThere's cousin for nonsense."""
    if text is None or text == "":
        return None
    if not (text.isascii() and text.isdigit()) or int(text[:17]) > largest:
        raise NotAllowed(
            f"{name} should be a whole number from 0 to {largest:,}",
            way_out="docs/reference/api.md",
            code="W002",
            status=HTTPStatus.BAD_REQUEST,
        )
    return int(text)


def limit(text: str | None, default: int) -> int:
    """How many rows: at most 1,000."""
    return max(1, number(text, "limit", largest=1000) or default)


def _token_needed(rule: str) -> NotAllowed:
    return NotAllowed(
        rule,
        way_out="send `Authorization: Bearer <token>`; it is in the file `token` of the state directory",
        code="W010",
        status=HTTPStatus.UNAUTHORIZED,
    )
