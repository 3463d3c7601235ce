"""Hosts over ssh, spoken by asyncssh in this process: the cheapest way to a large fleet."""

from __future__ import annotations

import asyncio
import getpass
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

import asyncssh
from asyncssh.config import SSHClientConfig

from leuko.hosts.port import Address, Channel, Connection, Unreachable
from leuko.hosts.transport import refusals, settings
from leuko.hosts.transport.native_channel import NativeChannel, Session
from leuko.hosts.transport.native_reasons import Attempt, Client, explained
from leuko.hosts.transport.trust import KnownHosts
from leuko.hosts.transport.words import command_line

USER_KNOWN = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
SYSTEM_KNOWN = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
WINDOW = 256 * 1024
"""Receive window of a channel: what a program may have said that nobody has read yet."""

DEEPEST = 8
"""Jump hosts of jump hosts."""


class NativeTransport:
    """Connects with asyncssh."""

    def __init__(
        self,
        *,
        keepalive: float = 1.0,
        keepalive_count: int = 3,
        linger: float = 5.0,
        config_files: tuple[str, ...] = (settings.USER_FILE, settings.SYSTEM_FILE),
    ) -> None:
        self._keepalive = keepalive
        self._keepalive_count = keepalive_count
        self._linger = linger
        self._config_files = config_files
        self._known = KnownHosts()

    async def connect(self, address: Address) -> Connection:
        """Connects through all jump hosts, within the address's time."""
        made: list[NativeConnection] = []
        try:
            async with asyncio.timeout(address.connect_timeout):
                return await self._reach(address, made, 0)
        except BaseException as error:
            for connection in reversed(made):
                await connection.close()
            if isinstance(error, TimeoutError):
                way = f" (by way of {refusals.place(made[-1].address)})" if made else ""
                raise refusals.timed_out(address, way) from error
            raise

    async def _reach(self, address: Address, made: list[NativeConnection], depth: int) -> NativeConnection:
        with tempfile.TemporaryDirectory(prefix="leuko-ssh-") as folder:
            files = self._files(address, Path(folder))
            config = await _read_config(address, files)
            jumps = settings.hops(address, address.jump or _proxy_jump(config))
            for hop in [] if depth > DEEPEST else jumps:
                if (hop.host, hop.port) == (address.host, address.port):
                    continue  # `Host *` with a ProxyJump names the jump host's own way too
                try:
                    await self._reach_hop(hop, made, depth)
                except Unreachable as error:
                    error.where = f"{refusals.place(address)} by way of {error.where}"
                    raise Unreachable(
                        error.rule, where=error.where, way_out=error.way_out, code=error.code
                    ) from error
            via = made[-1] if made else None
            connection = await self._login(address, config, files, via)
        connection.over = made[:]
        return connection

    async def _reach_hop(self, hop: Address, made: list[NativeConnection], depth: int) -> None:
        """The first hop may have jump hosts of its own in ssh_config; the next are reached through it."""
        made.append(await self._reach(hop, made, DEEPEST if made else depth + 1))

    def _files(self, address: Address, folder: Path) -> list[str]:
        own = folder / "config"
        own.write_text("\n".join(settings.target_lines(address)) + "\n")
        others = (Path(file).expanduser() for file in self._config_files)
        return [str(own), *(str(file) for file in others if os.access(file, os.R_OK))]

    def _trusted(self, config: SSHClientConfig) -> asyncssh.SSHKnownHosts:
        """asyncssh by itself reads neither the system's files nor the second default one, and keeps none."""
        user = cast("Sequence[str]", config.get("UserKnownHostsFile", USER_KNOWN))
        system = cast("Sequence[str]", config.get("GlobalKnownHostsFile", SYSTEM_KNOWN))
        return self._known.read((*user, *system))

    async def _login(
        self, address: Address, config: SSHClientConfig, files: list[str], via: NativeConnection | None
    ) -> NativeConnection:
        client = Client()
        known: asyncssh.SSHKnownHosts | None = None
        try:
            known = await asyncio.to_thread(self._trusted, config)
            raw = await asyncssh.connect(
                address.host,
                config=files,
                known_hosts=known,
                client_factory=lambda: client,
                tunnel=via.raw if via else None,
                keepalive_interval=self._keepalive,
                keepalive_count_max=self._keepalive_count,
                connect_timeout=None,
                login_timeout=address.connect_timeout + 5,
                password_auth=False,
                kbdint_auth=False,
                encoding=None,
            )
        except (OSError, asyncssh.Error, ValueError) as error:
            raise explained(Attempt(address, config, client, known), error) from error
        return NativeConnection(address, raw, client, self._linger)


class NativeConnection:
    """A connection of asyncssh's, and the connections to jump hosts below it."""

    def __init__(
        self, address: Address, raw: asyncssh.SSHClientConnection, client: Client, linger: float
    ) -> None:
        self.address = address
        self.raw = raw
        self.over: list[NativeConnection] = []
        self._client = client
        self._linger = linger

    @property
    def alive(self) -> bool:
        """False once asyncssh has seen the connection end: by itself, or by keepalive."""
        return not self._client.lost and not self.raw.is_closed()

    async def start(self, argv: Sequence[str]) -> Channel:
        """Starts a program. Nothing of the controller's environment goes along but a plain LANG."""
        if not self.alive:
            raise refusals.lost(self.address, self._client.reason)
        session = Session(self._linger, f"{argv[0]} on {refusals.place(self.address)}")
        try:
            channel, _ = await self.raw.create_session(
                lambda: session,
                command_line(argv),
                env={"LANG": "C.UTF-8"},
                send_env=[],
                request_pty=False,
                x11_forwarding=False,
                encoding=None,
                window=WINDOW,
            )
        except asyncssh.ChannelOpenError as error:
            if self.alive:
                raise refusals.no_channel(self.address, error.reason) from error
            raise refusals.lost(self.address, self._client.reason) from error
        except (OSError, asyncssh.Error) as error:
            raise refusals.lost(self.address, f": {error}") from error
        return NativeChannel(channel, session)

    async def close(self) -> None:
        """Ends the connection, then those it went through."""
        self.raw.abort()
        with suppress(OSError, asyncssh.Error):
            await self.raw.wait_closed()
        for hop in reversed(self.over):
            await hop.close()


async def _read_config(address: Address, files: list[str]) -> SSHClientConfig:
    flags = (False, False, False)  # not a reload, neither canonical nor final: as on a first reading
    asked = ((), address.host, ())

    def read() -> SSHClientConfig:
        loaded = SSHClientConfig.load(None, files, *flags, getpass.getuser(), *asked)
        return cast("SSHClientConfig", loaded)

    try:
        config = await asyncio.to_thread(read)
    except (OSError, ValueError, asyncssh.Error) as error:
        raise refusals.bad_settings(address, str(error)) from error
    if config.get("UserKnownHostsFile") == []:
        raise refusals.unchecked_key(address)
    return config


def _proxy_jump(config: SSHClientConfig) -> Sequence[str]:
    jumps = cast("str | None", config.get("ProxyJump"))
    return jumps.split(",") if jumps else ()
