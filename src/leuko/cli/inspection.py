"""Tries every host of a configuration from here, without a controller: `check --hosts`, `hosts --verify`."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import SystemRandom
from typing import Any, TypeVar

from leuko.cli.access_logs import Access, access_logs
from leuko.clock import Clock, SystemClock
from leuko.config.fleet import Reach, addresses
from leuko.config.fleet import hosts as hosts_of
from leuko.config.inventory import read_inventory
from leuko.config.loading import Loaded
from leuko.config.model import Configuration
from leuko.domain.fleet import Host
from leuko.domain.order import Fence, Order, OrderKind
from leuko.hosts.facts import Facts
from leuko.hosts.orders import Reach as Place
from leuko.hosts.perform import Orders
from leuko.hosts.pool import HostPool
from leuko.hosts.port import Address, Connection, Unreachable
from leuko.hosts.transport.choice import choose, every_transport
from leuko.runtime.fleet import address_of
from leuko.runtime.orders import components_of

AT_ONCE = 32
CUSTOMERS_UNSEEN = "W013"
SKEW_SECONDS = 2.0
LITTLE_DISK = 1 << 30
VERIFY_SECONDS = 1800.0
SPEAKING_SECONDS = 10.0
SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "unknown")
"""Login shells that take the one line which starts the host program."""

Step = Callable[[int, int], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """What was found on one host. `errors` would stop a push there; `warnings` would not."""

    host: str
    role: str
    address: str
    driver: str
    driver_why: str
    reachable: bool = False
    latency_ms: float | None = None
    free_bytes: int | None = None
    clock_skew: float | None = None
    user: str = ""
    writable: bool = False
    missing: tuple[str, ...] = ()
    shell: str = ""
    current_kind: str = ""
    current: str = ""
    installation: str = ""
    epoch: int = 0
    logs: Mapping[str, Access] = field(default_factory=dict)
    """Access logs that are there, where nothing else tells what customers meet."""
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """One object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of hashing a component on a host."""

    host: str
    role: str
    component: str
    result: str
    reason: str
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Every file is what the manifest says, or nothing of ours is there."""
        return self.result in ("done", "nothing there")

    def row(self) -> tuple[str, ...]:
        """Of the table."""
        return (
            self.host,
            self.role,
            self.component,
            "ok" if self.result == "done" else self.result,
            self.reason,
        )

    def as_json(self) -> dict[str, Any]:
        """One object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Ward:
    """The configured fleet and the way to it."""

    configuration: Configuration
    hosts: tuple[Host, ...]
    reach: dict[str, Reach]
    pool: HostPool
    clock: Clock
    installation: str
    """Ours; empty where no store tells it."""
    customers_unseen: bool = False
    """True where every gauge is a figure of the machine: then access logs are looked for."""

    def address(self, host: Host) -> Address:
        address = address_of(self.reach[host.name])
        return replace(address, host=host.name) if address.driver == "local" else address

    def place(self, host: Host) -> Place:
        line = self.configuration
        return Place(line.application, line.environment, host.name, host.role, self.reach[host.name].root)

    def components(self, host: Host) -> tuple[str, ...]:
        return components_of(self.configuration, host.role) or ("app",)

    async def probe(self, host: Host, component: str) -> Facts:
        async def source() -> Connection:
            return await self.pool.connection(self.address(host))

        running = self.configuration.fleet.running.command
        return Facts.of(await Orders().probe(source, self.place(host), component, running=running))


async def inspect(
    loaded: Loaded, path: Path, state: Path, step: Step, *, installation: str = ""
) -> list[Found]:
    """Every host that is pushed to, tried at most 32 at once."""
    async with _ward(loaded, path, state, installation) as ward:
        return await _each(ward.hosts, lambda host: _inspect(ward, host), step)


async def verify(loaded: Loaded, path: Path, state: Path, step: Step) -> list[Verified]:
    """Every component of every host, hashed there."""
    async with _ward(loaded, path, state, "") as ward:
        found = await _each(ward.hosts, lambda host: _verify(ward, host), step)
    return [one for of_host in found for one in of_host]


@asynccontextmanager
async def _ward(loaded: Loaded, path: Path, state: Path, installation: str) -> AsyncIterator[_Ward]:
    configuration = loaded.configuration
    inventory = await read_inventory(configuration, path.resolve().parent)
    clock = SystemClock()
    pool = HostPool(every_transport(state / "ssh"), clock, SystemRandom())
    hosts = tuple(host for host in hosts_of(configuration, inventory) if host.pushed)
    try:
        reach = dict(addresses(configuration, inventory))
        unseen = any(warning.code == CUSTOMERS_UNSEEN for warning in loaded.warnings)
        yield _Ward(configuration, hosts, reach, pool, clock, installation, unseen)
    finally:
        await pool.close()


async def _each(hosts: Sequence[Host], ask: Callable[[Host], Awaitable[T]], step: Step) -> list[T]:
    places, done = asyncio.Semaphore(AT_ONCE), 0

    async def one(host: Host) -> T:
        nonlocal done
        async with places:
            found = await ask(host)
        done += 1
        step(done, len(hosts))
        return found

    return list(await asyncio.gather(*(one(host) for host in hosts)))


async def _inspect(ward: _Ward, host: Host) -> Found:
    address = ward.address(host)
    choice = await asyncio.to_thread(choose, address)
    found = Found(host.name, host.role, _shown(address), choice.driver, choice.why)
    try:
        connection = await ward.pool.connection(address)
        chatter, latency = await _speak(connection)
        logs = await access_logs(connection) if ward.customers_unseen else {}
    except Unreachable as error:
        return replace(found, errors=(str(error),))
    began = ward.clock.now()
    facts = await ward.probe(host, ward.components(host)[0])
    if not facts.reachable:
        return replace(found, errors=(facts.reason,))
    skew = _skew(facts.clock, began.timestamp(), ward.clock.now().timestamp())
    return replace(
        found,
        reachable=True,
        latency_ms=round(latency * 1000, 1),
        free_bytes=facts.free_bytes,
        clock_skew=skew,
        user=facts.user,
        writable=facts.writable,
        missing=facts.missing,
        shell=facts.shell,
        current_kind=facts.current_kind,
        current=facts.current,
        installation=facts.installation,
        epoch=facts.epoch,
        logs=logs,
        errors=tuple(_errors(facts, ward.place(host).folder(ward.components(host)[0]))),
        warnings=tuple(_warnings(facts, skew, chatter, ward.installation, host.name)),
    )


async def _speak(connection: Connection) -> tuple[str, float]:
    """What a login prints although only `true` was asked for, and how long that took."""
    began = time.monotonic()
    channel = await connection.start(("true",))
    try:
        async with asyncio.timeout(SPEAKING_SECONDS):
            lines = [line async for line in channel.lines()]
            await channel.wait()
    except TimeoutError:
        raise Unreachable(f"`true` did not end within {SPEAKING_SECONDS:.0f} s") from None
    finally:
        await channel.close()
    return (lines[0].decode("utf-8", "replace") if lines else ""), time.monotonic() - began


def _skew(clock: int, before: float, after: float) -> float | None:
    """Seconds that the host is ahead, 0 where its whole seconds fit between asking and answer."""
    if not clock:
        return None
    if clock > after:
        return round(clock - after, 1)
    return round(min(0.0, clock + 1 - before), 1)


def _errors(facts: Facts, folder: str) -> list[str]:
    found = []
    if not facts.writable:
        found.append(f"{facts.user} may not write {folder}: make it, and give it to {facts.user}")
    if facts.missing:
        found.append(f"programs are missing: {', '.join(facts.missing)}")
    if facts.current_kind == "file":
        found.append(f"{folder}/current is a file: move it away")
    return found


def _warnings(facts: Facts, skew: float | None, chatter: str, ours: str, host: str) -> list[str]:
    found = []
    if facts.current_kind in ("folder", "link"):
        what = (
            "a real directory"
            if facts.current_kind == "folder"
            else f"another tool's link to {facts.current}"
        )
        found.append(f"`current` is {what}: `leuko adopt {host}` takes it over, a push refuses it")
    if ours and facts.installation and facts.installation != ours:
        found.append(
            f"it obeys another installation ({facts.installation}): `leuko adopt {host}` takes it over"
        )
    if skew is not None and abs(skew) > SKEW_SECONDS:
        found.append(
            f"its clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}: set up time keeping"
        )
    if facts.free_bytes < LITTLE_DISK:
        found.append(f"only {facts.free_bytes >> 20} MiB of disk are free")
    shell = facts.shell.rpartition("/")[2]
    if shell not in SHELLS:
        found.append(f"the login shell is {facts.shell}: should be one that knows POSIX sh")
    if chatter:
        found.append(
            f"a start-up file prints on every login ({chatter[:60]!r}): it should be silent for programs"
        )
    return found


async def _verify(ward: _Ward, host: Host) -> list[Verified]:
    found = []
    for component in ward.components(host):
        facts = await ward.probe(host, component)
        if not facts.reachable:
            found.append(Verified(host.name, host.role, component, "unreachable", facts.reason))
        elif not facts.set_up or facts.current_kind != "release":
            told = f"`current` is {facts.current_kind}"
            found.append(Verified(host.name, host.role, component, "nothing there", told))
        else:
            found.append(await _hash(ward, host, component))
    return found


async def _hash(ward: _Ward, host: Host, component: str) -> Verified:
    async def source() -> Connection:
        return await ward.pool.connection(ward.address(host))

    # this order changes nothing and is not compared with the fence: no lease is needed to look
    order = Order(
        f"verify-{secrets.token_hex(4)}",
        OrderKind.VERIFY,
        Fence("verify", 0, 0),
        component,
        deadline=VERIFY_SECONDS,
    )
    outcome = await Orders().perform(source, ward.place(host), order)
    facts = dict(outcome.facts)
    return Verified(host.name, host.role, component, outcome.result.value, outcome.reason, facts)


def _shown(address: Address) -> str:
    if address.driver == "local":
        return "this machine"
    user = f"{address.user}@" if address.user else ""
    port = f":{address.port}" if address.port != 22 else ""
    return f"{user}{address.host}{port}"
