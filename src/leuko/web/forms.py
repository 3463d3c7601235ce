"""What forms send: the token, and intents of pages with and without JavaScript."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.response import Redirect

from leuko.domain.errors import LeukoError
from leuko.domain.intent import IntentKind
from leuko.web.assets import asset_answer
from leuko.web.callers import COOKIE, SESSION
from leuko.web.failures import NotAllowed
from leuko.web.limit_forms import limit_wish
from leuko.web.site import Asked, Site, answer, may_write
from leuko.web.wishes import Wish, wish


@post("/session")
async def post_session(request: Asked, site: Site) -> Response[Any]:
    """The token for a cookie."""
    form = await _form(request)
    origin = request.headers.get("origin", "")
    if origin and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
        raise NotAllowed(
            "the form does not come from this console's own pages",
            way_out="open the console and enter the token there",
            code="W014",
            status=HTTPStatus.FORBIDDEN,
        )
    site.sessions.check(form.get("token", ""), request.client.host if request.client else "")
    cookie = Cookie(
        COOKIE,
        value=site.sessions.begin(form.get("name", "")),
        max_age=int(SESSION.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return Redirect(_inside(form.get("next", "")), status_code=303, cookies=[cookie])


@post("/session/end")
async def post_session_end(request: Asked) -> Response[Any]:
    """Forgets the cookie."""
    gone = Cookie(COOKIE, value="", max_age=0, httponly=True, samesite="strict")
    back = urlsplit(request.headers.get("referer", "")).path
    return Redirect(_inside(back), status_code=303, cookies=[gone])


@post("/{application:str}/{environment:str}/intents")
async def post_wish(request: Asked, site: Site, application: str, environment: str) -> Response[Any]:
    """A button: answers with JSON to the script, and with the page again to a browser without it."""
    by = may_write(request).by
    line = await site.line(application, environment)
    form = await _form(request)
    wanted = wanted_of(form)
    reply = await wish(site.store, line, wanted, by, site.clock.now(), 10.0, site.feeds.closing)
    if "application/json" in request.headers.get("accept", ""):
        return answer(reply.body, reply.status)
    root = f"/{quote(application, safe='')}/{quote(environment, safe='')}"
    page = "/limits" if wanted.kind in (IntentKind.LIMIT, IntentKind.TRY) else ""
    page = "/flaky" if wanted.kind is IntentKind.QUARANTINE else page
    if wanted.kind is IntentKind.READ:
        page = f"/{wanted.arguments['what']}"
    return Redirect(f"{root}{page}?intent={reply.body['id']}#answer", status_code=303)


@get("/static/{path:path}")
async def get_static(request: Asked, site: Site, path: str) -> Response[Any]:
    """Files that pages load: named with their version, so kept for good."""
    return asset_answer(site.pages, path, request.headers.get("if-none-match", ""))


def wanted_of(form: dict[str, str]) -> Wish:
    """The intent that a button stands for."""
    word, _, rest = form.get("do", "").partition(" ")
    why = form.get("why", "")
    seen = {"push": _whole(form.get("push")), "seen_state": form.get("seen_state", ""), "why": why}
    about = Wish(IntentKind.POKE, **seen, seen_version=_whole(form.get("seen_version")))  # type: ignore[arg-type] # of the form's fields
    match word:
        case "hold" | "resume" | "promote" | "abort":
            return _as(about, IntentKind(word))
        case "rollback":
            return _as(about, IntentKind.ROLLBACK)
        case "lock-push" | "lock-commit":
            kind = word.removeprefix("lock-")
            return Wish(IntentKind.LOCK, arguments={"kind": kind, "severity": "hard"}, why=why)
        case "unlock":
            return Wish(IntentKind.UNLOCK, arguments={"lock": rest}, why=why)
        case "mark":
            arguments = {"push": about.push or 0, "correct": rest == "true"}
            return Wish(IntentKind.MARK, arguments=arguments, why=why)
        case "quarantine" | "quarantine-end" | "set-limit" | "clear-limit" | "try-limit" | "read":
            return _of_page(word, rest, form)
        case _:
            raise LeukoError("no such button", where="do", way_out="load the page again", code="W020")


def _of_page(word: str, rest: str, form: dict[str, str]) -> Wish:
    """Buttons of pages that have fields of their own."""
    if word == "read":
        return _read(rest, form)
    if word.startswith("quarantine"):
        return _quarantine(form, end=word == "quarantine-end")
    return limit_wish(word, form)


def _read(what: str, form: dict[str, str]) -> Wish:
    """The hosts' logs, now."""
    host, since = form.get("host", "").strip(), float(_whole(form.get("since")) or 600)
    return Wish(IntentKind.READ, arguments={"what": what, "host": host, "since": since})


def _quarantine(form: dict[str, str], *, end: bool) -> Wish:
    """A test is put into quarantine, or taken out."""
    arguments: dict[str, Any] = {"test": form.get("test", "").strip()}
    if end:
        return Wish(IntentKind.QUARANTINE, arguments=arguments | {"end": True}, why=form.get("why", ""))
    arguments |= {"owner": form.get("owner", "").strip()}
    try:
        arguments["days"] = float(form.get("days", "").replace(",", ".") or 14)
    except ValueError:
        raise LeukoError(
            f"should be a number of days, not {form['days'][:40]!r}",
            where="days",
            way_out="load the page again and correct it",
            code="W020",
        ) from None
    return Wish(IntentKind.QUARANTINE, arguments=arguments, why=form.get("why", ""))


def _as(about: Wish, kind: IntentKind) -> Wish:
    return Wish(kind, about.push, about.seen_state, about.seen_version, {}, about.why)


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None


async def _form(request: Asked) -> dict[str, str]:
    """Fields of a form, the first of each name; anything else that came is no form and has none."""
    text = (await request.body()).decode("utf-8", "replace")
    return {name: values[0] for name, values in parse_qs(text, max_num_fields=50).items()}


def _inside(path: str) -> str:
    """A path of this server, never another server's address."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if plain else "/"


ROUTES = (post_session, post_session_end, post_wish, get_static)
