"""The composition root: an installation's parts, made from its files and put together in one place."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom

from leuko.clock import Clock, SystemClock
from leuko.config.inventory import read_inventory
from leuko.config.loading import Loaded, load
from leuko.config.secrets import Secrets, resolve
from leuko.domain.line import Line
from leuko.hosts.pool import HostPool
from leuko.hosts.transport.choice import every_transport
from leuko.notify.command import CommandNotifier
from leuko.notify.port import Notifier
from leuko.notify.services import AppriseNotifier
from leuko.runtime.controller import Controller, Doors
from leuko.runtime.ground import Ground
from leuko.store.installation import InstallationLock
from leuko.store.store import Store
from leuko.verify.account import choose

SOCKET = "leuko.sock"
TOKEN = "token"  # noqa: S105 - a file's name
DATABASE = "leuko.sqlite"


@dataclass
class Installation:
    """One state directory, its store, and a controller for each configuration file."""

    state: Path
    store: Store
    clock: Clock
    controllers: list[Controller] = field(default_factory=list)
    alone: InstallationLock | None = None

    async def run(self) -> None:
        """Every line at once, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for controller in self.controllers:
                tasks.create_task(controller.run(), name=str(controller.ground.line))


def make_state(folder: Path) -> Path:
    """The state directory, closed to everybody else: tests and builds run as other users."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder.resolve()


@asynccontextmanager
async def installation(
    files: Sequence[Path],
    state: Path,
    *,
    environment: str | None = None,
    database: str = "",
    address: str = "",
    clock: Clock | None = None,
    held_up: Callable[[], bool] = lambda: False,
) -> AsyncIterator[Installation]:
    """Opens everything that acting needs, and closes it in order at the end.

    With the embedded store the installation's lock is taken first: two must never act on one fleet.
    """
    clock = clock or SystemClock()
    state = await asyncio.to_thread(make_state, state)
    loaded = [await asyncio.to_thread(load, path, environment) for path in files]
    async with AsyncExitStack() as stack:
        alone = None
        if not database:
            alone = InstallationLock.take(state, f"pid {os.getpid()}")
            stack.callback(alone.release)
        store = await Store.open(database or state / DATABASE, clock, readings=state / "readings")
        stack.push_async_callback(store.close)
        made = Installation(state, store, clock, alone=alone)
        for path, one in zip(files, loaded, strict=True):
            ground = await _ground(path, one, store, state, clock)
            pool = HostPool(every_transport(state / "ssh"), clock, SystemRandom())
            stack.push_async_callback(pool.close)
            doors = Doors(
                pool=pool,
                readings=store.readings,
                account=choose(one.configuration.verify_user),
                notifiers=_notifiers(one, ground.secrets),
                alone=alone,
                address=address,
                hidden=_keys(one),
                held_up=held_up,
            )
            controller = Controller(ground, doors)
            stack.push_async_callback(controller.close)
            made.controllers.append(controller)
        yield made


async def _ground(path: Path, loaded: Loaded, store: Store, state: Path, clock: Clock) -> Ground:
    configuration = loaded.configuration
    folder = path.resolve().parent
    return Ground(
        line=Line(configuration.application, configuration.environment),
        store=store,
        clock=clock,
        state=state,
        configuration=configuration.model_copy(
            update={"repository": _resolved(configuration.repository, folder)}
        ),
        inventory=await read_inventory(configuration, folder),
        secrets=await resolve(configuration, folder),
        folder=folder,
    )


def _resolved(repository: str, folder: Path) -> str:
    """A path is relative to the file that names it; an address stays as it is."""
    if "://" in repository or (":" in repository and not repository.startswith((".", "/"))):
        return repository
    return str((folder / repository).resolve())


def _notifiers(loaded: Loaded, secrets: Secrets) -> list[Notifier]:
    section = loaded.configuration.notify
    found: list[Notifier] = [AppriseNotifier(secrets.fill_in(url), secrets.mask) for url in section.urls]
    if section.command:
        found.append(CommandNotifier(section.command, secrets.mask))
    return found


def _keys(loaded: Loaded) -> list[Path]:
    """What no build may see, besides the state directory."""
    ssh = loaded.configuration.fleet.ssh
    named = [ssh.identity, ssh.known_hosts]
    return [Path(name).expanduser() for name in named if name]
