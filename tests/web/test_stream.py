"""The stream of events, and stopping while it is open."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import pytest
from tests.web import builders as b

from leuko.domain.errors import LeukoError, Refused
from leuko.web.app import create_app
from leuko.web.serving import Serving


async def tell(served, count: int) -> None:
    for number in range(count):
        async with served.store.write(b.LINE) as tx:
            tx.event("test", "thing", {"n": number, "text": "a\nb\u2028c"}, served.clock.now())


async def read(served, count: int, after: int | None = 0, headers: dict[str, str] | None = None) -> list[int]:
    numbers: list[int] = []
    query = "" if after is None else f"?after={after}"
    async with served.client.stream("GET", f"{served.api}/stream{query}", headers=headers or {}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                event = json.loads(line[6:])
                assert set(event) == {"number", "at", "kind", "subject", "data"}
                numbers.append(event["number"])
                if len(numbers) == count:
                    break
    return numbers


async def test_replay_then_live_without_gaps(served):
    last = await served.store.events.last_number(b.LINE)
    async with asyncio.timeout(20):
        reading = [asyncio.create_task(read(served, last + 40 - start, start)) for start in (0, 3, last)]
        await tell(served, 40)
        for start, task in zip((0, 3, last), reading, strict=True):
            assert await task == list(range(start + 1, last + 41))


async def test_last_event_id_goes_before_after(served):
    async with asyncio.timeout(10):
        assert await read(served, 2, 0, {"Last-Event-ID": "5"}) == [6, 7]


async def test_a_place_beyond_the_end_starts_at_the_end(served):
    last = await served.store.events.last_number(b.LINE)
    async with asyncio.timeout(10):
        task = asyncio.create_task(read(served, 1, last + 1000))
        while served.serving._app.state["site"].feeds.clients == 0:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        await tell(served, 1)
        assert await task == [last + 1]


async def test_two_hundred_follow_and_a_slow_one_holds_nobody_up(served):
    """The slow one never reads: what is sent to it piles up in the kernel, and in nothing of ours."""
    last = await served.store.events.last_number(b.LINE)
    reader, writer = await asyncio.open_connection("127.0.0.1", served.serving.port, limit=1024)
    writer.write(b"GET /api/v1/lines/shop/production/stream?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await writer.drain()
    import httpx2

    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(timeout=30, limits=limits) as many:
        served.client, own = many, served.client
        async with asyncio.timeout(40):
            reading = [asyncio.create_task(read(served, 30, last)) for _ in range(200)]
            while served.serving._app.state["site"].feeds.clients < 201:
                await asyncio.sleep(0.05)
            started = time.monotonic()
            await tell(served, 30)
            for task in reading:
                assert await task == list(range(last + 1, last + 31))
        print(f"30 events to 200 clients in {time.monotonic() - started:.2f} s")
        served.client = own
    writer.close()
    assert reader is not None


async def test_stops_at_once_with_streams_and_waiting_intents_open(served):
    streams = [asyncio.create_task(read(served, 10**6)) for _ in range(20)]
    intent = asyncio.create_task(
        served.client.post(f"{served.api}/intents?wait=100", json={"kind": "poke"}, headers=served.bearer)
    )
    while served.serving._app.state["site"].feeds.clients < 20 or not await served.store.intents.waiting(
        b.LINE
    ):
        await asyncio.sleep(0.01)
    slow, writer = await asyncio.open_connection("127.0.0.1", served.serving.port, limit=64)
    writer.write(b"GET /api/v1/lines/shop/production/stream?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await writer.drain()
    await served.serving.stop()
    assert (await intent).status_code == 202
    for task in streams:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(task, 5)
    writer.close()
    assert slow is not None


async def test_a_taken_port_says_so(served):
    app = create_app(served.store, served.clock, token=b.TOKEN)
    with pytest.raises(LeukoError, match="another program listens there already") as caught:
        await Serving.start(app, port=served.serving.port)
    assert "port 0" in caught.value.way_out


async def test_a_socket_that_answers_is_left_alone_and_a_dead_one_replaced(served, tmp_path):
    app = create_app(served.store, served.clock, token=b.TOKEN)
    with pytest.raises(Refused):
        await Serving.start(app, port=0, path=served.folder / "leuko.sock")
    import socket

    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "dead.sock"))
    dead.close()
    serving = await Serving.start(app, port=0, path=tmp_path / "dead.sock")
    await serving.stop()
    assert not (tmp_path / "dead.sock").exists()


async def test_a_socket_may_lie_deeper_than_the_kernel_takes(served, tmp_path):
    app = create_app(served.store, served.clock, token=b.TOKEN)
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    serving = await Serving.start(app, port=0, path=folder / "leuko.sock")
    assert (folder / "leuko.sock").is_socket()
    with pytest.raises(Refused):
        await Serving.start(app, port=0, path=folder / "leuko.sock")
    await serving.stop()
