"""A source that hangs delays no tick and no other source."""

import asyncio
import math

import numpy as np
from tests.gauges.conftest import host_gauge, start_here

from leuko.clock import SystemClock
from leuko.config.model import Gauge
from leuko.gauges.sampling import Sampler
from leuko.gauges.source import Target


async def test_ticks_go_on_beside_a_hanging_endpoint_and_a_hanging_host(tmp_path):
    async def swallow(reader, writer):
        await reader.read()
        writer.close()

    async def start(host, argv):
        if host == "h1":
            await asyncio.Event().wait()
        return await start_here(host, argv)

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    closed, enough = [], asyncio.Event()

    def on_tick(when, roster, values):
        closed.append((when.timestamp(), values))
        if sum(not math.isnan(values["load"][0]) for _, values in closed) >= 6:
            enough.set()

    sampler = Sampler(
        [Target("h0", "www", str(tmp_path)), Target("h1", "www", str(tmp_path))],
        {
            "load": host_gauge("load"),
            "q": Gauge(
                kind="level", http={"url": f"http://127.0.0.1:{port}/", "json_path": "n", "timeout": "30s"}
            ),
        },
        tick=0.2,
        clock=SystemClock(),
        start=start,
        on_tick=on_tick,
    )
    run = asyncio.create_task(sampler.run())
    async with asyncio.timeout(20):
        await enough.wait()
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    server.close()
    times = np.array([when for when, _ in closed])
    assert np.allclose(np.diff(times), 0.2)
    assert all(np.isnan(values["q"]).all() and math.isnan(values["load"][1]) for _, values in closed)
