"""Canaries against controls and after against before, of one gauge in one role."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from leuko.domain.gauge import Direction, Gauge, Kind
from leuko.statistics import counts, levels
from leuko.statistics.alone import Alone
from leuko.statistics.clocks import NOTHING, Clock, Evidence, combine, count_clocks, level_clocks
from leuko.statistics.question import Mask, Values
from leuko.statistics.windows import Windows

MOST = 100
"""Hosts of one group that are compared; more would add nothing that anybody could see."""


@dataclass(frozen=True, slots=True)
class Group:
    """Hosts of one role: those with the new release, and those still without it."""

    role: str
    canary: Mask
    control: Mask
    some_canaries: Mask
    some_controls: Mask
    """At most MOST of each, from which noise and levels are learned."""
    only_held_back: bool

    @property
    def sample(self) -> Mask:
        """Both of them."""
        return self.some_canaries | self.some_controls


def group(windows: Windows, gauge: Gauge, role: str, usual: Values) -> Group:
    """The hosts that reported the gauge before the push; `usual`: in what part of the ticks."""
    question = windows.question
    known = usual > 0
    members = windows.of_role(role) & windows.reports(gauge) & known
    canary = members & windows.switched
    control = members & ~windows.switched
    held = question.held_back if question.held_back is not None else np.zeros_like(control)
    only_held = bool(control.any()) and not bool((control & ~held).any())
    some = _thinned(canary, question.hosts), _thinned(control, question.hosts)
    return Group(role, canary, control, *some, only_held)


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
        before, watch = self.windows.before, self.windows.watch
        events = Events(
            self,
            counts.cells(values[before], None if denominators is None else denominators[before]),
            counts.cells(values[watch], None if denominators is None else denominators[watch]),
            self._wait(sign),
            sign,
            -sign if flipped else sign,
        )
        group = self.group
        if not group.control.any():
            return events.against(np.zeros_like(group.control))
        found = events.against(group.control)
        if not group.only_held_back:
            return found
        return _held_back(found, events.against(np.zeros_like(group.control)))

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
        used = group.sample
        before, after = self.values[windows.before][:, used], self.values[windows.watch][:, used]
        learned = levels.Levels(before, after, group.some_canaries[used], group.some_controls[used])
        if not learned.usable:
            return replace(NOTHING, basis="its history holds only zeros or nothing")
        clocks = level_clocks(self._wait(1), question.wanted * question.tick, question.tick, controlled=True)
        looks = [(clock, learned.look(clock, windows.after(clock.wait)[:, used], sign)) for clock in clocks]
        noise = learned.noise
        ticks = max(1.0, question.wanted - clocks[0].wait / question.tick)
        variance = noise.variance / (ticks * (1 - noise.rho) ** 2) + noise.baseline
        factor = levels.visible(variance, noise.clip, clocks[0], self.threshold)
        return self._levels_found(looks, sign, factor, int(group.control.sum()), controlled=True)

    def _level_alone(self, sign: int) -> Evidence:
        windows, question, group = self.windows, self.windows.question, self.group
        learned = Alone(self.values[windows.before], group.some_canaries)
        if not learned.usable:
            return replace(NOTHING, basis="its history holds only zeros or nothing")
        clocks = level_clocks(self._wait(1), question.wanted * question.tick, question.tick, controlled=False)
        gap = max(0, windows.watch.start - windows.before.stop)
        watch = self.values[windows.watch]
        looks = [
            (clock, learned.look(watch, windows.after(clock.wait), clock, sign, gap)) for clock in clocks
        ]
        ticks = max(1, round(question.wanted - clocks[0].wait / question.tick))
        factor = levels.visible(learned.drift(ticks, gap), float("inf"), clocks[0], self.threshold)
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
        main = looks[0][1] or seen[0]
        if log > 0 and sign * main.recent <= np.log(looks[0][0].margin) / 2:
            log = 0.0  # it went away
        rise, fall = (factor, np.inf) if sign > 0 else (np.inf, factor)
        return Evidence(
            log, float(np.exp(main.effect)), rise=rise, fall=fall, controls=controls, controlled=controlled
        )


@dataclass(frozen=True, slots=True)
class Events:
    """The comparison of events. `turned` is the sign after a ratio near one was turned round."""

    comparison: Comparison
    before: counts.Cells
    watch: counts.Cells
    wait: float
    sign: int
    turned: int

    def against(self, control: Mask) -> Evidence:
        """Evidence against these controls; where there are none, against the hosts' own history."""
        question, group = self.comparison.windows.question, self.comparison.group
        alone = not control.any()
        learned = counts.model(self.before, counts.Sides(group.canary, control, group.sample))
        clocks = count_clocks(self.wait, question.wanted * question.tick, not alone)
        looks = [self._look(learned, clock, control) for clock in clocks]
        log = counts.weigh(learned, looks, self.turned)
        if log > 0 and not self._still(learned, control):
            log = 0.0
        main = looks[0]
        seen, expected = self._seen(learned, main)
        effect = seen / expected if expected > 0 else float("nan")
        planned = self._planned(main, control)
        factor, reach = counts.visible(learned, planned, self.comparison.threshold, self.turned)
        rise, fall = (factor, np.inf) if self.sign > 0 else (np.inf, factor)
        return Evidence(log, effect, seen, expected, rise, fall, reach, int(control.sum()), not alone)

    def _look(self, learned: counts.Model, clock: Clock, control: Mask) -> counts.Look:
        canaries = self.comparison.group.canary
        watch = self.watch
        after = self.comparison.windows.after(clock.wait) & canaries[None, :] & (watch.exposure > 0)
        events = watch.capped(learned.cap) if self.turned > 0 else watch.events
        shown = np.where(after, watch.exposure, 0.0).sum(axis=0)
        per_host = np.where(after, events, 0.0).sum(axis=0)
        if control.any():
            ticks = after.any(axis=1)
            y = float(events[ticks].sum(axis=0)[control].sum())
            ey = float(watch.exposure[ticks].sum(axis=0)[control].sum())
        else:
            y = float(self.before.capped(learned.cap).sum(axis=0)[canaries].sum())
            ey = float(self.before.shown[canaries].sum())
        if self.turned > 0:
            per_host = counts.softened(per_host[canaries], shown[canaries])
        return counts.Look(clock, float(per_host.sum()), y, float(shown.sum()), ey, learned.phi)

    def _seen(self, learned: counts.Model, look: counts.Look) -> tuple[float, float]:
        """Events on the canaries as they were read, and as they were to be expected."""
        if not look.begun:
            return float("nan"), float("nan")
        after = self.comparison.windows.after(look.clock.wait) & self.comparison.group.canary[None, :]
        rate = look.y / look.y_exposure * float(np.exp(learned.ratio))
        return float(self.watch.events[after].sum()), rate * look.x_exposure

    def _still(self, learned: counts.Model, control: Mask) -> bool:
        """True where the change is still there in the latest readings."""
        windows = self.comparison.windows
        recent = slice(-max(3, round(5 / windows.question.tick)), None)
        after = windows.after(self.wait)[recent] & self.comparison.group.canary[None, :]
        events, exposure = self.watch.events[recent], self.watch.exposure[recent]
        rate = learned.canary_rate
        if control.any():
            others = float(exposure[:, control].sum())
            if others > 0:
                rate = (float(events[:, control].sum()) + 0.5) / others * float(np.exp(learned.ratio))
        x, expected = float(events[after].sum()), rate * float(exposure[after].sum())
        return x > 1.05 * expected if self.turned > 0 else 1.05 * x < expected

    def _planned(self, look: counts.Look, control: Mask) -> counts.Look:
        """The look as it will be at the end of the window, or is now where that is past."""
        question = self.comparison.windows.question
        ticks = max(1.0, question.wanted - look.clock.wait / question.tick)
        watch = self.comparison.windows.watch
        if watch.stop - watch.start > question.wanted:
            ticks = 0.0
        past = max(1, self.before.exposure.shape[0])
        ex = float(self.before.shown[self.comparison.group.canary].sum()) / past * ticks
        ey = float(self.before.shown[control].sum()) / past * ticks if control.any() else 0.0
        return replace(look, x_exposure=max(look.x_exposure, ex), y_exposure=max(look.y_exposure, ey))


def _held_back(against: Evidence, alone: Evidence) -> Evidence:
    """Few controls: they count, and the group's own history counts where they do not speak against it."""
    if alone.basis:
        return against
    own = alone.log if against.log >= 0 else min(0.0, alone.log)
    # a single host is a witness, but no measure: on its own it convicts nobody
    log = own if against.controls < 2 else combine([(0.5, against.log), (0.5, own)])
    return replace(
        against,
        log=log,
        rise=min(against.rise, alone.rise),
        fall=min(against.fall, alone.fall),
        reach=min(against.reach, alone.reach),
    )


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
