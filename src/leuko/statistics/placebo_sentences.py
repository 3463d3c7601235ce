"""What pretend pushes taught, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, log

from leuko.domain.gauge import Limit
from leuko.statistics.placebo import Placebo
from leuko.statistics.sentences import number

TOO_NOISY = 10.0
"""Above so many times the evidence that the budget allows, quiet readings are too noisy to act on."""
OFTEN = 0.005
"""Part of quiet windows from which on a limit's own false alarms are worth saying."""


def said(placebo: Placebo, budget: float, limits: Mapping[str, Sequence[Limit]]) -> list[str]:
    """How often the verdict would have been wrong here, and which gauges and limits are to blame."""
    if not placebo.pushes:
        return [
            "history is too short for pretend pushes: nothing but the budget says how much evidence is needed"
        ]
    needed = exp(min(placebo.threshold, 60.0))
    found = [
        (
            f"{placebo.rolled_back} of {placebo.pushes} pretend pushes on the history before it would have "
            f"been rolled back by the budget alone; {number(needed)} to 1 is needed here, and "
            f"{number(1 / budget)} to 1 by the budget"
        )
    ]
    found += [f"{name} is too noisy for automatic rollback" for name in noisy(placebo, budget)]
    for name, rates in placebo.limits.items():
        for limit, rate in zip(limits.get(name, ()), rates, strict=False):
            if rate >= OFTEN:
                found.append(
                    f"the limit {limit} of {name} would have fired in {100 * rate:.1f} % of quiet watches"
                )
    return found


def noisy(placebo: Placebo, budget: float) -> list[str]:
    """Gauges that reached ten times the budget's evidence while nothing was wrong."""
    bound = log(TOO_NOISY / budget)
    return [name for name, (largest, _) in placebo.per_gauge.items() if largest > bound]
