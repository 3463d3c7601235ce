"""Deployments of others, kept and judged by a controller: what it is told, what it sees, what it says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.builders import LINE, release
from tests.runtime.ward import Ward

from leuko.domain.errors import LeukoError
from leuko.domain.intent import Intent, IntentKind
from leuko.domain.push import Admitted, advance
from leuko.runtime.ground import Ground
from leuko.runtime.observing import Observing
from leuko.store.hosts import KnownHost
from leuko.store.observations import ObservationState


class Watched:
    """A ward whose deployments somebody else makes."""

    def __init__(self, ward: Ward) -> None:
        self.ward = ward
        self.store = ward.store
        self.ground = Ground(LINE, ward.store, ward.clock, ward.state, ward.configuration)
        self.observing = Observing(self.ground)

    async def tell(self, **arguments: Any) -> Any:
        now = self.ward.clock.now()
        intent = Intent(0, IntentKind.OBSERVE, "ann", "", now, now + timedelta(days=1), arguments=arguments)
        return await self.observing.obey(intent)

    async def runs(self, **current: str) -> None:
        """What probes see."""
        hosts = [KnownHost(name, "www", current=release, reachable=True) for name, release in current.items()]
        async with self.store.write(LINE) as tx:
            await self.store.hosts.save(tx, hosts)

    async def until_over(self, number: int, seconds: int = 400) -> Any:
        for _ in range(seconds // 5):
            await self.ward.pass_time(5)
            await self.observing.step()
            found = await self.store.observations.get(LINE, number)
            if found.state.over:
                return found
        return found


@pytest.fixture
async def watched(tmp_path):
    made = Watched(await Ward.under(tmp_path))
    made.ward.newest = "new"
    yield made
    await made.store.close()


def serve(watched: Watched, *hosts: str) -> None:
    for name in hosts:
        watched.ward.fleet.hosts[name].current = "new"


async def test_a_bad_deployment_to_canaries_is_found_and_kept(watched) -> None:
    watched.ward.worse = {"errors": 40.0}
    began = await watched.tell(command=["cap", "deploy"], canaries=["www1"], watch=60.0)
    await watched.ward.pass_time(20)
    serve(watched, "www1")
    assert (await watched.tell(observation=began["observation"], exit_code=0))["state"] == "watching"
    one = await watched.until_over(began["observation"])
    assert (one.state, one.decision, one.exit_code) == (ObservationState.ENDED, "fail", 0)
    assert "errors on the switched host" in one.sentence
    (operation, *_) = await watched.store.operations.recent(LINE)
    assert (operation.operation, operation.outcome, operation.person) == (
        "Watch a deployment",
        "regressed",
        "ann",
    )


async def test_a_good_one_to_everybody_is_judged_by_the_hosts_own_past(watched) -> None:
    began = await watched.tell(command=["make", "deploy"], watch=60.0)
    serve(watched, "www1", "www2", "www3", "www4", "www5", "www6")
    await watched.tell(observation=began["observation"], exit_code=0)
    one = await watched.until_over(began["observation"])
    assert (one.state, one.decision) == (ObservationState.ENDED, "pass")


async def test_hosts_that_are_seen_to_change_are_the_canaries_and_judged_while_it_runs(watched) -> None:
    names = [f"www{n}" for n in range(1, 7)]
    await watched.runs(**dict.fromkeys(names, "old"))
    watched.ward.worse = {"errors": 60.0}
    began = await watched.tell(command=["cap", "deploy"], watch=60.0)
    await watched.ward.pass_time(10)
    serve(watched, "www2")
    await watched.runs(www2="new")
    one = await watched.until_over(began["observation"], seconds=60)
    assert one.state is ObservationState.RUNNING
    assert list(one.record["switched"]) == ["www2"]
    assert one.decision == "fail"
    await watched.tell(observation=one.id, exit_code=0)
    assert (await watched.until_over(one.id)).decision == "fail"


async def test_a_command_that_failed_and_changed_nothing_is_not_judged(watched) -> None:
    await watched.runs(www1="old", www2="old")
    began = await watched.tell(command=["cap"], watch=60.0)
    assert (await watched.tell(observation=began["observation"], exit_code=1))["state"] == "ended"
    one = await watched.store.observations.get(LINE, began["observation"])
    assert one.decision == "unknown"
    with pytest.raises(LeukoError, match="not open"):
        await watched.tell(observation=one.id, exit_code=0)


async def test_what_stops_sending_readings_is_not_called_healthy(watched) -> None:
    began = await watched.tell(command=["cap"], canaries=["www1"], watch=60.0)
    await watched.tell(observation=began["observation"], exit_code=0)
    watched.ward.clock.move(500)
    await watched.observing.step()
    await watched.observing.step()
    one = await watched.store.observations.get(LINE, began["observation"])
    assert one.state is ObservationState.ENDED
    assert one.decision == "hold"


async def test_who_never_comes_back_is_given_up(watched) -> None:
    began = await watched.tell(command=["cap"], canaries=["www1"])
    watched.ward.clock.move(25 * 3600)
    await watched.observing.step()
    one = await watched.store.observations.get(LINE, began["observation"])
    assert (one.state, one.sentence) == (
        ObservationState.INTERRUPTED,
        "nobody told that its command has ended",
    )


async def test_a_push_that_begins_meanwhile_ends_it(watched) -> None:
    began = await watched.tell(command=["cap"], canaries=["www1"], watch=60.0)
    await watched.tell(observation=began["observation"], exit_code=0)
    push = await watched.ward.pending(release("c"))
    async with watched.store.write(LINE) as tx:
        await watched.store.pushes.save(tx, advance(push, Admitted(), watched.ward.clock.now()))
    await watched.observing.step()
    one = await watched.store.observations.get(LINE, began["observation"])
    assert (one.state, one.decision) == (ObservationState.INTERRUPTED, "")
    assert "push 2 began meanwhile" in one.sentence
    with pytest.raises(LeukoError, match="could not be told apart"):
        await watched.tell(command=["cap"])


async def test_a_flood_is_refused(watched) -> None:
    for _ in range(8):
        await watched.tell(command=["cap"])
    with pytest.raises(LeukoError, match="8 deployments are watched already"):
        await watched.tell(command=["cap"])


async def test_what_cannot_begin(watched) -> None:
    for arguments, rule in (
        ({"canaries": ["www9"]}, "no host that is pushed to"),
        ({"watch": -1.0}, "up to a day"),
        ({"observation": 99}, "not open"),
        ({"observation": "x"}, "whole number"),
    ):
        with pytest.raises(LeukoError, match=rule):
            await watched.tell(command=["cap"], **arguments)
    watched.ward.clock.move(3600)
    with pytest.raises(LeukoError, match="0 ticks of history, and 24 are needed"):
        await watched.tell(command=["cap"])
