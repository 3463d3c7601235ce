"""The verdict: what a look costs, how often healthy pushes are rolled back, how soon sick ones are seen.

    python bench/verdict.py [--worlds 300] [--out verdict.jsonl] [--only look|healthy|sick] [--quick]

The worlds are simulated: tests/statistics/world.py. Looking goes on at every tick.
"""

from __future__ import annotations

import dataclasses
import importlib
import statistics
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from _cells import Cell, do, parser

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "statistics"))

from leuko.domain.verdict import Decision
from leuko.statistics.judge import judge
from leuko.statistics.question import Question

worlds: Any = importlib.import_module("world")  # it lives with the tests

FAULTS = ("errors5", "errors10", "slow", "leak", "stop", "silent")
SIZES = ((8, 10), (100, 20), (1000, 20))
HEALTHY: Mapping[str, Mapping[str, Any]] = {
    "8 hosts, 2 canaries": {},
    "8 hosts, 16 ticks of history": {"history": 16},
    "10 hosts, 1 canary, 5 s": {"hosts": 10, "canaries": 1, "tick": 5.0, "history": 60},
    "all 8 switched": {"last": True, "history": 60},
    "2 hosts, 1 canary": {"hosts": 2, "canaries": 1},
}


def look(hosts: int, gauges: int) -> Mapping[str, Any]:
    """Milliseconds of one look, the median of five."""
    made = worlds.World(hosts=hosts, canaries=max(2, hosts // 10), tick=5.0, history=360, base_errors=0.002)
    question: Question = made.question()
    chosen, series = [], {}
    for number in range(gauges):
        gauge = worlds.GAUGES[number % len(worlds.GAUGES)]
        name = f"{gauge.name}{number}"
        chosen.append(dataclasses.replace(gauge, name=name))
        series[name] = question.series[gauge.name]
    question = dataclasses.replace(question, gauges=tuple(chosen), series=series)
    judge(question)
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        judge(question)
        taken.append((time.perf_counter() - began) * 1000)
    return {"hosts": hosts, "gauges": gauges, "milliseconds": round(statistics.median(taken), 1)}


def rolled_back_at(fault: str, seed: int, **cell: Any) -> int | None:
    """The tick of the first look that fails; None when none does."""
    made = worlds.World(seed=seed, **cell)
    question = made.question(fault)
    for ticks in range(1, made.watch + 1):
        if judge(worlds.cut(question, made.history + ticks)).decision is Decision.FAIL:
            return ticks
    return None


def healthy(count: int, cell: Mapping[str, Any]) -> Mapping[str, Any]:
    """How many of so many healthy pushes are rolled back."""
    found = sum(rolled_back_at("", seed, **cell) is not None for seed in range(count))
    return {"pushes": count, "rolled_back": found, "rate": round(found / count, 4)}


def sick(count: int, fault: str) -> Mapping[str, Any]:
    """How many of so many sick pushes are seen within the watch of 12 ticks, and when."""
    ticks = [tick for seed in range(count) if (tick := rolled_back_at(fault, seed)) is not None]
    return {
        "pushes": count,
        "seen": round(len(ticks) / count, 3),
        "seen_by_tick_5": round(sum(tick <= 5 for tick in ticks) / count, 3),
        "median_tick": statistics.median(ticks) if ticks else None,
    }


def main() -> None:
    """The program."""
    made = parser(__doc__)
    made.add_argument("--worlds", type=int, default=300, help="simulated pushes of each kind")
    chosen = made.parse_args()
    count = 30 if chosen.quick else chosen.worlds
    cells: dict[str, Cell] = {f"look {h}x{g}": partial(look, h, g) for h, g in SIZES}
    cells |= {f"healthy: {name}": partial(healthy, count, cell) for name, cell in HEALTHY.items()}
    cells |= {f"sick: {fault}": partial(sick, count, fault) for fault in FAULTS}
    do(cells, chosen)


if __name__ == "__main__":
    main()
