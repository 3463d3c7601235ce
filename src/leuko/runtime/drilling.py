"""Drills: a fault is planted on one canary of a push of what is live, and taken out again, whatever happens.

A drill is a row, as a push is. PLANTED is written before anything is planted, so a controller that comes
after a crash knows that there may be something to take out. The fault lies in what the gauges read, never in
what customers are served by. Nothing is convicted, no lock is taken, and a release that comes ends the drill.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from leuko.config.components import ONLY
from leuko.config.fleet import component_root
from leuko.config.model import Configuration, Gauge
from leuko.domain.drill import Drill, DrillState, Fault, Report
from leuko.domain.errors import Refused
from leuko.domain.fleet import Host
from leuko.domain.intent import Intent
from leuko.domain.lock import LockKind, Severity
from leuko.domain.push import NOT_CAUGHT, Abort, Cause, Push, State, advance
from leuko.hosts.port import Channel
from leuko.runtime import planting
from leuko.runtime.ground import Ground
from leuko.runtime.orders import components_of
from leuko.runtime.planning import Planner
from leuko.runtime.questions import judged_by
from leuko.runtime.saving import background, save
from leuko.store.transaction import Transaction

TIMES = 10
"""The planted lines are so many times what the host has usually."""
FEWEST, MOST = 5, 500
"""Lines a second."""
USUAL = timedelta(minutes=10)
ASKED_SECONDS = 20.0
EXERCISED = ("the copy", "the switch and its hooks", "the reading of gauges", "the verdict", "the way back")
SPARED = ("customers: no request met the fault", "the release: it was the live one", "locks and messages")


class Planted(Protocol):
    """What a fleet does for a drill."""

    async def begin(self, host: Host, argv: Sequence[str]) -> Channel: ...

    async def silence(self, host: Host, why: str) -> None: ...

    def hear(self, host: Host) -> None: ...


@dataclass
class Drilling:
    """Of one line; at most one drill at a time."""

    ground: Ground
    fleet: Planted
    planner: Planner
    _planted: dict[int, Channel] = field(default_factory=dict)

    async def ask(self, intent: Intent) -> Mapping[str, Any]:
        """A person wants a drill: refused where it could be in anybody's way, or could show nothing."""
        ground, arguments = self.ground, intent.arguments
        await self._refuse_in_the_way()
        live = await ground.store.pushes.live(ground.line)
        if live is None:
            raise Refused(
                "nothing is live to drill with",
                where=str(ground.line),
                way_out="`leuko push --first` makes something live",
                code="P050",
            )
        draft = await self.planner.drill(live, intent.by, intent.why)
        fault = Fault(str(arguments.get("fault", Fault.ERRORS)))
        canaries = [host.name for host in draft.plan.phase(0)]
        host = self._host(str(arguments.get("host", "")), canaries)
        wanted = str(arguments.get("gauge", ""))
        name, gauge = _gauge(await judged_by(ground.store, ground.line, live), host, fault, wanted)
        now = ground.clock.now()
        drill = Drill(
            0, fault, host.name, DrillState.WAITING, now, intent.by, intent.why, gauge=name, role=host.role,
            line=str(arguments.get("line", "")),
        )  # fmt: skip
        if fault is Fault.ERRORS:
            drill = await self._prepared(drill, host, gauge, draft.configuration)
        async with ground.write() as tx:
            push = await self.planner.keep(tx, draft)
            drill = await ground.store.drills.create(tx, replace(drill, push=push.number))
            self._tell(tx, drill, f"{fault} in {name} on {host.name}, in push {push.number}")
        ground.bell.ring()
        return {"drill": drill.id, "push": push.number, "host": host.name, "gauge": name}

    async def step(self) -> None:
        """Goes on with the drill that has not ended; does nothing where there is none."""
        drill = await self.ground.store.drills.running(self.ground.line)
        if drill is None or drill.push is None:
            return
        push = await self.ground.store.pushes.get(self.ground.line, drill.push)
        host = self.ground.host(drill.host)
        if push is None or host is None:
            await self._end(drill, Report(sentence="its push or its host is gone"))
            return
        if not push.state.ended:
            await self._give_way(push)
        going = push.state in (State.WATCHING, State.HELD)
        if drill.state is DrillState.WAITING:
            if going:
                await self._plant(drill, host, push)
            elif push.state.ended:
                await self._end(drill, _report(drill, push, clean=True))
        elif drill.state is DrillState.PLANTED and going:
            await self._keep_planted(drill, host, push)
        else:
            await self._clean(drill, host, push)

    # -- before it begins -------------------------------------------------------------------------------

    async def _refuse_in_the_way(self) -> None:
        store, line, now = self.ground.store, self.ground.line, self.ground.clock.now()
        running = await store.drills.running(line)
        push = await store.pushes.active(line) or await store.pushes.pending(line)
        locks = await store.locks.held(line, LockKind.PUSH, now)
        lock = next((one for one in locks if one.severity is Severity.HARD), None)
        why = (
            f"{running.name} has not ended" if running
            else f"{push.name} is {push.state}" if push
            else f"push lock {lock.id} of {lock.owner} is held" if lock
            else ""
        )  # fmt: skip
        if why:
            raise Refused(
                why, where=str(line), way_out="a drill waits for nobody: ask again later", code="P051"
            )

    def _host(self, name: str, canaries: Sequence[str]) -> Host:
        if name and name not in canaries:
            raise Refused(
                f"{name} is no canary of the next push",
                where=str(self.ground.line),
                way_out=f"its canaries are {', '.join(canaries)}; they rotate",
                code="P052",
            )
        host = self.ground.host(name or canaries[0])
        assert host is not None
        return host

    async def _prepared(self, drill: Drill, host: Host, gauge: Gauge, configuration: Configuration) -> Drill:
        """Where the lines go, what they say and how many: found out on the host before anything is begun."""
        assert gauge.log is not None
        component = (*components_of(configuration, host.role), ONLY)[0]
        root = component_root(configuration, host, component)
        file = gauge.log.file if gauge.log.file.startswith("/") else f"{root}/{gauge.log.file}"
        said = await self._asked(host, planting.find(file, gauge.log.match, "leuko-drill", drill.line))
        if not said:
            raise Refused(
                f"no line is known that {drill.gauge} counts on {host.name}",
                where=file,
                way_out=f"`--text` gives one that matches {gauge.log.match!r}",
                code="P053",
            )
        rate = await self._rate(drill, configuration)
        marker = f"{root}/.leuko/drill"
        return replace(drill, file=file, match=gauge.log.match, line=said[-1], rate=rate, marker=marker)

    async def _rate(self, drill: Drill, configuration: Configuration) -> int:
        now, store = self.ground.clock.now(), self.ground.store
        read = await store.readings.read(self.ground.line, [drill.gauge], now - USUAL, now, [drill.host])
        values = read.values.get(drill.gauge)
        known = [float(value) for value in values[:, 0] if value == value] if values is not None else []  # noqa: PLR0124 - NaN is absence
        usual = sum(known) / len(known) / configuration.tick if known else 0.0
        return int(min(MOST, max(FEWEST, TIMES * usual)))

    # -- while it runs ----------------------------------------------------------------------------------

    async def _give_way(self, push: Push) -> None:
        """A release that waits is worth more than a drill."""
        ground = self.ground
        waiting = await ground.store.pushes.pending(ground.line)
        if waiting is None or waiting.number == push.number or push.state is State.ROLLING_BACK:
            return
        await self._stop(push, f"{waiting.name} waits, and a release goes before a drill")

    async def _stop(self, push: Push, why: str) -> None:
        ground, now = self.ground, self.ground.clock.now()
        known = await background(ground, push)
        after = advance(push, Abort("leuko", why), now)
        async with ground.write() as tx:
            await save(ground, tx, push, after, known, now)
        ground.bell.ring()

    async def _plant(self, drill: Drill, host: Host, push: Push) -> None:
        now = self.ground.clock.now()
        planted = replace(drill, state=DrillState.PLANTED, planted_at=now)
        async with self.ground.write() as tx:
            planted = await self.ground.store.drills.save(tx, planted)
            self._tell(tx, planted, f"{drill.fault} planted in {drill.gauge} on {drill.host}")
        if drill.fault is Fault.SILENCE:
            await self.fleet.silence(host, f"silenced by {drill.name}")
            return
        await self._append(drill, host, push)

    async def _keep_planted(self, drill: Drill, host: Host, push: Push) -> None:
        """What a crash undid, or kept from being done, is done again."""
        if drill.fault is Fault.SILENCE:
            await self.fleet.silence(host, f"silenced by {drill.name}")
        elif drill.id not in self._planted and not await self._asked(host, planting.look(drill.marker)):
            await self._append(drill, host, push)

    async def _append(self, drill: Drill, host: Host, push: Push) -> None:
        seconds = int(push.rules.watch_timeout) + 60
        argv = planting.plant(drill.marker, drill.file, drill.line, drill.rate, seconds)
        channel = await self.fleet.begin(host, argv)
        self._planted[drill.id] = channel
        async with asyncio.timeout(ASKED_SECONDS):
            async for _ in channel.lines():
                return  # it says that it has begun
            code = await channel.wait()
        why = f"the fault could not be planted in {drill.file} (status {code})"
        await self._stop(push, why)

    async def _clean(self, drill: Drill, host: Host, push: Push) -> None:
        """Takes the fault out, again and again until that is sure; then waits for the way back."""
        if drill.state is DrillState.PLANTED:
            async with self.ground.write() as tx:
                drill = await self.ground.store.drills.save(tx, replace(drill, state=DrillState.CLEANING))
                self._tell(tx, drill, f"taking the fault out of {drill.host}")
        self.fleet.hear(host)
        clean = drill.fault is Fault.SILENCE
        if drill.fault is Fault.ERRORS:
            clean = "clean" in await self._asked(host, planting.uproot(drill.marker))
            channel = self._planted.pop(drill.id, None)
            if channel is not None:
                await channel.close()
        if clean and push.state.ended:
            await self._end(drill, _report(drill, push, clean=push.state is State.ROLLED_BACK))

    async def _asked(self, host: Host, argv: Sequence[str]) -> list[str]:
        """What a small program on the host printed; nothing where it failed."""
        async with asyncio.timeout(ASKED_SECONDS):
            channel = await self.fleet.begin(host, argv)
            try:
                said = [line.decode("utf-8", "replace") async for line in channel.lines()]
                return said if await channel.wait() == 0 else []
            finally:
                await channel.close()

    async def _end(self, drill: Drill, report: Report) -> None:
        now = self.ground.clock.now()
        ended = replace(drill, state=DrillState.ENDED, ended_at=now, report=report)
        async with self.ground.write() as tx:
            ended = await self.ground.store.drills.save(tx, ended)
            self._tell(tx, ended, report.sentence)
        self.ground.bell.ring()

    def _tell(self, tx: Transaction, drill: Drill, sentence: str) -> None:
        facts = {"drill": drill.id, "push": drill.push, "host": drill.host, "fault": drill.fault.value}
        more = {"to": drill.state.value, "reason": sentence, "by": drill.by, "caught": drill.report.caught}
        tx.event("drill", drill.name, facts | more, self.ground.clock.now())


def _gauge(configuration: Configuration, host: Host, fault: Fault, wanted: str) -> tuple[str, Gauge]:
    """The gauge whose source is touched: one that this host gives, and that a verdict may be based on."""
    fitting = {
        name: gauge
        for name, gauge in configuration.gauges.items()
        if (not wanted or name == wanted) and _fits(gauge, host, fault)
    }
    if not fitting:
        what = "counts lines of a log" if fault is Fault.ERRORS else "is required and read on the host"
        raise Refused(
            f"no gauge of role {host.role} {what}" if not wanted else f"{wanted} is no gauge that {what}",
            where="gauges",
            way_out="`leuko plan` shows what is watched",
            code="P054",
        )
    return next(iter(fitting.items()))


def _fits(gauge: Gauge, host: Host, fault: Fault) -> bool:
    if gauge.roles and host.role not in gauge.roles:
        return False
    if fault is Fault.SILENCE:
        return gauge.required and (gauge.log is not None or gauge.host is not None)
    return gauge.log is not None and gauge.kind == "count" and gauge.direction != "down"


def _report(drill: Drill, push: Push, *, clean: bool) -> Report:
    verdict = next((one.at for one in push.history if one.state is State.ROLLING_BACK), None)
    caught = push.stop is not None and push.stop.cause is Cause.DRILL and bool(verdict)
    caught = caught and push.stop is not None and push.stop.reason != NOT_CAUGHT
    after = _seconds(drill.planted_at, verdict) if caught else None
    back = _seconds(verdict, push.ended_at)
    if drill.planted_at is None:
        reason = push.stop.reason if push.stop else "its push ended"
        return Report(clean=clean, sentence=f"nothing was planted: {reason}")
    if caught and push.stop is not None:
        said = f"caught after {after:.0f} s: {push.stop.reason}"
    elif push.stop is not None and push.stop.cause is not Cause.DRILL:
        said = f"ended before a verdict: {push.stop.reason}"
    else:
        said = "not caught: the watch ended without a verdict against it"
    where = f"{drill.fault} in {drill.gauge} on {drill.host}"
    way = f"; the way back took {back:.0f} s" if back is not None else ""
    return Report(
        caught=caught,
        after=after,
        back=back,
        clean=clean,
        sentence=f"{where} {said}{way}, and was {'clean' if clean else 'not clean'}",
        exercised=EXERCISED,
        spared=SPARED,
    )


def _seconds(since: datetime | None, until: datetime | None) -> float | None:
    return (until - since).total_seconds() if since is not None and until is not None else None
