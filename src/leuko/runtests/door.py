"""The door of RunTests: only the developer's own browser comes in.

The server runs commands as the developer, so a page of somebody else must reach nothing of it. Three things
are asked of every request: the address is this machine's by a name that cannot be made to point here
(against DNS rebinding), the cookie that only the printed address gives, and for what changes anything an
Origin of our own.
"""

from __future__ import annotations

import hmac
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie

import msgspec
from litestar.datastructures import Headers, MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from leuko.web.callers import host_known
from leuko.web.door import HEADERS, READING
from leuko.web.failures import NotAllowed, error_body

NAMES = frozenset({"localhost"})


def cookie_name(port: int) -> str:
    """Cookies are not kept apart by port: two sessions on one machine need two names."""
    return f"runtests-{port}"


class Door:
    """An ASGI middleware: lets in, or answers itself."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets in, or refuses."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableScopeHeaders.from_message(message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            self._check(scope, Headers.from_scope(scope))
        except NotAllowed as error:
            await _refuse(error, sealed)
            return
        await self._app(scope, receive, sealed)

    def _check(self, scope: Scope, headers: Headers) -> None:
        host = headers.get("host", "")
        if not host_known(host, NAMES):
            raise NotAllowed(
                f"this server does not know itself as {host[:80]!r}",
                way_out="open the address that `leuko runtests` printed",
                code="T010",
                status=HTTPStatus.MISDIRECTED_REQUEST,
            )
        method = str(scope.get("method", ""))
        if scope.get("path") == "/enter" and method == "GET":
            return  # looks at the token itself
        port = (scope.get("server") or ("", 0))[1] or 0
        given = _cookie(headers.get("cookie", ""), cookie_name(port))
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self._token.encode()):
            raise NotAllowed(
                "this page belongs to whoever started `leuko runtests`",
                way_out="open the whole address that it printed, token included",
                code="T011",
                status=HTTPStatus.FORBIDDEN,
            )
        if method not in READING and headers.get("origin", "").lower() != f"http://{host}".lower():
            raise NotAllowed(
                "the request does not come from this page",
                way_out="open the page and press the button there",
                code="T012",
                status=HTTPStatus.FORBIDDEN,
            )


def _cookie(header: str, name: str) -> str:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


async def _refuse(error: NotAllowed, send: Send) -> None:
    body = msgspec.json.encode(error_body(error))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": int(error.status), "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
