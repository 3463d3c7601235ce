"""The controller's client: HTTP over its unix socket, or over TCP with a token."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from leuko.cli.failures import NoController, from_server
from leuko.cli.scene import person
from leuko.domain.errors import LeukoError

SOCKET = "leuko.sock"
BASE = "/api/v1/lines"
PATIENCE = 15.0
SILENCE = 30.0
"""A stream has a heartbeat each 10 s: one that is silent for three of them is dead."""
WAIT = 10.0
_LONGEST_PATH = 107


class Client:
    """A connection to a controller. Closed with `close`, or as a context manager."""

    def __init__(self, http: httpx2.Client, where: str, folder: int | None = None) -> None:
        self._http = http
        self._folder = folder
        self.where = where

    @classmethod
    def on_socket(cls, state: Path) -> Client:
        """Of the controller with this state directory."""
        path = state / SOCKET
        folder = None
        if len(os.fsencode(path)) > _LONGEST_PATH:
            # the kernel takes 107 bytes: a longer path is reached through its open folder
            folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
            place = f"/proc/self/fd/{folder}/{SOCKET}"
        else:
            place = str(path)
        http = httpx2.Client(
            transport=httpx2.HTTPTransport(uds=place),
            base_url="http://localhost",
            headers={"X-Leuko-By": _header(person())},
            timeout=PATIENCE,
            trust_env=False,
        )
        return cls(http, str(path), folder)

    @classmethod
    def on_url(cls, url: str, token: str) -> Client:
        """Of a controller at an address."""
        if not url.startswith(("http://", "https://")):
            raise LeukoError(
                f"should be an address such as http://127.0.0.1:8420, not {url!r}", where="--url", code="X010"
            )
        headers = {"X-Leuko-By": _header(person())}
        if token:
            if not token.isascii() or not token.isprintable():
                raise LeukoError("holds characters that no token has", where="--token", code="X010")
            headers["Authorization"] = f"Bearer {token}"
        try:
            http = httpx2.Client(base_url=url, headers=headers, timeout=PATIENCE)
        except httpx2.InvalidURL as error:
            raise LeukoError(f"is no address: {error}", where="--url", code="X010") from error
        return cls(http, url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._http.close()
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None

    def get(self, path: str, **query: object) -> Any:
        """The JSON of a path."""
        return self._json(self._ask("GET", path, query))

    def text(self, path: str) -> str:
        """A path that answers plain text."""
        response = self._ask("GET", path, {})
        if response.status_code != 200:
            self._json(response)
        return response.text

    def post(self, path: str, body: Mapping[str, Any], wait: float = WAIT) -> tuple[int, dict[str, Any]]:
        """Status and JSON of what a wish came to; refusals are raised."""
        timeout = wait + PATIENCE
        response = self._ask("POST", path, {"wait": int(wait)}, json=body, timeout=timeout)
        return response.status_code, self._json(response)

    @contextmanager
    def stream(self, path: str, after: int) -> Iterator[Iterator[dict[str, Any] | None]]:
        """Events past a number, then those that come; None for each heartbeat."""
        timeout = httpx2.Timeout(PATIENCE, read=SILENCE)
        try:
            with self._http.stream("GET", path, params={"after": after}, timeout=timeout) as response:
                if response.status_code != 200:
                    response.read()
                    self._json(response)
                yield messages(response.iter_lines())
        except httpx2.TransportError as error:
            raise self._gone(error) from error

    def _ask(self, method: str, path: str, query: Mapping[str, object], **more: Any) -> httpx2.Response:
        params = {name: str(value) for name, value in query.items() if value is not None}
        try:
            return self._http.request(method, path, params=params, **more)
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise self._gone(error) from error

    def _json(self, response: httpx2.Response) -> Any:
        try:
            body = json.loads(response.content)
        except ValueError:
            body = None
        if response.status_code >= 400 or body is None:
            if not isinstance(body, Mapping):
                body = {}
            if not body:
                raise LeukoError(
                    f"answered {response.status_code} with something that is no JSON",
                    where=self.where,
                    way_out="is it a Leuko controller?",
                    code="X011",
                )
            raise from_server(response.status_code, body)
        return body

    def _gone(self, error: Exception) -> NoController:
        slow = isinstance(error, httpx2.TimeoutException)
        return NoController(
            "the controller did not answer in time" if slow else f"no controller answers there ({error})",
            where=self.where,
            way_out="start one with `leuko serve`, or look at its log (serve.log in the state directory)",
            code="X012",
        )


def messages(lines: Iterator[str]) -> Iterator[dict[str, Any] | None]:
    """The events of a text/event-stream, each one line of JSON; None for each comment."""
    for line in lines:
        if line.startswith("data:"):
            yield json.loads(line[5:])
        elif line.startswith(":"):
            yield None


def _header(text: str) -> str:
    """A name as a header can carry it: ? for what is beyond ASCII."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)[:64]
