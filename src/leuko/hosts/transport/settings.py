"""ssh_config text for an address, and the files that ssh_config is read from. Pure, for both drivers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from leuko.hosts.port import Address
from leuko.hosts.transport import refusals

USER_FILE = "~/.ssh/config"
SYSTEM_FILE = "/etc/ssh/ssh_config"
PLAIN = 22
"""The port that an address has when nobody said one: then ssh_config may say another."""


def target_lines(address: Address) -> list[str]:
    """What the address itself says about its host, as lines of ssh_config.

    The options come last and in their order, so that a `Match` among them governs those that follow it.
    """
    lines: list[str] = []
    if address.user:
        lines.append(line(address, "User", address.user))
    if address.port != PLAIN:
        lines.append(line(address, "Port", str(address.port)))
    if address.identity:
        lines.append(line(address, "IdentityFile", quoted(address.identity)))
        lines.append("IdentitiesOnly yes")
    if address.known_hosts:
        lines.append(line(address, "UserKnownHostsFile", quoted(address.known_hosts)))
        lines.append("GlobalKnownHostsFile none")
    lines += [line(address, key, value) for key, value in address.options]
    return lines


def line(address: Address, key: str, value: str) -> str:
    """One line; a value that would begin another one is refused."""
    if not key.isalnum() or any(sign in value for sign in "\n\r\0"):
        raise refusals.bad_settings(address, f"option {key!r} or its value does not fit on a line")
    return f"{key} {value}"


def quoted(path: str) -> str:
    """A path as ssh_config wants it."""
    return f'"{path}"' if any(sign.isspace() for sign in path) else path


def hops(address: Address, jumps: Sequence[str]) -> list[Address]:
    """Jump hosts, nearest first: reached with the same key, known hosts and time as the target."""
    return [_hop(address, jump) for jump in jumps]


def _hop(address: Address, jump: str) -> Address:
    rest = jump.removeprefix("ssh://")
    user, at, rest = rest.rpartition("@")
    host, colon, port = rest.rpartition(":")
    if rest.endswith("]") or not colon or (":" in host and not host.startswith("[")):
        host, port = rest, str(PLAIN)
    host = host.removeprefix("[").removesuffix("]")
    if not host or host.startswith("-") or (at and not user) or not port.isdecimal():
        raise refusals.bad_settings(address, f"jump host {jump!r} should be user@host:port")
    return replace(address, host=host, port=int(port), user=user, jump=(), options=())
