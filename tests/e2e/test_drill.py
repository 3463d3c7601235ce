"""Drills on real folders: planted, caught, taken out again, also by the next controller after a kill -9."""

from __future__ import annotations

import pytest
from tests.e2e.playing import Playing, Site
from tests.e2e.test_kill import killed

from leuko.domain.drill import Drill, DrillState
from leuko.domain.intent import IntentKind
from leuko.domain.push import Cause, State

pytestmark = pytest.mark.timeout(420)
__all__ = ["killed"]
LINE = "ERROR what a bad release would say"


async def ended(line: Playing, number: int = 1) -> Drill:
    async def look() -> Drill | None:
        drill = await line.store.drills.get(line.line, number)
        return drill if drill is not None and drill.state is DrillState.ENDED else None

    return await line.until(look, f"drill {number} ended")


async def nothing_is_left(line: Playing, site: Site, drill: Drill, live: int) -> None:
    """Customers, locks, releases and hosts: all as before."""
    push = await line.store.pushes.get(line.line, drill.push)
    assert (push.state, push.stop.cause) == (State.ROLLED_BACK, Cause.DRILL)
    assert (await line.store.pushes.live(line.line)).number == live
    assert await line.locks() == []
    assert len(site.currents()) == 1
    assert not (site.home(drill.host) / ".leuko" / "drill").exists()
    assert not (await line.store.releases.get(line.line, push.release)).convicted
    rows = [row for row in await line.store.operations.recent(line.line) if row.subject == push.name]
    assert [(row.operation, row.outcome) for row in rows] == [("Drill", "rolled back: drill")]


async def test_planted_errors_are_caught_and_nothing_is_left(site) -> None:
    async with site.play() as line:
        asked = await line.accepted(IntentKind.DRILL, line=LINE)
        assert (asked["gauge"], asked["host"]) == ("errors", "web1")
        drill = await ended(line)
        assert drill.report.caught, await line.told()
        assert drill.report.clean
        assert drill.report.after is not None
        assert "errors in errors on web1 caught after" in drill.report.sentence
        assert LINE in (site.home("web1") / "log" / "error.log").read_text()
        await nothing_is_left(line, site, drill, live=1)
        told = await line.store.events.latest(line.line, kind="drill")
        assert [event.data["to"] for event in told][::-1] == ["waiting", "planted", "cleaning", "ended"]
        site.commit("two")
        await line.live(asked["push"] + 1)


async def test_a_drill_is_refused_where_it_would_be_in_the_way_or_show_nothing(site) -> None:
    async with site.play() as line:
        assert "no canary of the next push" in await line.refused(IntentKind.DRILL, host="web3")
        assert "no gauge that counts lines of a log" in await line.refused(IntentKind.DRILL, gauge="disk")
        assert "matches 'ERROR'" in await line.refused(IntentKind.DRILL, line="all is well")
        await line.accepted(IntentKind.LOCK, kind="push", severity="hard")
        assert "push lock L1" in await line.refused(IntentKind.DRILL, line=LINE)


async def test_the_next_controller_goes_on_with_a_drill_and_takes_its_fault_out(killed) -> None:
    died, line = killed
    number = (await line.store.pushes.live(line.line)).number
    log = died.site.home("web1") / "log" / "error.log"
    log.parent.mkdir(exist_ok=True)
    log.touch()
    gate = died.up("restore", "web1")
    await line.accepted(IntentKind.DRILL, line=LINE)

    async def planted() -> bool:
        return (died.site.home("web1") / ".leuko" / "drill").exists()

    await line.until(planted, "the fault is planted")
    died.kill()
    died.start()
    gate.unlink()
    drill = await ended(line)
    assert drill.report.clean, await line.told()
    await nothing_is_left(line, died.site, drill, live=number)


@pytest.mark.slow
async def test_planted_silence_is_caught(site) -> None:
    phases = [{"hosts": 1, "watch": 60}, {"hosts": "100%", "watch": 2}]
    async with site.play(judged=True, push={"phases": phases}) as line:
        await line.accepted(IntentKind.DRILL, fault="silence")
        drill = await ended(line)
        assert drill.report.caught, await line.told()
        assert drill.report.clean
        await nothing_is_left(line, site, drill, live=1)
