"""A line with a real store, a model fleet and a judge whose verdicts are given: stepped by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tests.builders import LINE, NOON, HandClock, commit, configuration, release, revision
from tests.runtime.fleet import Effects, ModelFleet, ModelHost

from leuko.config.model import Configuration
from leuko.domain.change import Commit
from leuko.domain.fleet import HOLD_BACK
from leuko.domain.plan import Plan, PlannedHost
from leuko.domain.push import Admitted, Event, Origin, Push, State, advance
from leuko.domain.release import Release
from leuko.domain.rollout import HostProgress
from leuko.domain.verdict import Decision, Verdict
from leuko.runtime.ground import Ground
from leuko.runtime.planning import rules_of, to_text
from leuko.runtime.pusher import Pusher
from leuko.runtime.saving import background, save
from leuko.store.records import to_json
from leuko.store.store import Store


@dataclass
class GivenJudge:
    """One verdict a look; PASS when none is left. Looks once a tick, as the real one does."""

    clock: HandClock
    verdicts: list[Decision] = field(default_factory=list)
    looked: object = None

    async def look(
        self, push: Push, rows: Sequence[HostProgress], configuration: Configuration
    ) -> Verdict | None:
        if push.watch_began is None or self.looked == (push.watch, self.clock.at):
            return None
        self.looked = (push.watch, self.clock.at)
        decision = self.verdicts.pop(0) if self.verdicts else Decision.PASS
        return Verdict(decision, f"errors say {decision}", (), 2, 2)


async def go(_push: Push) -> Admitted:
    return Admitted()


@dataclass
class Rig:
    """`controller()` is a fresh process on the same store and the same hosts."""

    store: Store
    clock: HandClock
    configuration: Configuration
    fleet: ModelFleet
    state: Path
    judge: GivenJudge
    epoch: int = 0
    watches: tuple[int, int] = (2, 2)

    @classmethod
    async def make(cls, state: Path, settings: Configuration | None = None) -> Rig:
        clock = HandClock()
        store = await Store.open(state / "leuko.sqlite", clock)
        settings = settings or configuration()
        rig = cls(store, clock, settings, ModelFleet(), state, GivenJudge(clock))
        await rig.live(release("b"))
        return rig

    async def controller(self) -> Pusher:
        ground = Ground(LINE, self.store, self.clock, self.state, self.configuration)
        self.epoch += 1
        async with self.store.write(LINE) as tx:
            ground.lease = await self.store.leases.acquire(
                tx,
                f"controller {self.epoch}",
                timedelta(days=365),
                self.clock.now() + timedelta(days=366 * self.epoch),
            )
        assert ground.lease is not None
        self.judge.looked = None
        return Pusher(ground, self.fleet, self.judge, go)

    async def live(self, base: Release) -> None:
        """Makes `base` what is live, as if a push of it had ended well."""
        hosts = [host.name for host in self.configuration.fleet.roles["www"].hosts]
        async with self.store.write(LINE) as tx:
            await self.store.releases.add(tx, base)
            await self.store.releases.mark_good(tx, base.name)
        push = self.push(base, state=State.LIVE, base=None)
        await self._keep(push, ())
        for name in hosts:
            self.fleet.hosts[name] = ModelHost({base.name}, base.name)

    async def pending(self, new: Release, commits: tuple[Commit, ...] = (), *, first: bool = False) -> Push:
        async with self.store.write(LINE) as tx:
            await self.store.releases.add(tx, new)
        base = None if first else release("b").name
        return await self._keep(self.push(new, State.PENDING, base), commits or (commit("n"),))

    def push(self, what: Release, state: State, base: str | None) -> Push:
        return Push(
            number=0,
            line=LINE,
            release=what.name,
            revision=what.revision,
            base=base,
            rules=rules_of(
                self.configuration,
                len(self.configuration.fleet.roles["www"].hosts),
                held_back=self.configuration.push.hold_back is not None,
            ),
            state=state,
            since=NOON,
            created_at=NOON,
            origin=Origin.CONTINUOUS,
            by="leuko",
        )

    async def _keep(self, push: Push, commits: tuple[Commit, ...]) -> Push:
        names = [host.name for host in self.configuration.fleet.roles["www"].hosts]
        held = names[-1] if self.configuration.push.hold_back is not None else ""
        canaries = int(self.configuration.push.phases[0].hosts or 1)
        hosts = tuple(
            PlannedHost(name, "www", HOLD_BACK if name == held else int(index >= canaries))
            for index, name in enumerate(names)
        )
        plan = Plan(
            hosts=hosts,
            watches=self.watches,
            tick=5.0,
            commits=commits,
            min_healthy=str(self.configuration.fleet.min_healthy),
        )
        async with self.store.write(LINE) as tx:
            digest = await self.store.configurations.keep(tx, to_text(self.configuration), NOON)
            kept = await self.store.pushes.create(
                tx, push, plan=to_json(plan), configuration=digest, base_configuration=digest
            )
            rows = [HostProgress(host.name, host.role, host.phase) for host in hosts]
            await self.store.hosts.save_progress(tx, kept.number, rows)
        return kept

    async def settle(self, pusher: Pusher, number: int, steps: int = 80) -> Push:
        """Steps until the push has ended or is held; time moves a tick a step."""
        for _ in range(steps):
            await pusher.step()
            await pusher.flights()
            self.clock.move(5)
            push = await self.store.pushes.get(LINE, number)
            assert push is not None
            if push.state.ended or push.state is State.HELD:
                return push
        raise AssertionError(f"still {push.state} after {steps} steps")

    async def steps(self, pusher: Pusher, number: int, *, seconds: float = 1.0) -> Push:
        """A few steps while something hangs: answers that can come do come."""
        for _ in range(4):
            await pusher.step()
            for _ in range(6):
                await asyncio.sleep(0)
            self.clock.move(seconds)
        return await self.get(number)

    async def get(self, number: int) -> Push:
        push = await self.store.pushes.get(LINE, number)
        assert push is not None
        return push

    async def until(self, pusher: Pusher, number: int, state: State, steps: int = 40) -> Push:
        for _ in range(steps):
            push = await self.get(number)
            if push.state is state:
                return push
            await pusher.step()
            for _ in range(6):
                await asyncio.sleep(0)
            self.clock.move(1)
        raise AssertionError(f"never {state}, now {(await self.get(number)).state}")

    async def want(self, number: int, event: Event) -> Push:
        """What obeying an intent does to a push."""
        ground = Ground(LINE, self.store, self.clock, self.state, self.configuration)
        push = await self.get(number)
        known = await background(ground, push)
        async with self.store.write(LINE) as tx:
            after = advance(push, event, self.clock.now())
            return await save(ground, tx, push, after, known, self.clock.now())

    async def states(self, number: int) -> dict[str, str]:
        return {row.host: row.state.value for row in await self.store.hosts.progress(LINE, number)}

    def serving(self) -> dict[str, str]:
        return {name: host.current for name, host in self.fleet.hosts.items()}


__all__ = ["Effects", "GivenJudge", "Rig", "revision"]
