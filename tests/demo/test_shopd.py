"""The supervisor of an embedded host: what a host's init system and reload hook have to be able to do."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.demo.rig import Rig, alive, until

from leuko.demo.customers import Visit
from leuko.demo.places import shop_folder
from leuko.demo.traffic import Traffic
from leuko.demo.wire import ShopClient, Unanswered


def shop_with(folder: Path, name: str, old: str, new: str) -> Path:
    tree = folder / "tree"
    shutil.copytree(shop_folder(), tree, ignore=shutil.ignore_patterns("__pycache__"))
    text = (tree / name).read_text()
    assert text.count(old) == 1
    (tree / name).write_text(text.replace(old, new))
    return tree


async def ask(rig: Rig, target: str = "/"):
    client = ShopClient(rig.fleet.addresses()[rig.host.name])
    try:
        return await client.ask(Visit("GET", target, "ann"))
    finally:
        client.close()


async def test_before_the_first_release_a_host_answers_503(rig):
    answer = await ask(rig)
    assert (answer.status, answer.release) == (503, "-")
    await until(lambda: " GET / 503 0.0 ann -\n" in rig.log("access.log"), "the line in the log")


async def test_the_first_release_is_served_after_its_reload(rig):
    told = await rig.switch("r1")
    assert (told.code, told.out) == (0, "done r1\n")
    assert (await ask(rig)).release == "r1"
    assert (await rig.tell("bin/ask", "/revision")).out == "r1\n"
    assert (await rig.tell("bin/ask", "/health")).code == 0
    script = str(rig.host.home / "current" / "bin" / "ask")
    bare = subprocess.run([script, "/revision"], cwd="/", env={}, capture_output=True, check=False)
    assert bare.stdout == b"r1\n", bare.stderr  # without the host's variables, wherever it is called


async def test_the_release_names_its_revision_when_it_has_one(rig):
    rig.install("r1")
    (rig.host.home / "current" / "REVISION").write_text("0123456789abcdef\n")
    await rig.tell("bin/reload")
    assert (await rig.tell("bin/ask", "/revision")).out == "0123456789abcdef\n"


async def test_reloads_under_load_lose_no_request_and_every_request_is_in_the_log(pair, tmp_path):
    for host in pair.fleet.hosts:
        await pair.switch("r0", host=host)
    traffic = Traffic(pair.fleet.addresses(), tmp_path / "traffic")
    traffic.start(rate=100)
    await until(traffic.facts, "the first second of traffic")
    for number in range(1, 4):
        for host in pair.fleet.hosts:
            told = await pair.switch(f"r{number}", host=host)
            assert told.code == 0, told.err
    now = traffic.facts().total.requests
    await until(lambda: traffic.facts().total.requests > now, "requests to the last release")
    await traffic.stop()
    facts = traffic.facts()
    assert facts.total.failures == 0, facts.total
    assert not facts.running
    for host in pair.fleet.hosts:
        lines = pair.log("access.log", host).splitlines()
        assert facts.hosts[host.name].requests == len(lines)
        answered = {f"r{n}": sum(line.endswith(f" r{n}") for line in lines) for n in range(4)}
        assert facts.hosts[host.name].by_release == {name: n for name, n in answered.items() if n}
        assert len(facts.hosts[host.name].by_release) >= 3


async def test_a_release_that_does_not_come_up_leaves_the_old_one_serving(rig, tmp_path):
    await rig.switch("r1")
    before = rig.serving()
    tree = shop_with(tmp_path, "shop/__main__.py", "PATIENCE = 1.2", 'PATIENCE = float("soon")')
    told = await rig.switch("r2", tree)
    assert told.code == 1
    assert "failed r2" in told.err
    assert "r1 goes on" in told.err
    assert "ValueError: could not convert string to float: 'soon'" in told.err
    assert (await ask(rig)).release == "r1"
    assert rig.serving() == before
    assert " crashed " not in rig.log("shopd.log")
    assert (await rig.switch("r1")).code == 0


async def test_a_release_without_a_program_says_so(rig, tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(shop_folder(), tree)
    (tree / "bin" / "serve").unlink()
    told = await rig.switch("r1", tree)
    assert told.code == 1
    assert "bin/serve" in told.err
    assert "nothing serves" in told.err


async def test_a_first_release_that_does_not_come_up_is_tried_again_and_counts_as_crashing(rig, tmp_path):
    tree = shop_with(tmp_path, "shop/__main__.py", "PATIENCE = 1.2", 'PATIENCE = float("soon")')
    assert (await rig.switch("r1", tree)).code == 1
    await until(lambda: rig.log("shopd.log").count(" crashed ") >= 2, "two more tries")
    assert (await ask(rig)).status == 503
    assert (await rig.switch("r2")).code == 0
    assert (await ask(rig)).release == "r2"


async def test_a_child_that_dies_is_started_again(rig):
    await rig.switch("r1")
    first = rig.serving()
    os.kill(first, signal.SIGKILL)
    await until(lambda: rig.serving() != first, "another child")
    assert (await ask(rig)).status == 200
    assert rig.log("shopd.log").count(" crashed ") == 1


async def test_a_child_that_dies_on_the_way_in_is_started_later_each_time(rig):
    await rig.switch("r1")
    for number in range(1, 4):
        os.kill(rig.serving(), signal.SIGKILL)
        await until(lambda n=number: rig.log("shopd.log").count(" serving ") == n + 1, "another child")
    times = [
        line.split()[0]
        for line in rig.log("shopd.log").splitlines()
        if " serving " in line or " crashed " in line
    ]
    seconds = [float(time[17:-1]) for time in times]
    assert (seconds[6] - seconds[5]) % 60 >= 1.0  # the third death in a row


async def test_stop_and_reload_again(rig):
    await rig.switch("r1")
    child = rig.serving()
    assert (await rig.tell("bin/stop")).out == "done stopped\n"
    assert (await ask(rig)).status == 503
    await until(lambda: not alive(child), "the child's end")
    assert (await rig.tell("bin/ask", "/health")).code == 1
    assert (await rig.tell("bin/reload")).code == 0
    assert (await ask(rig)).status == 200


async def test_reload_without_a_current_release(rig):
    folder = rig.install("r1")
    (rig.host.home / "current").unlink()
    told = await rig.tell("bin/reload", folder=folder)
    assert told.code == 1
    assert "there is no current release" in told.err


async def test_reload_without_a_supervisor(rig):
    rig.install("r1")
    await rig.fleet.kill_host(rig.host)
    told = await rig.tell("bin/reload")
    assert told.code == 3
    assert "shopd does not run" in told.err


async def test_of_many_reloads_at_once_each_ends_and_the_last_release_serves(rig):
    rig.install("r1")
    told = await asyncio.gather(*(rig.tell("bin/reload") for _ in range(20)))
    assert {one.code for one in told} <= {0, 1, 4}
    assert any(one.code == 0 for one in told), told
    assert (await ask(rig)).release == "r1"


async def test_a_release_that_never_says_ready_is_overtaken_by_the_next_reload(rig, tmp_path):
    await rig.switch("r1")
    tree = shop_with(tmp_path, "shop/__main__.py", "    tell_ready()\n    await", "    await")
    rig.install("r2", tree)
    hanging = asyncio.create_task(rig.tell("bin/reload"))
    await until(
        lambda: (rig.host.home / "shared/var/order").exists() and _children(rig) == 2, "the second child"
    )
    assert (await rig.switch("r1")).code == 0
    late = await hanging
    assert late.code in (1, 4)
    await until(lambda: _children(rig) == 1, "one child left")


def _children(rig: Rig) -> int:
    pid = rig.host.pid
    return len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


async def test_garbage_sent_to_a_host_with_no_release_harms_nothing(rig):
    for garbage in (
        b"",
        b"\n",
        b"\0" * 9000,
        b"GET",
        b"GET  HTTP/1.1\r\n\r\n",
        "GET /ü\x1b HTTP/1.1\r\n\r\n".encode(),
    ):
        with socket.create_connection(("127.0.0.1", rig.host.port), timeout=5) as connection:
            connection.sendall(garbage)
            if garbage:
                assert b"503" in connection.recv(100)
    assert (await rig.switch("r1")).code == 0
    assert all(len(line.split(" ")) == 7 for line in rig.log("access.log").splitlines())


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0" * 40000,
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /order HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc",
    ],
)
async def test_garbage_sent_to_the_shop_harms_nobody_else(rig, garbage):
    await rig.switch("r1")
    with socket.create_connection(("127.0.0.1", rig.host.port), timeout=5) as connection:
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        assert (await ask(rig)).status == 200
    assert " crashed " not in rig.log("shopd.log")


async def test_a_supervisor_that_is_killed_takes_its_children_along_and_boots_again(rig):
    await rig.switch("r1")
    child, port = rig.serving(), rig.host.port
    await rig.fleet.kill_host(rig.host)
    await until(lambda: not alive(child), "the child's end")
    with pytest.raises(Unanswered, match="refused"):
        await ask(rig)
    await rig.fleet.start_host(rig.host)
    assert rig.host.port == port
    await until(lambda: rig.serving() != child, "the release that was current")
    assert (await ask(rig)).release == "r1"


OWNER = """
import asyncio, sys
from pathlib import Path
from leuko.demo.fleet import EmbeddedFleet
from leuko.demo.traffic import Traffic

async def main():
    fleet = EmbeddedFleet(Path(sys.argv[1]), hosts=2)
    await fleet.start()
    traffic = Traffic(fleet.addresses(), Path(sys.argv[1]) / "traffic")
    traffic.start(rate=5)
    print(*(host.pid for host in fleet.hosts), traffic.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_nothing_is_left_behind_by_an_owner_that_is_killed(tmp_path):
    for host in ("www1", "www2"):  # they have a release to run from the start
        home = tmp_path / host / "srv" / "shop" / "app"
        shutil.copytree(shop_folder(), home / "releases" / "r1")
        for name in ("log", "var"):
            (home / "releases" / "r1" / name).symlink_to(f"../../shared/{name}")
        (home / "current").symlink_to("releases/r1")
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE) as owner:
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        logs = [tmp_path / host / "srv/shop/app/shared/log/shopd.log" for host in ("www1", "www2")]
        await until(lambda: all(" serving pid " in log.read_text() for log in logs), "both serving")
        pids += [int(log.read_text().split(" serving pid ")[1].split()[0]) for log in logs]
        assert len(pids) == 5
        assert all(alive(pid) for pid in pids)
        owner.kill()
    await until(lambda: not any(alive(pid) for pid in pids), f"the end of {pids}")


async def test_stopping_the_fleet_leaves_nothing(rig):
    await rig.switch("r1")
    pids = [rig.serving(), *(host.pid for host in rig.fleet.hosts)]
    await rig.fleet.stop()
    assert not any(alive(pid) for pid in pids)
    await rig.fleet.stop()


async def test_a_child_that_will_not_leave_is_ended(rig, tmp_path):
    tree = shop_with(tmp_path, "shop/__main__.py", "leave.set)", "lambda: None)")
    await rig.switch("r1", tree)
    stubborn = rig.serving()
    assert (await rig.switch("r2")).code == 0
    await until(lambda: not alive(stubborn), "the end of the stubborn one")


async def test_a_thousand_customers_at_once_are_all_answered(rig):
    await rig.switch("r1")
    clients = [ShopClient(rig.fleet.addresses()["www1"], timeout=20) for _ in range(1000)]
    answers = await asyncio.gather(
        *(client.ask(Visit("GET", "/", f"c{n}")) for n, client in enumerate(clients))
    )
    assert {answer.status for answer in answers} == {200}
    assert len(rig.log("access.log").splitlines()) == 1000
    assert (await rig.switch("r2")).code == 0  # a thousand idle connections keep nobody from leaving
    for client in clients:
        client.close()
    assert (await ask(rig)).release == "r2"


async def test_a_full_disk_keeps_no_customer_from_an_answer(rig):
    await rig.switch("r1")
    logs = rig.host.home / "shared" / "log"
    await rig.fleet.kill_host(rig.host)
    for name in ("access.log", "error.log", "shopd.log"):
        (logs / name).unlink(missing_ok=True)
        (logs / name).symlink_to("/dev/full")
    await rig.fleet.start_host(rig.host)
    for _ in range(3):
        assert (await rig.tell("bin/reload")).code == 0
        assert (await ask(rig)).status == 200
    console = (rig.host.folder / "console.log").read_text()
    assert "No space left on device" in console
