"""`leuko trends`: warnings, what was said of each gauge, and what is over."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from datetime import timedelta

from tests.cli.conftest import ask
from tests.web.builders import LINE, START, HandClock
from tests.web.test_trends import OUTLOOK, SHORT, TREND

from leuko.store.store import Store
from leuko.store.trends import Look


def test_warnings_lead_and_the_rest_is_a_table(idle, tmp_path):
    folder = tmp_path / "here"
    shutil.copytree(idle[0], folder)

    async def warn():
        store = await Store.open(folder / ".leuko" / "leuko.sqlite", HandClock(START))
        async with store.write(LINE) as tx:
            await store.trends.begin(tx, TREND, START)
            old = await store.trends.begin(tx, replace(TREND, subject="www9"), START)
            await store.trends.end(tx, old, "it does not go on", START + timedelta(hours=5))
            await store.trends.save_look(tx, Look("disk<b>", START, None, (SHORT, OUTLOOK)))
        await store.close()

    asyncio.run(warn())
    said = ask(folder, "trends")
    assert said.code == 0
    lines = said.out.splitlines()
    assert "disk<b> at www1 rises by 4.1 GB a day" in lines[0]
    assert "it does not go on" not in said.out
    table = "\n".join(lines[1:])
    assert "needs 48 h" in table
    assert "3.6 GB to 4.5 GB" in table
    assert "it does not go on" in ask(folder, "trends", "--all").out
    why = ask(folder, "why").out
    assert "Slowly going wrong: disk<b> at www1 rises by 4.1 GB a day." in why


def test_before_any_look_it_says_how_to_begin(idle):
    said = ask(idle[0], "trends").out
    assert "No warning is open." in said
    assert "`trend: true` in leuko.yml" in said
