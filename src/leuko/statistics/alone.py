"""Levels without controls: after against before, with the drift that this very history shows."""

from __future__ import annotations

import numpy as np

from leuko.statistics.clocks import Clock
from leuko.statistics.levels import DRIFT, ENOUGH, Compared, mixture, on_log_scale, scale
from leuko.statistics.question import Mask, Values

BASELINE = 60
"""Ticks of history that the watch is held against."""


class Alone:
    """The history of one group, and how far means of it drift by themselves."""

    def __init__(self, before: Values, group: Mask) -> None:
        self.added = scale(before)
        self.usable = self.added > 0 and before.shape[0] >= ENOUGH
        if not self.usable:
            return
        logs = on_log_scale(before[:, group], self.added)
        some = ~np.isnan(logs)
        number = some.sum(axis=0)
        self.centre = np.where(some, logs, 0.0).sum(axis=0) / np.maximum(number, 1)
        self.centre = np.where(number > 0, self.centre, np.nan)
        self.group = group
        self.history = self._series(before)
        kept = self.history[~np.isnan(self.history)]
        self.usable = kept.size >= ENOUGH
        self.kept = kept

    def _series(self, values: Values) -> Values:
        deviation = on_log_scale(values[:, self.group], self.added) - self.centre
        some = ~np.isnan(deviation)
        number = some.sum(axis=1)
        total = np.where(some, deviation, 0.0).sum(axis=1)
        return np.asarray(np.where(number > 0, total / np.maximum(number, 1), np.nan))

    def drift(self, ticks: int, gap: int) -> float:
        """Mean square of what a window of `ticks` differed from the ticks before it, over the history."""
        length = len(self.kept)
        baseline = min(BASELINE, max(3, length // 2))
        sums = np.concatenate([[0.0], np.cumsum(self.kept)])
        starts = np.arange(baseline, length - ticks + 1)
        starts = starts[starts - gap - baseline >= 0] if length > baseline + gap + ticks + 5 else starts
        back = gap if length > baseline + gap + ticks + 5 else 0
        correlated = self._correlated(ticks, baseline)
        if starts.size < 3:
            return max(correlated, DRIFT**2) * 2
        now = (sums[starts + ticks] - sums[starts]) / ticks
        then = (sums[starts - back] - sums[starts - back - baseline]) / baseline
        independent = max(1.0, starts.size / ticks)
        seen = float(np.mean((now - then) ** 2)) * (1 + 4 / independent)
        return max(seen, correlated, DRIFT**2)

    def _correlated(self, ticks: int, baseline: int) -> float:
        deviation = self.kept - self.kept.mean()
        total = float((deviation**2).sum())
        rho = float((deviation[1:] * deviation[:-1]).sum()) / total if total > 0 else 0.0
        rho = float(np.clip(rho + (1 + 3 * max(rho, 0.0)) / len(deviation), 0.0, 0.97))
        return total / len(deviation) * (1 + rho) / (1 - rho) * (1 / ticks + 1 / baseline)

    def look(self, after: Values, counted: Mask, clock: Clock, sign: int, gap: int) -> Compared | None:
        """Evidence of one clock over the watch's ticks."""
        series = self._series(np.where(counted, after, np.nan))
        series = series[~np.isnan(series)]
        if series.size == 0:
            return None
        baseline = self.kept[-min(BASELINE, max(3, len(self.kept) // 2)) :]
        middle = float(np.median(baseline))
        spread = max(0.05, 1.4826 * float(np.median(np.abs(self.kept - np.median(self.kept)))))
        raw = series - float(baseline.mean())
        # a single wild reading may count for a tenfold change, not for a thousandfold one
        bounded = (
            np.clip(series, middle - np.log(30) - 4 * spread, middle + np.log(30) + 4 * spread)
            - baseline.mean()
        )
        effect = sign * float(
            np.minimum(bounded.mean(), np.median(bounded))
            if sign > 0
            else np.maximum(bounded.mean(), np.median(bounded))
        )
        effect -= float(np.log(clock.margin))
        variance = self.drift(series.size, gap)
        recent = float(raw[-2:].min() if sign > 0 else raw[-2:].max())
        return Compared(
            mixture(effect, variance, clock), float(np.median(raw)), variance, series.size, recent
        )
