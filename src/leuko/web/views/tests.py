"""Tests as they stand over many builds: the flaky, the slow, the failing; each with its last runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from leuko.config.model import Configuration
from leuko.domain.history import Past
from leuko.domain.line import Line
from leuko.domain.quarantine import Quarantine
from leuko.store.cases import CaseRow, Ordering
from leuko.store.store import Store
from leuko.web.views.quarantines import QuarantineView, quarantine_view, quarantines

STRIP = 30
"""Builds of which a test's runs are shown."""


class RunView(msgspec.Struct, frozen=True):
    """What came of a test in one build: its state, or `flaky`, or `none` where it did not run or is gone."""

    build: int
    state: str
    worker: str = ""
    reason: str = ""


class TestView(msgspec.Struct, frozen=True):
    """One test. `rate` is the part of its runs in which it was flaky; `strip` its last runs, oldest first."""

    test: str
    suite: str
    file: str
    name: str
    owner: str
    runs: int
    failures: int
    flakes: int
    rate: float
    seconds: float
    state: str
    build: int
    last_at: datetime | None
    last_failed_at: datetime | None
    last_flaked_at: datetime | None
    quarantine: QuarantineView | None
    strip: list[RunView]


class FlakyView(msgspec.Struct, frozen=True):
    """The page of flaky tests. `held` are all that are in quarantine, flaky or not."""

    event: int
    tests: list[TestView]
    held: list[QuarantineView]


async def known_tests(
    store: Store,
    line: Line,
    now: datetime,
    order: Ordering = "name",
    *,
    text: str = "",
    suite: str = "",
    limit: int = 100,
) -> list[TestView]:
    """In the order asked for."""
    pasts = await store.cases.pasts(line, order, text=text, suite=suite, limit=limit)
    holding = await store.quarantines.holding(line, now)
    builds = [build.id for build in await store.builds.recent(line, limit=STRIP)][::-1]
    strips = await store.cases.strip(line, [past.case for past in pasts[:1000]], builds)
    owners = await _owners(store, line)
    return [_test(past, strips.get(past.case, {}), builds, holding, owners, now) for past in pasts]


async def flaky(store: Store, line: Line, now: datetime) -> FlakyView:
    """For the page."""
    event = await store.events.last_number(line)
    return FlakyView(
        event,
        await known_tests(store, line, now, "flaky", limit=200),
        await quarantines(store, line, now),
    )


async def _owners(store: Store, line: Line) -> Mapping[str, str]:
    """Who is asked about each suite's tests, as the installation's own file says."""
    text = await store.lines.served(line)
    suites = Configuration.model_validate_json(text).verify.suites if text else {}
    return {name: suite.owner for name, suite in suites.items()}


def _test(
    past: Past,
    runs: Mapping[int, CaseRow],
    builds: Sequence[int],
    holding: Sequence[Quarantine],
    owners: Mapping[str, str],
    now: datetime,
) -> TestView:
    held = next((one for one in holding if one.covers(past.case)), None)
    return TestView(
        test=str(past.case),
        suite=past.case.suite,
        file=past.case.file,
        name=past.case.name,
        owner=held.owner if held is not None else owners.get(past.case.suite, ""),
        runs=past.runs,
        failures=past.failures,
        flakes=past.flakes,
        rate=round(past.flake_rate, 4),
        seconds=round(past.seconds, 3),
        state=past.last_state.value if past.last_state else "",
        build=past.last_build,
        last_at=past.last_at,
        last_failed_at=past.last_failed_at,
        last_flaked_at=past.last_flaked_at,
        quarantine=quarantine_view(held, now) if held is not None else None,
        strip=[_run(build, runs.get(build)) for build in builds],
    )


def _run(build: int, row: CaseRow | None) -> RunView:
    if row is None:
        return RunView(build, "none")
    state = "flaky" if row.flaky else "broken" if row.broken else row.state.value
    return RunView(build, state, row.worker, row.broken or row.reason)
