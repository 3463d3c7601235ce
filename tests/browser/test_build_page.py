"""The page of a build in a real browser: stored tests, live, with their output on demand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.browser.test_console import FLAGS, SMALLEST, WIDE, too_faint
from tests.web import builders as b

from leuko.domain.build import BuildState
from leuko.domain.case import Case, CaseState
from leuko.store.case_outputs import CaseOutputs
from leuko.store.cases import CaseRow
from leuko.store.nodes import NodeRow
from leuko.web.app import create_app
from leuko.web.serving import Serving

pytestmark = pytest.mark.needs("chromium")
S = CaseState


class Building:
    """A build whose tests a test tells by hand."""

    def __init__(self, store, clock, serving, build, outputs) -> None:
        self.store, self.clock, self.serving, self.build, self.outputs = store, clock, serving, build, outputs

    @property
    def url(self) -> str:
        return f"{self.serving.address}/shop/production/builds/{self.build.id}"

    async def tell(self, *rows: CaseRow, nodes: tuple[NodeRow, ...] = ()) -> None:
        async with self.store.write(b.LINE) as tx:
            event = tx.event("tests", f"build {self.build.id}", {}, self.clock.now())
            await self.store.cases.save(tx, self.build.id, rows, event)
            await self.store.nodes.save(tx, self.build.id, nodes, event)

    async def end(self, state: BuildState, reason: str = "") -> None:
        async with self.store.write(b.LINE) as tx:
            self.build = await self.store.builds.save(tx, self.build.to(state, self.clock.now(), reason))
            tx.event("build", f"build {self.build.id}", {"state": state.value}, self.clock.now())


@pytest.fixture
async def building(tmp_path: Path):
    clock = b.HandClock()
    store = await b.open_store(tmp_path, clock)
    await b.fill(store, clock)
    async with store.write(b.LINE) as tx:
        build = await store.builds.create(tx, b.revision("c"), "tree", [b.revision("c")], clock.now())
        build = await store.builds.save(tx, build.to(BuildState.RUNNING, clock.now()))
    outputs = CaseOutputs(tmp_path / "builds" / f"{build.id}-{build.attempt}")
    outputs.begin()
    serving = await Serving.start(create_app(store, clock, token=b.TOKEN, state=tmp_path), port=0)
    yield Building(store, clock, serving, build, outputs)
    await serving.stop()
    await store.close()


def case(name: str, file: str = "tests/test_cart.py") -> Case:
    return Case("unit", file, name)


def print_out(outputs: CaseOutputs, text: str):
    if hasattr(outputs, "append_all"):
        return outputs.append_all({1: (text, True)})[1]
    return outputs.append(text, failed=True)


async def test_a_build_live_on_its_page(building: Building, tmp_path: Path):
    from playwright.async_api import async_playwright

    complaints: list[str] = []
    node = NodeRow("database", 0, S.PASSED, 2.0)
    failed = CaseRow(case("test_total"), S.FAILED, 1, 0.5, "w1", "assert 1 == 2")
    await building.tell(failed, CaseRow(case("test_remove"), S.WAITING), nodes=(node,))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = await browser.new_page(viewport=WIDE)
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(building.url)
        await page.wait_for_selector("#runtests[data-ready]", timeout=15000)
        row = page.locator(".rt-row:visible")
        await row.filter(has_text="database").filter(has_text="passed").wait_for()
        await row.filter(has_text="test_total").filter(has_text="failed").wait_for()
        assert await page.locator("[data-part=run]").count() == 0  # looking, not running

        place = print_out(building.outputs, "the cart held 3 things\n")
        flaky = replace(failed, state=S.PASSED, attempt=2, worker="w2", reason="", flaky=True, output=place)
        await building.tell(
            replace(failed, output=place), flaky, CaseRow(case("test_remove"), S.PASSED, 1, 1.25)
        )
        await row.filter(has_text="test_total").filter(has_text="flaky").wait_for()
        await row.filter(has_text="test_total").click()
        await page.wait_for_selector("text=the cart held 3 things")
        assert await page.locator(".rt-facts:visible").count() == 2  # both attempts
        await building.end(BuildState.PASSED)
        await page.wait_for_selector(".rt [data-part=state][data-kind=passed]")
        await page.wait_for_function("() => location.hash.includes('test_total')")
        await page.screenshot(path=tmp_path / "build.png")
        for viewport in (WIDE, SMALLEST):
            for scheme in ("light", "dark"):
                await page.set_viewport_size(viewport)
                await page.emulate_media(color_scheme=scheme)
                wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
                assert not wide, f"scrolls sideways at {viewport['width']} px"
                assert await too_faint(page) == []
        await browser.close()
    assert complaints == []
    print(f"screenshots: {tmp_path}")


async def test_without_javascript_failures_are_a_table(building: Building):
    from playwright.async_api import async_playwright

    await building.tell(CaseRow(case("test_total"), S.FAILED, 1, 0.5, "w1", "assert 1 == 2"))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        context = await browser.new_context(java_script_enabled=False)
        page = await context.new_page()
        await page.goto(building.url)
        assert "assert 1 == 2" in await page.inner_text("noscript")
        await browser.close()


async def test_the_board_of_a_build_over_the_api(building: Building):
    import httpx2

    await building.tell(CaseRow(case("test_total"), S.RUNNING, worker="w1"))
    api = f"{building.serving.address}/api/v1/lines/shop/production/builds/{building.build.id}"
    async with httpx2.AsyncClient() as client:
        whole = (await client.get(f"{api}/board")).json()
        assert (whole["mark"], whole["state"], whole["whole"]) == ("r", "running", True)
        await building.tell(CaseRow(case("test_total"), S.PASSED, 1, 0.5, "w1"))
        query = {"since": whole["change"], "board": whole["board"]}
        told = (await client.get(f"{api}/board", params=query)).json()
        assert (told["whole"], told["rows"], told["mark"], told["ms"]) == (False, [0], "p", [500])
        other = (await client.get(f"{api}/board", params={"since": 5, "board": "another"})).json()
        assert other["whole"] is True
        assert (await client.get(f"{api}/rows/7")).status_code == 404
        assert (await client.get(f"{api}/rows/0")).json()["attempts"][0]["state"] == "passed"
        assert (await client.get(f"{api}/../9999/board")).status_code == 404
