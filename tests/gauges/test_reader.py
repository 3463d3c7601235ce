"""The real host program, under dash or whatever sh is here, against real files and processes."""

import asyncio
import math
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest
from tests.gauges.conftest import host_gauge, log_gauge, start_here

from leuko.gauges.reader import EndOfTick, Reading, parse, reader_argv


@asynccontextmanager
async def reading(gauges, root, *, tick=0.2, cap=8_000_000):
    program = await start_here("h", reader_argv(gauges, root=str(root), tick=tick, cap=cap))
    lines = program.lines()

    async def next_tick():
        found = {}
        async with asyncio.timeout(20):
            async for line in lines:
                said = parse(line)
                assert said is not None, line
                if isinstance(said, EndOfTick):
                    return found, said
                found[said.gauge] = said
        raise AssertionError(await program.errors())

    try:
        yield next_tick
    finally:
        await program.close()


async def until(next_tick, wanted):
    """Readings of the first tick in which `wanted` holds, and the sum of gauge 0 until then."""
    total = 0.0
    for _ in range(60):
        found, _ = await next_tick()
        total += 0 if math.isnan(found[0].value) else found[0].value
        if wanted(found, total):
            return found, total
    raise AssertionError(f"never came: last {found}, total {total}")


async def test_counts_whole_lines_once(tmp_path):
    log = tmp_path / "app.log"
    log.write_text("old error\n")
    gauges = [
        log_gauge("count", "error|fatal"),
        log_gauge("ratio", "error"),
        log_gauge("ratio", "error", of="GET"),
    ]
    async with reading(gauges, tmp_path) as next_tick:
        found, _ = await next_tick()
        assert math.isnan(found[0].value)
        assert found[0].flag == "first"
        found, _ = await next_tick()
        assert found[0].value == 0  # a file that did not grow
        with log.open("ab", buffering=0) as out:
            out.write(b"GET error\nGET ok\nfatal\nGET err")
            found, _ = await until(next_tick, lambda f, t: t == 2)
            assert (found[1].value, found[1].denominator) == (1, 3)
            assert (found[2].value, found[2].denominator) == (1, 2)
            out.write(b"or\n")  # the other half of a line counts once, whole
            found, _total = await until(next_tick, lambda f, t: f[0].value == 1)
            found, _ = await next_tick()
            assert found[0].value == 0


async def test_level_is_the_mean_of_a_group(tmp_path):
    log = tmp_path / "app.log"
    log.write_text("")
    gauges = [
        log_gauge("level", "GET", value="took=([0-9.]+)ms"),
        log_gauge("level", "GET", value="a/b|took=(x)"),
    ]
    async with reading(gauges, tmp_path) as next_tick:
        await next_tick()
        with log.open("ab", buffering=0) as out:
            out.write(
                b"GET /a took=100ms\nGET / took=200.5ms\nPOST took=9999ms\nGET took=ms\n\x00\xff\x02GET took=1.5ms\n"
            )
            found, _ = await until(next_tick, lambda f, t: not math.isnan(f[0].value))
        assert found[0].value == pytest.approx((100 + 200.5 + 1.5) / 3)
        found, _ = await next_tick()
        assert math.isnan(found[0].value)  # no lines: absent, not zero


async def test_rotation_and_truncation_lose_nothing(tmp_path):
    log = tmp_path / "app.log"
    log.write_text("x\n")
    async with reading([log_gauge("count", "x")], tmp_path) as next_tick:
        await next_tick()
        with log.open("a") as out:
            out.write("x\nx\n")
        log.rename(tmp_path / "app.log.1")
        log.write_text("x\n")
        _found, _ = await until(next_tick, lambda f, t: t == 3)
        log.write_text("")
        await next_tick()
        await next_tick()
        with log.open("a") as out:
            out.write("x\n")
        await until(next_tick, lambda f, t: t == 1)


async def test_missing_file_is_absence_and_its_birth_counts(tmp_path):
    async with reading([log_gauge("count", "x")], tmp_path) as next_tick:
        found, _ = await next_tick()
        assert found[0].flag == "missing"
        assert math.isnan(found[0].value)
        (tmp_path / "app.log").write_text("x\nx\n")
        await until(next_tick, lambda f, t: t == 2)
        (tmp_path / "app.log").unlink()
        found, _ = await until(next_tick, lambda f, t: f[0].flag == "missing")
        assert math.isnan(found[0].value)
        (tmp_path / "app.log").mkdir()
        found, _ = await next_tick()
        assert found[0].flag == "missing"


async def test_burst_is_bounded_and_flagged(tmp_path):
    log = tmp_path / "app.log"
    log.write_text("")
    async with reading([log_gauge("count", "x")], tmp_path, cap=1000) as next_tick:
        await next_tick()
        with log.open("ab", buffering=0) as out:
            out.write(b"x123456789\n" * 1000 + b"half a x")
            found, _ = await until(next_tick, lambda f, t: f[0].flag == "burst")
            assert 0 < found[0].value <= 1000 / 11
            out.write(b" of a line\nx\n")  # the rest of a line that was skipped does not count
            found, _total = await until(next_tick, lambda f, t: t == 1)
            out.write(os.urandom(100_000).replace(b"\n", b" "))  # 100 KB without a newline
            found, _ = await until(next_tick, lambda f, t: f[0].flag == "burst")
            out.write(b"\nx\n")
            await until(next_tick, lambda f, t: t == 1)


async def test_wrong_expression_is_absence_with_a_reason(tmp_path):
    (tmp_path / "app.log").write_text("")
    async with reading(
        [log_gauge("count", "("), log_gauge("count", "-e x; `touch /tmp/no` $(id)'\"")], tmp_path
    ) as next_tick:
        await next_tick()
        found, _ = await next_tick()
        assert found[0].flag == "pattern"
        assert found[1].value == 0


async def test_machine_figures(tmp_path):
    gauges = [host_gauge(figure) for figure in ("load", "cpu", "memory", "disk")]
    async with reading(gauges, tmp_path, tick=0.3) as next_tick:
        first, _ = await next_tick()
        assert first[1].flag == "reset"
        found, end = await next_tick()
        assert end.index > 0
        assert found[0].value >= 0
        assert 0 <= found[1].value <= 100
        assert found[2].value > 1e7
        assert 0 < found[3].value <= 100


BUSY = """
import os, sys, time
if os.fork() == 0:
    blob = bytearray(60_000_000)
    while True: sum(range(10000))
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(300)
"""


async def test_figures_of_a_process_tree(tmp_path):
    pid_file = tmp_path / "app.pid"
    gauges = [host_gauge(figure, "app.pid") for figure in ("cpu", "memory", "load")]
    async with reading(gauges, tmp_path, tick=0.5) as next_tick:
        found, _ = await next_tick()
        assert found[0].flag == "pidfile"
        process = subprocess.Popen([sys.executable, "-c", BUSY, str(pid_file)], start_new_session=True)
        try:
            found, _ = await until(next_tick, lambda f, t: f[0].value > 10 and f[1].value > 6e7)
            found, _ = await until(next_tick, lambda f, t: f[2].value >= 1)
            assert found[0].value <= 150
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        found, _ = await until(next_tick, lambda f, t: f[0].flag == "dead")
        assert all(math.isnan(reading.value) for reading in found.values())
        pid_file.write_text("12;echo broken")
        found, _ = await until(next_tick, lambda f, t: f[0].flag == "pidfile")
        pid_file.write_text("4000000\n")
        found, _ = await until(next_tick, lambda f, t: f[0].flag == "dead")
        pid_file.write_text("garbage\x00")
        found, _ = await until(next_tick, lambda f, t: f[0].flag == "pidfile")


async def test_a_stopped_reader_leaves_a_gap(tmp_path):
    program = await start_here("h", reader_argv([host_gauge("load")], root=str(tmp_path), tick=0.2))
    ends = []
    async with asyncio.timeout(20):
        async for line in program.lines():
            said = parse(line)
            if not isinstance(said, EndOfTick):
                continue
            ends.append(said)
            if len(ends) == 2:
                program.process.send_signal(signal.SIGSTOP)
                asyncio.get_running_loop().call_later(1.0, program.process.send_signal, signal.SIGCONT)
            if len(ends) == 4:
                break
    await program.close()
    assert ends[2].span >= 3
    assert ends[2].index == ends[1].index + ends[2].span
    assert ends[3].span <= 2


async def test_ends_by_itself_when_nobody_reads(tmp_path):
    reader, writer = os.pipe()
    process = subprocess.Popen(
        reader_argv([host_gauge("load")], root=str(tmp_path), tick=0.1),
        stdout=writer,
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    os.read(reader, 100)
    os.close(reader)
    await asyncio.to_thread(process.wait, 20)


@pytest.mark.parametrize(
    "line", [b"", b"R", b"R 1 x 3 - -", b"E 1", b"\xff\x00", b"R 1 0 abc - -", b"E x 1", b"R 1 0 1 - - -"]
)
def test_garbage_is_no_line(line):
    assert parse(line) is None


def test_infinite_is_absence():
    said = parse(b"R 1 0 inf nan -")
    assert isinstance(said, Reading)
    assert math.isnan(said.value)
    assert math.isnan(said.denominator)
