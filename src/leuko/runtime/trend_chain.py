"""The chain of releases as the store has it: what landed when, and when each host's processes began anew."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from leuko.domain.gauge import HOSTLESS
from leuko.domain.push import Push, State
from leuko.domain.rollout import HostProgress, HostState
from leuko.runtime.ground import Ground
from leuko.statistics.question import Values
from leuko.statistics.trends_question import Landing

PAGE = 100
HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Turn:
    """One push: when its switching began, and when each host was switched or restored, in hours."""

    push: int
    live: bool
    began: float
    hosts: dict[str, tuple[float, ...]]


@dataclass(slots=True)
class Chain:
    """Of one line. Pushes that have ended do not change: each is read once."""

    ground: Ground
    _turns: dict[int, Turn] = field(default_factory=dict)

    async def since(self, moment: datetime) -> tuple[Turn, ...]:
        """Pushes that switched a host since then, oldest first."""
        store, line = self.ground.store, self.ground.line
        found: dict[int, Turn] = {}
        before: int | None = None
        while True:
            pushes = await store.pushes.recent(line, limit=PAGE, before=before)
            for push in pushes:
                if push.ended_at is not None and push.ended_at < moment:
                    self._turns = found
                    return tuple(found[number] for number in sorted(found))
                turn = self._turns.get(push.number) or await self._turn(push)
                if turn is not None:
                    found[push.number] = turn
            if len(pushes) < PAGE:
                self._turns = {number: turn for number, turn in found.items() if turn.live or turn.hosts}
                return tuple(found[number] for number in sorted(found))
            before = pushes[-1].number

    async def _turn(self, push: Push) -> Turn | None:
        if push.started_at is None or not push.state.ended:
            return None
        rows = await self.ground.store.hosts.progress(self.ground.line, push.number)
        hosts = {row.host: _moments(row) for row in rows}
        began = min((times[0] for times in hosts.values() if times), default=None)
        if began is None:
            return None
        live = push.state is State.LIVE
        return Turn(push.number, live, began, {name: times for name, times in hosts.items() if times})


def landings(turns: tuple[Turn, ...]) -> tuple[Landing, ...]:
    """Pushes that became live: what was taken back cannot go on doing harm."""
    return tuple(
        sorted((Landing(turn.push, turn.began) for turn in turns if turn.live), key=lambda it: it.at)
    )


def restarts(turns: tuple[Turn, ...], hosts: tuple[str, ...]) -> dict[str, Values]:
    """Of each host; what belongs to none begins anew with the first of each push."""
    found: dict[str, list[float]] = {name: [] for name in hosts}
    for turn in turns:
        for name, times in turn.hosts.items():
            if name in found:
                found[name] += times
        if HOSTLESS in found:
            found[HOSTLESS].append(turn.began)
    return {name: np.array(sorted(times)) for name, times in found.items()}


def _moments(row: HostProgress) -> tuple[float, ...]:
    if row.switched_at is None:
        return ()
    times = [row.switched_at.timestamp() / HOUR]
    if row.state is HostState.RESTORED and row.at is not None:
        times.append(row.at.timestamp() / HOUR)
    return tuple(times)
