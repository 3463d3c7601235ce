"""Looks at what the tests of a build left about the lines they ran, and at the gate that may be set on it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from leuko.config.model import Configuration
from leuko.config.quantities import portion
from leuko.domain.build import Build, BuildState
from leuko.domain.coverage import ChangeCoverage, Lines, compared, placed, suffix, touched
from leuko.domain.errors import LeukoError
from leuko.domain.patterns import Patterns
from leuko.runtime.ground import Ground
from leuko.vcs.mirror import Mirror
from leuko.verify.build import BuildOutcome
from leuko.verify.reports import find_reports, read_report, statements

log = structlog.get_logger(__name__)

MOST_FILES = 500
"""Touched files that are looked at; a change of more is an import of foreign code."""
TESTS = ("tests/**", "test/**", "**/tests/**", "**/test/**", "test_*.py", "*_test.py", "conftest.py")
"""Not loaded by every run, and nobody's product: they never count as missed where no report knows them."""


class Covering:
    """Of one line. Reports and gate come from the installation's own file."""

    def __init__(self, ground: Ground, mirror: Mirror) -> None:
        self._ground = ground
        self._mirror = mirror

    async def look(self, build: Build, outcome: BuildOutcome, configuration: Configuration) -> None:
        """Stores what it finds; warns, or makes the build red, as the gate says."""
        section = configuration.coverage
        if not section.reports or outcome.checkout is None:
            return
        try:
            found = await self._found(build, outcome.checkout, configuration)
        except (LeukoError, OSError) as error:
            found = ChangeCoverage(trouble=str(error))
        except Exception as error:
            log.exception("the coverage of a change could not be read", build=build.id)
            found = ChangeCoverage(trouble=f"a fault of Leuko: {error}")
        now = self._ground.clock.now()
        async with self._ground.write() as tx:
            await self._ground.store.build_facts.set(tx, build.id, "coverage", told(found), now)
        least = portion(section.least)
        if not too_little(found, least):
            return
        said = f"{found.sentence}; at least {section.least} should have run"
        if section.gate == "hard":
            outcome.state, outcome.reason = BuildState.FAILED, said
        elif section.gate == "warn":
            outcome.warnings = (*outcome.warnings, said)

    async def _found(self, build: Build, checkout: Path, configuration: Configuration) -> ChangeCoverage:
        history = self._mirror.history
        covers = await self._ground.store.builds.changes(self._ground.line, build.id)
        first = await self._ground.store.changes.get(self._ground.line, covers[0]) if covers else None
        change = first.change if first is not None else await history.landing(build.revision)
        changed = touched(await history.patch(change.parent, build.revision))
        dropped = list(changed)[MOST_FILES:]
        changed = {path: changed[path] for path in list(changed)[:MOST_FILES]}
        sources = {
            path: text
            for path in changed
            if path.endswith(".py") and (text := await history.show_file(build.revision, path)) is not None
        }
        patterns = [*TESTS, *(one for suite in configuration.verify.suites.values() for one in suite.files)]
        found = await asyncio.to_thread(
            _read, checkout, configuration.coverage.reports, changed, sources, Patterns(patterns)
        )
        more = (f"{len(dropped)} more files are touched and not looked at",) if dropped else ()
        return replace(found, remarks=(*found.remarks, *more))


def too_little(found: ChangeCoverage, least: float) -> bool:
    """True where the gate should say something: too few lines ran, or nobody knows how many."""
    return bool(found.trouble) or (found.share is not None and found.share < least)


def told(found: ChangeCoverage) -> dict[str, Any]:
    """As it is stored and shown."""
    return {
        "sentence": found.sentence,
        "trouble": found.trouble,
        "share": found.share,
        "measured": found.measured,
        "missed": found.missed,
        "reports": list(found.reports),
        "remarks": list(found.remarks),
        "files": [
            {
                "path": file.path,
                "measured": file.measured,
                "missed": list(file.missed),
                "ranges": file.ranges,
                "unknown": file.unknown,
            }
            for file in found.files
        ],
    }


def _read(
    checkout: Path,
    patterns: Sequence[str],
    changed: Mapping[str, frozenset[int]],
    sources: Mapping[str, str],
    tests: Patterns,
) -> ChangeCoverage:
    """Reports against touched lines. In a thread: it reads files."""
    reports = find_reports(checkout, patterns)
    known: dict[str, Lines] = {}
    suffixes: set[str] = set()
    remarks: list[str] = []
    read: list[str] = []
    for report in reports:
        try:
            reported = read_report(checkout, report, sources)
        except LeukoError as error:
            remarks.append(str(error))
            continue
        read.append(report)
        suffixes |= {suffix(name) for name in reported} - {""}
        for path, lines in placed(reported, changed).items():
            known[path] = known.get(path, Lines()) | lines
    if not read:
        why = remarks[0] if remarks else f"the tests left no report that fits {', '.join(patterns)}"
        return ChangeCoverage(trouble=why, remarks=tuple(remarks))
    counted = {
        path: lines
        for path, lines in changed.items()
        if path in known or not tests.match(path.encode("utf-8", "surrogateescape"))
    }
    unknown = {path: sources[path] for path in counted if path in sources and path not in known}
    files = compared(counted, known, suffixes, statements(unknown))
    return ChangeCoverage(files, tuple(read), remarks=tuple(remarks))
