"""Canaries against controls and after against before, of one gauge in one role, at every tick."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from leuko.domain.gauge import Direction, Kind
from leuko.statistics import counts, series
from leuko.statistics.case import Case
from leuko.statistics.clocks import TOO_YOUNG, Trace, log_mean_exp
from leuko.statistics.question import Values
from leuko.statistics.rare import Rare
from leuko.statistics.stepping import Stepping
from leuko.statistics.windows import Windows


class Compare(Protocol):
    """Compares in one direction: against controls, or against the group's own history alone."""

    def __call__(self, sign: int, *, alone: bool) -> Trace:
        """The evidence at every tick."""
        ...


@dataclass(frozen=True)
class Comparison:
    """What is needed to compare one gauge in one role."""

    case: Case
    values: Values
    denominators: Values | None

    @property
    def signs(self) -> tuple[int, ...]:
        """+1 where a rise is bad, -1 where a fall is."""
        return {Direction.UP: (1,), Direction.DOWN: (-1,), Direction.BOTH: (1, -1)}[self.case.gauge.direction]

    def trace(self) -> Trace:
        """The evidence at every tick, of the worse direction where both are bad."""
        if not self.case.group.canary.any():
            return self.case.nothing("no switched host has a history of it")
        if self.case.windows.before.stop - self.case.windows.before.start < series.ENOUGH:
            return self.case.nothing(TOO_YOUNG)
        compare = self._level if self.case.gauge.kind is Kind.LEVEL else self._events
        found = [compare(sign) for sign in self.signs]
        if len(found) == 1:
            return found[0]
        rising, falling = found
        worse = rising if rising.last.log >= falling.last.log else falling
        both = log_mean_exp(np.stack([rising.logs, falling.logs], axis=-1), np.array([0.5, 0.5]))
        said = replace(worse.said, rise=rising.said.rise, fall=falling.said.fall)
        return replace(worse, logs=both, said=said)

    def _wait(self, sign: int) -> float:
        """Seconds after a switch whose readings are no evidence: a restart is a gap in traffic."""
        own = self.case.windows.question.warm_up.get(self.case.gauge.kind, 0.0)
        if self.case.gauge.kind is Kind.LEVEL and self.case.group.control.any():
            own = 0.0
        return own if sign > 0 else max(own, *self.case.windows.question.warm_up.values())

    def _with_controls(self, sign: int, compare: Compare) -> Trace:
        """Held against controls, against its own history, or, where controls are few, both."""
        group = self.case.group
        if not group.control.any():
            return compare(sign, alone=True)
        against = compare(sign, alone=False)
        if int(group.control.sum()) >= 2 and not group.only_held_back:
            return against
        alone = compare(sign, alone=True)
        return against if alone.said.basis else _held_back(against, alone)

    def _level(self, sign: int) -> Trace:
        return self._with_controls(sign, self._level_of)

    def _level_of(self, sign: int, *, alone: bool) -> Trace:
        windows = self.case.windows
        before, watch = self.values[windows.before], self.values[windows.span]
        counted = self.case.group.after(windows, self._wait(sign))
        group = self.case.group
        if self.case.gauge.smoothed:
            whole = self.values[windows.before.start : windows.span.stop].copy()
            used, tick = series.sample(group, alone=alone), windows.question.tick
            whole[:, used] = series.unsmoothed(whole[:, used], tick, self.case.gauge.smoothed, len(before))
            before, watch = whole[: len(before)], whole[len(whole) - len(watch) :]
        past = self.case.learned(
            f"level {alone}",
            (
                before[:, series.sample(group, alone=alone)],
                group.some_canaries,
                group.some_controls,
                windows.question.tick,
            ),
            lambda: series.levels(before, group, windows.question.tick, alone=alone),
        )
        if past is None:
            return self.case.nothing("its history holds only zeros or nothing")
        compared = series.level(past, watch, counted, alone=alone)
        return Stepping(self.case, compared, sign, alone=alone).trace()

    def _events(self, sign: int) -> Trace:
        return self._with_controls(sign, self._events_of)

    def _events_of(self, sign: int, *, alone: bool) -> Trace:
        values, denominators, flipped = self.values, self.denominators, False
        if self.case.gauge.kind is Kind.RATIO:
            values, denominators, flipped = _complement(values, denominators, self.case.windows)
        turned = -sign if flipped else sign
        before, span = self.case.windows.before, self.case.windows.span
        past = counts.cells(values[before], None if denominators is None else denominators[before])
        watch = counts.cells(values[span], None if denominators is None else denominators[span])
        counted = self.case.group.after(self.case.windows, self._wait(sign))
        if self._busy(past, alone=alone):
            group = self.case.group
            known = self.case.learned(
                f"busy {alone}", past.given(group), lambda: series.busy(past, group, alone=alone)
            )
            compared = series.events(known, watch, group, counted, alone=alone)
            found = Stepping(self.case, compared, turned, alone=alone).trace()
            return found if not flipped else _turned(found)
        return Rare(self.case, past, watch, counted, sign, turned, alone=alone).trace()

    def _busy(self, past: counts.Cells, *, alone: bool) -> bool:
        ticks = max(1, len(past.events))
        canary = float(past.events[:, self.case.group.canary].sum()) / ticks
        other = float(past.events[:, self.case.group.control].sum()) / ticks
        return canary >= series.BUSY and (alone or other >= series.BUSY)


def _turned(found: Trace) -> Trace:
    """A ratio near one that was turned round: what rises there falls here."""
    return replace(found, said=replace(found.said, rise=found.said.fall, fall=found.said.rise))


def _held_back(against: Trace, alone: Trace) -> Trace:
    """Few controls: they count, and the group's own history counts where they do not speak against it."""
    own = np.where(against.logs >= 0, alone.logs, np.minimum(0.0, alone.logs))
    # where the old hosts moved and the new ones did not, nothing is said against the new ones
    with np.errstate(divide="ignore", invalid="ignore"):
        moved, apart = np.log(alone.effect), np.log(against.effect)
        theirs = np.abs(apart - moved) <= np.abs(moved)
    logs = np.where(theirs, against.logs, np.minimum(against.logs, 0.0))
    logs = log_mean_exp(np.stack([logs, own], axis=-1), np.array([0.5, 0.5]))
    one, other = against.said, alone.said
    said = replace(
        one, rise=min(one.rise, other.rise), fall=min(one.fall, other.fall), reach=min(one.reach, other.reach)
    )
    return replace(against, logs=logs, said=said)


def _complement(
    values: Values, denominators: Values | None, windows: Windows
) -> tuple[Values, Values | None, bool]:
    """A ratio near one is judged by what is missing to it: 99 % to 90 % is tenfold, not a tenth."""
    if denominators is None:
        return values, None, False
    before, below = values[windows.before], denominators[windows.before]
    fraction = bool((before <= below)[~np.isnan(before)].all())
    total = float(np.nansum(below))
    if not fraction or total <= 0 or float(np.nansum(before)) / total <= 0.5:
        return values, denominators, False
    return np.maximum(denominators - values, 0.0), denominators, True
