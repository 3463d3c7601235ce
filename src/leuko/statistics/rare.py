"""The comparison of events so rare that most ticks hold none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from leuko.statistics import counts, gate, series
from leuko.statistics.case import Case
from leuko.statistics.clocks import EVENTS, Evidence, Trace, fading_margin, late_starts, log_mean_exp
from leuko.statistics.question import Mask, Values


@dataclass(frozen=True)
class Rare:
    """The comparison of rare events. `turned` is the sign after a ratio near one was turned round."""

    case: Case
    before: counts.Cells
    watch: counts.Cells
    counted: Mask
    sign: int
    turned: int
    alone: bool

    @cached_property
    def control(self) -> Mask:
        """The hosts held against; none where it is their own history."""
        own = self.case.group.control
        return np.zeros(len(own), dtype=np.bool_) if self.alone else own

    def trace(self) -> Trace:
        """The evidence at every tick."""
        question, group = self.case.question, self.case.group
        sample = group.some_canaries | (group.some_controls & self.control)
        learned = self.case.learned(
            f"rare {self.alone} {self.turned}",
            self.before.given(group),
            lambda: counts.model(self.before, counts.Sides(group.canary, self.control, sample)),
        )
        window = question.wanted * question.tick
        starts = [s for s in late_starts(window, question.tick) if s < window - question.tick]
        main = self._look(learned, 0.0)
        looks = [main, *(self._look(learned, start) for start in starts)]
        logs = [counts.log_evidence(learned, look, self.turned) for look in looks]
        weights = np.array([0.7] + [0.3 / max(1, len(starts))] * len(starts))
        found = log_mean_exp(np.stack(logs, axis=-1), weights / weights.sum())
        seen, expected = self._seen(learned, main)
        found = np.where((found > 0) & ~self._standing(learned), 0.0, found)
        found = gate.gated(found, lambda: self._pretended(learned))
        with np.errstate(divide="ignore", invalid="ignore"):
            effect = np.where(expected > 0, seen / expected, np.nan)
        return Trace(found, effect, seen, expected, self._said(learned, float(weights[0])))

    def _pretended(self, learned: counts.Model) -> Values:
        """The largest evidence of each of many pretend pushes in the history."""
        question, group = self.case.question, self.case.group
        used = group.some_canaries | (group.some_controls & self.control)
        hosts = np.flatnonzero(used)
        events, shown = self.before.capped(learned.cap)[:, hosts], self.before.exposure[:, hosts]
        length, ticks = len(events), max(self.case.ticks, question.wanted)
        starts = np.arange(0, length - ticks + 1)
        if len(starts) < series.ENOUGH or not self.control.any():
            return np.zeros(0)
        canary = group.canary[hosts]
        chosen, at = gate.groups(canary, [question.hosts[index] for index in hosts], starts)
        every = np.unique(np.linspace(1, ticks, min(ticks, 20)).astype(np.intp))
        sums = [
            np.concatenate([np.zeros((1, len(chosen))), np.cumsum(table @ side.T, axis=0)])
            for table in (events, shown)
            for side in (chosen.astype(float), (~chosen).astype(float))
        ]
        x, y, ex, ey = [
            (one[at[None, :] + every[:, None], np.arange(len(at))] - one[at, np.arange(len(at))]).reshape(-1)
            for one in sums
        ]
        # what groups of these very hosts differ by is known from the same history
        rates = (events.sum(axis=0) + 0.5) / np.maximum(shown.sum(axis=0), 1e-9)
        ratio = np.log((chosen * rates).sum(axis=1) / chosen.sum(axis=1))
        ratio -= np.log((~chosen * rates).sum(axis=1) / (~chosen).sum(axis=1))
        apart = np.exp(np.tile(ratio - learned.ratio, len(every)))
        margins = np.repeat(self._margins(every * question.tick), len(at))
        look = counts.Look(x, y, ex * apart, ey, margins, EVENTS)
        logs = counts.log_evidence(learned, look, self.turned).reshape(len(every), len(at))
        return np.asarray(logs.max(axis=0))

    def _said(self, learned: counts.Model, weight: float) -> Evidence:
        question, control = self.case.question, self.control
        ticks = max(1, self.case.planned)
        past = max(1, self.before.exposure.shape[0])
        ex = float(self.before.shown[self.case.group.canary].sum()) / past * ticks
        ey = float(self.before.shown[control if control.any() else self.case.group.canary].sum())
        ey = ey / past * ticks if control.any() else ey
        planned = counts.Look(
            np.zeros(1), np.zeros(1), np.array([ex]), np.array([ey]),
            self._margins(np.array([ticks * question.tick])), EVENTS,
        )  # fmt: skip
        factor, reach, needed = counts.visible(
            learned, planned, self.case.threshold - np.log(weight), self.turned
        )
        rise, fall = (factor, np.inf) if self.sign > 0 else (np.inf, factor)
        return Evidence(
            0.0, np.nan, rise=rise, fall=fall, reach=reach, needed=needed, controls=int(control.sum()),
            controlled=not self.alone,
        )  # fmt: skip

    def _margins(self, ages: NDArray[np.floating], start: float = 0.0) -> Values:
        if self.alone:
            return np.full(len(ages), np.log(2.0))
        pushed = self.case.group.pushed and self.turned > 0
        return fading_margin(ages, start) if pushed else np.full(len(ages), np.log(1.1))

    def _look(self, learned: counts.Model, start: float) -> counts.Look:
        group, windows = self.case.group, self.case.windows
        canary = group.canary
        exposure, events = self.watch.exposure[:, canary], self._counted(learned)[:, canary]
        late: Mask = np.asarray((group.after(windows, start) & self.counted)[:, canary] & (exposure > 0))
        shown = np.cumsum(np.where(late, exposure, 0.0), axis=0)
        per_host = np.cumsum(np.where(late, events, 0.0), axis=0)
        if self.turned > 0:
            per_host = counts.softened(per_host, shown)
        if self.control.any():
            ticks: Mask = np.asarray(late.any(axis=1))
            others, theirs = self._of_controls(learned)
            y, ey = (np.cumsum(np.where(ticks, one, 0.0)) for one in (others, theirs))
        else:
            history = self.before.capped(learned.cap)
            y = np.full(len(shown), float(history[:, canary].sum()))
            ey = np.full(len(shown), float(self.before.shown[canary].sum()))
        since = windows.question.tick * np.cumsum(late.any(axis=1))
        margins = self._margins(since + start, start)
        return counts.Look(per_host.sum(axis=1), y, shown.sum(axis=1), ey, margins, EVENTS)

    def _counted(self, learned: counts.Model) -> Values:
        if self.turned < 0:
            return self.watch.events
        return self.watch.capped(learned.cap, self.before.usual)

    def _of_controls(self, learned: counts.Model) -> tuple[Values, Values]:
        """Their events and exposure in each tick."""
        control = self.control
        return self._counted(learned)[:, control].sum(axis=1), self.watch.exposure[:, control].sum(axis=1)

    def _seen(self, learned: counts.Model, look: counts.Look) -> tuple[Values, Values]:
        """Events on the canaries as they were read, and as they were to be expected."""
        group = self.case.group
        late = self.counted & group.canary[None, :]
        seen = np.cumsum(np.where(late, self.watch.events, 0.0).sum(axis=1))
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = np.where(look.y_exposure > 0, look.y / look.y_exposure, np.nan) * np.exp(learned.ratio)
        begun = look.begun
        return np.where(begun, seen, np.nan), np.where(begun, rate * look.x_exposure, np.nan)

    def _standing(self, learned: counts.Model) -> Mask:
        """Where the change is still there in the latest third of the readings."""
        group, control = self.case.group, self.control
        late: Mask = self.counted & group.canary[None, :]
        x = np.where(late, self.watch.events, 0.0).sum(axis=1)
        ex = np.where(late, self.watch.exposure, 0.0).sum(axis=1)
        rate = np.full(len(x), learned.canary_rate)
        x, ex = _last_third(x), _last_third(ex)
        if control.any():
            y = _last_third(self.watch.events[:, control].sum(axis=1))
            ey = _last_third(self.watch.exposure[:, control].sum(axis=1))
            usual = (y + 0.5) / np.maximum(ey, 1e-9) * np.exp(learned.ratio)
            rate = np.where(ey > 0, usual, rate)
        expected = rate * ex
        return np.asarray(x > 1.05 * expected if self.turned > 0 else 1.05 * x < expected)


def _last_third(values: Values) -> Values:
    """Sums over the latest third of the ticks so far, and over at least three."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    end = np.arange(1, len(values) + 1)
    begin = np.maximum(0, end - np.maximum(3, end // 3))
    return np.asarray(total[end] - total[begin])
