"""A real store, a really served application, and a client on loopback."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from tests.web import builders

from leuko.store.store import Store
from leuko.web.app import create_app
from leuko.web.serving import Serving


@dataclass
class Served:
    store: Store
    clock: builders.HandClock
    serving: Serving
    client: httpx2.AsyncClient
    story: builders.Story
    folder: Path

    @property
    def api(self) -> str:
        return f"{self.serving.address}/api/v1/lines/shop/production"

    @property
    def page(self) -> str:
        return f"{self.serving.address}/shop/production"

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {builders.TOKEN}"}


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, builders.Story]:
    """The story's store, written once; each test gets a copy."""
    folder = tmp_path_factory.mktemp("filled")

    async def write() -> builders.Story:
        clock = builders.HandClock()
        store = await builders.open_store(folder, clock)
        story = await builders.fill(store, clock)
        await store.close()
        return story

    return folder, asyncio.run(write())


@pytest.fixture
async def served(tmp_path: Path, filled: tuple[Path, builders.Story]) -> AsyncIterator[Served]:
    folder, story = filled
    for file in folder.iterdir():
        shutil.copy(file, tmp_path / file.name)
    clock = builders.HandClock()
    store = await builders.open_store(tmp_path, clock)
    app = create_app(store, clock, token=builders.TOKEN, state=tmp_path, names=frozenset({"leuko.example"}))
    serving = await Serving.start(app, port=0, path=tmp_path / "leuko.sock")
    async with httpx2.AsyncClient(timeout=20) as client:
        yield Served(store, clock, serving, client, story, tmp_path)
    await serving.stop()
    await store.close()
