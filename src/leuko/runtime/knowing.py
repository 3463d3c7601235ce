"""What a build is told when it begins: earlier builds, files that the change touches, quarantine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator

from leuko.config.model import Configuration
from leuko.domain.build import Build
from leuko.domain.errors import LeukoError
from leuko.domain.quarantine import Quarantine
from leuko.runtime.ground import Ground
from leuko.vcs.mirror import Mirror
from leuko.verify.knowledge import Knowledge


class Held(Collection[str]):
    """Tests in quarantine, asked for as `str(case)`; a file that is held whole holds all its tests."""

    def __init__(self, quarantines: Iterable[Quarantine]) -> None:
        cases = [one.case for one in quarantines]
        self._named = {str(case) for case in cases}
        self._whole = tuple(f"{case}::" for case in cases if not case.name)

    def __contains__(self, case: object) -> bool:
        text = str(case)
        return text in self._named or text.startswith(self._whole)

    def __iter__(self) -> Iterator[str]:
        return iter(self._named)

    def __len__(self) -> int:
        return len(self._named)


async def known(
    ground: Ground, mirror: Mirror, build: Build, configuration: Configuration, tested: str = ""
) -> Knowledge:
    """Reads the store and git. What git cannot say is left out: it only orders the tests.

    `tested`: why no test of ours needs to run, where somebody else said that already.
    """
    store, line = ground.store, ground.line
    held = Held(await store.quarantines.holding(line, ground.clock.now()))
    return Knowledge(
        await store.cases.history(line),
        await _touched(ground, mirror, build),
        held,
        tested or await _tested(ground, build, configuration),
    )


def way_of(configuration: Configuration) -> str:
    """What makes two verifications of one tree the same: how, by whom, and what was asked of it."""
    said = configuration.model_dump(mode="json", include={"verify", "outside", "coverage"})
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


async def _tested(ground: Ground, build: Build, configuration: Configuration) -> str:
    """Why no test needs to run. A build that a person asked for tests all the same."""
    store, line = ground.store, ground.line
    if await store.build_facts.get(line, build.id, "asked") is not None:
        return ""
    passed = await store.builds.passed_tree(line, build.tree)
    if passed is None or passed.id == build.id:
        return ""
    verified = await store.build_facts.get(line, passed.id, "verified")
    if not verified or verified.get("way") != way_of(configuration):
        return ""
    return f"the very same tree passed in build {passed.id}"


async def _touched(ground: Ground, mirror: Mirror, build: Build) -> frozenset[str]:
    covers = await ground.store.builds.changes(ground.line, build.id)
    first = await ground.store.changes.get(ground.line, covers[0]) if covers else None
    if first is None or first.change.parent is None:
        return frozenset()
    try:
        return frozenset(await mirror.history.files_changed(first.change.parent, build.revision))
    except LeukoError:
        return frozenset()
