"""A line with a real repository, a real store and everything that obeys and queues; nothing runs by itself."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.builders import LINE, NOON, HandClock, configuration

from leuko.config.model import Configuration
from leuko.domain.intent import Intent, IntentKind
from leuko.domain.push import Event, Origin, Push, State, advance
from leuko.domain.release import Release
from leuko.domain.rollout import HostProgress, HostState
from leuko.releases.archives import Archives
from leuko.runtime.builder import Builder
from leuko.runtime.ground import Ground
from leuko.runtime.obeying import Obeying
from leuko.runtime.planning import Planner
from leuko.runtime.queue import Queue
from leuko.runtime.saving import background, save
from leuko.store.store import Store
from leuko.vcs.mirror import Mirror

SETTINGS = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.org",
}


class NoVerifier:
    """These tests verify nothing: builds stay where they are."""

    def __init__(self) -> None:
        self.swept = 0

    async def sweep(self) -> None:
        self.swept += 1


@dataclass
class Yard:
    ground: Ground
    clock: HandClock
    origin: Path
    mirror: Mirror
    builder: Builder
    queue: Queue
    obeying: Obeying
    poked: list[bool]
    archives: Archives
    adopting: Any = None

    @classmethod
    async def make(cls, folder: Path, **more: Any) -> Yard:
        clock = HandClock()
        store = await Store.open(folder / "leuko.sqlite", clock)
        settings: Configuration = configuration(**more)
        ground = Ground(LINE, store, clock, folder, settings)
        async with store.write(LINE) as tx:
            ground.lease = await store.leases.acquire(tx, "test", timedelta(days=999), clock.now())
        origin = folder / "origin"
        origin.mkdir()
        git(origin, "init", "-q", "-b", "main")
        mirror = Mirror(folder / "mirror.git", str(origin), "main")
        archives = Archives(folder / "archives")
        planner = Planner(ground, mirror.history, archives)
        queue = Queue(ground, planner)
        builder = Builder(ground, mirror, NoVerifier(), archives)  # type: ignore[arg-type] # see there
        poked: list[bool] = []

        async def adopt(_intent: Intent) -> dict[str, object]:
            if yard.adopting is not None:
                await yard.adopting.wait()
            return {"hosts": {}, "release": ""}

        async def drill(_intent: Intent) -> dict[str, object]:
            return {"drill": 1}

        async def nothing_new() -> None:
            """The mirror of these tests is as new as it gets."""

        obeying = Obeying(
            ground, queue, planner, builder, mirror, adopt, lambda: poked.append(True), nothing_new, drill
        )
        yard = cls(ground, clock, origin, mirror, builder, queue, obeying, poked, archives)
        return yard

    @property
    def store(self) -> Store:
        return self.ground.store

    async def commit(self, message: str = "Change something") -> str:
        return await self.commit_to("file", message)

    async def commit_to(self, name: str, message: str) -> str:
        (self.origin / name).write_text(message + os.urandom(4).hex())
        git(self.origin, "add", "-A")
        git(self.origin, "commit", "-q", "-m", message)
        await self.mirror.fetch()
        return git(self.origin, "rev-parse", "HEAD")

    async def aside(self, name: str, message: str) -> str:
        """A commit on a branch of its own, on top of the branch's head."""
        git(self.origin, "checkout", "-q", "-b", f"side-{name}")
        revision = await self.commit_to(name, message)
        git(self.origin, "checkout", "-q", "main")
        return revision

    async def release(self, message: str = "Change something") -> Release:
        """Landed, green and built, as far as the store is concerned."""
        revision = await self.commit(message)
        part = await self.archives.build(
            self.origin, self.ground.configuration.release, revision, component="app"
        )
        built = Release(revision, (part,), self.clock.now())
        async with self.store.write(LINE) as tx:
            return await self.store.releases.add(tx, built)

    async def live(self, built: Release) -> Push:
        """What is live, as if a push of it had ended well."""
        push = await self.queue.propose(built, Origin.PERSON, "ann", first=True)
        return await self.become(push, State.LIVE)

    async def become(self, push: Push, state: State) -> Push:
        """A push is put where its hosts and its judge would have brought it."""
        now = self.clock.now()
        after = replace(push, state=state, since=now, started_at=now, ended_at=now if state.ended else None)
        if not state.ended:
            after = replace(after, deadline=now + timedelta(hours=1), watch=1, watch_began=now)
        async with self.store.write(LINE) as tx:
            saved = await self.store.pushes.save(tx, after)
            if state is State.LIVE:
                await self.store.releases.mark_good(tx, push.release)
            rows = [
                HostProgress(f"www{number}", "www", 0, HostState.SWITCHED, switched_at=now)
                for number in (1, 2, 3)
            ]
            await self.store.hosts.save_progress(tx, push.number, rows)
        self.clock.move(60)
        return saved

    async def happens(self, push: Push, event: Event) -> Push:
        known = await background(self.ground, push)
        async with self.ground.write() as tx:
            after = advance(push, event, self.clock.now())
            return await save(self.ground, tx, push, after, known, self.clock.now())

    async def ask(self, kind: IntentKind, why: str = "because", /, **more: Any) -> Intent:
        """Asks and has it obeyed; the intent as it is then."""
        number = await self.put(kind, why, **more)
        await self.obeying.step()
        await self.obeying.settled()
        found = await self.store.intents.get(LINE, number)
        assert found is not None
        return found

    async def put(self, kind: IntentKind, why: str = "because", /, **more: Any) -> int:
        named = {name: more.pop(name) for name in ("push", "seen_state", "seen_version") if name in more}
        now = self.clock.now()
        intent = Intent(0, kind, "ann", why, now, now + timedelta(minutes=5), arguments=more, **named)
        async with self.store.write(LINE) as tx:
            kept = await self.store.intents.add(tx, intent)
        return kept.id


def git(folder: Path, *arguments: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, env=environment | SETTINGS
    )
    return done.stdout.decode().strip()


__all__ = ["LINE", "NOON", "Yard", "git"]
