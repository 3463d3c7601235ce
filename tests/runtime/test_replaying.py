"""A stored push comes out again as it was; with other settings, what would have happened."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.builders import LINE, HandClock
from tests.runtime.ward import Ward

from leuko.domain.errors import LeukoError
from leuko.domain.gauge import Limit
from leuko.domain.push import State
from leuko.runtime.replaying import Settings, replay
from leuko.store.store import Store

GOOD, BAD = 2, 3


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, HandClock]:
    """A good push, a little heavier than the one before, and a bad one; played once."""
    folder = tmp_path_factory.mktemp("lived")

    async def live() -> HandClock:
        ward = await Ward.under(folder)
        states = [
            (await ward.push_one("c", load=1.2)).state,
            (await ward.push_one("d", errors=40.0)).state,
        ]
        assert states == [State.LIVE, State.ROLLED_BACK]
        await ward.store.close()
        return ward.clock

    return folder, asyncio.run(live())


@pytest.fixture
async def store(lived: tuple[Path, HandClock], tmp_path: Path):
    folder = tmp_path / "here"
    shutil.copytree(lived[0], folder)
    made = await Store.open(folder / "leuko.sqlite", HandClock(lived[1].at))
    yield made
    await made.close()


async def test_a_good_and_a_bad_push_come_out_again_to_the_last_digit(store) -> None:
    for number, ends in ((GOOD, "live"), (BAD, "rolled_back")):
        again = await replay(store, LINE, number)
        assert again.same, [look.differs for look in again.looks if look.differs]
        assert again.compared >= 1
        assert again.ends == ends
        assert "came out again" in again.sentence


async def test_other_settings_tell_what_would_have_happened(store) -> None:
    strict = await replay(store, LINE, GOOD, Settings(limits={"load": (Limit(above=2.4),)}))
    assert strict.ends == "rolled_back"
    assert "would have been rolled back" in strict.sentence
    shorter = await replay(store, LINE, GOOD, Settings(watch=6))
    assert shorter.ends == "live"
    assert shorter.at is not None
    assert shorter.at < (await replay(store, LINE, GOOD)).at
    lenient = await replay(store, LINE, BAD, Settings(budget=1e-30))
    assert lenient.ends != "live"


async def test_a_verdict_that_was_stored_otherwise_is_told(store) -> None:
    was = (await store.findings.history(LINE, GOOD, 1))[-1]
    async with store.write(LINE) as tx:
        await store.findings.save(tx, GOOD, 1, replace(was.verdict, evidence=123.0), was.at)
    again = await replay(store, LINE, GOOD)
    assert not again.same
    assert any("evidence: 123 was stored" in text for look in again.looks for text in look.differs)
    assert "1 of" in again.sentence


async def test_a_push_that_was_never_judged_and_one_that_never_was(store) -> None:
    with pytest.raises(LeukoError, match="no such push"):
        await replay(store, LINE, 99)
    with pytest.raises(LeukoError, match="nothing of it was ever judged"):
        await replay(store, LINE, 1)


async def test_readings_that_have_expired_are_said(store) -> None:
    at = (await store.pushes.get(LINE, GOOD)).ended_at
    await store.readings.tidy(at + timedelta(days=4))
    with pytest.raises(LeukoError, match="not kept any more"):
        await replay(store, LINE, GOOD)
