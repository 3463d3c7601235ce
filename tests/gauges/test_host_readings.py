"""The steps of the sampler, with lines and times handed in."""

import asyncio
import math
from datetime import UTC, datetime

import numpy as np
import pytest
from tests.gauges.conftest import host_gauge, log_gauge

from leuko.config.model import Gauge
from leuko.domain.errors import LeukoError
from leuko.gauges.hosts import HostReadings
from leuko.gauges.sampling import Sampler
from leuko.gauges.source import Target


def at(seconds):
    return datetime.fromtimestamp(seconds, UTC)


async def nothing(host, argv):
    raise LeukoError("no host here", where=host)


def readings(clock, tick=1.0, start=nothing):
    gauges = {"errors": log_gauge("count", "x"), "share": log_gauge("ratio", "x"), "load": host_gauge("load")}
    return HostReadings(
        [Target("h0", "www", "/srv"), Target("h1", "www", "/srv")],
        gauges,
        tick=tick,
        clock=clock,
        start=start,
    )


def feed(source, host, index, arrived, value=3, span=1):
    reader = source.readers[host]
    for line in (
        f"R {index} 0 {value} - -",
        f"R {index} 1 {value} 10 -",
        f"R {index} 2 0.5 - -",
        f"E {index} {span}",
    ):
        source.accept(reader, line.encode(), at(arrived))


def test_readings_go_to_the_tick_in_which_they_arrive(still_clock):
    source = readings(still_clock)
    feed(source, 0, 0, 100.1)
    feed(source, 1, 57, 100.3, value=4)
    found = source.readings(100)
    assert list(found["errors"]) == [3, 4]
    assert list(found["share:of"]) == [10, 10]
    assert found["load"].dtype == np.float32
    assert all(np.isnan(array).all() for array in source.readings(101).values())


def test_jitter_moves_nothing_and_drift_is_followed(still_clock):
    source = readings(still_clock)
    for index, late in enumerate([0.1, 0.45, 0.58, 0.2, 0.05]):
        feed(source, 0, index, 100 + index + late, value=index)
    assert [float(source.readings(100 + i)["errors"][0]) for i in range(5)] == [0, 1, 2, 3, 4]
    for index in range(5, 12):  # its clock has become slow by 1.2 s: numbered anew after three
        feed(source, 0, index, 100 + index + 1.2, value=index)
    assert source.readers[0].shift == 101


def test_a_reader_that_starts_late_is_not_late_for_ever(still_clock):
    source = readings(still_clock, tick=5.0)
    for index in range(3):
        feed(source, 0, index, 1002.2 + 5 * index, value=index)
        assert source.readings(201 + index)["errors"][0] == index


def test_late_readings_are_counted_and_dropped(still_clock):
    source = readings(still_clock)
    feed(source, 0, 0, 100.1)
    source.readings(101)
    feed(source, 0, 1, 101.5)
    assert source.slots.late == 1
    assert "too late" in source.health()[0].reason
    assert math.isnan(source.readings(101)["errors"][0])


@pytest.mark.parametrize(("span", "value"), [(1, 12), (3, 4), (4, math.nan)])
def test_missed_ticks_are_no_burst(still_clock, span, value):
    source = readings(still_clock)
    feed(source, 0, 0, 100.1)
    feed(source, 0, span, 100.1 + span, value=12, span=span)
    source.readings(100)
    for tick in range(101, 100 + span):
        assert math.isnan(source.readings(tick)["errors"][0])
    found = source.readings(100 + span)
    assert found["errors"][0] == pytest.approx(value, nan_ok=True)
    assert found["load"][0] == 0.5


def test_garbage_is_counted(still_clock):
    source = readings(still_clock)
    for line in (b"\xff\x00", b"R 0 99 1 - -", b"Last login: today", b"R 0 -1 1 - -"):
        source.accept(source.readers[0], line, at(100))
    assert source.readers[0].garbage == 4
    feed(source, 0, 0, 100.1)
    assert source.readings(100)["errors"][0] == 3


def test_flags_are_reasons(still_clock):
    source = readings(still_clock)
    source.accept(source.readers[0], b"R 0 0 - - missing", at(100))
    source.accept(source.readers[0], b"E 0 1", at(100))
    still_clock.at = 101
    assert source.health()[0].reason == "errors: the log file is not there or cannot be read"
    still_clock.at = 200
    assert source.health()[0].reason == "no reading for 100 s"


async def test_a_host_that_refuses_is_tried_again_with_growing_pauses(still_clock):
    tried, enough = [], asyncio.Event()

    async def refuse(host, argv):
        tried.append(still_clock.at)
        if len(tried) > 6:
            enough.set()
        raise LeukoError("connection refused", where=host)

    gauges = {"load": host_gauge("load")}
    source = HostReadings([Target("h0", "www", "/srv")], gauges, tick=1.0, clock=still_clock, start=refuse)
    run = asyncio.create_task(source.run())
    async with asyncio.timeout(5):
        await enough.wait()
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    pauses = np.diff(tried[:7])
    assert pauses[0] < 1
    assert pauses[-1] > 5
    assert source.health()[0].reason == "h0: connection refused"
    assert source.health()[0].last_good is None


class Halting:
    """A program that says some lines and then ends, or its connection dies."""

    def __init__(self, said, code):
        self.said, self.code = said, code

    async def lines(self):
        for line in self.said:
            yield line

    async def wait(self):
        return self.code

    async def errors(self):
        return b"sh: 1: awk: not found\n"

    async def close(self):
        pass


@pytest.mark.parametrize(
    ("code", "reason"),
    [(127, "ended with status 127: sh: 1: awk: not found"), (None, "connection went away")],
)
async def test_why_a_reader_ended(still_clock, code, reason):
    async def start(host, argv):
        return Halting([b"E 0 1"], code)

    source = readings(still_clock, start=start)
    assert reason in await source.read_once(source.readers[0])


def sampler(clock, closed, tick=5.0):
    return Sampler(
        [Target("h0", "www", "/srv"), Target("h1", "db", "/srv")],
        {
            "load": host_gauge("load"),
            "q": Gauge(kind="level", roles=("db",), http={"url": "http://{address}/", "json_path": "n"}),
        },
        tick=tick,
        clock=clock,
        start=nothing,
        on_tick=lambda when, roster, values: closed.append((when, roster, values)),
    )


def test_ticks_close_after_their_grace_and_each_once(still_clock):
    closed = []
    one = sampler(still_clock, closed)
    assert one.close_due(1001.0) == pytest.approx(1.0)  # tick 200 is at 1000 s and closes at 1002 s
    assert one.close_due(1002.0) == pytest.approx(5.0)
    one.close_due(1003.0)
    assert [when.timestamp() for when, _, _ in closed] == [1000.0]
    assert closed[0][1] == ("h0", "h1")
    assert set(closed[0][2]) == {"load", "q"}
    one.close_due(1013.0)
    assert [when.timestamp() for when, _, _ in closed] == [1000.0, 1005.0, 1010.0]


def test_a_clock_that_jumps_leaves_a_gap(still_clock):
    closed = []
    one = sampler(still_clock, closed)
    one.close_due(1001.0)
    one.close_due(1002.0 + 3600)
    assert len(closed) == 1
    assert one.lag.skipped == 720
    one.close_due(2000.0)  # and back again: nothing is told twice
    assert len(closed) == 1


def test_grace_is_at_most_a_tick(still_clock):
    assert sampler(still_clock, [], tick=1.0).grace == 1.0
    assert sampler(still_clock, [], tick=5.0).grace == 2.0


def test_only_hosts_of_its_roles_are_asked(still_clock):
    names = [(one.host, one.source) for one in sampler(still_clock, []).sources()]
    assert names == [("h0", "host"), ("h1", "host"), ("h1", "http://{address}/")]
