"""The contract of engines (tests/verify/test_engines.py), kept by a farm."""

from __future__ import annotations

import asyncio
import signal

import pytest
from tests.verify import test_engines as contract
from tests.verify.farm.rig import farm_of

from leuko.verify.buildbot.engine import BuildbotEngine, Ground
from leuko.verify.buildbot.farm import Farm

pytestmark = [pytest.mark.needs("buildbot"), pytest.mark.slow]

opened = contract.opened
CLAUSES = {name: value for name, value in vars(contract).items() if name.startswith("test_")}


class Few(Farm):
    """A farm with fewer workers than there are, for clauses about one."""

    few = 1

    def workers(self):
        return super().workers()[: self.few]


class FarmWorld:
    """Workers of a real Buildbot master."""

    real = True

    def __init__(self, rig, repository, farm) -> None:
        self.rig, self.farm, self.folder = rig, farm, repository.folder
        self.revision = repository.commit(contract.FILES)

    def engine(self, workers: int):
        self.farm.few = workers
        return BuildbotEngine(self.farm, Ground(str(self.folder), self.revision, "7.1"))

    async def kill(self, _engine, worker: str) -> None:
        self.rig.end(worker, signal.SIGKILL)
        self.rig.start(worker)


@pytest.fixture
async def world(rig, repository):
    farm = farm_of(rig, kind=Few)
    await farm.start()
    yield FarmWorld(rig, repository, farm)
    await farm.close()


@pytest.mark.parametrize("clause", CLAUSES)
async def test_a_farm_keeps_the_contract(clause, opened, world):
    wanted = CLAUSES[clause]
    given = {"opened": opened, "world": world}
    names = wanted.__code__.co_varnames[: wanted.__code__.co_argcount]
    async with asyncio.timeout(110):
        while not world.farm.workers():
            await world.farm.changed(1.0)
        await wanted(**{name: given[name] for name in names})
