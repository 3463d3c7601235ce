"""A gauge's source on its bad days: the push is held with the source named, never passed, never taken back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from leuko.domain.push import State

pytestmark = pytest.mark.timeout(420)

ANSWERS = {
    "garbage": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<html>...",
    "not a number": b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"queue": NaN}',
    "nothing": b"",
    "an error": b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
    "well": b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"queue": 3}',
}


class Source:
    """An HTTP endpoint that answers as it is told; "hangs" takes the question and says nothing."""

    def __init__(self) -> None:
        self.answer = "well"
        self.port = 0
        self.asked = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            if self.answer == "hangs":
                await reader.read()
            else:
                writer.write(ANSWERS[self.answer].replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


@pytest.fixture
async def source() -> AsyncIterator[Source]:
    source = Source()
    server = await asyncio.start_server(source.serve, "127.0.0.1", 0)
    source.port = server.sockets[0].getsockname()[1]
    yield source
    server.close()


@pytest.mark.parametrize(
    "how",
    [
        "garbage",
        "hangs",
        *(pytest.param(how, marks=pytest.mark.slow) for how in ("not a number", "nothing", "an error")),
    ],
)
async def test_a_source_that_fails_holds_the_push_and_is_named(site, source, how):
    url = f"http://127.0.0.1:{source.port}/{{name}}"
    http = {"url": url, "json_path": "queue", "timeout": "500ms"}
    site.own = {"gauges": {"queue": {"kind": "level", "http": http}}}
    async with site.play() as line:
        assert source.asked > 0
        source.answer = how
        site.commit("two")
        held = await line.push(2, State.HELD)
        assert held.held_from is State.WATCHING
        assert "queue" in held.held_why, held.held_why
        assert held.phase == 0
        asked = source.asked
        await line.until(lambda: asked_again(source, asked), "the source is asked on")
        assert (await line.store.pushes.get(line.line, 2)).state is State.HELD
        assert await line.locks() == []


async def asked_again(source: Source, before: int) -> bool:
    return source.asked > before + 6
