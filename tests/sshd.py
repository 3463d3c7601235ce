"""Real, throw-away sshd on loopback: a fleet of servers on one machine.

Each host is one sshd process on an address of its own (127.9.0.1, 127.9.0.2, ...), with its own host key and
its own root folder, since all share one file system. HOME and the login shell's SHLVL are set by sshd, so
that nothing of the developer's own home is read. Stopped by process id.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from leuko.hosts.port import Address

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "/usr/sbin/sshd"
FOLDER = Path(tempfile.gettempdir())


@dataclass(slots=True)
class SshHost:
    """One server."""

    name: str
    folder: Path
    """Its private folder: keys, configuration, log."""
    root: Path
    """What `fleet.root` is on it."""
    home: Path
    address: Address
    fingerprint: str
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        """The listening sshd."""
        assert self.process is not None, f"{self.name} is not running"
        return self.process.pid

    def start(self) -> None:
        """Starts sshd and waits until it listens. A host that was stopped keeps its key and port."""
        assert self.process is None or self.process.poll() is not None
        self.process = subprocess.Popen(
            [SSHD, "-D", "-f", str(self.folder / "sshd_config"), "-E", str(self.folder / "log")],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection((self.address.host, self.address.port), 1).close()
            except OSError:
                assert self.process.poll() is None, self.log()
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.01)  # there is no event to wait for: a socket that does not exist yet
            else:
                return

    def stop(self) -> None:
        """Ends sshd and every connection to it. What runs in a session of its own on the host goes on."""
        if self.process is None:
            return
        for pid in [*self.children(), self.process.pid]:
            _kill(pid, signal.SIGCONT)
            _kill(pid, signal.SIGKILL)
        self.process.wait(10)
        self.process = None

    def freeze(self) -> None:
        """Stops every process of this sshd, as a machine that hangs: TCP stays up, nobody answers."""
        for pid in [self.pid, *self.children()]:
            _kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets them go on."""
        for pid in [self.pid, *self.children()]:
            _kill(pid, signal.SIGCONT)

    def cut(self) -> None:
        """Kills the sshd process of every connection; the host goes on listening."""
        for pid in self.children():
            _kill(pid, signal.SIGKILL)

    def children(self) -> list[int]:
        """The sshd processes of its connections (not the programs they run)."""
        found: list[int] = []
        parents = [self.pid]
        while parents:
            parent = parents.pop()
            for child in _children_of(parent):
                if _name_of(child).startswith("sshd"):
                    found.append(child)
                    parents.append(child)
        return found

    def log(self) -> str:
        """What sshd wrote."""
        file = self.folder / "log"
        return file.read_text(errors="replace") if file.exists() else "(no log)"


@dataclass(slots=True)
class SshFleet:
    """Several servers, one login key, one list of known hosts."""

    folder: Path
    hosts: list[SshHost]
    identity: Path
    known_hosts: Path

    @property
    def addresses(self) -> list[Address]:
        """Of all hosts, in order."""
        return [host.address for host in self.hosts]


@contextmanager
def sshd_fleet(
    count: int = 1,
    *,
    port: int = 0,
    network: str = "127.9.0",
    driver: str = "auto",
    settings: Sequence[str] = ("MaxStartups 1000", "MaxSessions 64"),
    connect_timeout: float = 10.0,
) -> Iterator[SshFleet]:
    """Starts `count` sshd on `network`.1 and following, all on one port (0: one that is free on all).

    `settings` are further lines of sshd_config. The fleet's folder is below the system's temporary one.
    """
    folder = Path(tempfile.mkdtemp(prefix="leuko-sshd-", dir=FOLDER))
    folder.chmod(0o755)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    fleet = SshFleet(folder, [], folder / "id", folder / "known_hosts")
    try:
        _make_keys(folder, count)
        chosen = port or _free_port([f"{network}.{n + 1}" for n in range(count)])
        for number in range(1, count + 1):
            fleet.hosts.append(_make_host(fleet, number, f"{network}.{number}", chosen, settings))
        _share(fleet, driver, connect_timeout)
        for host in fleet.hosts:
            host.start()
        yield fleet
    finally:
        for host in fleet.hosts:
            host.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def ssh_fleet() -> Iterator[SshFleet]:
    """Three servers for a whole run; for tests that do not stop, freeze or change them.

    A conftest gets it by importing it. A test asks for `needs("sshd")` by a mark.
    """
    with sshd_fleet(3) as started:
        yield started


def _make_keys(folder: Path, count: int) -> None:
    """Host keys and the login key at once: ssh-keygen is quick, its start is not."""
    for name in ["id", *(f"host-{n}" for n in range(1, count + 1))]:
        make_key(folder / name)


def make_key(file: Path) -> Path:
    """An ed25519 key without passphrase."""
    import asyncssh

    key = asyncssh.generate_private_key("ssh-ed25519")
    file.touch(mode=0o600)
    key.write_private_key(str(file))
    key.write_public_key(f"{file}.pub")
    return file


def _make_host(fleet: SshFleet, number: int, address: str, port: int, settings: Sequence[str]) -> SshHost:
    import asyncssh

    name = f"host-{number}"
    folder = fleet.folder / f"{name}.d"
    home, root = folder / "home", folder / "srv"
    for made in (folder, home, root):
        made.mkdir()
    key = fleet.folder / name
    authorized = folder / "authorized_keys"
    authorized.write_text((fleet.folder / "id.pub").read_text())
    lines = [
        f"ListenAddress {address}:{port}",
        f"HostKey {key}",
        f"AuthorizedKeysFile {authorized}",
        f"PidFile {folder / 'pid'}",
        "UsePAM no",
        "UseDNS no",
        "StrictModes no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin prohibit-password",
        "PrintMotd no",
        "LogLevel VERBOSE",
        *settings,
    ]
    if not any(line.startswith("SetEnv") for line in settings):
        lines.append(f"SetEnv HOME={home} SHLVL=1")
    (folder / "sshd_config").write_text("\n".join(lines) + "\n")
    return SshHost(
        name=name,
        folder=folder,
        root=root,
        home=home,
        address=Address(host=address, port=port),
        fingerprint=asyncssh.read_public_key(f"{key}.pub").get_fingerprint(),
    )


def _share(fleet: SshFleet, driver: str, connect_timeout: float) -> None:
    """Writes the list of known hosts and gives every host its full address."""
    lines = []
    for host in fleet.hosts:
        kind, key, *_ = (fleet.folder / f"{host.name}.pub").read_text().split()
        lines.append(f"[{host.address.host}]:{host.address.port} {kind} {key}\n")
        host.address = replace(
            host.address,
            user=getpass.getuser(),
            identity=str(fleet.identity),
            known_hosts=str(fleet.known_hosts),
            driver=driver,
            connect_timeout=connect_timeout,
        )
    fleet.known_hosts.write_text("".join(lines))


def _free_port(addresses: Sequence[str]) -> int:
    """A port that is free on all of them, outside the range that the kernel hands out by itself."""
    for candidate in range(20220 + os.getpid() % 5000, 32000):
        try:
            for address in addresses:
                with socket.socket() as tried:
                    tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    tried.bind((address, candidate))
        except OSError:
            continue
        return candidate
    raise AssertionError("no free port for sshd")


def _children_of(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _kill(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


async def until(condition, seconds: float = 10.0) -> None:
    """Waits until `condition()` holds, for things of the system that nobody announces."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
