"""Levels: canaries less controls, each less its own history, on a log scale.

Readings follow each other closely, so each is taken less what the one before predicts; clipped, so that
one wild reading decides nothing; and the noise is that of the history, as means of many ticks show it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leuko.statistics.clocks import Clock, log_mean_exp
from leuko.statistics.question import Mask, Values

LASTING = 0.05
"""What a healthy switch may change for good on one host (standard deviation of the logarithm)."""
ROOM = 0.8
"""Effect (of the logarithm) that clipping always leaves visible."""
SMALLEST = 0.01
"""No gauge is believed to be quieter than this (deviation of the logarithm from tick to tick)."""
DRIFT = 0.12
"""The least that a group may wander without controls, from the history to the watch."""
BATCHES = (6, 12, 24)
ENOUGH = 10
"""Ticks of history below which nothing is compared."""


@dataclass(frozen=True, slots=True)
class Noise:
    """What history says about the difference of canaries and controls."""

    rho: float
    variance: float
    """Of one tick's whitened difference of the two groups."""
    baseline: float
    """Variance of what the level was thought to be."""
    clip: float
    """Greatest effect that clipped readings can show."""


def scale(before: Values) -> float:
    """What is added before the logarithm, so that zeros can be read: 0 where history holds nothing else."""
    seen = np.abs(before[~np.isnan(before)])
    if seen.size == 0:
        return 0.0
    middle = float(np.median(seen))
    return 0.1 * middle if middle > 0 else float(seen.mean())


def on_log_scale(values: Values, added: float) -> Values:
    """Logarithms; a negative reading counts as zero."""
    return np.asarray(np.log(np.maximum(values, 0.0) + added))


def _centre(values: Values) -> Values:
    """Per tick, the controls' middle; their mean where they are few."""
    if values.shape[1] < 5:
        return _mean(values, axis=1)
    if not np.isnan(values).any():
        return np.asarray(np.median(values, axis=1))
    middle = np.full(values.shape[0], np.nan)
    some = ~np.isnan(values).all(axis=1)
    if some.any():
        middle[some] = np.nanmedian(values[some], axis=1)
    return middle


def _mean(values: Values, axis: int) -> Values:
    present = ~np.isnan(values)
    number = present.sum(axis=axis)
    total = np.where(present, values, 0.0).sum(axis=axis)
    return np.asarray(np.where(number > 0, total / np.maximum(number, 1), np.nan))


def _rho(deviation: Values) -> float:
    now, past = deviation[1:], deviation[:-1]
    both = ~np.isnan(now) & ~np.isnan(past)
    below = float((past[both] ** 2).sum())
    if below <= 0:
        return 0.0
    rho = float((now[both] * past[both]).sum()) / below
    rho += (1 + 3 * max(rho, 0.0)) / max(len(deviation), 4)  # short histories look too independent
    return float(np.clip(rho, 0.0, 0.97))


def _spread(whitened: Values) -> Values:
    """Per host, the middle absolute deviation, drawn to the fleet's."""
    present = ~np.isnan(whitened)
    filled = np.where(present, np.abs(whitened), 0.0)
    own = np.median(filled, axis=0) if present.all() else _nan_median(np.where(present, filled, np.nan))
    own = np.maximum(np.nan_to_num(own, nan=0.0), SMALLEST)
    return np.asarray(np.sqrt(own * np.median(own)))


def _nan_median(values: Values) -> Values:
    some = ~np.isnan(values).all(axis=0)
    middle = np.full(values.shape[1], np.nan)
    if some.any():
        middle[some] = np.nanmedian(values[:, some], axis=0)
    return middle


def _batch_ratio(whitened: Values) -> float:
    """How much more means of ticks vary than if ticks were independent; at least 1."""
    alone = float(np.nanvar(whitened)) if np.isfinite(whitened).any() else 0.0
    if alone <= 0:
        return 1.0
    worst = 1.0
    for length in BATCHES:
        batches = len(whitened) // length
        if batches < 3:
            continue
        means = _mean(whitened[: batches * length].reshape(batches, length, -1), axis=1)
        present = np.isfinite(means)
        if present.sum() > 3:
            worst = max(worst, float(np.var(means[present])) * length / alone)
    return min(worst, 10.0)


@dataclass(frozen=True, slots=True)
class Compared:
    """Whitened differences of one clock after the switch, and what they come to."""

    log: float
    effect: float
    variance: float
    ticks: int
    recent: float
    """Factor by which the canaries' last two readings differ."""


class Levels:
    """One gauge of one role: history learned once, asked for each clock."""

    def __init__(self, before: Values, after: Values, canary: Mask, control: Mask) -> None:
        self.ticks = before.shape[0]
        added = scale(before)
        self.usable = added > 0 and self.ticks >= ENOUGH
        if not self.usable:
            return
        logs = on_log_scale(np.vstack([before, after]), added)
        self.split = before.shape[0]
        if control.any():
            logs = logs - _centre(logs[:, control])[:, None]
        mu = _mean(logs[: self.split], axis=0)
        self.deviation = logs - mu
        self.canary, self.control = canary, control
        self._learn()

    def _learn(self) -> None:
        self.rho = _rho(self.deviation[: self.split])
        whitened = self.deviation[1:] - self.rho * self.deviation[:-1]
        self.spread = _spread(whitened[: self.split - 1])
        # a quiet gauge may still show a change that is large beside what a healthy switch leaves behind
        self.bound = np.maximum(4 * self.spread, ROOM * (1 - self.rho))
        history = np.clip(whitened[: self.split - 1], -self.bound, self.bound)
        self.mean = _mean(history, axis=0)
        history = history - self.mean
        ratio = _batch_ratio(history)
        fleet = self._variance(history[:, self.control]) if self.control.any() else 0.0
        own = self._variance(history[:, self.canary])
        count = max(1, int(self.canary.sum()))
        others = int(self.control.sum())
        floor = SMALLEST**2
        variance = ratio * (max(fleet, own, floor) / count + (max(fleet, floor) / others if others else 0.0))
        ticks = max(1, self.split - 1)
        variance *= 1 + 4 / max(ticks, 4)  # the variance itself is only an estimate
        weight = (1 - self.rho) ** 2
        baseline = variance / (weight * ticks) + LASTING**2 * (1 / count + (1 / others if others else 0.0))
        clip = float(np.median(self.bound[self.canary])) / (1 - self.rho)
        self.noise = Noise(self.rho, variance, baseline, clip)
        self.whitened = whitened

    @staticmethod
    def _variance(history: Values) -> float:
        present = history[~np.isnan(history)]
        return float(np.mean(present**2)) if present.size else 0.0

    def look(self, clock: Clock, after: Mask, sign: int) -> Compared | None:
        """Evidence of one clock over the watch's ticks where `after` says that the host counts."""
        start = self.split - 1
        now = self.whitened[start:].copy()
        level = self.deviation[self.split :]
        counted = after & self.canary[None, :]
        now[:, self.canary] -= sign * (1 - self.rho) * np.log(clock.margin)
        now = np.clip(now, -self.bound, self.bound) - self.mean
        own = _mean(np.where(counted, now, np.nan)[:, self.canary], axis=1)
        other = _mean(now[:, self.control], axis=1) if self.control.any() else np.zeros(len(own))
        difference = (own - other)[~np.isnan(own - other)]
        if difference.size == 0:
            return None
        noise = self.noise
        effect = sign * float(difference.mean()) / (1 - noise.rho)
        wild = float(np.var(difference)) if difference.size > 3 else 0.0
        variance = max(noise.variance, wild) / (difference.size * (1 - noise.rho) ** 2) + noise.baseline
        # one reading, however wild, decides nothing
        log = mixture(effect, variance, clock) if difference.size > 1 else 0.0
        raw = _mean(np.where(counted, level, np.nan)[:, self.canary], axis=1)
        if self.control.any():
            raw = raw - _mean(level[:, self.control], axis=1)
        raw = raw[~np.isnan(raw)]
        return Compared(
            log,
            float(np.median(raw)),
            variance,
            difference.size,
            float(raw[-2:].min() if sign > 0 else raw[-2:].max()),
        )


def mixture(effect: float, variance: float, clock: Clock) -> float:
    """Log of the mean Bayes factor over the clock's sizes."""
    sizes = np.log(np.array(clock.sizes))
    logs = (sizes * effect - sizes**2 / 2) / variance
    return float(log_mean_exp(logs, np.full(len(sizes), 1 / len(sizes))))


def visible(variance: float, clip: float, clock: Clock, threshold: float) -> float:
    """Smallest factor that a look with that variance would have shown; infinite where clipping forbids it."""
    sizes = np.log(np.array(clock.sizes))
    wanted = threshold - np.log(clock.weight) + np.log(len(sizes))
    needed = float(np.min((wanted * variance + sizes**2 / 2) / sizes))
    return float(np.exp(min(needed, 20.0)) * clock.margin) if needed <= clip else float("inf")
