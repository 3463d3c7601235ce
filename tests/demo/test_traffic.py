"""The load generator: open loop, exact counts, and no end before it is told."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest
from tests.demo.rig import until

from leuko.clock import SystemClock
from leuko.demo.customers import customers_of, visit
from leuko.demo.tally import Figures, Tally, read_facts, read_log
from leuko.demo.traffic import Traffic, run


async def send(folder: Path, hosts: dict[str, str], **options):
    tally = Tally(tuple(hosts), 100.0, SystemClock().now(), folder / "facts.json", folder / "seconds.jsonl")
    await run(hosts, tally, SystemClock(), rate=100.0, **options)
    return read_facts(folder / "facts.json")


async def answering(answer: bytes, *, keep: bool = False):
    """A server that sends the same bytes to whoever asks."""

    async def serve(reader, writer):
        while await reader.read(4096):
            writer.write(answer)
            await writer.drain()
            if not keep:
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


PAGE = b"HTTP/1.1 %s\r\nX-Release: r1\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"


@pytest.mark.parametrize(
    ("answer", "kind", "release"),
    [
        (PAGE % (b"500 Oh", 4, b"oops"), "500", "r1"),
        (PAGE % (b"502 Oh", 0, b""), "502", "r1"),
        (PAGE % (b"204 None", 0, b""), "204", "r1"),
        (b"", "reset", "-"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "reset", "-"),
        (b"\x00\x01\x02 garbage \xff\r\n\r\n", "reset", "-"),
        (b"HTTP/1.1 nonsense\r\nContent-Length: x\r\n\r\n", "reset", "-"),
        (b"x" * 200_000, "reset", "-"),
    ],
)
async def test_every_way_of_going_wrong_is_a_failure_of_its_kind(tmp_path, answer, kind, release):
    server, address = await answering(answer)
    async with server:
        facts = await send(tmp_path, {"www1": address}, requests=20)
    assert facts.total.requests == facts.total.failures == 20
    assert facts.total.kinds == {kind: 20}
    assert facts.total.failed_by_release == {release: 20}


async def test_a_page_with_the_wrong_content_is_a_failure(tmp_path):
    server, address = await answering(PAGE % (b"200 OK", 9, b"It works!"))
    async with server:
        facts = await send(tmp_path, {"www1": address}, requests=40)
    assert facts.total.kinds["content"] > 20


async def test_a_host_that_is_down_stops_nobody(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        gone = f"127.0.0.1:{closed.getsockname()[1]}"
    server, up = await answering(PAGE % (b"200 OK", 11, b"Leaf & Pot!"))
    async with server:
        facts = await send(tmp_path, {"down": gone, "up": up}, requests=50)
    assert facts.hosts["down"].kinds == {"refused": 50}
    assert facts.hosts["up"].requests == 50
    assert set(facts.hosts["up"].kinds) <= {"200"}  # who puts something into the cart expects a 303


async def test_a_host_that_is_silent_is_a_timeout_and_has_a_bound(tmp_path):
    with socket.create_server(("127.0.0.1", 0), backlog=512) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        facts = await send(tmp_path, {"www1": address}, requests=130, timeout=0.5)
    assert facts.total.failures == 130
    assert facts.total.kinds["timeout"] > 50
    assert set(facts.total.kinds) <= {"timeout", "crowded"}


async def test_more_customers_than_a_host_can_hold_are_turned_away(tmp_path):
    with socket.create_server(("127.0.0.1", 0), backlog=512) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        facts = await send(tmp_path, {"www1": address}, requests=130, timeout=6)
    assert facts.total.kinds["crowded"] == 30
    assert facts.total.failures == 130


async def test_the_rate_is_steady_and_the_counts_are_those_of_the_log(rig, tmp_path):
    await rig.switch("r1")
    traffic = Traffic(rig.fleet.addresses(), tmp_path / "traffic")
    traffic.start(rate=50, seconds=4)
    assert await traffic.wait() == 0
    facts, seconds = traffic.facts(), traffic.seconds()
    assert facts.total.requests == len(rig.log("access.log").splitlines())
    assert 100 <= facts.total.requests + facts.unsent <= 201
    assert facts.total.failures == 0
    summed = Figures()
    for second in seconds:
        summed.merge(second.hosts["www1"])
    assert summed.requests == facts.total.requests
    assert summed.by_release == facts.total.by_release == {"r1": facts.total.requests}
    orders = sum(" POST /order 200 " in line for line in rig.log("access.log").splitlines())
    assert orders > 10
    assert f"well, {orders} orders" in (await rig.tell("bin/ask", "/health")).out


async def test_facts_come_every_second_and_the_end_when_it_is_told(rig, tmp_path):
    await rig.switch("r1")
    traffic = Traffic(rig.fleet.addresses(), tmp_path / "traffic")
    assert traffic.facts() is None
    traffic.start(rate=20)
    await until(lambda: (facts := traffic.facts()) and len(facts.recent) >= 2, "two seconds")
    assert traffic.facts().running
    await traffic.stop()
    assert traffic.pid is None
    assert not traffic.facts().running
    assert traffic.facts().total.requests == len(rig.log("access.log").splitlines())
    await traffic.stop()


async def test_frozen_for_a_while_it_sends_no_flood_afterwards(rig, tmp_path):
    await rig.switch("r1")
    traffic = Traffic(rig.fleet.addresses(), tmp_path / "traffic")
    traffic.start(rate=50)
    await until(traffic.facts, "the first second")
    os.kill(traffic.pid, signal.SIGSTOP)
    before = len(traffic.seconds())
    stopped = asyncio.get_running_loop().time()
    await until(lambda: asyncio.get_running_loop().time() - stopped > 2.5, "two and a half seconds")
    os.kill(traffic.pid, signal.SIGCONT)
    await until(lambda: len(traffic.seconds()) >= before + 2, "two more seconds")
    await traffic.stop()
    facts = traffic.facts()
    assert facts.unsent >= 50
    assert max(second.hosts["www1"].requests for second in traffic.seconds()) <= 120


def test_counting_goes_on_while_the_disk_is_full(tmp_path, capsys):
    (tmp_path / "log").symlink_to("/dev/full")
    tally = Tally(("a",), 1.0, SystemClock().now(), tmp_path / "f", tmp_path / "log")
    tally.add("a", "r1", 1.0)
    tally.close_second(SystemClock().now())
    assert "No space left" in capsys.readouterr().err
    tally._log = (tmp_path / "log2").open("ab", buffering=0)
    tally.add("a", "r1", 1.0, "500")
    tally.close_second(SystemClock().now())
    assert (read_facts(tmp_path / "f").total.requests, read_facts(tmp_path / "f").total.failures) == (2, 1)


def test_a_line_that_is_being_written_is_left_out(tmp_path):
    tally = Tally(("a",), 1.0, SystemClock().now(), tmp_path / "f", tmp_path / "log")
    tally.add("a", "r1", 1.0)
    tally.close_second(SystemClock().now())
    tally.close()
    with (tmp_path / "log").open("ab") as file:
        file.write(b'{"at": "20')
    assert [second.hosts["a"].requests for second in read_log(tmp_path / "log")] == [1]


def test_customers_stay_with_their_host_and_are_as_many_everywhere():
    crowd = customers_of(["a", "b", "c"])
    assert {len(customers) for customers in crowd.values()} == {40}
    assert len({customer for customers in crowd.values() for customer in customers}) == 120
    assert crowd == customers_of(["a", "b", "c"])


def test_customers_look_more_than_they_buy():
    import random

    visits = [visit("c1", random.Random(seed)) for seed in range(2000)]
    orders = sum(one.target == "/order" for one in visits)
    assert 0.12 < orders / 2000 < 0.25
    assert all(one.cart for one in visits if one.target.startswith(("/order", "/cart")))
