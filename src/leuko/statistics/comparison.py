"""Canaries against controls and after against before, of one gauge in one role."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from leuko.domain.gauge import Direction, Gauge, Kind
from leuko.statistics import counts, levels
from leuko.statistics.alone import Alone
from leuko.statistics.clocks import NOTHING, Clock, Evidence, combine, count_clocks, level_clocks
from leuko.statistics.question import Mask, Question, Values
from leuko.statistics.windows import Windows

MOST = 200
"""Hosts of one group that are compared; more would add nothing that anybody could see."""


@dataclass(frozen=True, slots=True)
class Group:
    """Hosts of one role: those with the new release, and those still without it."""

    role: str
    canary: Mask
    control: Mask
    only_held_back: bool


def group(windows: Windows, gauge: Gauge, role: str, values: Values) -> Group:
    """The groups of hosts that have reported the gauge before the push."""
    question = windows.question
    known = ~np.isnan(values[windows.before]).all(axis=0)
    members = windows.of_role(role) & windows.reports(gauge) & known
    canary = members & windows.switched
    control = members & ~windows.switched
    held = question.held_back if question.held_back is not None else np.zeros_like(control)
    only_held = bool(control.any()) and not bool((control & ~held).any())
    return Group(role, _thinned(canary, question.hosts), _thinned(control, question.hosts), only_held)


def _thinned(mask: Mask, hosts: tuple[str, ...]) -> Mask:
    """At most MOST of them, evenly through their names."""
    chosen = np.flatnonzero(mask)
    if chosen.size <= MOST:
        return mask
    named = sorted(chosen, key=lambda index: hosts[index])
    kept = np.zeros_like(mask)
    kept[[named[i] for i in np.linspace(0, chosen.size - 1, MOST).astype(int)]] = True
    return kept


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is needed to compare one gauge in one role."""

    windows: Windows
    gauge: Gauge
    group: Group
    values: Values
    denominators: Values | None
    threshold: float
    """Log of the e-value from which on the gauge alone stops the push."""

    @property
    def signs(self) -> tuple[int, ...]:
        """+1 where a rise is bad, -1 where a fall is."""
        return {Direction.UP: (1,), Direction.DOWN: (-1,), Direction.BOTH: (1, -1)}[self.gauge.direction]

    def evidence(self) -> Evidence:
        """The evidence, of the worse direction where both are bad."""
        if not self.group.canary.any():
            return replace(NOTHING, basis="no switched host has a history of it")
        if self.windows.before.stop - self.windows.before.start < levels.ENOUGH:
            return replace(NOTHING, basis="there is too little history")
        compare = self._level if self.gauge.kind is Kind.LEVEL else self._events
        found = [compare(sign) for sign in self.signs]
        best = max(found, key=lambda evidence: evidence.log)
        if len(found) == 2:  # two questions were asked for the price of one
            best = replace(best, log=best.log - float(np.log(2)), rise=found[0].rise, fall=found[1].fall)
        return best

    # --- events ---------------------------------------------------------------------------------------

    def _wait(self, sign: int) -> float:
        question = self.windows.question
        own = question.warm_up.get(self.gauge.kind, 0.0)
        return own if sign > 0 else max(own, *question.warm_up.values())

    def _events(self, sign: int) -> Evidence:
        values, denominators, flipped = _complement(self.values, self.denominators, self.windows)
        turned = -sign if flipped else sign
        group = self.group
        if not group.control.any():
            return self._events_against(values, denominators, turned, sign, alone=True)
        against = self._events_against(values, denominators, turned, sign, alone=False)
        if not group.only_held_back:
            return against
        alone = self._events_against(values, denominators, turned, sign, alone=True)
        return _held_back(against, alone)

    def _events_against(
        self, values: Values, denominators: Values | None, turned: int, sign: int, *, alone: bool
    ) -> Evidence:
        windows, question, group = self.windows, self.windows.question, self.group
        control = np.zeros_like(group.control) if alone else group.control
        cut = lambda part: (values[part], None if denominators is None else denominators[part])  # noqa: E731
        before, watch = counts.cells(*cut(windows.before)), counts.cells(*cut(windows.watch))
        learned = counts.model(before, group.canary, control)
        clocks = count_clocks(self._wait(sign), question.wanted * question.tick, not alone)
        looks = [self._look(before, watch, learned, clock, control, turned) for clock in clocks]
        log = counts.weigh(learned, looks, turned)
        main = looks[1]
        expected, effect = _expected(learned, main)
        if log > 0 and not self._still(watch, learned, control, turned, main):
            log = 0.0
        planned = self._planned(learned, main, watch, before, control, alone)
        factor, amount = counts.visible(learned, planned, self.threshold, turned)
        rise, fall = (factor, np.inf) if turned > 0 else (np.inf, factor)
        if turned != sign:
            rise, fall = fall, rise
        return Evidence(log, effect, main.x, expected, rise, fall, amount, int(control.sum()), not alone)

    def _look(
        self,
        before: counts.Cells,
        watch: counts.Cells,
        learned: counts.Model,
        clock: Clock,
        control: Mask,
        sign: int,
    ) -> counts.Look:
        after = self.windows.after(clock.wait)
        canary = after & self.group.canary[None, :] & (watch.exposure > 0)
        ticks = canary.any(axis=1)
        cap = learned.cap * (3 if clock.margin >= 3 else 1)
        events = watch.capped(cap) if sign > 0 else watch.events
        x, ex = float(events[canary].sum()), float(watch.exposure[canary].sum())
        if control.any():
            y = float(events[ticks][:, control].sum())
            ey = float(watch.exposure[ticks][:, control].sum())
        else:
            y = float(before.capped(learned.cap)[:, self.group.canary].sum())
            ey = float(before.exposure[:, self.group.canary].sum())
        temper = 1.0
        if sign > 0:
            per_host = np.where(canary, events, 0.0).sum(axis=0)[self.group.canary]
            shown = np.where(canary, watch.exposure, 0.0).sum(axis=0)[self.group.canary]
            temper = counts.one_host_temper(per_host, shown)
        return counts.Look(clock, x, y, ex, ey, max(learned.phi, temper))

    def _still(
        self, watch: counts.Cells, learned: counts.Model, control: Mask, sign: int, look: counts.Look
    ) -> bool:
        """True where the change is still there in the latest readings."""
        question = self.windows.question
        recent = slice(-max(3, round(5 / question.tick)), None)
        canary = self.windows.after(0.0)[recent] & self.group.canary[None, :]
        x, ex = float(watch.events[recent][canary].sum()), float(watch.exposure[recent][canary].sum())
        if control.any():
            ey = float(watch.exposure[recent][:, control].sum())
            y = float(watch.events[recent][:, control].sum())
            rate = (y + 0.5) / ey * np.exp(learned.ratio) if ey > 0 else learned.canary_rate
        else:
            rate = learned.canary_rate
        expected = rate * ex
        if ex <= 0:
            return False
        return x > 1.05 * min(expected, x and expected) if sign > 0 else x < expected

    def _planned(
        self,
        learned: counts.Model,
        look: counts.Look,
        watch: counts.Cells,
        before: counts.Cells,
        control: Mask,
        alone: bool,
    ) -> counts.Look:
        """The look as it will be at the end of the window, or is now where that is past."""
        question = self.windows.question
        ticks = max(1.0, question.wanted - look.clock.wait / question.tick)
        seen = max(1, self.windows.watch.stop - self.windows.watch.start)
        per_tick = before.exposure[:, self.group.canary].sum(axis=1).mean()
        ex = max(look.x_exposure, float(per_tick) * ticks if seen <= question.wanted else 0.0)
        if alone:
            ey = look.y_exposure
        else:
            others = before.exposure[:, control].sum(axis=1).mean()
            ey = max(look.y_exposure, float(others) * ticks if seen <= question.wanted else 0.0)
        return replace(look, x_exposure=ex, y_exposure=ey)

    # --- levels ---------------------------------------------------------------------------------------

    def _level(self, sign: int) -> Evidence:
        group = self.group
        if not group.control.any():
            return self._level_alone(sign)
        against = self._level_against(sign)
        if group.control.sum() >= 2 and not group.only_held_back:
            return against
        return _held_back(against, self._level_alone(sign))

    def _level_against(self, sign: int) -> Evidence:
        windows, question, group = self.windows, self.windows.question, self.group
        used = group.canary | group.control
        before, after = self.values[windows.before][:, used], self.values[windows.watch][:, used]
        learned = levels.Levels(before, after, group.canary[used], group.control[used])
        if not learned.usable:
            return replace(NOTHING, basis="its history holds only zeros or nothing")
        clocks = level_clocks(self._wait(1), question.wanted * question.tick, question.tick, controlled=True)
        looks = [(clock, learned.look(clock, windows.after(clock.wait)[:, used], sign)) for clock in clocks]
        noise = learned.noise
        ticks = max(1.0, question.wanted - clocks[1].wait / question.tick)
        variance = noise.variance / (ticks * (1 - noise.rho) ** 2) + noise.baseline
        factor = levels.visible(variance, noise.clip, clocks[1], self.threshold)
        return self._levels_found(looks, sign, factor, int(group.control.sum()), controlled=True)

    def _level_alone(self, sign: int) -> Evidence:
        windows, question, group = self.windows, self.windows.question, self.group
        learned = Alone(self.values[windows.before], group.canary)
        if not learned.usable:
            return replace(NOTHING, basis="its history holds only zeros or nothing")
        clocks = level_clocks(self._wait(1), question.wanted * question.tick, question.tick, controlled=False)
        gap = max(0, windows.watch.start - windows.before.stop)
        watch = self.values[windows.watch]
        looks = [
            (clock, learned.look(watch, windows.after(clock.wait), clock, sign, gap)) for clock in clocks
        ]
        ticks = max(1, round(question.wanted - clocks[1].wait / question.tick))
        factor = levels.visible(learned.drift(ticks, gap), float("inf"), clocks[1], self.threshold)
        return self._levels_found(looks, sign, factor, 0, controlled=False)

    def _levels_found(
        self,
        looks: list[tuple[Clock, levels.Compared | None]],
        sign: int,
        factor: float,
        controls: int,
        *,
        controlled: bool,
    ) -> Evidence:
        log = combine([(clock.weight, found.log if found else 0.0) for clock, found in looks])
        seen = [found for _, found in looks if found is not None]
        if not seen:
            return replace(NOTHING, rise=factor if sign > 0 else np.inf, fall=factor if sign < 0 else np.inf)
        main = looks[1][1] or seen[0]
        if log > 0 and sign * main.recent <= np.log(looks[1][0].margin) / 2:
            log = 0.0  # it went away
        rise, fall = (factor, np.inf) if sign > 0 else (np.inf, factor)
        return Evidence(
            log, float(np.exp(main.effect)), rise=rise, fall=fall, controls=controls, controlled=controlled
        )


def _held_back(against: Evidence, alone: Evidence) -> Evidence:
    """Few controls: they count, and the group's own history counts where they do not speak against it."""
    if alone.basis:
        return against
    own = alone.log if against.log >= 0 else min(0.0, alone.log)
    log = combine([(0.5, against.log), (0.5, own)])
    return replace(
        against,
        log=log,
        rise=min(against.rise, alone.rise),
        fall=min(against.fall, alone.fall),
        amount=min(against.amount, alone.amount),
    )


def _expected(learned: counts.Model, look: counts.Look) -> tuple[float, float]:
    """Events expected on the canaries, and the factor by which they were exceeded."""
    if look.y_exposure <= 0 or look.x_exposure <= 0:
        return float("nan"), float("nan")
    rate = look.y / look.y_exposure * float(np.exp(learned.ratio))
    expected = rate * look.x_exposure
    return expected, (look.x / expected if expected > 0 else float("nan"))


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
