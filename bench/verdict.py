"""The verdict: how often healthy pushes are rolled back, how soon sick ones, and what other tools would do.

    python bench/verdict.py --out verdict.jsonl [--only healthy|one|ten|last|small|look] [--quick] [--jobs 2]
    python bench/verdict.py --out verdict.jsonl --table > table.md

Pushes are simulated (_worlds.py says what is in each world); seeds are fixed, so a cell has the same pushes
in every run. Evidence is looked at in every tick. Budgets: 0.5 % of healthy pushes, which is the default, and
0.1 % for one gauge or 1 % for ten, with which the study behind the design was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from _cells import Cell, do, done_before, parser
from _demo_fleet import nothing_changes
from _judged import Case, decisions, detections, false_rollbacks, gated, look
from _noise import OnOne, Part, Slow, Step
from _peers import PEERS
from _pushes import CPU, ERRORS, LOAD, MIXED, NEW, QUANTILE, RATIO, REGISTRATIONS, TEN, Fleet, Meter
from _tables import everything
from _worlds import STUDY, WORLDS

SINGLE = (0.001, 0.005)
PUSH = (0.005, 0.01)
FLEETS = (Fleet(10, 1), Fleet(10, 5), Fleet(50, 5), Fleet(500, 50))
SMALL = (Fleet(1, 1), Fleet(2, 1), Fleet(2, 2))
LAST = (
    Fleet(10, 9, held_back=True),
    Fleet(50, 47, held_back=True),
    Fleet(500, 490, held_back=True),
    Fleet(10, 10),
)
RISES: Mapping[str, Part] = {
    "x1.1": Step(1.1),
    "x1.5": Step(1.5),
    "x2": Step(2.0),
    "x10": Step(10.0),
    "slow": Slow(),
}
FALLS: Mapping[str, Part] = {"to half": Step(0.5), "to a tenth": Step(0.1), "to nothing": Step(1e-9)}
SIZES: Mapping[Meter, Mapping[str, Part]] = {REGISTRATIONS: FALLS, NEW: {"x300": Step(300.0)}}
ONE_BAD: Mapping[str, tuple[str, Part]] = {
    "gauge x2": ("level", Step(2.0)),
    "gauge x10": ("level", Step(10.0)),
    "count x2": ("count", Step(2.0)),
    "count x10": ("count", Step(10.0)),
    "slow gauge": ("level", Slow()),
    "gauge x10 on one canary": ("level", OnOne(Step(10.0))),
    "count x10 on one canary": ("count", OnOne(Step(10.0))),
}
TWENTY = tuple(replace(meter, name=f"{meter.name}-{number}") for number in range(2) for meter in TEN)
WIDE = {"50/5": 0.6, "500/50": 0.3}
"""Part of the pushes that large fleets get: theirs take long."""
AT_500 = ("study", "wander 20 min", "white x4", "spiking hosts", "traffic ramp", "jobs of hosts")
SWITCHING = ("study", "slow start", "uneven balancer", "back into rotation", "errors at the switch")
"""Worlds in which a switch costs something: judged with a learned warm-up too."""


def healthy(count: int) -> dict[str, Cell]:
    """Ten gauges, nothing wrong: in every world."""
    cells: dict[str, Cell] = {}
    for fleet in FLEETS:
        for world in WORLDS.values():
            if world is not STUDY and (
                str(fleet) == "10/5" or (fleet.hosts == 500 and world.name not in AT_500)
            ):
                continue
            part = WIDE.get(str(fleet), 1.0) * (1.5 if world is STUDY else 1.0)
            some = round(count * part)
            case = Case(world, fleet, TEN, PUSH, learned=world.name in SWITCHING)
            peers = some // (2 if world is STUDY else 5)
            cells[f"healthy: {world.name}, {fleet}"] = partial(
                false_rollbacks, case, some, tuple(PEERS), peers
            )
    return cells


def mixed(count: int) -> dict[str, Cell]:
    """Ten gauges of every kind and direction, nothing wrong; and every world with a doubled cpu."""
    cells: dict[str, Cell] = {}
    for fleet in (Fleet(10, 1), Fleet(50, 5)):
        for world in WORLDS.values():
            case = Case(world, fleet, MIXED, PUSH, learned=world.name in SWITCHING)
            some = round(count * (0.4 if fleet.hosts == 10 else 0.15))
            cells[f"mixed: {world.name}, {fleet}"] = partial(false_rollbacks, case, some)
            sick = Case(world, fleet, TEN, PUSH, {"cpu0": Step(2.0)})
            cells[f"doubled: {world.name}, {fleet}"] = partial(detections, sick, count // 20)
    return cells


def one(count: int) -> dict[str, Cell]:
    """A single gauge of each kind: healthy, and by size of its fault."""
    cells: dict[str, Cell] = {}
    for fleet in FLEETS:
        some = round(count * WIDE.get(str(fleet), 1.0))
        for meter in (ERRORS, CPU, LOAD, RATIO, QUANTILE, REGISTRATIONS, NEW):
            learned = meter not in (REGISTRATIONS, NEW)
            case = Case(STUDY, fleet, (meter,), SINGLE, learned=learned)
            label = f"one: {meter.name}, {fleet}"
            cells[f"{label}, healthy"] = partial(false_rollbacks, case, some, tuple(PEERS), some // 3)
            for size, fault in SIZES.get(meter, RISES).items():
                sick = replace(case, faults={meter.name: fault})
                cells[f"{label}, {size}"] = partial(detections, sick, some // 4, tuple(PEERS), some // 8)
    return cells


def ten(count: int) -> dict[str, Cell]:
    """One of ten gauges is bad."""
    cells: dict[str, Cell] = {}
    for fleet in FLEETS:
        some = round(count * WIDE.get(str(fleet), 1.0)) // 4
        for label, (kind, fault) in ONE_BAD.items():
            names = tuple(meter.name for meter in TEN if (meter.what == "count") == (kind == "count"))
            if fleet.canaries == 1 and isinstance(fault, OnOne):
                continue
            case = Case(STUDY, fleet, TEN, PUSH, {"": fault}, names, learned=True)
            cells[f"ten: {label}, {fleet}"] = partial(detections, case, some, tuple(PEERS), some // 4)
    return cells


def last(count: int) -> dict[str, Cell]:
    """The last phase: (nearly) all hosts are switched."""
    cells: dict[str, Cell] = {}
    for fleet in LAST:
        some = round(count * (0.1 if fleet.hosts == 500 else 0.5))
        for meter in (ERRORS, CPU):
            case = Case(STUDY, fleet, (meter,), SINGLE)
            label = f"last: {meter.name}, {fleet}"
            cells[f"{label}, healthy"] = partial(false_rollbacks, case, some)
            for size in ("x1.5", "x2", "x10"):
                sick = replace(case, faults={meter.name: RISES[size]})
                cells[f"{label}, {size}"] = partial(detections, sick, some // 4)
        if fleet.hosts < 500:
            for world in ("study", "traffic ramp", "daily rise", "common shocks", "wander 20 min"):
                case = Case(WORLDS[world], fleet, TEN, PUSH)
                cells[f"last: {world}, {fleet}, healthy ten"] = partial(false_rollbacks, case, some)
    return cells


def small(count: int) -> dict[str, Cell]:
    """Fleets of one and two hosts."""
    cells: dict[str, Cell] = {}
    for fleet in SMALL:
        for world in ("study", "traffic ramp", "wander 20 min", "restarted hosts", "missing ticks"):
            case = Case(WORLDS[world], fleet, TEN, PUSH)
            cells[f"small: {world}, {fleet}, healthy"] = partial(false_rollbacks, case, count // 2)
        for meter in (ERRORS, CPU, LOAD, REGISTRATIONS):
            for size in ("to half", "to a tenth", "to nothing") if meter is REGISTRATIONS else ("x2", "x10"):
                fault = {**FALLS, **RISES}[size]
                case = Case(STUDY, fleet, (meter,), SINGLE, {meter.name: fault})
                cells[f"small: {meter.name}, {fleet}, {size}"] = partial(detections, case, count // 8)
    return cells


def said(count: int) -> dict[str, Cell]:
    """The whole verdict at the end of healthy watches, no-data rules included."""
    return {
        f"said: {world.name}, {fleet}": partial(
            decisions, Case(world, fleet, TEN, PUSH), max(20, count // 20)
        )
        for fleet in (Fleet(10, 1), Fleet(50, 5))
        for world in WORLDS.values()
    }


def gate(count: int) -> dict[str, Cell]:
    """The placebo gate, where the facts needed it."""
    some = max(10, count // 20)
    cells: dict[str, Cell] = {}
    for name in ("spiking hosts", "jobs of hosts"):
        for fleet in (Fleet(10, 1),):
            case = Case(WORLDS[name], fleet, TEN, PUSH)
            sick = replace(case, faults={"": Step(2.0)}, one_of=("cpu0", "cpu1"))
            cells[f"gate: {name}, {fleet}, healthy"] = partial(gated, case, some, 120)
            cells[f"gate: {name}, {fleet}, cpu x2"] = partial(gated, sick, max(10, some // 2), 120)
    return cells


def real(count: int) -> dict[str, Cell]:
    """Real gauges: the demo's fleet, on which nothing changes."""
    return {"real: the demo's fleet": partial(nothing_changes, 300.0 if count > 100 else 150.0, count)}


def looks() -> dict[str, Cell]:
    """What one look costs."""
    return {f"look: {hosts} hosts x 20 gauges": partial(look, hosts, TWENTY) for hosts in (10, 100, 1000)}


def cells(count: int) -> dict[str, Cell]:
    """Everything."""
    return (
        looks()
        | healthy(count)
        | mixed(count)
        | one(count)
        | ten(count)
        | last(count)
        | small(count)
        | said(count)
        | gate(count)
        | real(count)
    )


def main() -> None:
    """The program."""
    made = parser(__doc__)
    made.add_argument(
        "--pushes", type=int, default=700, help="simulated pushes of a cell; large fleets: fewer"
    )
    made.add_argument("--table", action="store_true", help="print the markdown of what --out holds")
    chosen = made.parse_args()
    if chosen.table:
        print(everything({cell["cell"]: cell for cell in done_before(chosen.out)}))
        return
    do(cells(20 if chosen.quick else chosen.pushes), chosen)


if __name__ == "__main__":
    main()
