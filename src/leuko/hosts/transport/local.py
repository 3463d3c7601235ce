"""Programs on this machine, behaving as over ssh: own session, scrubbed environment, no start-up files."""

from __future__ import annotations

import os
import pwd
from collections.abc import AsyncIterator, Mapping, Sequence

from leuko.hosts.port import Address, Channel, Connection, Unreachable
from leuko.hosts.transport.child import Child

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def scrubbed_environment() -> Mapping[str, str]:
    """What a program on a host gets: nothing of the controller's environment, hence none of its secrets."""
    return {"PATH": PATH, "LANG": "C.UTF-8", "HOME": pwd.getpwuid(os.getuid()).pw_dir}


class LocalChannel:
    """A program on this machine."""

    def __init__(self, child: Child) -> None:
        self._child = child

    async def write(self, data: bytes) -> None:
        """Sends to the program's stdin."""
        await self._child.write(data)

    async def end_input(self) -> None:
        """Closes the program's stdin."""
        await self._child.end_input()

    def lines(self) -> AsyncIterator[bytes]:
        """Lines of stdout, until its end or soon after the program's exit."""
        return self._child.lines()

    async def wait(self) -> int | None:
        """The exit status; None when the channel was closed before."""
        return await self._child.wait_or_closed()

    async def errors(self) -> bytes:
        """Last 8 KiB of stderr, once the program has ended."""
        return await self._child.errors()

    async def close(self) -> None:
        """Lets go of the program."""
        await self._child.close()


class LocalConnection:
    """This machine."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._alive = True

    @property
    def alive(self) -> bool:
        """False once closed."""
        return self._alive

    async def start(self, argv: Sequence[str]) -> Channel:
        """Starts a program; one that cannot be started gives 127 or 126, as a shell on a host would."""
        if not self._alive:
            raise Unreachable("the connection is closed", where=self._where, code="T021")
        environment = scrubbed_environment()
        try:
            child = await Child.start(
                argv, environment, where=f"{argv[0]} on {self._where}", cwd=environment["HOME"]
            )
        except (FileNotFoundError, PermissionError) as error:
            refused = ["/bin/sh", "-c", 'printf "%s\\n" "$1" >&2; exit "$2"', "sh"]
            status = "127" if isinstance(error, FileNotFoundError) else "126"
            told = [*refused, f"{argv[0]}: {error.strerror}", status]
            child = await Child.start(told, environment, where=f"{argv[0]} on {self._where}", cwd="/")
        except OSError as error:
            raise Unreachable(
                f"no program can be started: {error.strerror}",
                where=self._where,
                way_out="Look at this machine's limits on processes and open files.",
                code="T021",
            ) from error
        return LocalChannel(child)

    async def close(self) -> None:
        """Starts no more programs; those that run go on."""
        self._alive = False


class LocalTransport:
    """Connects to this machine whatever the address says: several hosts may be folders of one machine."""

    async def connect(self, address: Address) -> Connection:
        """Always connects."""
        return LocalConnection(address.host)
