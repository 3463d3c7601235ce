"""A Buildbot master, asked over its REST API: logged in, with every way of failing told apart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from leuko.verify.buildbot.errors import FarmError, forbidden, no_builder, not_let_in, unexpected, unreachable

ANSWER_SECONDS = 30.0
MOST = 32_000_000
"""Bytes of an answer."""
_LOST = (httpx2.TransportError, OSError)
_FAILURES = (*_LOST, httpx2.HTTPError, httpx2.StreamError)


class Master:
    """One master. `password` is the value itself; without a `user` nobody logs in."""

    def __init__(self, url: str, user: str = "", password: str = "") -> None:
        self.url = url.rstrip("/")
        self._user = user
        self._password = password
        self._client: httpx2.AsyncClient | None = None
        self._logging_in = asyncio.Lock()
        self._logged_in = False
        self._builders: dict[str, int] = {}

    async def get(self, path: str, *pairs: tuple[str, str]) -> dict[str, Any] | None:
        """What stands at `api/v2/PATH`; None where nothing is. Raises FarmError, FarmUnreachableError."""
        answer = await self._asked("GET", f"api/v2/{path}", params=list(pairs))
        if answer.status_code == 404:
            return None
        return self._read(answer, path)

    async def control(self, path: str, method: str, **params: Any) -> Any:
        """Does something to what stands there; what came of it. Raises as `get` does."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = await self._asked("POST", f"api/v2/{path}", json=body)
        read = self._read(answer, f"{method} of {path}")
        if "result" not in read:
            raise unexpected(self.url, f"{method} of {path}", str(read.get("error", read)))
        return read["result"]

    async def builder(self, name: str) -> int:
        """The number of a builder, which a name keeps as long as the master's database lives."""
        if name not in self._builders:
            found = await self.get("builders")
            rows = [] if found is None else found["builders"]
            self._builders = {row["name"]: row["builderid"] for row in rows if row["masterids"]}
        if name not in self._builders:
            raise no_builder(self.url, name, sorted(n for n in self._builders if not n.startswith("__")))
        return self._builders[name]

    def forget(self) -> None:
        """After a restart: its sessions are gone, its builders may be others."""
        self._builders = {}
        self._logged_in = False

    async def versions(self) -> dict[str, str]:
        """Program -> version, of what the master runs on."""
        answer = await self._asked("GET", "config")
        return {str(name): str(version) for name, version in self._read(answer, "config").get("versions", [])}

    @asynccontextmanager
    async def listening(self, path: str, silence: float) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """Messages whose key matches `path` (`builds/*/finished`), from now on, without any from before.

        Raises FarmError where the master does not answer, and in the middle when nothing came for `silence`
        seconds: a connection may die without a word.
        """
        await self._log_in()
        timeout = httpx2.Timeout(ANSWER_SECONDS, read=silence)
        try:
            async with self._http().stream("GET", f"{self.url}/sse/listen/{path}", timeout=timeout) as stream:
                if stream.status_code != 200:
                    raise unexpected(self.url, f"sse/listen/{path}", f"status {stream.status_code}")
                yield _messages(stream)
        except _FAILURES as error:
            raise unreachable(self.url, _reason(error)) from error

    async def close(self) -> None:
        """Lets go of every connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _asked(self, method: str, path: str, **more: Any) -> httpx2.Response:
        await self._log_in()
        answer = await self._once(method, path, **more)
        if (
            answer.status_code == 403 and self._user
        ):  # the session came to its end, or the master was restarted
            self._logged_in = False
            await self._log_in()
            answer = await self._once(method, path, **more)
        if answer.status_code == 403:
            raise forbidden(self.url, f"{method} {path}", _said(answer))
        return answer

    async def _once(self, method: str, path: str, **more: Any) -> httpx2.Response:
        try:
            return await self._http().request(method, f"{self.url}/{path}", **more)
        except _FAILURES as error:
            raise unreachable(self.url, _reason(error)) from error

    async def _log_in(self) -> None:
        if self._is_in():
            return
        async with self._logging_in:
            if self._is_in():  # by another request, meanwhile
                return
            answer = await self._once("GET", "auth/login", auth=httpx2.BasicAuth(self._user, self._password))
            if answer.status_code in (401, 403):
                raise not_let_in(self.url, self._user)
            if answer.status_code >= 400:
                raise unexpected(self.url, "auth/login", f"status {answer.status_code}")
            self._logged_in = True

    def _is_in(self) -> bool:
        return not self._user or self._logged_in

    def _read(self, answer: httpx2.Response, what: str) -> dict[str, Any]:
        if answer.status_code >= 500:  # it says 500 or 503 on its way up and down
            raise unreachable(self.url, f"status {answer.status_code} for {what}: {_said(answer)}")
        if answer.status_code >= 400 or len(answer.content) > MOST:
            raise unexpected(self.url, what, f"status {answer.status_code}: {_said(answer)}")
        try:
            read = answer.json()
        except ValueError:
            raise unexpected(self.url, what, answer.text) from None
        if not isinstance(read, dict):
            raise unexpected(self.url, what, answer.text)
        return read

    def _http(self) -> httpx2.AsyncClient:
        """Made when it is first needed, on the loop that uses it."""
        if self._client is None:
            self._client = httpx2.AsyncClient(
                headers={"Accept": "application/json"},  # else it answers with plain text
                follow_redirects=False,
                trust_env=False,
                limits=httpx2.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=20),
                timeout=ANSWER_SECONDS,
            )
        return self._client


async def _messages(stream: httpx2.Response) -> AsyncIterator[dict[str, Any]]:
    """Each message; the first, empty one says that listening has begun."""
    async for event in httpx2.EventSource(stream):
        if event.event == "handshake":
            yield {}
            continue
        try:
            message = json.loads(event.data)
        except ValueError:
            continue
        if isinstance(message, Mapping):
            yield dict(message)


def _said(answer: httpx2.Response) -> str:
    try:
        told = answer.json()
    except ValueError:
        return answer.text[:200]
    error = told.get("error", told) if isinstance(told, dict) else told
    return str(error.get("message", error) if isinstance(error, dict) else error)[:200]


def _reason(error: Exception) -> str:
    return f"{error}" or type(error).__name__


__all__ = ["FarmError", "Master"]
