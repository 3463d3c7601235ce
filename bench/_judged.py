"""Lets Leuko and its peers judge simulated pushes, and counts."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from _noise import Part
from _peers import PEERS, Seen
from _pushes import TICK, Fleet, Meter, Push, push
from _worlds import STUDY, World
from numpy.typing import NDArray
from scipy.stats import beta

from leuko.domain.gauge import Direction
from leuko.domain.verdict import Decision
from leuko.statistics.judge import judge
from leuko.statistics.memory import Memory
from leuko.statistics.path import path
from leuko.statistics.placebo import placebo
from leuko.statistics.question import Question, Series
from leuko.statistics.transient import ENOUGH, Transient, transient

NEVER = math.nan
PRETEND = 120
"""Pretend pushes of the gate, as before a real push."""
OURS, LEARNED = "Leuko", "Leuko, learned"


@dataclass(frozen=True)
class Case:
    """Which pushes: a world, a fleet, what is read and what is broken."""

    world: World
    fleet: Fleet
    meters: tuple[Meter, ...]
    budgets: tuple[float, ...]
    faults: Mapping[str, Part] = field(default_factory=lambda: MappingProxyType({}))
    one_of: tuple[str, ...] = ()
    """The fault named "" falls on one of these meters, another one in each push."""
    learned: bool = False
    """Judged twice: as a fleet's first push, and with the warm-up that twenty healthy ones taught."""

    def pushed(self, seed: int) -> Push:
        """The push of that seed."""
        faults = dict(self.faults)
        if self.one_of and "" in faults:
            faults[self.one_of[seed % len(self.one_of)]] = faults.pop("")
        return push(self.world, self.fleet, self.meters, seed, faults)


def ours(question: Question, budgets: Sequence[float]) -> dict[float, float]:
    """Seconds after the switch at which the push is rolled back, for each budget; NaN: it is not."""
    found = path(question)
    times = (1 + np.arange(found.total.size)) * TICK
    return {budget: _first(times[found.total >= -math.log(budget) - 1e-9]) for budget in budgets}


def warm_up(case: Case) -> Mapping[str, Transient]:
    """What twenty healthy pushes of the same fleet teach, none of them among those that are judged."""
    healthy = replace(case, faults={}, one_of=())
    return transient([healthy.pushed(10**6 + seed).question(case.budgets[0]) for seed in range(ENOUGH)])


def _first(times: NDArray[np.floating]) -> float:
    return float(times[0]) if times.size else NEVER


def seen_by_peers(one: Push) -> list[Seen]:
    """The same push as arrays; load averages and all are taken as they are read."""
    return [
        Seen(
            one.values(meter),
            one.canary,
            one.split,
            TICK,
            events=meter.what in {"count", "ratio"},
            rises=meter.direction is not Direction.DOWN,
            happened=np.asarray(one.readings[meter.name].values) if meter.what == "ratio" else None,
        )
        for meter in one.meters
    ]


def limits(found: int, of: int) -> tuple[float, float]:
    """Clopper and Pearson's 95 % limits of a rate."""
    low = float(beta.ppf(0.025, found, of - found + 1)) if found else 0.0
    high = float(beta.ppf(0.975, found + 1, of - found)) if found < of else 1.0
    return round(low, 5), round(high, 5)


def rate(times: Sequence[float]) -> dict[str, Any]:
    """How many were rolled back."""
    found = sum(not math.isnan(time) for time in times)
    return {"of": len(times), "rolled_back": found, "limits": limits(found, len(times))}


def speed(times: Sequence[float]) -> dict[str, Any]:
    """Caught in per cent, and the second by which half and 95 % of all pushes were; None: not reached."""
    ordered = sorted(math.inf if math.isnan(time) else time for time in times)

    def by(part: float) -> float | None:
        found = ordered[max(0, math.ceil(part * len(ordered)) - 1)]
        return None if math.isinf(found) else found

    caught = sum(not math.isinf(time) for time in ordered)
    return {
        "of": len(ordered),
        "caught": round(100 * caught / len(ordered), 1),
        "half": by(0.5),
        "most": by(0.95),
    }


def judged(
    case: Case, seeds: Iterable[int], peers: Sequence[str] = (), by_peers: int = 0
) -> dict[str, list[float]]:
    """Times of rollback, by who judged; peers see the first `by_peers` pushes."""
    times: dict[str, list[float]] = {}
    learned = warm_up(case) if case.learned else {}
    for number, seed in enumerate(seeds):
        one = case.pushed(seed)
        question = one.question(case.budgets[0])
        for budget, found in ours(question, case.budgets).items():
            times.setdefault(f"{OURS} {100 * budget:g} %", []).append(found)
        if learned:
            for budget, found in ours(replace(question, transients=learned), case.budgets).items():
                times.setdefault(f"{LEARNED} {100 * budget:g} %", []).append(found)
        if number < by_peers:
            seen = seen_by_peers(one)
            for name in peers:
                times.setdefault(name, []).append(PEERS[name](seen))
    return times


def false_rollbacks(case: Case, count: int, peers: Sequence[str] = (), by_peers: int = 0) -> dict[str, Any]:
    """Healthy pushes: how many are rolled back by whom, and the first seeds with which we were wrong."""
    began = time.process_time()
    times = judged(case, range(count), peers, by_peers)
    wrong = {
        name: [seed for seed, found in enumerate(every) if not math.isnan(found)][:20]
        for name, every in times.items()
        if name.startswith(OURS)
    }
    least = case.budgets[0]
    stopped = [seed for seed, found in enumerate(times[f"{OURS} {100 * least:g} %"]) if not math.isnan(found)]
    return {
        "world": case.world.name,
        "fleet": str(case.fleet),
        "rates": {name: rate(every) for name, every in times.items()},
        "wrong_seeds": wrong,
        "in_spite_of_the_gate": sum(passes_the_gate(case, seed) for seed in stopped),
        "cpu_ms": round((time.process_time() - began) * 1000 / count),
    }


def passes_the_gate(case: Case, seed: int) -> bool:
    """True where that push is rolled back with pretend pushes on its history, too."""
    question = case.pushed(seed).question(case.budgets[0])
    gate = placebo(question, pretend=PRETEND, seed=seed)
    return path(replace(question, placebo=gate)).fails_at is not None


def detections(case: Case, count: int, peers: Sequence[str] = (), by_peers: int = 0) -> dict[str, Any]:
    """Sick pushes: how many are caught, and how soon."""
    times = judged(case, range(count), peers, by_peers)
    return {
        "world": case.world.name,
        "fleet": str(case.fleet),
        "speeds": {name: speed(every) for name, every in times.items()},
    }


def decisions(case: Case, count: int) -> dict[str, Any]:
    """What the whole verdict says when the watch of a healthy push is over: limits and silence included."""
    found: dict[str, int] = {}
    sentences: dict[str, str] = {}
    for seed in range(count):
        verdict = judge(case.pushed(seed).question(case.budgets[0]))
        found[verdict.decision.value] = found.get(verdict.decision.value, 0) + 1
        if verdict.decision is not Decision.PASS:
            sentences.setdefault(verdict.decision.value, verdict.sentence)
    return {"world": case.world.name, "fleet": str(case.fleet), "decisions": found, "sentences": sentences}


def gated(case: Case, count: int, pretend: int) -> dict[str, Any]:
    """Ours with and without the gate of the fleet's own pretended pushes."""
    budget = case.budgets[0]
    without: list[float] = []
    within: list[float] = []
    for seed in range(count):
        question = case.pushed(seed).question(budget)
        gate = placebo(question, pretend=pretend, seed=seed)
        for times, asked in ((without, question), (within, replace(question, placebo=gate))):
            index = path(asked).fails_at
            times.append(NEVER if index is None else (index + 1) * TICK)
    return {
        "world": case.world.name,
        "fleet": str(case.fleet),
        "without": rate(without) | {"half": speed(without)["half"]},
        "with": rate(within) | {"half": speed(within)["half"]},
    }


def look(hosts: int, gauges: tuple[Meter, ...]) -> dict[str, Any]:
    """Milliseconds of one look at the end of a watch: the middle of seven, by wall and by CPU time.

    As the controller looks: once a tick, with what earlier looks learned; `first` is without.
    """
    case = Case(STUDY, Fleet(hosts, max(1, hosts // 10)), gauges, (0.005,))
    question = case.pushed(1).question()
    judge(question)
    spent = time.process_time()
    judge(question)
    first = (time.process_time() - spent) * 1000
    memory, wall, cpu = Memory(), [], []
    for left in range(7, -1, -1):
        seen = _until(question, len(question.times) - left)
        at, spent = time.perf_counter(), time.process_time()
        judge(seen, memory)
        wall.append((time.perf_counter() - at) * 1000)
        cpu.append((time.process_time() - spent) * 1000)
    wall, cpu = wall[1:], cpu[1:]
    return {
        "hosts": hosts,
        "gauges": len(gauges),
        "first_cpu_ms": round(first, 1),
        "cpu_ms": round(statistics.median(cpu), 1),
        "wall_ms": round(statistics.median(wall), 1),
        "least_wall_ms": round(min(wall), 1),
    }


def _until(question: Question, ticks: int) -> Question:
    """The question as it was after so many ticks, in arrays of its own as if read from the store."""
    series = {
        name: Series(
            one.values[:ticks].copy(), None if one.denominators is None else one.denominators[:ticks].copy()
        )
        for name, one in question.series.items()
    }
    return replace(question, times=question.times[:ticks], series=series)
