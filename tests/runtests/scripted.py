"""A carrier whose events a test tells by hand, and a served session around it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from leuko.clock import SystemClock
from leuko.domain.board import Board
from leuko.domain.board_rows import RunState
from leuko.domain.case import Case, CaseBegan, CaseEnded, CaseResult, CaseState, NodeChanged, VerifyEvent
from leuko.runtests.app import create_app
from leuko.runtests.carrier import Ended, OnEvent, Wanted
from leuko.runtests.printed import Printed
from leuko.runtests.session import Session
from leuko.web.serving import Serving

TOKEN = "t0ken-of-the-test"
S = CaseState


class Scripted:
    """Runs nothing. `say` is an event, `finish` ends the run; `autoplay` passes everything at once."""

    def __init__(self, nodes: Sequence[str] = (), *, autoplay: bool = False) -> None:
        self.nodes = tuple(nodes)
        self.autoplay = autoplay
        self.wanted: list[Wanted] = []
        self.cancelled = 0
        self._on_event: OnEvent = lambda _event: None
        self._end: asyncio.Future[Ended] | None = None

    async def run(self, wanted: Wanted, on_event: OnEvent) -> Ended:
        self.wanted.append(wanted)
        self._on_event = on_event
        if self.autoplay:
            for case in wanted.cases:
                on_event(CaseBegan(case, "w1"))
                on_event(CaseEnded(CaseResult(case, S.PASSED, 0.01, "w1")))
            return Ended(RunState.PASSED)
        self._end = asyncio.get_running_loop().create_future()
        try:
            return await self._end
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def say(self, *events: VerifyEvent) -> None:
        for event in events:
            self._on_event(event)

    def finish(self, state: RunState = RunState.PASSED, reason: str = "") -> None:
        assert self._end is not None
        self._end.set_result(Ended(state, reason))

    def again(self) -> None:
        self.set_up_again = True

    async def close(self) -> None:
        pass


@dataclass
class Served:
    session: Session
    carrier: Scripted
    serving: Serving

    @property
    def enter(self) -> str:
        return f"{self.serving.address}/enter?token={TOKEN}"

    @property
    def cookie(self) -> str:
        return f"runtests-{self.serving.port}={TOKEN}"

    def case(self, name: str) -> Case:
        """The first test whose name or file holds this."""
        for row in self.session.board.rows:
            case = self.session.board.case(row.id)
            if case and re.search(re.escape(name), f"{case.file}::{case.name}"):
                return case
        raise LookupError(name)

    def begin(self, name: str, worker: str = "w1") -> None:
        self.carrier.say(CaseBegan(self.case(name), worker))

    def end(self, name: str, state: CaseState = S.PASSED, seconds: float = 1.0, **rest) -> None:
        rest.setdefault("worker", "w1")
        self.carrier.say(CaseEnded(CaseResult(self.case(name), state, seconds, **rest)))

    def node(self, name: str, state: CaseState, seconds: float = 0.0, **rest) -> None:
        self.carrier.say(NodeChanged(name, state, seconds, **rest))


SHOP = {
    ("unit", "tests/catalog/test_prices.py"): ["test_rounding", "test_currency[EUR]", "test_currency[USD]"],
    ("unit", "tests/catalog/test_search.py"): ["TestSearch::test_empty", "TestSearch::test_umlauts"],
    ("unit", "tests/orders/test_cart.py"): ["test_total", "test_discount", "test_remove"],
    ("unit", "tests/orders/test_stock.py"): ["test_reserve", "test_race"],
    ("browser", "selenium/test_checkout.py"): ["test_pays", "test_declined_card"],
    ("browser", "selenium/test_login.py"): ["test_signs_in"],
}
TAGS = {"browser": ("selenium",)}


def shop_board(expect=lambda _case: 1.0) -> Board:
    board = Board("shop", expect)
    for (suite, file), names in SHOP.items():
        for name in names:
            board.add(Case(suite, file, name), ("browser",) if suite == "browser" else ())
    return board


@asynccontextmanager
async def served(folder: Path, board: Board, carrier: Scripted):
    session = Session(folder, board, carrier, Printed(folder), SystemClock())
    serving = await Serving.start(create_app(session, session._clock, TOKEN), port=0)
    try:
        yield Served(session, carrier, serving)
    finally:
        await session.close()
        await serving.stop()
