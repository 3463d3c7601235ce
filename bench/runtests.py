"""RunTests with 40,000 tests in a real Chromium: until rows are in sight, filters, search, a live run.

    python bench/runtests.py [--runs 5] [--out runtests.jsonl] [--quick]

The server is the real one, with events that are told by hand. Milliseconds are the page's own clock: a filter
counts from the click to the frame in which the rows stand. `snapshot_cpu_ms` is processor time of the server,
to make and encode the whole board.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from _cells import do, parser

from leuko.clock import SystemClock
from leuko.domain.board import Board
from leuko.domain.board_rows import RunState
from leuko.domain.case import Case, CaseBegan, CaseEnded, CaseResult, CaseState
from leuko.domain.columns import snapshot
from leuko.runtests.app import create_app
from leuko.runtests.carrier import Ended, OnEvent, Wanted
from leuko.runtests.printed import Printed
from leuko.runtests.session import Session
from leuko.web.serving import Serving

FILES, IN_A_FILE = 2000, 20
TOKEN = "bench"
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
_TIMED = """async () => {
  const began = performance.now();
  %s
  await new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)));
  return performance.now() - began; }"""
_SEARCH = """const box = document.querySelector('[data-part=search]');
  box.value = '%s'; box.dispatchEvent(new Event('input'));"""
_SORT = """const box = document.querySelector('[data-part=sort]');
  box.value = '%s'; box.dispatchEvent(new Event('change'));"""
_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_FRAMES = """() => { window.longest = 0; let last = performance.now();
  const tick = () => { const now = performance.now(); window.longest = Math.max(window.longest, now - last);
    last = now; requestAnimationFrame(tick); };
  requestAnimationFrame(tick); }"""
_STARTED = "() => document.querySelector('[data-part=stop]').disabled === false"
_ALL_THERE = "() => document.querySelector('[data-filter=passed] b').textContent === '2,000'"
ACTS = {
    "filter_failed": "document.querySelector('[data-filter=failed]').click();",
    "filter_passed": "document.querySelector('[data-filter=passed]').click();",
    "filter_all": "document.querySelector('[data-filter=all]').click();",
    "search_one_letter": _SEARCH % "e",
    "search_two_words": _SEARCH % "part_7 test_19",
    "search_nothing": _SEARCH % "",
    "slowest_first": _SORT % "slow",
    "by_file": _SORT % "file",
    "tick_all": "document.querySelector('[data-part=every]').click();",
    "scroll_to_the_end": "const box = document.querySelector('[data-part=rows]'); box.scrollTop = 1e9;",
}


class _Hand:
    """A carrier whose events the bench tells."""

    def __init__(self) -> None:
        self.nodes: Sequence[str] = ("sandbox", "database")
        self.tell: OnEvent = lambda _event: None
        self.end = asyncio.Event()

    def again(self) -> None:
        """Nothing is set up."""

    async def run(self, _wanted: Wanted, on_event: OnEvent) -> Ended:
        """Until `end` is set."""
        self.tell = on_event
        await self.end.wait()
        return Ended(RunState.PASSED)

    async def close(self) -> None:
        """Nothing was started."""


def cases() -> list[Case]:
    """2,000 files in 40 folders, 20 tests each."""
    return [
        Case("unit", f"tests/part_{file % 40}/area_{file % 7}/test_file_{file}.py", f"TestIt::test_{number}")
        for file in range(FILES)
        for number in range(IN_A_FILE)
    ]


def board_of(known: Sequence[Case]) -> Board:
    """Most passed, one in fifty failed."""
    board = Board("bench", lambda _case: 0.2)
    for index, case in enumerate(known):
        state, reason = (CaseState.FAILED, "assert 1 == 2") if index % 50 == 7 else (CaseState.PASSED, "")
        board.remember(CaseResult(case, state, 0.01 * (index % 97), reason=reason))
    return board


def snapshot_cell() -> Mapping[str, Any]:
    """Making and encoding everything, without a browser."""
    board, now = board_of(cases()), SystemClock().now()
    took = []
    for _ in range(7):
        began = time.process_time()  # of the processor: the machine may have other work
        body = msgspec.json.encode(snapshot(board, now))
        took.append((time.process_time() - began) * 1000)
    middle, best = round(statistics.median(took), 1), round(min(took), 1)
    return {"rows": len(board.rows), "bytes": len(body), "snapshot_cpu_ms": middle, "best_ms": best}


def page_cell() -> Mapping[str, Any]:
    """One load and each act once."""
    return asyncio.run(_page())


async def _page() -> Mapping[str, Any]:
    from playwright.async_api import async_playwright

    known = cases()
    with tempfile.TemporaryDirectory() as folder:
        hand = _Hand()
        session = Session(Path(folder), board_of(known), hand, Printed(Path(folder)), SystemClock())
        serving = await Serving.start(create_app(session, SystemClock(), TOKEN), port=0)
        try:
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
                page = await browser.new_page(viewport={"width": 1280, "height": 900})
                await page.goto(f"{serving.address}/enter?token={TOKEN}")
                await page.wait_for_selector("#runtests[data-ready]")
                await page.reload()  # with the files of the page in the browser's cache, as from day two
                await page.wait_for_selector("#runtests[data-ready]")
                told: dict[str, Any] = {
                    "first_paint_ms": await page.evaluate(_PAINTED),
                    "rows_in_sight_ms": await page.evaluate(
                        "document.querySelector('#runtests').page.readyAt"
                    ),
                }
                for name, act in ACTS.items():
                    told[f"{name}_ms"] = await page.evaluate(_TIMED % act)
                told |= await _live(page, session, hand, known)
                await browser.close()
        finally:
            await session.close()
            await serving.stop()
    return {key: round(value, 1) if isinstance(value, float) else value for key, value in told.items()}


async def _live(page: Any, session: Session, hand: _Hand, known: Sequence[Case]) -> Mapping[str, Any]:
    """2,000 results in two seconds: the longest time that the page gave no frame."""
    await page.evaluate(_FRAMES)
    session.run()
    await page.wait_for_function(_STARTED)
    began_ms = await page.evaluate("window.longest")
    await page.evaluate("window.longest = 0")
    for start in range(0, 2000, 100):
        for case in known[start : start + 100]:
            hand.tell(CaseBegan(case, "w1"))
            hand.tell(CaseEnded(CaseResult(case, CaseState.PASSED, 0.02, "w1", output="printed")))
        await asyncio.sleep(0.1)
    await page.wait_for_function(_ALL_THERE)
    hand.end.set()
    return {
        "begin_all_longest_frame_ms": began_ms,
        "live_longest_frame_ms": await page.evaluate("window.longest"),
    }


def main() -> None:
    """Every cell that the file does not have yet."""
    options = parser(__doc__)
    options.add_argument("--runs", type=int, default=5)
    chosen = options.parse_args()
    runs = 1 if chosen.quick else chosen.runs
    do({"snapshot": snapshot_cell} | {f"page {run}": page_cell for run in range(1, runs + 1)}, chosen)


if __name__ == "__main__":
    main()
