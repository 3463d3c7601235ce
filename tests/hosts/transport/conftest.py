"""Servers and transports for these tests."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.sshd import SshHost, ssh_fleet

from leuko.hosts.port import Address, Channel, Connection, Transport
from leuko.hosts.transport.local import LocalTransport
from leuko.hosts.transport.native import NativeTransport
from leuko.hosts.transport.openssh import OpenSshTransport

fleet = ssh_fleet
"""Servers that no test stops, freezes or changes."""


@pytest.fixture
def sockets(tmp_path: Path) -> Path:
    """A runtime folder whose name alone is longer than a socket's path may be."""
    return tmp_path / ("long-" * 20) / ("name-" * 20)


def make(kind: str, sockets: Path) -> Transport:
    """A transport that reads no ssh_config of the machine."""
    if kind == "local":
        return LocalTransport()
    if kind == "native":
        return NativeTransport(linger=0.5, config_files=())
    return OpenSshTransport(sockets, config_files=())


@dataclass
class Reached:
    """A connection under test."""

    kind: str
    transport: Transport
    connection: Connection
    address: Address
    host: SshHost

    async def run(self, *argv: str, stdin: bytes = b"") -> tuple[int | None, list[bytes], bytes]:
        """Runs a program to its end: status, lines, stderr."""
        channel = await self.connection.start(argv)
        return await finish(channel, stdin)


async def finish(channel: Channel, stdin: bytes = b"") -> tuple[int | None, list[bytes], bytes]:
    """Feeds a program and collects what it says."""
    try:
        if stdin:
            await channel.write(stdin)
        await channel.end_input()
        lines = [line async for line in channel.lines()]
        return await channel.wait(), lines, await channel.errors()
    finally:
        await channel.close()


KINDS = [
    "local",
    pytest.param("native", marks=pytest.mark.needs("sshd")),
    pytest.param("openssh", marks=[pytest.mark.needs("sshd"), pytest.mark.needs("openssh")]),
]
REMOTE = KINDS[1:]


@pytest.fixture(params=KINDS)
async def reached(request, sockets) -> AsyncIterator[Reached]:
    """Each transport, connected."""
    os.environ["LEUKO_PLANTED"] = "secret of the controller"
    kind = request.param
    if kind == "local":
        host = SshHost("here", sockets, sockets, sockets, Address("here"), "")
    else:
        host = request.getfixturevalue("fleet").hosts[0]
    transport = make(kind, sockets)
    connection = await transport.connect(host.address)
    yield Reached(kind, transport, connection, host.address, host)
    await connection.close()
    del os.environ["LEUKO_PLANTED"]
