"""Cells of a measurement: each is done once, printed as a JSON line, and not done again when started anew."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `leuko` does; this module is imported before numpy
Cell = Callable[[], Mapping[str, Any]]


def parser(text: str | None) -> argparse.ArgumentParser:
    """With what all of them have."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, help="file of JSON lines; cells that it holds are not done again")
    made.add_argument("--only", default="", help="cells whose name begins so")
    made.add_argument("--quick", action="store_true", help="fewer repetitions")
    made.add_argument(
        "--jobs", type=int, default=1, help="processes; more than one only for what is not a timing"
    )
    return made


def done_before(out: Path | None) -> list[dict[str, Any]]:
    """The cells that a file holds; a line that was cut off is none."""
    if out is None or not out.exists():
        return []
    return [json.loads(line) for line in out.read_text().splitlines() if line.endswith("}")]


def do(cells: Mapping[str, Cell], chosen: argparse.Namespace) -> None:
    """Each cell that is asked for and not done yet."""
    out: Path | None = chosen.out
    done = {cell["cell"] for cell in done_before(out)}
    wanted = {name: cell for name, cell in cells.items() if name.startswith(chosen.only) and name not in done}
    for name, load, found in _each(wanted, chosen.jobs):
        row = {"cell": name, **found, "load_before": round(load, 1), "cores": os.cpu_count()}
        line = json.dumps(row | {"python": platform.python_version()})
        print(line, flush=True)
        if out is not None:
            with out.open("a") as file:
                file.write(line + "\n")


def _each(cells: Mapping[str, Cell], jobs: int) -> Iterator[tuple[str, float, Mapping[str, Any]]]:
    """Name, load when it was begun, and what was found."""
    if jobs <= 1:
        for name, cell in cells.items():
            load = os.getloadavg()[0]
            yield name, load, cell()
        return
    with ProcessPoolExecutor(jobs) as pool:
        asked = {pool.submit(cell): name for name, cell in cells.items()}
        for one in as_completed(asked):
            yield asked[one], os.getloadavg()[0], one.result()
