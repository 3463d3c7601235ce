"""The farm of one line: one connection to its master, and an engine for each build."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from leuko.config.verify import Verify
from leuko.runtime.ground import Ground
from leuko.verify.buildbot.engine import BuildbotEngine
from leuko.verify.buildbot.engine import Ground as BuildGround
from leuko.verify.buildbot.farm import Farm
from leuko.verify.buildbot.master import Master
from leuko.verify.buildbot.order import set_up
from leuko.verify.engine import Engine

_PATTERN = frozenset("*?[")


class Farming:
    """`tree_of` gives the digest that git knows a revision's tree by: workers refuse another one."""

    def __init__(self, ground: Ground, tree_of: Callable[[str], Awaitable[str]]) -> None:
        self._ground = ground
        self._tree_of = tree_of
        self._farm: Farm | None = None

    @property
    def wanted(self) -> bool:
        """The installation has a farm."""
        return self._ground.configuration.farm.engine == "buildbot"

    @asynccontextmanager
    async def engine(self, build: str, revision: str, verify: Verify) -> AsyncIterator[Engine | None]:
        """Workers of the farm for one build; None where there is no farm, or nothing for it to do."""
        if not self.wanted or not verify.suites:
            yield None
            return
        configuration = self._ground.configuration
        stands_on = BuildGround(
            configuration.farm.repository or configuration.repository,
            revision,
            build,
            tree=await self._tree_of(revision),
            setup=set_up(verify, None),
        )
        engine = BuildbotEngine(
            await self._reached(), stands_on, most=_most(verify), mask=self._ground.secrets.mask
        )
        engine.start()
        try:
            yield engine
        finally:
            await asyncio.shield(engine.close())

    async def close(self) -> None:
        """Lets go of the master."""
        farm, self._farm = self._farm, None
        if farm is not None:
            await farm.close()

    async def _reached(self) -> Farm:
        if self._farm is None:
            ground, given = self._ground, self._ground.configuration.farm
            whose = f"{ground.store.installation} {ground.line}"
            self._farm = Farm(
                Master(given.url, given.user, ground.secrets.fill_in(given.password)),
                given.builder,
                hashlib.sha256(whose.encode()).hexdigest()[:12],
                given.workers,
            )
            await self._farm.start()
        return self._farm


def _most(verify: Verify) -> int:
    """Workers that are worth getting ready: as many as there are files, where they are named one by one (as
    in the search for a culprit), else all (0).
    """
    files = [file for suite in verify.suites.values() for file in suite.files]
    return 0 if any(_PATTERN & set(file) for file in files) else len(files)
