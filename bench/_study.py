"""What the study behind the design reached, to be compared with: (caught %, half by second, 95 % by second).

One gauge at a budget of 0.1 %, five minutes watched; levels with a learned warm-up. None: not reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

Reached = tuple[float, float | None, float | None]
FLEETS = ("10/1", "10/5", "50/5", "500/50")


def _row(*reached: Reached) -> Mapping[str, Reached]:
    return MappingProxyType(dict(zip(FLEETS, reached, strict=True)))


NOT = (0.0, None, None)
DETECTION: Mapping[tuple[str, str], Mapping[str, Reached]] = MappingProxyType(
    {
        ("errors", "x1.1"): _row(NOT, NOT, NOT, NOT),
        ("errors", "x1.5"): _row((1, None, None), NOT, (4, None, None), (92, 155, None)),
        ("errors", "x2"): _row((2, None, None), (8, None, None), (29, None, None), (100, 65, 105)),
        ("errors", "x10"): _row((94, 115, None), (100, 70, 120), (100, 25, 60), (100, 5, 5)),
        ("cpu", "x1.1"): _row(NOT, NOT, (4, None, None), (99, 90, 195)),
        ("cpu", "x1.5"): _row((84, 170, None), (100, 70, 125), (100, 40, 60), (100, 20, 35)),
        ("cpu", "x2"): _row((100, 60, 100), (100, 30, 45), (100, 20, 25), (100, 10, 10)),
        ("cpu", "x10"): _row((100, 20, 25), (100, 10, 15), (100, 10, 10), (100, 10, 10)),
        ("cpu", "slow"): _row((100, 175, 225), (100, 125, 155), (100, 95, 120), (100, 45, 55)),
        ("load", "x2"): _row((100, 70, 125), (100, 35, 55), (100, 20, 30), (100, 10, 15)),
        ("load", "x10"): _row((100, 20, None), (100, 10, None), (100, 10, None), (100, 10, None)),
    }
)
"""By gauge and size. The study names no 95 % for load x10, and x1.5 for some fleets only."""

LOAD_HALF_MORE: Mapping[str, Reached] = MappingProxyType(
    {"10/1": (76, 200, None), "50/5": (100, 50, 85), "500/50": (100, 20, 35)}
)
TEN_BAD: Mapping[str, Mapping[str, tuple[float, float | None]]] = MappingProxyType(
    {
        "gauge x2": {"10/1": (100, 65), "50/5": (100, 20), "500/50": (100, 10)},
        "gauge x10": {"10/1": (100, 20), "50/5": (100, 10), "500/50": (100, 10)},
        "count x10": {"10/1": (71, 145), "50/5": (98, 45), "500/50": (100, 5)},
        "count x2": {"10/1": (4, None), "50/5": (27, None), "500/50": (75, None)},
    }
)
"""One of ten gauges is bad, at a budget of 1 %: caught, and half by second."""


def reached(gauge: str, size: str, fleet: str) -> Reached | None:
    """The study's figure for a cell, where it has one."""
    if (gauge, size) == ("load", "x1.5"):
        return LOAD_HALF_MORE.get(fleet)
    return DETECTION.get((gauge, size), {}).get(fleet)
