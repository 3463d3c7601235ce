"""What goes wrong with hosts, on real servers: each with its reason and way out, in the same words."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from tests.hosts.transport.conftest import REMOTE, finish, make
from tests.sshd import make_key, sshd_fleet, until

from leuko.hosts.port import Unreachable
from leuko.hosts.transport.openssh import OpenSshTransport
from leuko.hosts.transport.openssh_reasons import explained

pytestmark = [pytest.mark.timeout(60), pytest.mark.needs("sshd")]


@pytest.fixture(params=REMOTE)
def transport(request, sockets):
    return make(request.param, sockets)


async def failure(transport, address) -> Unreachable:
    with pytest.raises(Unreachable) as caught:
        await transport.connect(address)
    error = caught.value
    assert error.way_out
    assert error.where.startswith(f"{address.user}@{address.host}") or " by way of " in error.where
    return error


@contextmanager
def listener(*, answer: bytes | None = None) -> Iterator[int]:
    """A port where somebody accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=5) as server:
        yield server.getsockname()[1]


async def test_refused(transport, fleet):
    assert (await failure(transport, replace(fleet.addresses[0], port=1))).code == "T001"


async def test_somebody_listens_and_never_answers(transport, fleet):
    with listener() as port:
        address = replace(fleet.addresses[0], host="127.0.0.1", port=port, connect_timeout=1.0)
        error = await failure(transport, address)
    assert error.code == "T002"
    assert "1 s" in error.rule


async def test_somebody_listens_who_is_no_ssh_server(transport, fleet):
    async def talk(_reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"<html>" * 50)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    error = await failure(transport, replace(fleet.addresses[0], host="127.0.0.1", port=port))
    assert error.code in {"T007", "T014"}
    server.close()


async def test_a_name_that_is_none(transport, fleet):
    assert (await failure(transport, replace(fleet.addresses[0], host="no-such.invalid"))).code == "T003"


async def test_an_unknown_host_shows_its_fingerprint(transport, fleet, tmp_path):
    known = tmp_path / "known hosts"
    known.touch()
    error = await failure(transport, replace(fleet.addresses[0], known_hosts=str(known)))
    assert error.code == "T004"
    assert fleet.hosts[0].fingerprint in error.rule
    assert f"ssh-keyscan -p {fleet.addresses[0].port} 127.9.0.1 >> '{known}'" in error.way_out
    assert known.read_text() == ""


async def test_a_changed_host_key_is_told_from_an_unknown_one(transport, fleet, tmp_path):
    one, two = (host.address for host in fleet.hosts[:2])
    known = tmp_path / "known"
    known.write_text(
        fleet.known_hosts.read_text().replace(f"[{two.host}]", f"[{one.host}]").splitlines()[1] + "\n"
    )
    error = await failure(transport, replace(one, known_hosts=str(known)))
    assert error.code == "T005"
    assert fleet.hosts[0].fingerprint in error.rule


async def test_settings_cannot_turn_the_check_off(transport, fleet):
    off = (("StrictHostKeyChecking", "no"), ("UserKnownHostsFile", "/dev/null"))
    for options in (off, (("UserKnownHostsFile", "none"),)):
        error = await failure(transport, replace(fleet.addresses[0], known_hosts="", options=options))
        assert error.code in {"T004", "T011"}


async def test_a_key_that_the_host_does_not_know(transport, fleet, tmp_path):
    key = make_key(tmp_path / "other")
    error = await failure(transport, replace(fleet.addresses[0], identity=str(key)))
    assert error.code == "T006"
    assert "user root" in error.rule or fleet.addresses[0].user in error.rule
    assert str(key) in error.rule


async def test_a_key_file_that_is_not_there(transport, fleet, tmp_path):
    error = await failure(transport, replace(fleet.addresses[0], identity=str(tmp_path / "none")))
    assert error.code == "T009"


async def test_settings_that_would_smuggle_in_another_line(transport, fleet):
    for options in ((("User", "x\nProxyCommand touch /tmp/never"),), (("User x\nProxyCommand", "y"),)):
        assert (await failure(transport, replace(fleet.addresses[0], options=options))).code == "T010"


async def test_settings_that_no_ssh_can_read(transport, fleet):
    error = await failure(transport, replace(fleet.addresses[0], options=(("ConnectTimeout", "soon"),)))
    assert error.code in {"T010", "T014"}
    assert "/proc" not in str(error)


async def test_settings_of_an_address_reach_the_host(transport, fleet):
    host = fleet.hosts[1]
    alias = f"[{host.address.host}]:{host.address.port}"
    options = (("HostName", host.address.host), ("HostKeyAlias", alias))
    connection = await transport.connect(replace(host.address, host="some-name", options=options))
    assert (await finish(await connection.start(["echo", "hi"])))[1] == [b"hi"]
    await connection.close()


async def test_a_proxy_command(transport, fleet):
    host = fleet.hosts[1]
    relay = (
        f"import socket,os,threading; s=socket.create_connection(('{host.address.host}',{host.address.port}));"
        "t=threading.Thread(target=lambda:[s.sendall(d) for d in iter(lambda:os.read(0,9999),b'')],daemon=True);"
        "t.start();[os.write(1,d) for d in iter(lambda:s.recv(9999),b'')]"
    )
    options = (("ProxyCommand", f'python3 -c "{relay}"'),)
    connection = await transport.connect(replace(host.address, options=options))
    assert (await finish(await connection.start(["echo", "hi"])))[1] == [b"hi"]
    await connection.close()


async def test_a_match_among_the_settings_is_obeyed_by_openssh(fleet, sockets):
    host = fleet.hosts[0]
    options = (
        ("Match", 'exec "test %h = never"'),
        ("Port", "1"),
        ("Match", "all"),
        ("Port", str(host.address.port)),
    )
    connection = await make("openssh", sockets).connect(replace(host.address, port=22, options=options))
    assert (await finish(await connection.start(["echo", "hi"])))[1] == [b"hi"]
    await connection.close()


@pytest.mark.parametrize("count", [1, 2])
async def test_jump_hosts(transport, fleet, count):
    target, *through = fleet.hosts
    jump = tuple(f"{h.address.user}@{h.address.host}:{h.address.port}" for h in through[:count])
    connection = await transport.connect(replace(target.address, jump=jump))
    _, lines, _ = await finish(await connection.start(["sh", "-c", "echo $SSH_CONNECTION"]))
    assert lines[0].split()[2] == b"127.9.0.1"
    await connection.close()


async def test_many_hosts_behind_one_jump_host_need_one_login_there(sockets):
    with sshd_fleet(12, network="127.9.4", settings=["MaxStartups 2:100:3"]) as own:
        jump_host, *targets = own.hosts
        jump = (f"{jump_host.address.user}@{jump_host.address.host}:{jump_host.address.port}",)
        native = make("native", sockets)
        found = await asyncio.gather(*(native.connect(replace(h.address, jump=jump)) for h in targets))
        assert jump_host.log().count("Accepted publickey") == 1
        await found[0].close()
        assert (await finish(await found[1].start(["echo", "hi"])))[1] == [b"hi"]
        jump_host.cut()
        await until(lambda: not any(connection.alive for connection in found))
        again = await native.connect(replace(targets[0].address, jump=jump))
        assert again.alive
        await asyncio.gather(*(connection.close() for connection in [again, *found]))
        await until(lambda: not jump_host.children())


async def test_a_jump_host_that_is_away(transport, fleet):
    error = await failure(transport, replace(fleet.addresses[0], jump=("127.9.0.2:1",)))
    assert error.code in {"T001", "T007"}


async def test_a_connection_that_dies_leaves_the_outcome_unknown(transport):
    with sshd_fleet(1, network="127.9.1") as own:
        connection = await transport.connect(own.addresses[0])
        channels = [await connection.start(["sh", "-c", f"echo up; exec sleep {n}"]) for n in (20, 21)]
        assert [await anext(channel.lines()) for channel in channels] == [b"up", b"up"]
        own.hosts[0].cut()
        assert await asyncio.gather(*(channel.wait() for channel in channels)) == [None, None]
        assert [line async for line in channels[0].lines()] == []
        assert not connection.alive
        with pytest.raises(Unreachable) as caught:
            await connection.start(["true"])
        assert caught.value.code == "T013"
        again = await transport.connect(own.addresses[0])
        assert (await finish(await again.start(["echo", "hi"])))[1] == [b"hi"]
        await again.close()
        await connection.close()


async def test_a_frozen_host_is_noticed_by_keepalive(transport):
    with sshd_fleet(1, network="127.9.1") as own:
        connection = await transport.connect(own.addresses[0])
        channel = await connection.start(["sh", "-c", "echo up; exec sleep 20"])
        assert await anext(channel.lines()) == b"up"
        own.hosts[0].freeze()
        assert await asyncio.wait_for(channel.wait(), 15) is None
        await until(lambda: not connection.alive)
        error = await failure(transport, replace(own.addresses[0], connect_timeout=1.0))
        assert error.code == "T002"
        await connection.close()


async def no_program(connection) -> bool:
    """Refused at the start, or, where ssh is a process of its own, soon after."""
    try:
        channel = await connection.start(["echo", "no"])
    except Unreachable as error:
        return error.code == "T012"
    return (await finish(channel))[:2] == (None, [])


async def test_more_programs_than_the_host_allows(transport):
    with sshd_fleet(1, network="127.9.1", settings=["MaxSessions 2"]) as own:
        connection = await transport.connect(own.addresses[0])
        channels = [await connection.start(["cat"]) for _ in range(2)]
        for channel in channels:
            await channel.write(b"hi\n")
            assert await anext(channel.lines()) == b"hi"
        assert await no_program(connection)
        assert connection.alive
        for channel in channels:
            assert (await finish(channel))[0] == 0
        await connection.close()


async def test_bashrc_is_read_by_debians_bash_and_its_functions_are_not(transport):
    """What cannot be prevented from here, so that nobody believes it was: see words.py."""
    with sshd_fleet(1, network="127.9.1", settings=["SetEnv LEUKO=1"]) as own:
        host = own.hosts[0]
        settings = host.folder / "sshd_config"
        host.stop()
        settings.write_text(settings.read_text().replace("SetEnv LEUKO=1", f"SetEnv HOME={host.home}"))
        (host.home / ".bashrc").write_text("echo read >&2; echo() { printf hijacked; }; export LEFT=1\n")
        host.start()
        connection = await transport.connect(own.addresses[0])
        status, lines, errors = await finish(await connection.start(["echo", "hi"]))
        assert (status, lines) == (0, [b"hi"])
        assert errors in {b"read\n", b""}  # other login shells read nothing
        await connection.close()


async def test_masters_of_a_controller_that_was_killed_are_ended(fleet, tmp_path):
    first = OpenSshTransport(tmp_path, config_files=())
    connection = await first.connect(fleet.addresses[0])
    os.close(first._sockets._lock)  # as the kernel does when a process dies
    second = OpenSshTransport(tmp_path, config_files=())
    other = await second.connect(fleet.addresses[1])
    await until(lambda: not connection.alive)
    assert other.alive
    assert len(list(tmp_path.iterdir())) == 1
    third = OpenSshTransport(tmp_path, config_files=())
    await (await third.connect(fleet.addresses[0])).close()
    assert other.alive
    await other.close()
    await connection.close()


def test_what_nobody_foresaw_is_told_in_ssh_s_own_words(fleet):
    address = fleet.addresses[0]
    assert "kex went wrong" in str(explained(address, "debug1: x\r\nkex went wrong\r\ndebug1: y\r\n"))
    assert "without a word" in str(explained(address, ""))
