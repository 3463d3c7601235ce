"""The door of every request: is the Host ours, who asks, and which headers go out with the answer."""

from __future__ import annotations

import base64
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

import msgspec
from litestar.datastructures import Headers, MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from leuko.web.callers import (
    COOKIE,
    Caller,
    Sessions,
    clean_name,
    host_known,
    login_name,
    loopback,
    trusted_peer,
)
from leuko.web.failures import NotAllowed, error_body

CSP = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "img-src 'self' data:"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Door:
    """An ASGI middleware: puts a Caller into the request's state, or answers itself."""

    def __init__(self, app: ASGIApp, sessions: Sessions, names: frozenset[str]) -> None:
        self._app = app
        self._sessions = sessions
        self._names = names

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

        headers = Headers.from_scope(scope)
        try:
            caller = self._caller(headers, (scope.get("client") or ("", 0))[0], str(scope.get("method", "")))
        except NotAllowed as error:
            await _refuse(error, sealed)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, sealed)

    def _caller(self, headers: Headers, address: str, method: str) -> Caller:
        uid = trusted_peer(address)
        if uid is not None:
            by = clean_name(headers.get("x-leuko-by", "")) or login_name(uid)
            return Caller(by, reads=True, writes=True, via="socket")
        if not host_known(headers.get("host", ""), self._names):
            raise NotAllowed(
                f"this server does not know itself as {headers.get('host', '')[:80]!r}",
                way_out="use its address, or name it with `leuko serve --name`",
                code="W013",
                status=HTTPStatus.MISDIRECTED_REQUEST,
            )
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        given = _credential(scheme, bearer)
        if given is not None:
            self._sessions.check(given, address)
            return Caller("token", reads=True, writes=True, via="token")
        person = self._sessions.person(_cookie(headers.get("cookie", "")))
        if person is None:
            return Caller("", reads=loopback(address), writes=False, via="")
        if method not in READING:
            _same_origin(headers)
        return Caller(f"{person} (console)", reads=True, writes=True, via="session")


def _credential(scheme: str, text: str) -> str | None:
    """The token as tools send it: `Bearer`, GitHub's `token`, or the password of `Basic`, any user."""
    if scheme.lower() in ("bearer", "token"):
        return text
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(text, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _same_origin(headers: Headers) -> None:
    """A request with the cookie that changes something must come from our own pages."""
    origin = headers.get("origin", "")
    own = bool(origin) and urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    if not own:
        raise NotAllowed(
            "the request does not come from this console's own pages",
            way_out="open the console and press the button there",
            code="W014",
            status=HTTPStatus.FORBIDDEN,
        )


def _cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


async def _refuse(error: NotAllowed, send: Send) -> None:
    body = msgspec.json.encode(error_body(error))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": int(error.status), "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
