"""What asyncssh says when it cannot connect, in the words of `refusals`."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import asyncssh
from asyncssh.config import SSHClientConfig

from leuko.hosts.port import Address, Unreachable
from leuko.hosts.transport import refusals, settings


class Client(asyncssh.SSHClient):
    """What asyncssh tells about a connection."""

    def __init__(self) -> None:
        self.lost = False
        self.reason = ""
        self.offered: asyncssh.SSHKey | None = None
        self.peer = ("", 0)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.reason = f": {exc}" if exc else ""

    def validate_host_public_key(self, _host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Asked only about keys that are not in the list: never trusted, but remembered for the message."""
        self.peer = (addr, port)
        self.offered = key
        return False


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a login was tried with."""

    address: Address
    config: SSHClientConfig
    client: Client
    known: asyncssh.SSHKnownHosts


def explained(attempt: Attempt, error: Exception) -> Unreachable:
    """The reason and the way out."""
    if isinstance(error, asyncssh.DisconnectError) and "authentication failures" in str(error):
        return _denied(attempt, error)
    for kinds, say in _REASONS:
        if isinstance(error, kinds):
            return say(attempt, error)
    return refusals.network(attempt.address, str(error))


def _untrusted(attempt: Attempt, error: Exception) -> Unreachable:
    address, client = attempt.address, attempt.client
    if client.offered is None:
        return refusals.unexplained(address, str(error))
    config = attempt.config
    host = cast("str", config.get("HostKeyAlias") or config.get("Hostname", address.host))
    addr, port = client.peer
    fingerprint = f"{client.offered.get_algorithm()} {client.offered.get_fingerprint()}"
    if any(attempt.known.match(host, addr, port if port != settings.PLAIN else None)[:2]):
        return refusals.changed_key(address, fingerprint, address.known_hosts)
    return refusals.unknown_key(address, fingerprint, address.known_hosts)


def _denied(attempt: Attempt, _error: Exception) -> Unreachable:
    config = attempt.config
    user = attempt.address.user or cast("str", config.get("User", getpass.getuser()))
    files = cast("Sequence[str]", config.get("IdentityFile", ()))
    agent = "ssh-agent" if os.environ.get("SSH_AUTH_SOCK") else "no ssh-agent"
    return refusals.denied(attempt.address, user, ", ".join([*(files or ["the default keys"]), agent]))


def _system(attempt: Attempt, error: Exception) -> Unreachable:
    if isinstance(error, OSError) and error.filename:
        return refusals.bad_key_file(attempt.address, f"{error.filename}: {error.strerror}")
    if "refused" in str(error).lower():  # several addresses of one name, each with its own refusal
        return refusals.refused(attempt.address)
    return refusals.network(attempt.address, str(error))


_REASONS: tuple[tuple[tuple[type[Exception], ...], Callable[[Attempt, Exception], Unreachable]], ...] = (
    ((asyncssh.HostKeyNotVerifiable,), _untrusted),
    ((asyncssh.PermissionDenied,), _denied),
    (
        (asyncssh.ConnectionLost, ConnectionResetError, BrokenPipeError),
        lambda attempt, _: refusals.reset(attempt.address),
    ),
    (
        (asyncssh.KeyImportError, asyncssh.KeyEncryptionError),
        lambda attempt, error: refusals.bad_key_file(attempt.address, str(error)),
    ),
    (
        (asyncssh.ChannelOpenError,),
        lambda attempt, error: refusals.network(attempt.address, f"the jump host says: {error}"),
    ),
    ((asyncssh.Error,), lambda attempt, error: refusals.unexplained(attempt.address, str(error))),
    (
        (socket.gaierror,),
        lambda attempt, error: refusals.no_name(attempt.address, f": {cast('OSError', error).strerror}"),
    ),
    ((ConnectionRefusedError,), lambda attempt, _: refusals.refused(attempt.address)),
    ((TimeoutError,), lambda attempt, _: refusals.timed_out(attempt.address)),
    ((OSError,), _system),
    ((ValueError,), lambda attempt, error: refusals.bad_settings(attempt.address, str(error))),
)
