"""Plots of evidence over time for the docs: Leuko's and the published Poisson e-process on the same pushes.

python bench/_plots.py docs/plots
"""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import matplotlib as mpl
import numpy as np
from _judged import seen_by_peers
from _noise import Part, Slow, Step, Values
from _peers import poisson_logs
from _pushes import TEN, TICK, WATCH, Fleet, Push, push
from _worlds import STUDY
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from PIL import Image

from leuko.statistics.path import path

FLEET = Fleet(50, 5)
PUSHES = 20
BUDGET = 0.005
ERRORS = tuple(meter.name for meter in TEN if meter.what == "count" and meter.per_minute >= 3)
STORIES: Mapping[str, Mapping[str, Part]] = MappingProxyType(
    {
        "nothing wrong": {},
        "errors doubled": dict.fromkeys(ERRORS, Step(2.0)),
        "cpu to x2 in 3 min": {"cpu0": Slow()},
    }
)
INK, QUIET, OTHER = "#17202a", "#2e86c1", "#ca6f1e"


def _ours(one: Push) -> Values:
    return np.asarray(path(one.question(BUDGET)).total)


def _poisson(one: Push) -> Values:
    """The mean of the four counts' e-values, so that the budget is the same."""
    logs = np.array([poisson_logs(seen) for seen in seen_by_peers(one) if seen.events])
    return np.asarray(np.log(np.exp(np.minimum(logs, 300.0)).mean(axis=0) + 1e-12))


def _panel(axes: Axes, title: str, curves: list[Values], color: str) -> None:
    seconds = (1 + np.arange(curves[0].size)) * TICK
    bar = -np.log10(BUDGET)
    for curve in curves:
        shown = np.clip(curve / np.log(10), -3, 6)
        axes.plot(seconds, shown, color=color, linewidth=0.8, alpha=0.6)
    over = sum(bool((curve >= -np.log(BUDGET)).any()) for curve in curves)
    axes.axhline(bar, color=INK, linewidth=0.8, linestyle="--")
    axes.set_title(f"{title}: {over} of {len(curves)} rolled back", fontsize=8.5, loc="left")
    axes.set_xlim(0, WATCH)
    axes.set_ylim(-3, 6)
    axes.set_yticks([-2, 0, 2, 4, 6], ["1/100", "1", "100", "10⁴", "10⁶"])
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def draw(folder: Path) -> None:
    """One figure: stories from left to right, who judges from top to bottom."""
    folder.mkdir(parents=True, exist_ok=True)
    figure, grid = plt.subplots(2, len(STORIES), figsize=(11, 5.2), sharex=True, sharey=True)
    for column, (story, faults) in enumerate(STORIES.items()):
        pushes = [push(STUDY, FLEET, TEN, seed, faults) for seed in range(PUSHES)]
        _panel(grid[0, column], f"Leuko, {story}", [_ours(one) for one in pushes], QUIET)
        _panel(grid[1, column], "Poisson", [_poisson(one) for one in pushes], OTHER)
        grid[1, column].set_xlabel("seconds since the switch", fontsize=8)
    for axes in grid[:, 0]:
        axes.set_ylabel("evidence", fontsize=8)
    figure.tight_layout()
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=90)
    Image.open(drawn).convert("RGB").quantize(64).save(folder / "evidence.png", optimize=True)


if __name__ == "__main__":
    mpl.use("agg")
    draw(Path(sys.argv[1]))
