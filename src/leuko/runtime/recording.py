"""Stores the tests of a build while they run: what happened since the last beat, with one event a batch."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import structlog

from leuko.domain.case import Case, CaseState, VerifyEvent
from leuko.runtime.ground import Ground
from leuko.runtime.sheet import Attempt, News, Sheet
from leuko.store.case_outputs import CaseOutputs
from leuko.store.cases import CaseRow, OutputPlace
from leuko.store.errors import Lost, StoreError

log = structlog.get_logger(__name__)

BEAT = 0.3
"""Seconds between two writes."""
SLICE = 2000
"""Rows in a transaction: whoever else writes waits for a fraction of a second at most."""


class Recording:
    """Of one build. `take` is called as things happen, `run` stores them, `finish` stores the rest."""

    def __init__(
        self, ground: Ground, build: int, outputs: CaseOutputs, quarantined: Collection[str] = ()
    ) -> None:
        self.sheet = Sheet(quarantined, ground.clock.now)
        self.warnings: dict[str, None] = {}
        self._ground = ground
        self._build = build
        self._outputs = outputs
        self._left: list[News] = []
        self._begun = False

    @property
    def done(self) -> float:
        """Part of the tests that have ended, 0 to 1."""
        counts = self.sheet.counts
        left = counts[CaseState.WAITING.value] + counts[CaseState.RUNNING.value]
        return 1 - left / counts["all"] if counts["all"] else 0.0

    def take(self, event: VerifyEvent) -> None:
        """One thing that happened; it is stored at the next beat."""
        self.sheet.take(event)

    async def begin(self) -> None:
        """Forgets what an earlier start of this build left."""
        store = self._ground.store
        async with self._ground.write() as tx:
            await store.cases.clear(tx, self._build)
            await store.nodes.clear(tx, self._build)

    async def run(self) -> None:
        """Stores at each beat, for ever. A store that cannot be written to is tried again at the next."""
        while True:
            await asyncio.sleep(BEAT)
            try:
                await self.flush()
            except Lost:
                raise
            except StoreError as error:
                log.warning("tests cannot be stored; trying again", build=self._build, error=str(error))

    async def finish(self, flaky: Collection[Case] = ()) -> int:
        """Stores what is left; what had no turn is dropped, and counted."""
        self.sheet.flag(flaky)
        unended = self.sheet.drop_unended()
        await self.flush()
        return unended

    async def flush(self) -> None:
        """Everything so far. What cannot be stored now is stored with the next."""
        news = self.sheet.news()
        if news:
            self._left.append(news)
        while self._left:
            await self._store(self._left[0])
            del self._left[0]

    async def _store(self, news: News) -> None:
        places, node_places = await asyncio.to_thread(self._print, news)
        for attempt, row in news.rows.items():
            if attempt in places:
                news.rows[attempt] = placed = replace(row, output=places[attempt])
                if self.sheet.rows.get(row.case) is row:  # a later flag must not forget where it lies
                    self.sheet.rows[row.case] = placed
        for name, place in node_places.items():
            news.nodes[name] = replace(news.nodes[name], output=place)
        news.texts, news.node_texts = {}, {}  # printed once, however often the rows are tried
        rows = news.rows.values()
        some = iter(rows)
        first = True
        while (part := list(islice(some, SLICE))) or first:
            now, store = self._ground.clock.now(), self._ground.store
            async with self._ground.write() as tx:
                event = tx.event("build.tests", f"build {self._build}", self._told(), now)
                if first:
                    await store.nodes.save(tx, self._build, news.nodes.values(), event)
                    await store.cases.drop(tx, self._build, news.gone)
                await store.cases.save(tx, self._build, part, event)
            first = False

    def _told(self) -> Mapping[str, object]:
        return {"build": self._build, "counts": self.sheet.counts}

    def _print(self, news: News) -> tuple[dict[Attempt, OutputPlace], dict[str, OutputPlace]]:
        """Writes outputs to their file. Without room for them results are kept all the same."""
        try:
            if not self._begun:
                self._outputs.begin()
                self._begun = True
            kept = {key: text for key, text in news.texts.items() if key in news.rows}
            wanted = {key: (text, _wanted(news.rows[key])) for key, text in kept.items()}
            cases = self._outputs.append_all(wanted)
            nodes = self._outputs.append_all({name: (text, True) for name, text in news.node_texts.items()})
        except OSError as error:
            self.warnings[f"what tests printed cannot be kept: {error}"] = None
            return {}, {}
        return cases, nodes


def _wanted(row: CaseRow) -> bool:
    """True for output that somebody will want to read."""
    return row.state is CaseState.FAILED or row.flaky or bool(row.broken)


def final(rows: Mapping[Case, CaseRow]) -> Sequence[CaseRow]:
    """Results, without those of tests that did not end."""
    return [row for row in rows.values() if row.state.ended]
