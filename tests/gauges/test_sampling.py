import asyncio

import numpy as np
from tests.gauges.conftest import host_gauge, log_gauge, start_here

from leuko.clock import SystemClock
from leuko.config.model import Gauge
from leuko.gauges.sampling import Sampler
from leuko.gauges.source import Target


async def test_real_readers_fill_ticks(tmp_path):
    (tmp_path / "app.log").write_text("")
    gauges = {"lines": log_gauge("count", "x"), "load": host_gauge("load"), "share": log_gauge("ratio", "x")}
    targets = [Target(f"h{i}", "www", str(tmp_path)) for i in range(3)]
    closed, enough = [], asyncio.Event()

    def on_tick(at, roster, values):
        assert roster == ("h0", "h1", "h2")
        closed.append((at, values))
        with (tmp_path / "app.log").open("a") as log:
            log.write("x 1\ny 2\n")
        good = sum(np.isfinite(v["share:of"]).all() and v["share:of"].sum() > 0 for _, v in closed)
        if good >= 3:
            enough.set()

    sampler = Sampler(targets, gauges, tick=0.25, clock=SystemClock(), start=start_here, on_tick=on_tick)
    run = asyncio.create_task(sampler.run())
    async with asyncio.timeout(20):
        await enough.wait()
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    _, last = closed[-1]
    assert last["lines"].dtype == np.float32
    assert np.isfinite(last["load"]).all()
    times = [at.timestamp() for at, _ in closed]
    assert times == sorted(set(times))
    assert all(one.reason == "" for one in sampler.sources())


async def test_what_belongs_to_no_host_has_a_place_at_the_end_of_the_roster(tmp_path):
    """Beside readings of hosts, in the same tick; each absent where the other is."""
    command = {"argv": ["sh", "-c", "echo 7"], "on": "controller"}
    gauges = {
        "load": host_gauge("load"),
        "whole": Gauge.model_validate({"kind": "level", "command": command}),
    }
    closed, enough = [], asyncio.Event()

    def on_tick(at, roster, values):
        assert roster == ("h0", "h1", "-")
        closed.append(values)
        if np.isfinite(values["load"][:2]).all() and values["whole"][2] == 7:
            enough.set()

    targets = [Target(f"h{i}", "www", str(tmp_path)) for i in range(2)]
    sampler = Sampler(
        targets, gauges, tick=0.5, clock=SystemClock(), start=start_here, on_tick=on_tick, folder=tmp_path
    )
    run = asyncio.create_task(sampler.run())
    async with asyncio.timeout(20):
        await enough.wait()
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert all(np.isnan(values["load"][2]) and np.isnan(values["whole"][:2]).all() for values in closed)
    assert {(one.host, one.source) for one in sampler.sources()} >= {("-", "command sh -c 'echo 7'")}
