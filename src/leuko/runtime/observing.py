"""Somebody else's deployments, watched: what ran, what the readings say of it. Nothing is changed on hosts.

A row is begun before the command runs, told when it has ended, and judged until its watch is over. Whoever
runs the command may be elsewhere; whatever dies, the row tells how far it came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leuko.config.quantities import portion, ticks
from leuko.domain.errors import Refused
from leuko.domain.gauge import HOSTLESS
from leuko.domain.intent import Intent
from leuko.domain.verdict import Decision, Verdict
from leuko.runtime.ground import Ground
from leuko.runtime.limiting import with_live_gauges
from leuko.runtime.questions import HISTORY, LONGEST_WATCH, gauges_of, leave_out_spoiled, series_of
from leuko.statistics.judge import judge
from leuko.statistics.placebo import Placebo, placebo
from leuko.statistics.question import Question
from leuko.store.observations import Observation, ObservationState
from leuko.store.records import from_json, to_json
from leuko.store.series import Series

CODE = "P050"
ENOUGH = 24
"""Ticks of history below which no command is begun: there would be nothing to compare with."""
FORGOTTEN = timedelta(hours=24)
"""After this, nobody waits for the end of a command any more."""
MOST_OPEN = 8
LONGEST = 86400.0
PRETEND = 60
MOST_READINGS = 1_000_000
"""Of a question above which no pushes are pretended: it is judged under the budget alone."""
JUST_NOW = timedelta(seconds=1)
OUTCOMES = {Decision.FAIL: "regressed", Decision.PASS: "healthy", Decision.HOLD: "not clear"}
Answer = Mapping[str, Any]


class Observing:
    """Of one line."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def obey(self, intent: Intent) -> Answer:
        """Begins an observation; or with its number, tells that its command has ended."""
        number = intent.arguments.get("observation")
        if number is None:
            return await self._begin(intent)
        one = await self._ground.store.observations.get(self._ground.line, _whole(number))
        if one is None or one.state.over:
            raise Refused(
                f"observation {number} is not open",
                way_out="`leuko watch -- COMMAND` begins another",
                code=CODE,
            )
        code = intent.arguments.get("exit_code")
        if code is None:
            return await self._give_up(one, f"{intent.by} did not wait for its end")
        if one.state is not ObservationState.RUNNING:
            raise Refused(f"its command has ended already, with {one.exit_code}", code=CODE)
        return await self._ended(one, _whole(code))

    async def step(self) -> None:
        """Looks at each open observation; saves what is new."""
        for one in await self._ground.store.observations.open(self._ground.line):
            if (
                one.state is ObservationState.RUNNING
                and self._ground.clock.now() > one.started_at + FORGOTTEN
            ):
                await self._give_up(one, "nobody told that its command has ended")
                continue
            push = await self._ground.store.pushes.active(self._ground.line)
            if push is not None:
                await self._give_up(one, f"{push.name} began meanwhile: the two cannot be told apart")
                continue
            await self._look(await self._with_switches(one))

    # -- beginning and ending ---------------------------------------------------------------------------

    async def _begin(self, intent: Intent) -> Answer:
        ground, now = self._ground, self._ground.clock.now()
        arguments = intent.arguments
        canaries = [str(name) for name in arguments.get("canaries") or ()]
        known = {host.name for host in ground.hosts if host.pushed}
        unknown = [name for name in canaries if name not in known]
        if unknown:
            raise Refused(
                f"no host that is pushed to is called {unknown[0]!r}",
                where="canaries",
                way_out=f"hosts: {', '.join(sorted(known)[:20])}",
                code=CODE,
            )
        active = await ground.store.pushes.active(ground.line)
        if active is not None:
            raise Refused(
                f"{active.name} is {active.state}: two at once could not be told apart",
                where=str(ground.line),
                way_out="wait for its end, then begin again",
                code="P051",
            )
        if len(await ground.store.observations.open(ground.line)) >= MOST_OPEN:
            raise Refused(
                f"{MOST_OPEN} deployments are watched already",
                where=str(ground.line),
                way_out="`leuko log --watched` shows them; those that nobody ends are given up after a day",
                code=CODE,
            )
        watch = float(arguments.get("watch", 300.0))
        if not 0 < watch <= LONGEST:
            raise Refused("a watch lasts up to a day", where="watch", code=CODE)
        await self._enough_history(now)
        record = {"canaries": canaries, "watch": watch, "runs": await self._runs(), "switched": {}}
        command = tuple(str(word) for word in arguments.get("command") or ())
        new = Observation(0, command, ObservationState.RUNNING, now, intent.by, record=record)
        async with ground.write() as tx:
            number = await ground.store.operations.start(
                tx, "Watch a deployment", now, person=intent.by, subject=" ".join(command)[:200]
            )
            new = replace(new, record={**record, "operation": number})
            new = await ground.store.observations.create(tx, new)
            facts = {"state": new.state.value, "command": " ".join(command)[:500], "by": intent.by}
            tx.event("observation", f"observation {new.id}", facts, now)
        return {"observation": new.id, "tick": ground.configuration.tick}

    async def _enough_history(self, now: datetime) -> None:
        ground = self._ground
        gauges = list((await with_live_gauges(ground)).gauges)
        if not gauges:
            raise Refused(
                "nothing is watched: there are no gauges",
                where=str(ground.line),
                way_out="add at least one to leuko.yml: errors, requests, response time",
                code=CODE,
            )
        read = await ground.store.readings.read(ground.line, gauges, now - HISTORY, now + JUST_NOW)
        seen = _ticks_with_data(read)
        if seen < ENOUGH:
            seconds = (ENOUGH - seen) * ground.configuration.tick
            raise Refused(
                f"there are {seen} ticks of history, and {ENOUGH} are needed to compare with",
                where=str(ground.line),
                way_out=f"in about {seconds:.0f} s there will be enough",
                code="P052",
            )

    async def _ended(self, one: Observation, code: int) -> Answer:
        now = self._ground.clock.now()
        one = await self._with_switches(one)
        ended = replace(one, state=ObservationState.WATCHING, ended_at=now, exit_code=code)
        if code and one.record["runs"] and not one.record["switched"] and any(one.record["runs"].values()):
            said = f"the command ended with {code}, and no host shows another release: nothing to judge"
            ended = replace(ended, state=ObservationState.ENDED, decision="unknown", sentence=said)
        saved = await self._save(ended)
        return {"observation": saved.id, "state": saved.state.value}

    async def _give_up(self, one: Observation, why: str) -> Answer:
        said = f"{why}; {one.sentence}" if one.sentence else why
        await self._save(replace(one, state=ObservationState.INTERRUPTED, sentence=said))
        return {"observation": one.id, "state": ObservationState.INTERRUPTED.value}

    async def _save(self, one: Observation) -> Observation:
        ground, now = self._ground, self._ground.clock.now()
        async with ground.write() as tx:
            saved = await ground.store.observations.save(tx, one)
            facts = {"state": one.state.value, "decision": one.decision, "sentence": one.sentence}
            tx.event("observation", f"observation {one.id}", facts, now)
            operation = one.record.get("operation")
            if one.state.over and operation:
                known = {decision.value: word for decision, word in OUTCOMES.items()}
                outcome = known.get(one.decision, one.state.value)
                await ground.store.operations.finish(tx, int(operation), outcome, now)
        return saved

    # -- switches ----------------------------------------------------------------------------------------

    async def _runs(self) -> dict[str, str]:
        """What each host runs now, as far as its probe tells."""
        known = await self._ground.store.hosts.all(self._ground.line)
        return {host.name: f"{host.current} {host.running}".strip() for host in known if host.pushed}

    async def _with_switches(self, one: Observation) -> Observation:
        """Hosts that were seen to run something else than when the command began."""
        before: Mapping[str, str] = one.record["runs"]
        seen: Mapping[str, float] = one.record["switched"]
        now = self._ground.clock.now().timestamp()
        fresh = {
            name: now
            for name, runs in (await self._runs()).items()
            if runs and name in before and runs != before[name] and name not in seen
        }
        if not fresh:
            return one
        return await self._save(replace(one, record={**one.record, "switched": {**seen, **fresh}}))

    # -- judging -----------------------------------------------------------------------------------------

    async def _look(self, one: Observation) -> None:
        if one.state is not ObservationState.WATCHING and not one.record["switched"]:
            return
        asked = await self._question(one)
        if asked is None or one.record.get("until") == float(asked.times[-1]):
            await self._give_up_late(one)
            return
        taught = await self._taught(one, asked)
        asked = replace(asked, placebo=taught)
        verdict = await asyncio.to_thread(judge, asked)
        record = {**one.record, "until": float(asked.times[-1]), "verdict": to_json(verdict)}
        record |= {"placebo": to_json(taught), "taught": len(one.record["switched"])}
        judged = replace(one, decision=verdict.decision.value, sentence=verdict.sentence, record=record)
        if one.state is ObservationState.WATCHING and verdict.decision is not Decision.CONTINUE:
            judged = self._closed(judged, verdict)
        await self._save(judged)

    async def _taught(self, one: Observation, asked: Question) -> Placebo | None:
        """What pretend pushes on the history before it teach: once, and again when other hosts changed."""
        kept = one.record.get("placebo")
        if kept is not None and one.record.get("taught") == len(one.record["switched"]):
            return from_json(kept, Placebo)
        if len(asked.times) * len(asked.hosts) * len(asked.gauges) > MOST_READINGS:
            return None  # the budget alone counts: this process has others to serve
        found = await asyncio.to_thread(placebo, asked, PRETEND)
        return found if found.pushes else None

    def _closed(self, one: Observation, verdict: Verdict) -> Observation:
        """A hold may pass by itself: it is the last word only when the watch's longest time is over."""
        if verdict.decision is Decision.HOLD and self._ground.clock.now() < self._deadline(one):
            return one
        return replace(one, state=ObservationState.ENDED)

    def _deadline(self, one: Observation) -> datetime:
        assert one.ended_at is not None  # a watch begins with the command's end
        return one.ended_at + timedelta(seconds=LONGEST_WATCH * float(one.record["watch"]))

    async def _give_up_late(self, one: Observation) -> None:
        """No tick closes any more: what is not known then stays unknown, and is not called healthy."""
        if one.state is ObservationState.WATCHING and self._ground.clock.now() > self._deadline(one):
            said = "no readings came any more: it could not be judged"
            await self._save(
                replace(one, state=ObservationState.ENDED, decision=Decision.HOLD.value, sentence=said)
            )

    async def _question(self, one: Observation) -> Question | None:
        ground = self._ground
        configuration = await with_live_gauges(ground)
        overrides = await ground.store.overrides.all(ground.line)
        gauges = gauges_of(configuration, overrides)
        names = [gauge.name for gauge in gauges]
        now = ground.clock.now()
        read = await ground.store.readings.read(ground.line, names, one.started_at - HISTORY, now + JUST_NOW)
        if not len(read.times):
            return None
        read = await leave_out_spoiled(ground.store, ground.line, None, read, configuration.tick)
        switched = self._switched_at(one, read.hosts)
        began = one.ended_at.timestamp() if one.ended_at else float(np.nanmin(switched))
        _leave_out_between(read, one, began, switched)
        roles = {host.name: host.role for host in ground.hosts} | {HOSTLESS: HOSTLESS}
        moved = np.isfinite(switched)
        wanted = ticks(float(one.record["watch"]), configuration.tick)
        return Question(
            gauges=gauges,
            hosts=read.hosts,
            roles=tuple(roles.get(name, "") for name in read.hosts),
            pushed_roles=frozenset(
                roles[name] for name, it in zip(read.hosts, moved, strict=True) if it and name != HOSTLESS
            ),
            tick=configuration.tick,
            times=read.times,
            series=series_of(read, gauges),
            switched_at=switched,
            watched=moved,
            watch_from=began,
            wanted=wanted,
            longest=wanted,
            budget=portion(configuration.push.false_rollbacks),
        )

    def _switched_at(self, one: Observation, hosts: Sequence[str]) -> NDArray[np.float64]:
        """By host: as it was seen; where nothing can be seen, the end of the command; NaN: not switched."""
        seen: Mapping[str, float] = one.record["switched"]
        ended = one.ended_at.timestamp() if one.ended_at else float("nan")
        meant = set(one.record["canaries"]) | set(seen)
        if not meant:
            meant = {host.name for host in self._ground.hosts if host.pushed}
        found = {name: min(seen.get(name, ended), ended) if seen.get(name) else ended for name in meant}
        if one.ended_at is None:
            found = dict(seen)
        if found:
            found[HOSTLESS] = min(found.values())
        return np.array([found.get(name, float("nan")) for name in hosts])


def _leave_out_between(read: Series, one: Observation, began: float, switched: NDArray[np.float64]) -> None:
    """While the command ran its hosts were neither old nor new: those ticks of theirs tell nothing."""
    during = (read.times > one.started_at.timestamp()) & (read.times <= began)
    for values in (*read.values.values(), *read.denominators.values()):
        values[np.ix_(during, np.isfinite(switched))] = np.nan


def _ticks_with_data(read: Series) -> int:
    seen = np.zeros(len(read.times), dtype=np.bool_)
    for values in read.values.values():
        seen |= np.isfinite(values).any(axis=1)
    return int(seen.sum())


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refused(f"should be a whole number, not {value!r}", code="P014")
    return value
