"""A host, a fleet of two, and a repository of the shop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.demo.rig import Rig

from leuko.demo.fleet import EmbeddedFleet
from leuko.demo.repository import ShopRepository


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    fleet = EmbeddedFleet(tmp_path / "hosts", hosts=1)
    await fleet.start()
    yield Rig(fleet)
    await fleet.stop()


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Rig]:
    fleet = EmbeddedFleet(tmp_path / "hosts", hosts=2)
    await fleet.start()
    yield Rig(fleet)
    await fleet.stop()


@pytest.fixture
async def repository(tmp_path: Path) -> ShopRepository:
    made = ShopRepository(tmp_path / "repository")
    await made.create()
    return made
