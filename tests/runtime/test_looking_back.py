"""A line that has lived for a while, looked back upon: replay, trials of limits, calibration, as commands too."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.builders import LINE, HandClock
from tests.cli.conftest import Said, ask
from tests.runtime.ward import Ward

from leuko.domain.errors import LeukoError, Refused
from leuko.domain.gauge import Limit
from leuko.domain.intent import Intent, IntentKind
from leuko.domain.push import State
from leuko.runtime.calibration import calibrate
from leuko.runtime.limit_trials import proposal_of, try_out
from leuko.runtime.replaying import Settings, replay
from leuko.runtime.studies import Studies, settings_of
from leuko.store.marks import Mark
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


async def trial(store, **arguments):
    return await try_out(store, LINE, proposal_of(arguments), pretend=30)


async def test_a_tight_limit_would_have_stopped_the_good_push_too(store) -> None:
    found = await trial(store, gauge="load", above=2.4)
    assert GOOD in [one.push for one in found.stopped]
    good = next(one for one in found.stopped if one.push == GOOD)
    assert good.bad == "no, it went live"
    assert good.value is not None
    assert good.value > 2.4
    assert good.subject.startswith("www")
    assert 0 < good.seconds < 120
    assert found.tried == 2
    assert found.fired is not None
    assert "of them really bad" in found.sentences[0]


async def test_a_limit_that_only_the_bad_push_breaks(store) -> None:
    found = await trial(store, gauge="errors", above=60.0)
    assert [(one.push, one.bad) for one in found.stopped] == [(BAD, "yes, a verdict rolled it back")]
    assert found.fired == 0.0
    loose = await trial(store, gauge="errors", above=1e6)
    assert loose.stopped == ()
    assert loose.missed == (BAD,)


async def test_what_people_said_of_a_rollback_counts_more_than_the_rollback(store) -> None:
    async with store.write(LINE) as tx:
        at = datetime(2026, 3, 2, tzinfo=UTC)
        await store.marks.set(tx, Mark(BAD, correct=False, by="ann", why="the network", at=at))
    found = await trial(store, gauge="errors", above=60.0)
    assert [one.bad for one in found.stopped] == ["no, says ann"]


async def test_a_budget(store) -> None:
    found = await trial(store, budget=0.01)
    assert [one.push for one in found.stopped] == [BAD]
    assert found.windows == 30


@pytest.mark.parametrize(
    "arguments",
    [{}, {"gauge": "load"}, {"budget": 2}, {"budget": "x"}, {"gauge": "load", "above": 1, "budget": 0.1}],
)
def test_what_is_neither_a_limit_nor_a_budget(arguments) -> None:
    with pytest.raises(LeukoError):
        proposal_of(arguments)


async def test_a_gauge_that_no_push_knew(store) -> None:
    found = await trial(store, gauge="nonsense", above=1.0)
    assert found.tried == 0
    assert "there is no gauge 'nonsense'" in set(found.left_out.values())


async def test_calibration_on_quiet_hours(store) -> None:
    seen: list[tuple[int, int]] = []
    found = await calibrate(store, LINE, pretend=40, progress=lambda *step: seen.append(step))
    assert found.pushes == 40
    assert found.low <= found.rate <= found.high
    assert found.rate < 0.2
    assert found.a_month is not None
    assert {row.gauge for row in found.gauges} == {"errors", "load"}
    assert any(row.rise is not None and row.rise > 1 for row in found.gauges)
    load = next(row for row in found.gauges if row.gauge == "load")
    assert [(one.limit, one.part) for one in load.limits] == [(">8 on each host", 0.0)]
    assert "pretend pushes" in found.sentences[0]
    assert seen


async def test_a_controller_answers_from_a_process_of_its_own(store) -> None:
    studies, at = Studies(*store.place), datetime(2026, 3, 2, tzinfo=UTC)

    def asked(kind: IntentKind, **arguments) -> Intent:
        return Intent(1, kind, "ann", "", at, at, arguments=arguments)

    found = await studies(LINE, asked(IntentKind.REPLAY, push=BAD))
    assert (found["same"], found["ends"]) == (True, "rolled_back")
    with pytest.raises(Refused, match="no such push"):
        await studies(LINE, asked(IntentKind.REPLAY, push=99))
    many = [asyncio.create_task(studies(LINE, asked(IntentKind.CALIBRATE, pushes=90_000))) for _ in range(5)]
    done, _ = await asyncio.wait(many, return_when=asyncio.FIRST_COMPLETED)
    with pytest.raises(Refused, match="wait already"):
        await done.pop()
    for one in many:
        one.cancel()
    ended = await asyncio.wait_for(asyncio.gather(*many, return_exceptions=True), 20)
    assert sum(isinstance(one, asyncio.CancelledError) for one in ended) == 4


@pytest.mark.parametrize(
    "arguments",
    [{"budget": 7}, {"watch": "x"}, {"watch": -1}, {"limits": ["load"]}, {"limits": [{"gauge": "load"}]}],
)
def test_settings_that_make_no_sense(arguments) -> None:
    with pytest.raises(Refused):
        settings_of(arguments)


# -- as commands, with no controller running ----------------------------------------------------------------


@pytest.fixture
def place(lived: tuple[Path, HandClock], tmp_path: Path) -> Path:
    """A project folder with the line's store beside its configuration."""
    shutil.copytree(lived[0], tmp_path / ".leuko")
    (tmp_path / "leuko.yml").write_text("application: shop\nrepository: /srv/git/shop.git\n")
    return tmp_path


def test_replay_compares_and_says_so(place: Path) -> None:
    said = ask(place, "replay", str(GOOD))
    assert (said.code, "came out again, to 6 digits" in said.out) == (0, True), said
    found = ask(place, "replay", str(BAD), "--json").json
    assert "same" in found, found
    assert (found["same"], found["ends"]) == (True, "rolled_back")
    changed = ask(place, "replay", str(GOOD), "--limit", "load@role:www > 2.4", "--watch", "30s", "--json")
    assert (changed.code, changed.json["ends"]) == (0, "rolled_back")
    assert ask(place, "replay", "77").code == 4
    assert ask(place, "replay", str(GOOD), "--limit", "load").code == 2
    verbose = ask(place, "replay", str(GOOD), "-v").out
    assert "12 of 12" in verbose


def test_replay_of_what_was_stored_otherwise_ends_with_1(place: Path) -> None:
    async def forge() -> None:
        store = await Store.open(place / ".leuko" / "leuko.sqlite", HandClock())
        was = (await store.findings.history(LINE, GOOD, 1))[-1]
        async with store.write(LINE) as tx:
            await store.findings.save(tx, GOOD, 1, replace(was.verdict, evidence=123.0), was.at)
        await store.close()

    asyncio.run(forge())
    said: Said = ask(place, "replay", str(GOOD))
    assert said.code == 1
    assert "evidence: 123 was stored" in said.out


def test_limits_are_tried_and_listed(place: Path) -> None:
    found = ask(place, "limits", "--json").json
    assert [one["gauge"] for one in found["gauges"]] == ["errors", "load"]
    shown = ask(place, "limits").out
    assert ">8" in shown
    assert "on each host" in shown
    tried = ask(place, "limits", "try", "errors", "--above", "60", "--json")
    assert [one["push"] for one in tried.json["stopped"]] == [BAD], tried
    assert "push 3" in ask(place, "limits", "try", "errors", "--above", "60").out
    for wrong in (
        ("load",),
        ("load", "--above", "nan"),
        ("--budget", "x%"),
        ("load", "--above", "1", "--budget", "1%"),
        (),
    ):
        assert ask(place, "limits", "try", *wrong).code == 2
    assert ask(place, "limits", "log").out.strip() == "Nobody has changed a limit yet."
