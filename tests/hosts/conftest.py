"""One host to give orders to, over each transport, and releases to give them about."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.sshd import SshFleet, sshd_fleet

from leuko.config.model import Release as ReleaseOptions
from leuko.domain.order import Fence, Order, OrderKind, Outcome
from leuko.domain.payload import Payload
from leuko.domain.release import Component, release_name
from leuko.hosts.facts import Facts
from leuko.hosts.orders import Reach
from leuko.hosts.perform import Orders
from leuko.hosts.port import Address, Connection, Transport
from leuko.hosts.transport.local import LocalTransport
from leuko.releases.archives import Archives


@dataclass
class World:
    """A host, and a controller's way to it."""

    folder: Path
    transport: Transport
    address: Address
    archives: Archives
    performer: Orders = field(default_factory=Orders)
    fence: Fence = field(default_factory=lambda: Fence("test", 1, 0))
    connection: Connection | None = None
    component: str = "app"
    built: dict[str, Component] = field(default_factory=dict)
    numbers: int = 0

    @property
    def root(self) -> Path:
        """The component's folder on the host."""
        return self.folder / "srv" / "shop" / "app"

    @property
    def reach(self) -> Reach:
        return Reach("shop", "production", "web1", "www", str(self.folder / "srv"))

    async def source(self) -> Connection:
        """A connection; a new one when the last is dead."""
        if self.connection is None or not self.connection.alive:
            self.connection = await self.transport.connect(self.address)
        return self.connection

    async def build(self, files: dict[str, str | bytes], revision: str = "", **options: object) -> str:
        """A release of these files; its name."""
        self.numbers += 1
        source = self.folder / f"source{self.numbers}"
        for name, content in files.items():
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return await self.build_from(source, revision or f"{self.numbers:040x}", **options)

    async def build_from(self, source: Path, revision: str, **options: object) -> str:
        component = await self.archives.build(source, ReleaseOptions(**options), revision)
        name = release_name(revision, component.digest)
        self.built[name] = component
        return name

    def order(self, kind: OrderKind | str, *, id: str = "", **fields: object) -> Order:  # noqa: A002 - the field's name
        self.numbers += 1
        fence = fields.pop("fence", None)
        if fence is None:
            fence = self.fence = replace(self.fence, sequence=self.fence.sequence + 1)
        order_id = id or f"{kind}.{self.numbers}"
        return Order(order_id, OrderKind(kind), fence, self.component, **fields)

    async def payload(self, target: str, bases: tuple[str, ...] = ()) -> Payload:
        return await self.archives.payload(self.built[target], target, bases)

    async def perform(self, order: Order, payload: Payload | None = None) -> Outcome:
        return await self.performer.perform(self.source, self.reach, order, payload)

    async def give(self, kind: OrderKind | str, **fields: object) -> Outcome:
        return await self.perform(self.order(kind, **fields))

    async def stage(self, target: str, *bases: str, **fields: object) -> Outcome:
        return await self.perform(
            self.order("stage", target=target, **fields), await self.payload(target, bases)
        )

    async def ready(self, *names: str) -> None:
        """Stages releases, each from nothing."""
        for name in names:
            outcome = await self.stage(name)
            assert outcome.done, outcome

    async def probe(self, **more: str) -> Facts:
        return Facts.of(await self.performer.probe(self.source, self.reach, self.component, **more))

    @property
    def current(self) -> str:
        """Where the link points."""
        return (self.root / "current").readlink().name

    @property
    def journal(self) -> str:
        return (self.root / ".leuko" / "journal").read_text()

    def tree(self, release: str) -> dict[str, bytes]:
        """Files of a release, links not followed."""
        top = self.root / "releases" / release
        return {
            str(path.relative_to(top)): path.read_bytes()
            for path in sorted(top.rglob("*"))
            if path.is_file() and not path.is_symlink()
        }

    def leftovers(self) -> list[str]:
        """What no order should leave behind."""
        run = [f"run/{path.name}" for path in (self.root / ".leuko" / "run").iterdir()]
        rest = [
            path.name
            for path in (self.root / "releases").iterdir()
            if ".tmp." in path.name or ".gone." in path.name
        ]
        return run + rest + [path.name for path in self.root.glob("current.new*")]


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Waits for what another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.005)


def make_world(folder: Path, transport: Transport | None = None, address: Address | None = None) -> World:
    return World(
        folder, transport or LocalTransport(), address or Address("web1"), Archives(folder / "archives")
    )


@pytest.fixture
async def here(tmp_path: Path) -> World:
    """A host over the local transport."""
    return make_world(tmp_path)


@pytest.fixture(scope="session")
def one_server() -> Iterator[SshFleet]:
    with sshd_fleet(1) as fleet:
        yield fleet


@pytest.fixture(
    params=[
        "local",
        pytest.param("native", marks=pytest.mark.needs("sshd")),
        pytest.param(
            "openssh", marks=[pytest.mark.needs("sshd"), pytest.mark.needs("openssh"), pytest.mark.slow]
        ),
    ]
)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A host over each transport."""
    if request.param == "local":
        yield make_world(tmp_path)
        return
    from leuko.hosts.transport.native import NativeTransport
    from leuko.hosts.transport.openssh import OpenSshTransport

    transport: Transport = (
        NativeTransport(config_files=())
        if request.param == "native"
        else OpenSshTransport(tmp_path / "sockets", config_files=())
    )
    host = request.getfixturevalue("one_server").hosts[0]
    made = make_world(tmp_path, transport, host.address)
    yield made
    if made.connection is not None:
        await made.connection.close()
