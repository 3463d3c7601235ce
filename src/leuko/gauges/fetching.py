"""HTTP as sources use it: pooled, bounded in size, without redirects or proxies from the environment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import httpx2

from leuko.gauges.answers import UnreadableError

BODY = 8_000_000
"""Most bytes of an answer."""
AT_ONCE = 256
"""Requests under way at the same time."""

FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError, ValueError)


class Fetcher:
    """One client for all questions of a source."""

    def __init__(self, most: int = BODY) -> None:
        self._most = most
        self._client: httpx2.AsyncClient | None = None
        self._room = asyncio.Semaphore(AT_ONCE)

    def client(self) -> httpx2.AsyncClient:
        """Made when it is first needed, on the loop that uses it."""
        if self._client is None:
            limits = httpx2.Limits(
                max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE, keepalive_expiry=60
            )
            self._client = httpx2.AsyncClient(
                follow_redirects=False, trust_env=False, limits=limits, timeout=None
            )
        return self._client

    async def close(self) -> None:
        """Lets go of every connection."""
        if self._client is not None:
            await self._client.aclose()

    async def fetch(
        self,
        url: str,
        *,
        timeout: float,
        form: Sequence[tuple[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body of a GET, or of a POST where there is a form. Raises UnreadableError."""
        try:
            async with self._room, asyncio.timeout(timeout):
                return await self._fetch(url, form, headers or {})
        except TimeoutError:
            raise UnreadableError(f"no answer within {timeout:g} s") from None
        except FAILURES as error:
            raise UnreadableError(f"{type(error).__name__}: {error}"[:300]) from error

    async def _fetch(
        self, url: str, form: Sequence[tuple[str, str]] | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        content = None if form is None else str(httpx2.QueryParams(list(form))).encode()
        kind = {} if form is None else {"Content-Type": "application/x-www-form-urlencoded"}
        method = "GET" if form is None else "POST"
        stream = self.client().stream(method, url, content=content, headers={**kind, **headers})
        async with stream as response:
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > self._most:
                    raise UnreadableError(f"the answer is longer than {self._most // 1_000_000} MB")
            return response.status_code, bytes(body)
