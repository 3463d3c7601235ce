"""Markdown of the verdict's cells: peers side by side, and the study's figures in brackets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from _judged import limits
from _study import FLEETS, TEN_BAD, reached
from _worlds import WORLDS

TOLD_OF_PEERS = ("healthy", "x2", "x10", "x300", "to half", "to nothing")
LEVELS = ("cpu", "load", "latency p99")
Cells = Mapping[str, Mapping[str, Any]]
SIZES = ("x1.1", "x1.5", "x2", "x10", "x300", "slow", "to half", "to a tenth", "to nothing")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def percent(rate: Mapping[str, Any]) -> str:
    """How many of how many, and the upper limit of the rate in per cent."""
    return f"{rate['rolled_back']}/{rate['of']} (< {_short(100 * rate['limits'][1])} %)"


def plain(rate: Mapping[str, Any]) -> str:
    """A peer's rate in per cent."""
    return _short(100 * rate["rolled_back"] / rate["of"])


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def speed(found: Mapping[str, Any]) -> str:
    """Caught in per cent / second by which half / 95 % of all were caught."""
    if found["half"] is None and found["most"] is None:
        return f"{found['caught']:.0f}"
    return "/".join([f"{found['caught']:.0f}", *(_second(found[key]) for key in ("half", "most"))])


def _second(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def slower(found: Mapping[str, Any], study: Sequence[float | None]) -> bool:
    """Slower than the study beyond the noise of few pushes: fewer caught, or a median over a tick later."""
    caught, half = study[0], study[1]
    most = 100 * limits(round(found["caught"] * found["of"] / 100), found["of"])[1]
    if caught is not None and most < caught:
        return True
    return half is not None and (found["half"] is None or found["half"] > half + 5)


def healthy(cells: Cells, prefix: str = "healthy") -> str:
    """By world: false rollbacks of ours on each fleet."""
    fleets = [
        fleet
        for fleet in FLEETS
        if any(name.startswith(prefix) and name.endswith(f", {fleet}") for name in cells)
    ]
    head = ["world", *(f"{fleet}{mode}" for fleet in fleets for mode in ("", ", learned"))]
    rows: dict[str, list[str]] = {}
    for world in WORLDS:
        if any(f"{prefix}: {world}, {fleet}" in cells for fleet in fleets):
            rows[world] = []
    for world, row in rows.items():
        for fleet in fleets:
            found = cells.get(f"{prefix}: {world}, {fleet}")
            for name in ("Leuko 0.5 %", "Leuko, learned 0.5 %"):
                row.append(percent(found["rates"][name]) if found and name in found["rates"] else "")
            if found and found["rates"]["Leuko 0.5 %"]["rolled_back"] and "in_spite_of_the_gate" in found:
                row[-2] += f", with the gate {found['in_spite_of_the_gate']}"
    return _table(head, [[world, *row] for world, row in rows.items()])


def peers_of_healthy(cells: Cells) -> str:
    """By world and fleet: everybody's false rollbacks of healthy pushes with ten gauges, per cent."""
    some = [cell for cell in cells.values() if cell["cell"].startswith("healthy: ")]
    names = list(dict.fromkeys(name for cell in some for name in cell["rates"] if "learned" not in name))
    return _table(
        ["world, fleet", *names],
        [
            [
                f"{cell['world']}, {cell['fleet']}",
                *(plain(cell["rates"][name]) if name in cell["rates"] else "" for name in names),
            ]
            for cell in some
        ],
    )


def single(cells: Cells, gauge: str) -> str:
    """One gauge: who rolls back healthy pushes how often, and catches which size how soon."""
    rows = []
    for kind in ("healthy", *SIZES):
        found = {fleet: cells.get(f"one: {gauge}, {fleet}, {kind}") for fleet in FLEETS}
        names = dict.fromkeys(
            name for cell in found.values() if cell for name in cell.get("rates", cell.get("speeds", {}))
        )
        for name in names:
            if not name.startswith("Leuko") and kind not in TOLD_OF_PEERS:
                continue
            if name == "Poisson" and gauge in LEVELS:
                continue  # it counts events
            row = [kind, name]
            for fleet, cell in found.items():
                row.append(_single(cell, name, reached(gauge, kind, fleet)))
            rows.append(row)
    return _table(["", "", *FLEETS], rows)


def _single(cell: Mapping[str, Any] | None, name: str, study: Sequence[float | None] | None) -> str:
    if cell is None:
        return ""
    if "rates" in cell:
        return plain(cell["rates"][name]) if name in cell["rates"] else ""
    if name not in cell["speeds"]:
        return ""
    said = speed(cell["speeds"][name])
    best = "Leuko, learned 0.1 %" if "Leuko, learned 0.1 %" in cell["speeds"] else "Leuko 0.1 %"
    if study is not None and name == best:
        said += f" ({'/'.join(_second(value) for value in study)})"
        said = f"**{said}**" if slower(cell["speeds"][name], study) else said
    return said


def one_of_ten(cells: Cells) -> str:
    """One of ten gauges is bad."""
    rows = []
    for cell in cells.values():
        if not cell["cell"].startswith("ten: "):
            continue
        label = cell["cell"].removeprefix("ten: ").rsplit(", ", 1)[0]
        study = TEN_BAD.get(label, {}).get(cell["fleet"])
        said = "" if study is None else f"{study[0]:.0f}/{_second(study[1])}"
        names = ("Leuko 0.5 %", "Leuko 1 %", "Leuko, learned 0.5 %", "Leuko, learned 1 %")
        rows.append(
            [
                label,
                cell["fleet"],
                *(speed(cell["speeds"][name]) for name in names if name in cell["speeds"]),
                said,
            ]
        )
    return _table(["bad", "fleet", "0.5 %", "1 %", "learned, 0.5 %", "learned, 1 %", "study, 1 %"], rows)


def others(cells: Cells, prefix: str) -> str:
    """Cells of ours alone, at each budget: the last phase, small fleets."""
    rows = []
    for cell in cells.values():
        if not cell["cell"].startswith(prefix):
            continue
        values = cell.get("rates") or cell.get("speeds") or {}
        told = [
            f"{name.removeprefix('Leuko').strip(', ')}: {percent(value) if 'rates' in cell else speed(value)}"
            for name, value in values.items()
        ]
        rows.append([cell["cell"].removeprefix(prefix), "; ".join(told)])
    return _table(["", "by budget"], sorted(rows))


def said(cells: Cells) -> str:
    """The whole verdict at the end of healthy watches."""
    rows = [
        [
            f"{cell['world']}, {cell['fleet']}",
            ", ".join(f"{n} {what}" for what, n in cell["decisions"].items()),
        ]
        for cell in cells.values()
        if cell["cell"].startswith("said: ")
    ]
    return _table(["world, fleet", "decisions"], rows)


def gates(cells: Cells) -> str:
    """With and without the placebo gate."""
    rows = [
        [
            cell["cell"].removeprefix("gate: "),
            *(f"{percent(cell[key])}, half {_second(cell[key]['half'])}" for key in ("without", "with")),
        ]
        for cell in cells.values()
        if cell["cell"].startswith("gate: ")
    ]
    return _table(["", "without", "with the gate"], rows)


def looks(cells: Cells) -> str:
    """What one look costs."""
    rows = [
        [
            f"{cell['hosts']} hosts, {cell['gauges']} gauges",
            *(f"{cell[key]} ms" for key in ("first_cpu_ms", "cpu_ms", "wall_ms")),
        ]
        for cell in cells.values()
        if cell["cell"].startswith("look: ")
    ]
    return _table(["", "CPU, a push's first", "CPU", "wall"], rows)


def real(cells: Cells) -> str:
    """Pretended pushes on the demo's fleet."""
    rows = [
        [fault, f"{plain(found)} % of {found['of']}", _second(found["half"])]
        for cell in cells.values()
        if cell["cell"].startswith("real: ")
        for fault, found in cell["pushes"].items()
    ]
    return _table(["planted", "rolled back", "half by second"], rows)


def misses(cells: Cells) -> str:
    """Every cell that misses its bar, and how."""
    rows = [row for cell in cells.values() for row in (*_too_often(cell), *_too_slow(cell))]
    return _table(["cell", "who", "measured", "bar"], rows)


def _too_often(cell: Mapping[str, Any]) -> Iterable[list[str]]:
    """More than half a per cent of healthy pushes."""
    if cell["cell"].endswith("healthy") and cell["cell"].startswith("one: "):
        return
    for name in ("Leuko 0.5 %", "Leuko, learned 0.5 %"):
        rate = cell.get("rates", {}).get(name)
        if rate is not None and rate["rolled_back"] > 0.005 * rate["of"]:
            yield [cell["cell"], name, f"{rate['rolled_back']} of {rate['of']}", "0.5 %"]


def _too_slow(cell: Mapping[str, Any]) -> Iterable[list[str]]:
    if not cell["cell"].startswith("one: ") or "speeds" not in cell:
        return
    gauge, fleet, size = cell["cell"].removeprefix("one: ").split(", ")
    study = reached(gauge, size, fleet)
    name = next(name for name in ("Leuko, learned 0.1 %", "Leuko 0.1 %") if name in cell["speeds"])
    if study is not None and slower(cell["speeds"][name], study):
        told = "/".join(_second(value) for value in study)
        yield [cell["cell"], name, speed(cell["speeds"][name]), told]


def everything(cells: Cells) -> str:
    """All tables under their headings."""
    parts = [("One look", looks(cells)), ("Healthy pushes, ten gauges", healthy(cells))]
    parts.append(("The same, everybody", peers_of_healthy(cells)))
    gauges = dict.fromkeys(
        name.removeprefix("one: ").split(", ")[0] for name in cells if name.startswith("one: ")
    )
    parts += [(f"One gauge: {gauge}", single(cells, gauge)) for gauge in gauges]
    parts.append(("Ten gauges of every kind and direction", healthy(cells, "mixed")))
    parts.append(("A doubled cpu in every world", others(cells, "doubled: ")))
    parts += [("One of ten gauges is bad", one_of_ten(cells)), ("The last phase", others(cells, "last: "))]
    parts += [("Fleets of one and two hosts", others(cells, "small: ")), ("Decisions", said(cells))]
    parts += [("The placebo gate", gates(cells)), ("Real gauges", real(cells))]
    parts.append(("What misses its bar", misses(cells)))
    filled = [(title, table) for title, table in parts if table.count("\n") > 1]
    return "\n\n".join(f"### {title}\n\n{table}" for title, table in filled) + "\n"
