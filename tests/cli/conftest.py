"""A real controller's web side on a store that was filled by hand, and the program run against it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.web.builders import LINE, START, TOKEN, HandClock, Story, fill

from leuko.cli.main import cli
from leuko.domain.intent import Intent, IntentState
from leuko.store.store import Store
from leuko.web.app import create_app
from leuko.web.serving import Serving

CONFIGURATION = "application: shop\nrepository: /srv/git/shop.git\n"


@dataclass
class Said:
    """What a run of the program left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def leuko(folder: Path, *args: str, **environment: str) -> Said:
    done = subprocess.run(
        argv(*args),
        cwd=folder,
        env=surroundings(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def ask(folder: Path, *args: str) -> Said:
    """As `leuko` does, in this process: for tables of many commands."""
    with chdir(folder):
        done = CliRunner(env={"LEUKO_USER": "ann", "NO_COLOR": "1"}).invoke(cli, list(args))
    return Said(done.exit_code, done.stdout, done.stderr)


def argv(*args: str) -> list[str]:
    return [sys.executable, "-m", "leuko.cli.main", *args]


def surroundings(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEUKO_")}
    return {**kept, "LEUKO_USER": "ann", "NO_COLOR": "1", **more}


@dataclass
class Room:
    """The store, the server before it, and somebody who answers intents as `answers` says."""

    folder: Path
    clock: HandClock
    store: Store
    serving: Serving
    story: Story
    loop: asyncio.AbstractEventLoop
    answers: dict[str, Callable[[Intent], tuple[IntentState, dict[str, Any]]]] = field(default_factory=dict)
    seen: list[Intent] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.serving.address

    def do(self, work: Any) -> Any:
        """Runs a coroutine where the server runs."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def leuko(self, *args: str, **environment: str) -> Said:
        return leuko(self.folder, *args, **environment)


async def obey(room: Room) -> None:
    while True:
        for intent in await room.store.intents.waiting(LINE):
            room.seen.append(intent)
            refusal = {"rule": "not now", "where": "shop/production", "way_out": "later", "code": "P000"}
            answer = room.answers.get(str(intent.kind))
            state, said = answer(intent) if answer else (IntentState.REFUSED, refusal)
            async with room.store.write(LINE) as tx:
                await room.store.intents.answer(tx, intent.id, state, said, room.clock.now())
        await room.store.intents.wait_news(LINE, 1.0)


@pytest.fixture(scope="session")
def idle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Story]:
    """A project whose controller has gone; its store is written once, and rooms get a copy."""
    folder = tmp_path_factory.mktemp("idle")
    state = folder / ".leuko"
    state.mkdir()
    (folder / "leuko.yml").write_text(CONFIGURATION)

    async def write() -> Story:
        clock = HandClock(START)
        store = await Store.open(state / "leuko.sqlite", clock)
        story = await fill(store, clock)
        await store.close()
        return story

    return folder, asyncio.run(write())


@pytest.fixture
def room(tmp_path: Path, idle: tuple[Path, Story]) -> Iterator[Room]:
    """For a test that changes something."""
    with served(tmp_path / "here", *idle) as made:
        yield made


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, idle: tuple[Path, Story]) -> Iterator[Room]:
    """For tests that only look."""
    with served(tmp_path_factory.mktemp("shown") / "here", *idle) as made:
        yield made


@contextmanager
def served(folder: Path, filled: Path, story: Story) -> Iterator[Room]:
    """Served from a thread, so that the program under test can be a real process."""
    made: list[Room] = []
    ready, ending = threading.Event(), asyncio.Event()

    async def serve() -> None:
        state = folder / ".leuko"
        shutil.copytree(filled, folder)
        clock = HandClock(START)
        store = await Store.open(state / "leuko.sqlite", clock)
        app = create_app(store, clock, token=TOKEN, state=state)
        serving = await Serving.start(app, port=0, path=state / "leuko.sock")
        made.append(Room(folder, clock, store, serving, story, asyncio.get_running_loop()))
        obeying = asyncio.create_task(obey(made[0]))
        ready.set()
        await ending.wait()
        obeying.cancel()
        with suppress(asyncio.CancelledError):
            await obeying
        await made[0].serving.stop()  # a test may have stopped the first and started another
        await store.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(30), "the server did not start"
    yield made[0]
    made[0].loop.call_soon_threadsafe(ending.set)
    thread.join(30)
    assert not thread.is_alive()
