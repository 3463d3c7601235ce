"""Cells of a measurement: each is done once, printed as a JSON line, and not done again when started anew."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Cell = Callable[[], Mapping[str, Any]]


def parser(text: str | None) -> argparse.ArgumentParser:
    """With what all of them have."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, help="file of JSON lines; cells that it holds are not done again")
    made.add_argument("--only", default="", help="cells whose name begins so")
    made.add_argument("--quick", action="store_true", help="fewer repetitions")
    return made


def do(cells: Mapping[str, Cell], chosen: argparse.Namespace) -> None:
    """Each cell that is asked for and not done yet."""
    out: Path | None = chosen.out
    done = set()
    if out is not None and out.exists():
        done = {json.loads(line)["cell"] for line in out.read_text().splitlines() if line.endswith("}")}
    for name, cell in cells.items():
        if not name.startswith(chosen.only) or name in done:
            continue
        before = os.getloadavg()[0]
        found = {"cell": name, **cell(), "load_before": round(before, 1), "cores": os.cpu_count()}
        line = json.dumps(found | {"python": platform.python_version()})
        print(line, flush=True)
        if out is not None:
            with out.open("a") as file:
                file.write(line + "\n")
