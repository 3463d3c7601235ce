"""Hosts through the system's own ssh: everything that ssh_config can say, at ten times asyncssh's cost.

One `ssh -M -N` a connection, a child of ours; one `ssh -S` a program, which asks it for a session. The
control sockets lie in a private folder, which the processes are started in and name relatively, for a
socket's path may have only some ninety letters. There is no ControlPersist: the connection is ours.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from leuko.hosts.port import Address, Channel, Connection
from leuko.hosts.transport import refusals, settings
from leuko.hosts.transport.child import Child
from leuko.hosts.transport.local import PATH
from leuko.hosts.transport.openssh_reasons import explained, session_refused
from leuko.hosts.transport.sockets import SocketFolder
from leuko.hosts.transport.words import command_line

READY = b"leuko: connected"
KEPT = ("HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "SSH_SK_PROVIDER", "KRB5CCNAME", "XDG_RUNTIME_DIR")
"""What ssh needs of the controller's environment: agent, tickets, home."""
STRICT = ("StrictHostKeyChecking yes", "NoHostAuthenticationForLocalhost no", "BatchMode yes")
"""First of all lines, so that neither options nor anybody's ssh_config can say otherwise."""
FAILED = 255
"""ssh's own exit status when it failed; a program's, too, if it likes, and when a signal ended that."""


def client_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of ssh itself: messages untranslated, a plain shell for the commands it runs."""
    kept = {name: environ[name] for name in KEPT if name in environ}
    return {**kept, "PATH": environ.get("PATH", PATH), "LC_ALL": "C", "SHELL": "/bin/sh"}


def master_argv(config: str, socket: str, host: str) -> list[str]:
    """The connection. LocalCommand runs when the socket listens: its line on stdout is the sign to go on."""
    said = ["-o", "PermitLocalCommand=yes", "-o", f"LocalCommand=echo '{READY.decode()}'"]
    return ["ssh", "-v", "-F", config, "-M", "-N", "-T", "-S", socket, *said, "--", host]


def session_argv(socket: str, host: str, argv: Sequence[str]) -> list[str]:
    """One program. ProxyCommand=false: without the master it must fail, not connect by itself, unchecked."""
    options = ["ControlMaster=no", "ProxyCommand=false", "SetEnv=LANG=C.UTF-8", "LogLevel=ERROR"]
    spelt = [word for option in options for word in ("-o", option)]
    return ["ssh", "-F", "none", "-S", socket, *spelt, "-T", "--", host, command_line(argv)]


def config_text(address: Address, *, keepalive: float, keepalive_count: int, files: Sequence[str]) -> str:
    """One ssh_config for target and jump hosts. The first value wins, so the user's own files come last."""
    jumps = settings.hops(address, address.jump)
    lines = [*STRICT, f"Host {_pattern(address, address.host)}", *settings.target_lines(address)]
    if jumps:
        lines.append("ProxyJump " + ",".join(_jump(hop) for hop in jumps))
    for hop in jumps:
        keys = settings.target_lines(replace(hop, user="", port=settings.PLAIN))
        lines += [f"Host {_pattern(address, hop.host)}", *keys]
    lines += [
        "Host *",
        f"ConnectTimeout {max(1, round(address.connect_timeout))}",
        f"ServerAliveInterval {max(1, round(keepalive))}",
        f"ServerAliveCountMax {keepalive_count}",
        "ClearAllForwardings yes",
        "RemoteCommand none",
        "RequestTTY no",
        "ControlPersist no",
        *(f"Include {settings.quoted(file)}" for file in files),
    ]
    return "\n".join(lines) + "\n"


def _pattern(address: Address, host: str) -> str:
    if not host or host.startswith("-") or any(sign.isspace() or sign in "*?!,\"'" for sign in host):
        raise refusals.bad_settings(address, f"{host!r} is not a host's name")
    return host


def _jump(hop: Address) -> str:
    host = f"[{hop.host}]" if ":" in hop.host else hop.host
    user = f"{hop.user}@" if hop.user else ""
    return f"{user}{host}" + (f":{hop.port}" if hop.port != settings.PLAIN else "")


class OpenSshTransport:
    """Connects with the system's ssh. `folder` is the installation's runtime folder."""

    def __init__(
        self,
        folder: Path,
        *,
        keepalive: float = 1.0,
        keepalive_count: int = 3,
        config_files: tuple[str, ...] = (settings.USER_FILE, settings.SYSTEM_FILE),
    ) -> None:
        self._sockets = SocketFolder(folder)
        self._keepalive = keepalive
        self._keepalive_count = keepalive_count
        self._config_files = config_files

    async def connect(self, address: Address) -> Connection:
        """Starts the master, and waits until it is logged in."""
        whole = _absolute(address)
        if whole.identity and not os.access(whole.identity, os.R_OK):
            raise refusals.bad_key_file(address, f"{whole.identity} cannot be read")
        text = config_text(
            whole,
            keepalive=self._keepalive,
            keepalive_count=self._keepalive_count,
            files=self._config_files,
        )
        name = await asyncio.to_thread(self._sockets.prepare, text)
        folder = self._sockets.path
        try:
            argv = master_argv(f"{name}.conf", name, address.host)
            where = f"ssh to {refusals.place(address)}"
            environment = client_environment(os.environ)
            master = await Child.start(argv, environment, where=where, cwd=str(folder))
        except OSError as error:
            self._sockets.remove(name)
            raise refusals.unexplained(
                address, f"the system's ssh cannot be started: {error.strerror}"
            ) from error
        connection = OpenSshConnection(address, master, self._sockets, name)
        try:
            async with asyncio.timeout(address.connect_timeout):
                await connection.logged_in()
        except TimeoutError as error:
            await connection.close()
            raise refusals.timed_out(address) from error
        except BaseException:
            await connection.close()
            raise
        return connection


class OpenSshConnection:
    """A master."""

    def __init__(self, address: Address, master: Child, sockets: SocketFolder, name: str) -> None:
        self.address = address
        self._master = master
        self._sockets = sockets
        self._name = name
        self._closed = False

    @property
    def pid(self) -> int:
        """The master's process."""
        return self._master.pid

    @property
    def alive(self) -> bool:
        """False once the master has ended: by itself, or because keepalive got no answer."""
        return not self._closed and not self._master.exited

    async def logged_in(self) -> None:
        """Waits for the sign. Unreachable when ssh gives up instead."""
        await self._master.end_input()
        async with aclosing(self._master.lines()) as lines:
            async for line in lines:
                if line == READY:
                    return
        text = (await self._master.errors()).decode(errors="replace")
        raise explained(self.address, text)

    async def start(self, argv: Sequence[str]) -> Channel:
        """Starts a program: a session of the master's."""
        if not self.alive:
            raise refusals.lost(self.address)
        where = f"{argv[0]} on {refusals.place(self.address)}"
        try:
            command = session_argv(self._name, self.address.host, argv)
            environment = client_environment(os.environ)
            child = await Child.start(command, environment, where=where, cwd=str(self._sockets.path))
        except OSError as error:
            raise refusals.no_channel(self.address, f"ssh cannot be started: {error.strerror}") from error
        return OpenSshChannel(child, self._master)

    async def close(self) -> None:
        """Ends the master, and with it every session."""
        self._closed = True
        await self._master.end(2.0)
        await self._master.close()
        await asyncio.to_thread(self._sockets.remove, self._name)


class OpenSshChannel:
    """A session of a master."""

    def __init__(self, child: Child, master: Child) -> None:
        self._child = child
        self._master = master

    async def write(self, data: bytes) -> None:
        """Sends to the program's stdin."""
        await self._child.write(data)

    async def end_input(self) -> None:
        """Closes the program's stdin."""
        await self._child.end_input()

    def lines(self) -> AsyncIterator[bytes]:
        """Lines of stdout. ssh hides the exit until stdout is closed by all who hold it; `close` ends it."""
        return self._child.lines()

    async def wait(self) -> int | None:
        """The exit status; None when the connection or the channel went away before."""
        status = await self._child.wait_or_closed()
        if status != FAILED:
            return status
        if session_refused(await self._child.errors()) or await self._master.ends_within(1.0):
            return None
        return status

    async def errors(self) -> bytes:
        """Last 8 KiB of stderr."""
        return await self._child.errors()

    async def close(self) -> None:
        """Lets go: the session is closed, what runs on the host is not ended by it."""
        await self._child.close()
        await self._child.end(0.0)


def _absolute(address: Address) -> Address:
    """ssh runs in the sockets' folder, so relative paths are made whole first."""

    def whole(path: str) -> str:
        return os.path.abspath(os.path.expanduser(path)) if path else path  # noqa: PTH100, PTH111 - text in, text out

    return replace(address, identity=whole(address.identity), known_hosts=whole(address.known_hosts))
