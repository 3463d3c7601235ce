"""A line to play with: what a person and a test do to it, whichever process acts on it."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from tests.sshd import SshFleet

from leuko.cli.installation import installation
from leuko.clock import SystemClock
from leuko.domain.intent import Intent, IntentKind, IntentState
from leuko.domain.line import Line
from leuko.domain.lock import Lock
from leuko.domain.push import Push, State
from leuko.runtime.controller import Controller
from leuko.store.changes import Landed
from leuko.store.store import Store

ENDED = tuple(state for state in State if state.ended)
PAUSE = 0.05
PATIENCE = 120.0
"""Seconds. Nothing here is about speed: a busy machine may take its time, only what hangs must end."""
PATIENCE_IN_ALL = 340.0
"""Of all waits of one line together: less than a test's own timeout, which would not say what happened."""
ENDING = 40.0
"""Seconds for a controller to end. It takes milliseconds."""


@dataclass
class Playing:
    """Reads the store, and puts intents into it as any client does."""

    store: Store
    line: Line
    controller: Controller | None = None
    acting: asyncio.Task[None] | None = None
    began: float = field(default_factory=time.monotonic)

    async def until(
        self, look: Callable[[], Awaitable[Any]], what: str, seconds: float = PATIENCE, pause: float = PAUSE
    ) -> Any:
        """Waits until `look` finds something; says what the line did meanwhile when it does not."""
        end = min(time.monotonic() + seconds, self.began + PATIENCE_IN_ALL)
        while not (found := await look()):
            if self.acting is not None and self.acting.done():
                self.acting.result()
                raise AssertionError("the controller ended by itself")
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds:g} s: {what}\n{await self.told()}")
            await asyncio.sleep(pause)
        return found

    async def push(self, number: int, *states: State, seconds: float = PATIENCE) -> Push:
        """The push, once it is in one of `states` (any end where none is named). Another end is an error."""
        wanted = states or ENDED

        async def look() -> Push | None:
            push = await self.store.pushes.get(self.line, number)
            if push is not None and push.state in ENDED and push.state not in wanted:
                raise AssertionError(f"{push.name} is {push.state}: {push.stop}\n{await self.told()}")
            return push if push is not None and push.state in wanted else None

        return await self.until(look, f"push {number} in {', '.join(wanted)}", seconds)

    async def live(self, number: int, *, seconds: float = PATIENCE) -> Push:
        """The push, once it is live. A person sits beside it and promotes it where the judge is not sure:

        on a busy machine, or without history, it often is not, and most tests are about something else.
        """

        async def look() -> Push | None:
            push = await self.store.pushes.get(self.line, number)
            if push is None or not push.state.ended:
                if push is not None and push.held_from is State.WATCHING:
                    await self.ask(IntentKind.PROMOTE, push=push, why="looks good")
                return None
            if push.state is not State.LIVE:
                raise AssertionError(f"{push.name} is {push.state}: {push.stop}\n{await self.told()}")
            return push

        return await self.until(look, f"push {number} LIVE", seconds)

    async def switched(self, number: int, *, seconds: float = PATIENCE) -> Push:
        """The push, once its canaries are switched."""
        return await self.push(number, State.WATCHING, State.HELD, State.LIVE, seconds=seconds)

    async def landed(self, revision: str, *states: str, seconds: float = PATIENCE) -> Landed:
        """The change, once it is in one of these states."""

        async def look() -> Landed | None:
            found = await self.store.changes.get(self.line, revision)
            return found if found is not None and found.state.value in states else None

        return await self.until(look, f"{revision[:8]} {' or '.join(states)}", seconds)

    async def put(
        self, what: IntentKind, *, push: Push | None = None, why: str = "why not", **arguments: Any
    ) -> int:
        """Asks for something; the intent's number."""
        now = SystemClock().now()
        intent = Intent(0, what, "ann", why, now, now + timedelta(seconds=PATIENCE), arguments=arguments)
        if push is not None:
            intent = Intent(
                0, what, "ann", why, now, now + timedelta(seconds=PATIENCE), push=push.number,
                seen_state=push.state.value, seen_version=push.version, arguments=arguments,
            )  # fmt: skip
        async with self.store.write(self.line) as tx:
            return (await self.store.intents.add(tx, intent)).id

    async def ask(
        self, what: IntentKind, *, push: Push | None = None, why: str = "why not", **arguments: Any
    ) -> Intent:
        """Asks for something and waits for the answer."""
        number = await self.put(what, push=push, why=why, **arguments)
        answer = await self.store.intents.wait_answer(self.line, number, PATIENCE)
        assert answer is not None, await self.told()
        assert answer.state is not IntentState.WAITING, await self.told()
        return answer

    async def accepted(self, what: IntentKind, **more: Any) -> Mapping[str, Any]:
        """The answer of an intent that must be accepted."""
        intent = await self.ask(what, **more)
        assert intent.state is IntentState.ACCEPTED, intent.answer
        return intent.answer

    async def refused(self, what: IntentKind, **more: Any) -> str:
        """Rule and way out of an intent that must be refused."""
        intent = await self.ask(what, **more)
        assert intent.state is IntentState.REFUSED, intent.answer
        return " ".join(str(intent.answer.get(name, "")) for name in ("where", "rule", "way_out"))

    async def locks(self) -> list[Lock]:
        """Those held."""
        return await self.store.locks.held(self.line, None, SystemClock().now())

    async def rows(self, number: int) -> dict[str, Any]:
        """Host -> where it stands in the push."""
        return {row.host: row for row in await self.store.hosts.progress(self.line, number)}

    async def told(self) -> str:
        """Everything that happened: for the message of a test that fails."""
        events = await self.store.events.after(self.line, limit=5000)
        return "\n".join(f"{e.at:%H:%M:%S.%f} {e.kind} {e.subject} {dict(e.data)}" for e in events[-60:])

    async def stop(self) -> None:
        """Ends the acting. One that does not end is an error that says what it waits for."""
        acting, self.acting = self.acting, None
        if acting is None:
            return
        acting.cancel()
        await asyncio.wait({acting}, timeout=ENDING)
        if not acting.done():
            waits = "\n".join(sorted(str(task) for task in asyncio.all_tasks()))
            acting.cancel()
            raise AssertionError(f"the controller did not end within {ENDING:g} s; tasks:\n{waits}")
        if not acting.cancelled():
            acting.result()


@asynccontextmanager
async def playing(
    file: Path, state: Path, *, environment: str | None = None, database: str = ""
) -> AsyncIterator[Playing]:
    """An installation that acts in this process."""
    async with installation([file], state, environment=environment, database=database) as made:
        controller = made.controllers[0]
        played = Playing(made.store, controller.ground.line, controller)
        played.acting = asyncio.create_task(made.run())
        try:
            yield played
        finally:
            await played.stop()


# -- the trivial application ------------------------------------------------------------------------------

RELOAD = (
    'mkdir -p "$LEUKO_ROOT/log" && cat version >>"$LEUKO_ROOT/log/reloads" && : >>"$LEUKO_ROOT/log/error.log"'
)


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid over `under`, section by section."""
    found = dict(under)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(found.get(key), Mapping)
        found[key] = merged(found[key], value) if both else value
    return found


def dump(content: Mapping[str, Any], path: Path) -> None:
    """As YAML."""
    yaml = YAML()
    yaml.default_flow_style = False
    with path.open("w") as file:
        yaml.dump(dict(content), file)


@dataclass
class Site:
    """Files, a reload hook that notes what was switched on, one gauge; repository, hosts and installation."""

    folder: Path
    names: tuple[str, ...] = ("web1", "web2", "web3")
    own: dict[str, Any] = field(default_factory=dict)
    """What the revision's own leuko.yml says beyond the usual."""
    servers: SshFleet | None = None
    """Reached over ssh; else the hosts are folders."""
    dated: str = ""
    """Date of all commits: two sites with the same have the same revisions."""

    @property
    def origin(self) -> Path:
        return self.folder / "site.git"

    @property
    def clone(self) -> Path:
        return self.folder / "site"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def file(self) -> Path:
        return self.folder / "etc" / "leuko.yml"

    def root(self, name: str) -> Path:
        """What fleet.root is on a host."""
        return self.folder / "hosts" / name

    def home(self, name: str) -> Path:
        """The application's folder on a host."""
        return self.root(name) / "site" / "app"

    def current(self, name: str) -> str:
        """The release that a host's link points at; empty for none."""
        link = self.home(name) / "current"
        return link.readlink().name if link.is_symlink() else ""

    def currents(self) -> set[str]:
        """Of all hosts."""
        return {self.current(name) for name in self.names}

    def reloads(self, name: str) -> list[str]:
        """Versions that were switched on at a host, in order."""
        path = self.home(name) / "log" / "reloads"
        return path.read_text().split() if path.exists() else []

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        """Runs git as somebody, without this machine's settings."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        environment |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
        for role in ("AUTHOR", "COMMITTER"):
            environment |= {f"GIT_{role}_NAME": "Bea Builder", f"GIT_{role}_EMAIL": "bea@site.example"}
            environment |= {f"GIT_{role}_DATE": self.dated} if self.dated else {}
        done = subprocess.run(
            ["git", "-C", str(folder or self.clone), *arguments],
            env=environment, capture_output=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def create(self) -> str:
        """The first commit, pushed; its revision."""
        for made in (self.origin, self.clone, self.file.parent):
            made.mkdir(parents=True)
        self.git("init", "-q", "--bare", "-b", "main", folder=self.origin)
        self.git("init", "-q", "-b", "main")
        self.git("remote", "add", "origin", str(self.origin))
        for name in self.names:
            self.root(name).mkdir(parents=True, exist_ok=True)
        return self.commit("one")

    def revision_file(self, **more: Any) -> dict[str, Any]:
        """The revision's own leuko.yml."""
        usual = {
            "application": "site",
            "repository": ".",
            "verify": {"tests": {"all": "test -f version"}},
            "fleet": {"hooks": {"reload": RELOAD, "timeout": "5m"}},
            "gauges": {
                "errors": {
                    "kind": "count",
                    "required": False,
                    "log": {"file": "log/error.log", "match": "ERROR"},
                    "limits": [{"above": 0, "readings": 1}],
                },
                "disk": {"kind": "level", "host": {"figure": "disk"}},
            },
        }
        return merged(merged(usual, self.own), more)

    def commit(self, version: str, message: str = "", *, push: bool = True, **more: Any) -> str:
        """A commit with another version, and other sections in its leuko.yml; its revision."""
        (self.clone / "version").write_text(version + "\n")
        dump(self.revision_file(**more), self.clone / "leuko.yml")
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message or f"Version {version}")
        if push:
            self.git("push", "-q", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def install(self, **more: Any) -> Path:
        """Writes the installation's own file; its path."""
        fleet = ssh_section(self.servers) if self.servers else {"transport": "local"}
        places = ssh_addresses(self.servers, self.names) if self.servers else {}
        entries = [
            {"name": name, "root": str(self.root(name)), **places.get(name, {})} for name in self.names
        ]
        usual = {
            "application": "site",
            "repository": str(self.origin),
            "poll": "500ms",
            "tick": "500ms",
            "fleet": {
                **fleet,
                "root": str(self.folder / "hosts"),
                "min_healthy": 1,
                "roles": {"web": {"hosts": entries}},
            },
            "push": {"phases": [{"hosts": 1, "watch": 2}, {"hosts": "100%", "watch": 2}], "rotate": False},
        }
        dump(merged(usual, more), self.file)
        return self.file

    @asynccontextmanager
    async def play(
        self, *, live: bool = True, judged: bool = False, database: str = "", **more: Any
    ) -> AsyncIterator[Playing]:
        """Acts on it in this process; with `live`, the first commit is pushed first.

        With `judged`, there is history enough then for the next push to be judged.
        """
        first = self.create() if not self.origin.exists() else self.git("rev-parse", "HEAD")
        self.install(**more)
        async with playing(self.file, self.state, database=database) as played:
            if live:
                await go_live(played, first, judged=judged)
            yield played


async def go_live(played: Playing, revision: str, *, judged: bool = False) -> Push:
    """The first push of all, and a few ticks of history after it."""
    await played.landed(revision, "green")
    number = (await played.accepted(IntentKind.PUSH, first=True))["push"]
    live = await played.live(number)
    if judged:
        await history(played, live)
    return live


async def history(played: Playing, live: Push, ticks: int = 6, gauge: str = "disk") -> None:
    """Waits until the judge has something to compare with: so many ticks of every host after `live` settled."""
    controller, ended = played.controller, live.ended_at
    assert controller is not None
    assert ended is not None
    tick = timedelta(seconds=controller.ground.configuration.tick)

    async def enough() -> bool:
        now = SystemClock().now()
        read = await played.store.readings.read(played.line, [gauge], ended + 4 * tick, now)
        values = read.values.get(gauge)
        return (
            values is not None and len(values) > 0 and bool((np.isfinite(values).sum(axis=0) >= ticks).any())
        )

    await played.until(enough, "history")


def ssh_section(servers: SshFleet) -> dict[str, Any]:
    """`fleet.transport` and `fleet.ssh`: throw-away keys, strict host keys."""
    address = servers.addresses[0]
    ssh = {"user": address.user, "identity": str(servers.identity), "known_hosts": str(servers.known_hosts)}
    return {"transport": "ssh", "ssh": ssh | {"driver": "asyncssh", "connect_timeout": "2s"}}


def ssh_addresses(servers: SshFleet, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Host name -> where its sshd is."""
    return {
        name: {"address": server.address.host, "port": server.address.port}
        for name, server in zip(names, servers.hosts, strict=False)
    }


def blocked_by(path: Path) -> str:
    """A hook that notes that it runs and goes on when somebody takes `path` away."""
    place = shlex.quote(str(path))
    return f": >>{place}.began; while [ -e {place} ]; do sleep 0.05; done"
