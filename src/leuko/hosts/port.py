"""The port to a host: a connection on which programs are started, by ssh or on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from leuko.domain.errors import LeukoError


class Unreachable(LeukoError):  # noqa: N818 - a state of the host, not a fault of the code
    """The host could not be asked, or the connection went away. What was under way is *unknown*."""

    exit_code = 6


@dataclass(frozen=True, slots=True)
class Address:
    """Where and as whom a host is reached, and how. One connection per distinct address."""

    host: str
    port: int = 22
    user: str = ""
    identity: str = ""
    known_hosts: str = ""
    jump: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    driver: str = "auto"
    """auto | asyncssh | openssh | local"""
    connect_timeout: float = 10.0


class Channel(Protocol):
    """One running program on the host. Closing it kills nothing there: the program must end by itself."""

    async def write(self, data: bytes) -> None:
        """Sends to the program's stdin; waits while the peer's window is full. Raises Unreachable."""
        ...

    async def end_input(self) -> None:
        """Closes the program's stdin."""
        ...

    def lines(self) -> AsyncIterator[bytes]:
        """Lines of stdout without their newline; a line over 64 KiB is cut. Ends at end of file."""
        ...

    async def wait(self) -> int | None:
        """The exit status; None when the connection died before one came (then the outcome is unknown)."""
        ...

    async def errors(self) -> bytes:
        """Last 8 KiB of stderr, once the program has ended."""
        ...

    async def close(self) -> None:
        """Lets go of the channel."""
        ...


class Connection(Protocol):
    """One connection to one host as one user."""

    async def start(self, argv: Sequence[str]) -> Channel:
        """Starts a program directly, without login shell or start-up files. Raises Unreachable."""
        ...

    @property
    def alive(self) -> bool:
        """False once the connection is known to be dead."""
        ...

    async def close(self) -> None:
        """Ends the connection."""
        ...


class Transport(Protocol):
    """Makes connections."""

    async def connect(self, address: Address) -> Connection:
        """Connects. Raises Unreachable with the reason and the way out."""
        ...
