"""One farm for all tests here: a master and two workers take seconds to start."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from tests.verify.farm.rig import Repository, Rig, farm_of


@pytest.fixture(scope="session")
def farm_folder():
    folder = Path(tempfile.mkdtemp(prefix="leuko-farm-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def started(farm_folder):
    rig = Rig(farm_folder / "farm", 2)
    yield rig
    rig.end_all()


@pytest.fixture
async def rig(started):
    """The farm, whole again whatever the test before did to it."""
    await started.ready()
    return started


@pytest.fixture
async def farm(rig):
    found = farm_of(rig)
    await found.start()
    yield found
    await found.close()


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "shop")
