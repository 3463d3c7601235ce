"""The page in a real Chromium: pick, run, live states, filters, output, keyboard, addresses, stop, watch."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.browser.test_console import FLAGS, SMALLEST, WIDE, too_faint
from tests.runtests.scripted import S, Scripted, served, shop_board

from leuko.domain.board_rows import RunState

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(180)]
OUTPUT = "def test_discount():\n>       assert total(cart) == 80\nE       assert 90 == 80\n"


@pytest.fixture
async def shop(tmp_path: Path):
    async with served(tmp_path, shop_board(), Scripted(["sandbox", "database"])) as one:
        yield one


@pytest.fixture
async def page(shop):
    from playwright.async_api import async_playwright

    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = await browser.new_page(viewport=WIDE)
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(shop.enter)
        await page.wait_for_selector("#runtests[data-ready][data-connected=yes]")
        page.complaints = complaints
        yield page
        await browser.close()
    assert complaints == []


def row(page, text: str):
    return page.locator(".rt-row:visible:not([data-kind=file])").filter(has_text=text)


async def names(page) -> list[str]:
    return await page.locator(".rt-row:visible:not([data-kind=file]) .rt-test").all_inner_texts()


async def until(page, script: str) -> None:
    await page.wait_for_function(f"() => {script}")  # a bare expression needs an eval that our policy forbids


async def asked(shop, runs: int) -> list[str]:
    """The names of the tests of this run, once the page has asked for it."""
    async with asyncio.timeout(20):
        while len(shop.carrier.wanted) < runs or not shop.session.running:
            await asyncio.sleep(0.02)
    return sorted(case.name for case in shop.carrier.wanted[runs - 1].cases)


def play(shop) -> None:
    """A run as it goes: set-up, passes, a failure, a flake, a skip, a broken one, and two that run."""
    for node in ("sandbox", "database"):
        shop.node(node, S.RUNNING)
        shop.node(node, S.PASSED, 0.4, output=f"{node} is there")
    for name in ("test_rounding", "EUR", "USD", "test_empty", "test_total"):
        shop.begin(name)
        shop.end(name, seconds=0.3)
    shop.begin("test_discount")
    shop.end("test_discount", S.FAILED, 0.72, reason="assert 90 == 80", output=OUTPUT)
    shop.end("umlauts", S.FAILED, 0.1, reason="TimeoutError", output="first try")
    shop.begin("umlauts", "w2")
    shop.end("umlauts", S.PASSED, 0.1, attempt=2, worker="w2")
    shop.end("test_remove", S.SKIPPED, 0, reason="needs a shelf")
    shop.end("test_race", S.FAILED, 3.1, broken="the worker died")
    shop.begin("test_pays")
    shop.begin("test_signs_in", "w2")


async def test_pick_by_tag_run_and_see_it_live(shop, page):
    assert await page.locator("[data-filter=all] b").inner_text() == "13"
    await page.check("[data-tag=browser]")
    assert await page.inner_text("[data-part=run]") == "Run 3 ticked"
    await page.click("[data-part=run]")
    assert await asked(shop, 1) == ["test_declined_card", "test_pays", "test_signs_in"]
    await row(page, "sandbox").filter(has_text="waiting").wait_for()
    await row(page, "test_pays").filter(has_text="waiting").wait_for()
    shop.node("sandbox", S.RUNNING)
    await row(page, "sandbox").filter(has_text="running").wait_for()
    shop.node("sandbox", S.PASSED, 0.2)
    shop.node("database", S.PASSED, 0.2)
    shop.begin("test_pays")
    await row(page, "test_pays").filter(has_text="on w1").wait_for()
    await until(page, "Number(document.querySelector('[data-filter=running] b').textContent) === 1")
    shop.end("test_pays", seconds=2.0)
    await row(page, "test_pays").filter(has_text="100 %").filter(has_text="2.00 s").wait_for()
    await page.wait_for_selector("[data-part=stop]:enabled")
    await page.click("[data-part=stop]")
    await page.wait_for_selector("[data-part=state][data-kind=stopped]")
    assert shop.carrier.cancelled == 1
    await row(page, "test_declined_card").filter(has_text="not run").wait_for()


async def test_filters_output_and_running_the_failed_again(shop, page):
    await page.click("[data-part=run]")
    assert len(await asked(shop, 1)) == 13
    play(shop)
    shop.end("test_pays")
    shop.end("test_signs_in")
    shop.end("declined")
    shop.end("test_reserve")
    shop.carrier.finish(RunState.FAILED, "1 of 13 tests failed")
    await page.wait_for_selector("[data-part=state][data-kind=failed]")
    assert await page.inner_text("[data-part=said]") == "1 of 13 tests failed"
    for name, count in {
        "passed": 10,
        "failed": 1,
        "skipped": 1,
        "flaky": 1,
        "broken": 1,
        "waiting": 0,
    }.items():
        assert await page.locator(f"[data-filter={name}] b").inner_text() == str(count), name
    await page.click("[data-filter=failed]")
    assert await names(page) == ["test_discount"]
    await row(page, "test_discount").click()
    await page.wait_for_selector("pre:has-text('assert total(cart) == 80')")
    await page.click("[data-filter=flaky]")
    await row(page, "umlauts").locator(".rt-open").click()
    await page.wait_for_selector(".rt-output:visible >> text=first try")
    assert await page.locator(".rt-facts:visible").count() == 2

    await page.click("[data-part=failed]")
    assert await asked(shop, 2) == ["test_discount"]
    shop.begin("test_discount")
    shop.end("test_discount")
    shop.carrier.finish()
    await page.wait_for_selector("[data-part=state][data-kind=passed]")
    await page.click("[data-filter=all]")
    await page.click("[data-part=slow]")
    assert "test_discount" in await asked(shop, 3)


async def test_everything_by_keyboard(shop, page):
    await page.keyboard.press("A")
    assert len(await asked(shop, 1)) == 13
    play(shop)
    await row(page, "test_signs_in").filter(has_text="running").wait_for()
    await page.keyboard.press("s")
    await page.wait_for_selector("[data-part=state][data-kind=stopped]")
    await page.keyboard.press("f")
    await until(page, "document.querySelectorAll('.rt-row:not([hidden])[data-kind=failed]').length === 1")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("pre:has-text('assert 90 == 80')")
    await page.keyboard.press("o")
    await until(page, "![...document.querySelectorAll('.rt-output')].some(e => e.checkVisibility())")
    await page.keyboard.press("r")
    assert await asked(shop, 2) == ["test_discount"]
    shop.carrier.finish()
    await page.wait_for_selector("[data-part=stop]:disabled")
    await page.keyboard.press("a")
    await page.keyboard.press("/")
    await page.keyboard.type("cart total")
    assert await names(page) == ["test_total"]
    await page.keyboard.press("Enter")
    await page.keyboard.press("j")
    await page.keyboard.press("Space")
    assert await page.inner_text("[data-part=run]") == "Run 1 ticked"
    await page.keyboard.press("/")
    await page.keyboard.press("Escape")
    await until(page, "document.querySelector('[data-part=search]').value === ''")
    await page.keyboard.press("?")
    await page.wait_for_selector("dialog[open] >> text=next and previous failure")
    await page.keyboard.press("Escape")
    assert await page.locator("dialog[open]").count() == 0


async def test_an_address_comes_back_to_the_same_view(shop, page):
    await page.fill("[data-part=search]", "test")
    await page.click(".rt-folder:has-text('catalog') .rt-name")
    await page.select_option("[data-part=sort]", "name")
    await row(page, "test_umlauts").click()
    await until(page, "location.hash.includes('umlauts')")
    before = await names(page)
    assert len(before) == 5
    await page.reload()
    await page.wait_for_selector("#runtests[data-ready]")
    assert await names(page) == before
    assert await page.locator(".rt-row[data-active] .rt-test").inner_text() == "TestSearch::test_umlauts"
    assert await page.input_value("[data-part=search]") == "test"
    assert await page.locator(".rt-folder[aria-selected=true] .rt-name").inner_text() == "catalog"


async def test_folders_tick_what_is_in_them(shop, page):
    await page.click(".rt-folder:has-text('orders') .rt-box")
    assert await page.inner_text("[data-part=run]") == "Run 5 ticked"
    assert await page.evaluate("document.querySelector('[data-part=every]').indeterminate") is True
    unit = page.locator(".rt-folder[aria-level='1']:has-text('unit')")
    assert await unit.get_attribute("aria-checked") == "mixed"
    await page.check("[data-part=every]")
    assert await page.inner_text("[data-part=run]") == "Run 13 ticked"
    await page.focus("[data-part=tree]")
    await page.keyboard.press("Home")
    await page.keyboard.press("Space")
    assert await page.inner_text("[data-part=run]") == "Run 3 ticked"
    await page.keyboard.press("ArrowLeft")
    await until(page, "!document.querySelector('.rt-tree').innerText.includes('catalog')")


async def test_the_watch_switch_and_what_was_chosen(shop, page):
    heard: list[bool] = []
    shop.session.on_watch = heard.append
    await page.check("[data-part=watch]")
    await page.wait_for_selector("[data-part=said]:has-text('Watching files.')")
    shop.session.run([0], "shop/prices.py changed: tests/catalog/test_prices.py that imports it runs.")
    await page.wait_for_selector("[data-part=said]:has-text('that imports it runs')")
    await page.keyboard.press("w")
    await until(page, "!document.querySelector('[data-part=watch]').checked")
    assert heard == [True, False]


async def test_it_says_when_the_server_is_gone(shop, page):
    await shop.serving.stop()
    await page.wait_for_selector("[data-part=pulse]:has-text('not connected')")
    await page.goto("about:blank")
    page.complaints.clear()  # of the refused connection, rightly


async def test_roles_names_and_contrast_wide_small_and_dark(shop, page, tmp_path: Path):
    await page.click("[data-part=run]")
    await asked(shop, 1)
    play(shop)
    await row(page, "test_race").filter(has_text="broken").wait_for()
    await row(page, "test_discount").click()
    await page.wait_for_selector("pre")
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for viewport in (WIDE, SMALLEST):
            await page.set_viewport_size(viewport)
            await until(page, "document.querySelector('.rt-row:not([hidden])') !== null")
            assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth")
            await page.screenshot(path=tmp_path / f"{scheme}-{viewport['width']}.png")
            assert [text for text in await too_faint(page) if not text.startswith("↻")] == [], scheme
    found = await page.evaluate(NAMELESS)
    assert found == []
    assert await page.get_attribute(".rt-rows", "aria-rowcount") == "21"
    active = await page.get_attribute(".rt-rows", "aria-activedescendant")
    assert await page.locator(f"#{active} .rt-test").inner_text() == "test_discount"
    moving = "[...document.querySelectorAll('*')].some(e => getComputedStyle(e).animationName !== 'none')"
    assert await page.evaluate(moving) is False
    print(f"screenshots: {tmp_path}")


NAMELESS = """() => {
  const named = e => (e.getAttribute('aria-label') || e.innerText || e.title || e.labels?.[0]?.innerText || '').trim();
  const found = [];
  for (const e of document.querySelectorAll('button, input, select, [role=grid], [role=tree], [role=treeitem]'))
    if (e.checkVisibility() && !named(e)) found.push(e.outerHTML.slice(0, 80));
  const ids = [...document.querySelectorAll('[id]')].filter(e => !e.hidden).map(e => e.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push('twice: ' + id);
  return found; }"""
