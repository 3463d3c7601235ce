"""Verification: wall time beside pytest-xdist, pytest-split and Buildbot; scheduling; culprits.

    python bench/verify.py [--out verify.jsonl] [--only wall|scheduling|culprit] [--quick] [--rounds 5]

`wall` cells run real suites by everybody in turn, with two workers each. `scheduling` cells simulate 15,000
tests on 35 uneven machines. `culprit` cells search ranges of 32 changes, 40 % of them without a culprit, for
tests that fail by chance 5, 20 and 50 % of the time; the rate is not known to the search.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _cells import Cell, do, parser
from _culprits import Searcher, careful, leuko, measure, plain
from _schedules import everybody
from _walls import contest, short, uneven


def scheduling(number: int, sigma: float, surprise: float, seeds: int) -> Mapping[str, Any]:
    """Mean and worst of several farms, times the lower bound, and hand-outs."""
    found: dict[str, list[tuple[float, int]]] = {}
    for seed in range(seeds):
        for name, ran in everybody(seed, number, sigma, surprise).items():
            found.setdefault(name, []).append(ran)
    return {
        "seeds": seeds,
        "times_the_bound": {
            name: round(float(np.mean([x for x, _ in ran])), 3) for name, ran in found.items()
        },
        "worst": {name: round(max(x for x, _ in ran), 3) for name, ran in found.items()},
        "hand_outs": {name: round(float(np.mean([n for _, n in ran]))) for name, ran in found.items()},
    }


def culprit(rate: float, trials: int) -> Mapping[str, Any]:
    """Everybody on ranges of the same kind."""
    searchers: dict[str, Searcher] = {
        "bisect": plain,
        "verify, bisect x3": careful,
        "Leuko, no history": partial(leuko, history=0),
        "Leuko, 50 runs of history": partial(leuko, history=50),
        "Leuko, 50 runs, 4 workers": partial(leuko, history=50, workers=4),
    }
    return {
        name: {key: round(value, 4) for key, value in measure(searcher, rate, trials, 11).items()}
        for name, searcher in searchers.items()
    }


def main() -> None:
    """The program."""
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, default=5, help="of the wall times")
    made.add_argument(
        "--peers",
        type=Path,
        default=Path(tempfile.gettempdir()) / "leuko-bench-peers",
        help="scratch environment with the others; made where it is not there",
    )
    made.add_argument("--no-buildbot", action="store_true", help="leave Buildbot out: it takes minutes")
    chosen = made.parse_args()
    quick = chosen.quick
    rounds = 1 if quick else chosen.rounds
    wall = partial(contest, scratch=chosen.peers, rounds=rounds, farm=not chosen.no_buildbot)
    cells: dict[str, Cell] = {
        "wall: 2,000 short tests": partial(wall, short),
        "wall: uneven files": partial(wall, uneven),
    }
    number, seeds = (1500, 2) if quick else (15000, 6)
    for sigma, surprise in ((1.5, 0.0), (1.5, 0.3), (2.0, 0.3)):
        name = f"scheduling: sigma {sigma}, history off by {surprise:.0%}"
        cells[name] = partial(scheduling, number, sigma, surprise, seeds)
    for rate in (0.05, 0.2, 0.5):
        cells[f"culprit: fails by chance {rate:.0%}"] = partial(culprit, rate, 40 if quick else 400)
    do(cells, chosen)


if __name__ == "__main__":
    main()
