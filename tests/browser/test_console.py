"""The console in a real browser: a live update, the token, a button, the answer; and how it looks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from tests.web import builders as b

from leuko.domain.intent import IntentKind, IntentState
from leuko.domain.push import Hold, Push
from leuko.domain.verdict import Decision, Verdict
from leuko.web.app import create_app
from leuko.web.serving import Serving

pytestmark = pytest.mark.needs("chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE = {"width": 1280, "height": 900}
SMALLEST = {"width": 360, "height": 740}


@dataclass
class Line:
    store: b.Store
    clock: b.HandClock
    serving: Serving
    push: Push
    complaints: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.serving.address}/shop/production"


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    clock = b.HandClock()
    store = await b.open_store(tmp_path, clock)
    await b.fill(store, clock)
    at = clock.at - timedelta(seconds=50)
    push = await b.to_watching(store, await b.create_push(store, "c", "Do not cache", at, "a-1"), at)
    serving = await Serving.start(create_app(store, clock, token=b.TOKEN, state=tmp_path), port=0)
    yield Line(store, clock, serving, push)
    await serving.stop()
    await store.close()


@pytest.fixture
async def browser():
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        await browser.close()


async def opened(browser, line: Line, **options):
    """A page that remembers every complaint of the browser, violations of the policy included."""
    context = await browser.new_context(**options)
    page = await context.new_page()
    page.on("console", lambda m: line.complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: line.complaints.append(str(error)))
    await page.add_init_script(
        "document.addEventListener('securitypolicyviolation', e => console.error('CSP ' + e.violatedDirective))"
    )
    return page


async def judge(line: Line, ticks: int, sentence: str) -> None:
    """What the watch says goes on: the page should hear of it by itself."""
    verdict = Verdict(Decision.CONTINUE, sentence, b.good_verdict().findings, ticks, 12)
    line.push = await b.judge(line.store, line.push, verdict, line.clock.now())


async def obey_hold(line: Line) -> None:
    """A controller that holds the push."""
    (intent,) = await line.store.intents.wait_news(b.LINE, 20)
    assert intent.kind is IntentKind.HOLD
    assert (intent.by, intent.why) == ("amara (console)", "the phone rings")
    assert (intent.push, intent.seen_version) == (line.push.number, line.push.version)
    line.push = await b.step(line.store, line.push, Hold(intent.by, intent.why), line.clock.now())
    answer = {"push": line.push.number, "state": "HELD"}
    async with line.store.write(b.LINE) as tx:
        await line.store.intents.answer(tx, intent.id, IntentState.ACCEPTED, answer, line.clock.now())


async def test_live_update_token_and_hold(line: Line, browser, tmp_path: Path):
    page = await opened(browser, line, viewport=WIDE)
    await page.goto(line.url)
    await page.wait_for_selector("#pulse[data-on=yes]")
    await page.evaluate("window.unchanged = true")  # a reload would lose it
    await page.fill("#name", "am")
    await judge(line, 5, "errors look as before so far")
    await page.wait_for_selector("text=Errors look as before so far")
    assert await page.evaluate("window.unchanged") is True
    assert await page.input_value("#name") == "am"  # what is being written survives the update

    await page.fill("#name", "amara")
    await page.fill("#token", b.TOKEN)
    await page.click("text=Enter")
    await page.wait_for_selector("#do-hold:enabled")
    await page.wait_for_selector("#pulse[data-on=yes]")
    assert await page.is_disabled("#do-resume")
    await page.fill("#why", "the phone rings")
    controller = asyncio.create_task(obey_hold(line))
    await page.click("#do-hold")
    await page.wait_for_selector("#answer.accepted")
    await controller
    assert await page.inner_text("#answer") == f"Hold: accepted. push {line.push.number}, state HELD"
    await page.wait_for_selector("#push-tile >> text=Held by amara (console):")
    await page.wait_for_selector("#do-resume:enabled")
    assert await page.is_disabled("#do-hold")
    await page.screenshot(path=tmp_path / "held.png", full_page=True)
    assert line.complaints == []


async def test_looks_right_wide_small_and_dark(line: Line, browser, tmp_path: Path):
    await judge(line, 7, "nothing is worse than before so far")
    paths = {"console": "", "push": "/pushes/2", "change": f"/changes/{b.revision('c')}", "hosts": "/hosts"}
    sizes = {"wide": WIDE, "phone": {"width": 390, "height": 844}, "smallest": SMALLEST}
    for scheme in ("light", "dark"):
        for size, viewport in sizes.items():
            page = await opened(browser, line, viewport=viewport, color_scheme=scheme)
            for name, path in paths.items():
                await page.goto(line.url + path)
                await page.wait_for_function("document.querySelector('time[data-relative]')?.title !== ''")
                wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
                assert not wide, f"{name} scrolls sideways at {viewport['width']} px"
                cut = await page.evaluate(CUT_OFF) if size != "wide" else []
                assert cut == [], f"{name} has tables that scroll sideways at {viewport['width']} px"
                await page.screenshot(path=tmp_path / f"{name}-{size}-{scheme}.png", full_page=True)
                assert await too_faint(page) == [], f"{name} {scheme}"
            await page.context.close()
    assert line.complaints == []
    print(f"screenshots: {tmp_path}")


CUT_OFF = """() => [...document.querySelectorAll('.scroll')]
    .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.trim().slice(0, 80))"""


async def too_faint(page) -> list[str]:
    """Texts whose contrast with what lies behind them is below WCAG AA (4.5)."""
    return await page.evaluate(
        """() => {
        const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
        const lum = ([r, g, b]) => { const f = v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
          return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
        const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
          if (c.length === 3 || c[3] > 0.5) return c; } return [255, 255, 255]; };
        const found = [];
        for (const e of document.querySelectorAll('main *, header *, footer')) {
          if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
          if (e.matches(':disabled') || e.closest('svg') || !e.getClientRects().length) continue;
          const a = lum(parse(getComputedStyle(e).color)), z = lum(behind(e));
          const ratio = (Math.max(a, z) + 0.05) / (Math.min(a, z) + 0.05);
          if (ratio < 4.5) found.push(e.textContent.trim().slice(0, 40) + ' ' + ratio.toFixed(2));
        }
        return found; }"""
    )


async def test_the_keyboard_reaches_everything(line: Line, browser):
    page = await opened(browser, line, viewport=WIDE)
    await page.goto(line.url)
    seen = []
    for _ in range(40):
        await page.keyboard.press("Tab")
        seen.append(
            await page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")
        )
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or seen[-1] == "", seen[-1]
        if "token" in seen:
            break
    assert seen[0] == "To the content"
    assert {"name", "token"} <= set(seen)


async def test_says_so_when_the_server_is_gone(line: Line, browser):
    page = await opened(browser, line, viewport=WIDE)
    await page.goto(line.url)
    await page.wait_for_selector("#pulse[data-on=yes]")
    await line.serving.stop()
    await page.wait_for_selector("#pulse[data-on=no]")
    assert await page.inner_text("#pulse") == "○ not connected" or "not connected" in await page.inner_text(
        "#pulse"
    )
