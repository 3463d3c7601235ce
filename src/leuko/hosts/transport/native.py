"""Hosts over ssh, spoken by asyncssh in this process: the cheapest way to a large fleet."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import asyncssh
from asyncssh.config import SSHClientConfig

from leuko.hosts.port import Address, Channel, Connection, Unreachable
from leuko.hosts.transport import refusals, settings
from leuko.hosts.transport.jumps import Chain, Hops
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


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What a login needs to have read. The files stay until it is done: asyncssh reads them again."""

    files: list[str]
    config: SSHClientConfig
    known: asyncssh.SSHKnownHosts


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
        self._hops = Hops(self._reach_hop)

    async def connect(self, address: Address) -> Connection:
        """Connects through all jump hosts, within the address's time."""
        try:
            async with asyncio.timeout(address.connect_timeout):
                return await self._reach(address, None)
        except TimeoutError as error:
            way = f" (by way of {', '.join(address.jump)})" if address.jump else ""
            raise refusals.timed_out(address, way) from error

    async def _reach(self, address: Address, via: Chain | None) -> NativeConnection:
        """Through `via`; None: through the jump hosts that the address or ssh_config names."""
        with _in_memory(settings.target_lines(address)) as own:
            prepared = await self._prepare(address, own)
            if via is None:
                via = await self._chain(address, prepared.config, 0)
            hop, give_back = await self._take(address, via) if via else (None, None)
            try:
                connection = await self._login(address, prepared, hop)
            except BaseException:
                if give_back is not None:
                    await give_back()
                raise
        connection.give_back = give_back
        return connection

    async def _chain(self, address: Address, config: SSHClientConfig, depth: int) -> Chain:
        """Its jump hosts. The first may have its own in ssh_config; the next are reached through it."""
        hops = settings.hops(address, address.jump or _proxy_jump(config))
        # `Host *` with a ProxyJump names the jump host's own way too
        if not hops or depth > DEEPEST or (hops[0].host, hops[0].port) == (address.host, address.port):
            return ()
        with _in_memory(settings.target_lines(hops[0])) as own:
            first = await self._prepare(hops[0], own)
        return (*await self._chain(hops[0], first.config, depth + 1), *hops)

    async def _take(
        self, address: Address, via: Chain
    ) -> tuple[NativeConnection, Callable[[], Awaitable[None]]]:
        try:
            return await self._hops.take(via)
        except Unreachable as error:
            where = f"{refusals.place(address)} by way of {error.where}"
            raise Unreachable(error.rule, where=where, way_out=error.way_out, code=error.code) from error

    async def _reach_hop(self, chain: Chain) -> NativeConnection:
        *via, hop = chain
        try:
            async with asyncio.timeout(hop.connect_timeout):
                return await self._reach(hop, tuple(via))
        except TimeoutError as error:
            raise refusals.timed_out(hop) from error

    async def _prepare(self, address: Address, own: str) -> _Prepared:
        """Reads ssh_config and known hosts, in a thread: files may lie on a slow disk, or be long."""
        try:
            prepared = await asyncio.to_thread(self._read, address, own)
        except (OSError, ValueError, asyncssh.Error) as error:
            raise refusals.bad_settings(address, str(error).replace(own, "fleet.ssh")) from error
        if prepared.config.get("UserKnownHostsFile") == []:
            raise refusals.unchecked_key(address)
        return prepared

    def _read(self, address: Address, own: str) -> _Prepared:
        others = (Path(file).expanduser() for file in self._config_files)
        files = [own, *(str(file) for file in others if os.access(file, os.R_OK))]
        flags = (False, False, False)  # not a reload, neither canonical nor final: as on a first reading
        asked = ((), address.host, ())
        loaded = SSHClientConfig.load(None, files, *flags, getpass.getuser(), *asked)
        config = cast("SSHClientConfig", loaded)
        return _Prepared(files, config, self._trusted(config))

    def _trusted(self, config: SSHClientConfig) -> asyncssh.SSHKnownHosts:
        """asyncssh by itself reads neither the system's files nor the second default one, and keeps none."""
        user = cast("Sequence[str]", config.get("UserKnownHostsFile", USER_KNOWN))
        system = cast("Sequence[str]", config.get("GlobalKnownHostsFile", SYSTEM_KNOWN))
        return self._known.read((*user, *system))

    async def _login(
        self, address: Address, prepared: _Prepared, via: NativeConnection | None
    ) -> NativeConnection:
        client = Client()
        try:
            raw = await asyncssh.connect(
                address.host,
                config=prepared.files,
                known_hosts=prepared.known,
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
            attempt = Attempt(address, prepared.config, client, prepared.known)
            raise explained(attempt, error) from error
        return NativeConnection(address, raw, client, self._linger)


class NativeConnection:
    """A connection of asyncssh's."""

    def __init__(
        self, address: Address, raw: asyncssh.SSHClientConnection, client: Client, linger: float
    ) -> None:
        self.address = address
        self.raw = raw
        self.give_back: Callable[[], Awaitable[None]] | None = None
        """Lets go of the jump host below."""
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
        opening = asyncio.ensure_future(
            self.raw.create_session(
                lambda: session,
                command_line(argv),
                env={"LANG": "C.UTF-8"},
                send_env=[],
                request_pty=False,
                x11_forwarding=False,
                encoding=None,
                window=WINDOW,
            )
        )
        try:
            channel, _ = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_abort_late)  # asyncssh would leave it open, and the host counts it
            raise
        except asyncssh.ChannelOpenError as error:
            if self.alive:
                raise refusals.no_channel(self.address, error.reason) from error
            raise refusals.lost(self.address, self._client.reason) from error
        except (OSError, asyncssh.Error) as error:
            raise refusals.lost(self.address, f": {error}") from error
        return NativeChannel(channel, session)

    async def close(self) -> None:
        """Ends the connection; the last one through a jump host ends that one's, too."""
        self.raw.abort()
        with suppress(OSError, asyncssh.Error):
            await self.raw.wait_closed()
        give_back, self.give_back = self.give_back, None
        if give_back is not None:
            await give_back()


def _abort_late(opening: asyncio.Future[Any]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].abort()


@contextmanager
def _in_memory(lines: Sequence[str]) -> Iterator[str]:
    """A file for asyncssh, which takes ssh_config as files only: no disk is touched, nothing stays."""
    with open(os.memfd_create("leuko-ssh-config"), "w") as file:  # noqa: PTH123 - it has no path before
        file.write("\n".join(lines) + "\n")
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"


def _proxy_jump(config: SSHClientConfig) -> Sequence[str]:
    jumps = cast("str | None", config.get("ProxyJump"))
    return jumps.split(",") if jumps else ()
