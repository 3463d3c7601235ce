"""The comparison of a series on a log scale: levels, and events of which every tick holds several."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from leuko.statistics import gate, series, steps
from leuko.statistics.case import Case
from leuko.statistics.clocks import (
    FADING,
    LASTING,
    LIKELY,
    SIZES,
    TOO_YOUNG,
    Evidence,
    Trace,
    late_starts,
    log_mean_exp,
)
from leuko.statistics.groups import Group
from leuko.statistics.question import Mask, Values
from leuko.statistics.windows import Windows

STANDING = 10.0
"""Seconds for which a change must still be there at the look that acts on it."""
TOGETHER = np.array([0.85, 0.15])
"""What is bet on all canaries having changed, and on one of them."""
FEW = (1.5, 3.0, 12.0)
"""Sizes that are looked for on single canaries."""
LASTS = 3.0
"""Seconds that a change must last to be one: a single pause is none."""
MARGIN = 1.02
"""A factor by which a level may change for good without being worth a word."""
ALONE = 1.25
"""The same where no control tells whether the world changed."""
TREND = 0.3
"""What a group may rise or fall by over a watch, as it did before, where no control tells."""
UNEVEN = 0.07
"""How differently hosts answer to what moves all of them, as a part of that."""
OUTLASTS = 4.0
"""How often a watch is as long as what it takes a warm-up to fade by two thirds."""
DIFFERS = 0.8
"""What one host's warm-up may differ from the learned one, as a part of that, at least."""
LEAST = 0.15
"""The same in logarithms at the switch."""
DRIFT = 0.12
"""How far a group may wander without controls, from the history to the watch, at least."""


@dataclass(frozen=True)
class Stepping:
    """The comparison of a series on a log scale."""

    case: Case
    compared: series.Compared
    sign: int
    alone: bool

    def trace(self) -> Trace:
        """The evidence at every tick."""
        case, compared = self.case, self.compared
        model, past, fading = self._model()
        if model is None:
            return case.nothing(TOO_YOUNG)
        bet = self._bet()
        after = self.sign * (compared.after - fading[: len(compared.after)])
        surprises = model.surprises(self.sign * past, after)
        raw = self.sign * compared.after
        logs = steps.evidence(model, surprises, _recent(raw, self._recent_ticks), bet)
        logs = gate.gated(logs, lambda: self._pretended(model, bet))
        if compared.each is not None:
            logs = log_mean_exp(np.stack([logs, self._of_one(model, fading)], axis=-1), TOGETHER)
        factor = steps.visible(model, bet, case.threshold)
        if factor > np.exp(series.THIRTY):
            factor = float("inf")
        rise, fall = (factor, np.inf) if self.sign > 0 else (np.inf, factor)
        controls = 0 if self.alone else int(case.group.control.sum())
        said = Evidence(0.0, np.nan, rise=rise, fall=fall, controls=controls, controlled=not self.alone)
        seen, expected = np.cumsum(np.nan_to_num(compared.seen)), np.cumsum(np.nan_to_num(compared.expected))
        if np.isnan(compared.seen).all():
            seen, expected = compared.seen, compared.expected
        return Trace(logs, np.exp(_latter_half(compared.after)), seen, expected, said)

    def _of_one(self, group: steps.Model, fading: Values) -> Values:
        """Evidence that one of the canaries changed: the mean over them, each held against the old hosts."""
        compared = self.compared
        each = compared.each
        if each is None:
            return np.zeros(self.case.ticks)
        alone = each.scale / compared.scale
        model = replace(
            group, scale=each.scale, before_white=group.before_white * alone, white=group.white * alone,
            nuisances=self._healthy(1)[1],
        )  # fmt: skip
        spans = steps.means(each.before, group.before, len(each.before) + self._gap)[0]
        raw = self.sign * each.after
        after = raw - self.sign * fading[: len(raw), None]
        whole = self._bet()
        bet = replace(
            whole, patience=self._patience(1), sizes=FEW, likely=(1 / len(FEW),) * len(FEW),
            shapes=whole.shapes[:1],
        )  # fmt: skip
        recent = _recent(raw, self._recent_ticks)
        logs = steps.evidence(model, model.surprises(self.sign * spans, after), recent, bet)
        one = np.arange(len(compared.canary)) == int(np.argmax(compared.canary))
        logs = gate.gated(logs, lambda: self._pretended(model, bet, one))
        return log_mean_exp(logs, np.full(logs.shape[1], 1 / logs.shape[1]))

    @property
    def _gap(self) -> int:
        windows = self.case.windows
        return int(windows.span.start - windows.before.stop)

    def _patience(self, canaries: int) -> float:
        """How fast evidence may rise: a spike of one host must be over before it weighs much."""
        later = max(1, round(LASTS / self.case.question.tick) - 1)
        return (1.0 if self.alone else min(canaries, 3)) * 2 / (1 + later)

    def _pretended(self, model: steps.Model, bet: steps.Bet, canary: Mask | None = None) -> Values:
        """The largest evidence of each of many pretend pushes in the history."""
        compared, ticks = self.compared, model.ticks
        canary = compared.canary if canary is None else canary
        history = compared.history
        length = history.shape[-2]
        past = min(72, length - ticks)
        if past < series.ENOUGH:
            return np.zeros(0)
        starts = np.arange(past, length - ticks + 1)
        names = [self.case.question.hosts[index] for index in compared.hosts]
        if history.shape[-1] == 1:
            at = starts[np.linspace(0, len(starts) - 1, min(gate.PRETEND, len(starts))).astype(np.intp)]
            grouped = np.repeat(history, len(at), axis=1)
        else:
            chosen, at = gate.groups(canary, names, starts)
            grouped = series.of_groups(history, chosen)
        columns = np.arange(len(at))
        watch = self.sign * grouped[at[None, :] + np.arange(ticks)[:, None], columns]
        spans = steps.blocks(past, 0)
        known = [
            _mean_over(self.sign * grouped[at[None, :] + np.arange(int(begin), int(end))[:, None], columns])
            for begin, end in spans
        ]
        pretend = replace(
            model, before=spans, before_white=np.full(len(spans), compared.before_white),
            white=np.full(ticks, compared.before_white), scales=np.ones(ticks),
        )  # fmt: skip
        recent = _recent(watch, self._recent_ticks)
        logs = steps.evidence(pretend, pretend.surprises(np.array(known), watch), recent, bet)
        return np.asarray(logs.max(axis=0))

    @property
    def _recent_ticks(self) -> int:
        tick = self.case.question.tick
        return max(2, round(STANDING / tick)) if tick >= 2 else 3

    def _bet(self) -> steps.Bet:
        question = self.case.question
        ticks = self.case.planned
        at = np.arange(ticks)
        shapes = [steps.Shape(np.ones(ticks), 0.55)]
        starts = [
            start
            for start in late_starts(question.wanted * question.tick, question.tick)
            if round(start / question.tick) < question.wanted - 1
        ]
        late = [
            steps.Shape((at >= round(start / question.tick)).astype(float), 0.3 / len(starts))
            for start in starts
        ]
        climb = np.minimum((at + 1.0) / max(1, question.wanted), 1.5)
        shapes += [*late, steps.Shape(climb, 0.15)]
        return steps.Bet(
            ALONE if self.alone else MARGIN, SIZES, LIKELY, tuple(shapes),
            self._patience(int(self.case.group.canary.sum())),
        )  # fmt: skip

    def _model(self) -> tuple[steps.Model | None, Values, Values]:
        compared = self.compared
        gap = self._gap
        spans = steps.blocks(len(compared.before), gap)
        past, there = steps.means(compared.before, spans, len(compared.before) + gap)
        spans, past = spans[there], past[there]
        length = len(compared.before)
        if len(past) < 3:
            return None, past, past
        fading, nuisances = self._healthy(int(self.case.group.canary.sum()))
        missing = self.case.planned - len(compared.after)
        white = np.concatenate([compared.white, np.full(missing, compared.before_white)])
        scales = np.concatenate([compared.scales, np.ones(missing)])
        model = steps.Model(
            compared.noise.times(1 + 4 / max(4, length)), compared.scale, spans,
            np.full(len(spans), compared.before_white), self.case.planned, white, scales, nuisances,
            TREND**2 if self.alone else 0.0,
        )  # fmt: skip
        return model, past, fading

    def _healthy(self, many: int) -> tuple[Values, tuple[tuple[Values, float], ...]]:
        """What a healthy switch does to the series: its mean, and courses whose size is not known."""
        case = self.case
        group, windows = case.group, case.windows
        question = windows.question
        lasting = LASTING**2 / many + (DRIFT**2 if self.alone else 0.0)
        nuisances: list[tuple[Values, float]] = [(np.ones(self.case.planned), lasting)]
        if self.compared.common is not None:
            moved = _filled(np.abs(self.compared.common), case.planned)
            nuisances.append((moved, UNEVEN**2 / min(many, 16)))
        ages = _ages(windows, group, self.case.planned)
        learned = question.transients.get(case.gauge.name)
        mean = np.zeros(self.case.planned)
        if not group.pushed:
            return mean, tuple(nuisances)
        if learned is not None:
            curve, deviation = learned.at(np.maximum(ages, 0.0))
            mean = _over_hosts(np.where(ages >= 0, curve, 0.0))
            nuisances.append((_over_hosts(np.where(ages >= 0, deviation, 0.0)), 1.0 + 1.0 / learned.pushes))
            # and how much single hosts' warm-ups differ is more than few switches can tell
            nuisances.append((mean, DIFFERS**2 / many))
            fresh = _over_hosts(np.where(ages >= 0, np.exp(-np.maximum(ages, 0.0) / 30.0), 0.0))
            nuisances.append((fresh, LEAST**2 / many))
            return mean, tuple(nuisances)
        watch = question.wanted * question.tick
        for fade in FADING:
            # a watch is chosen to outlast the warm-up: who watches for a minute knows none that lasts one
            part = min(1.0, watch / (OUTLASTS * fade.seconds))
            course = _over_hosts(np.where(ages >= 0, np.exp(-np.maximum(ages, 0.0) / fade.seconds), 0.0))
            nuisances.append((course, (part * fade.deviation) ** 2))
            mean = mean + self.sign * part * fade.mean * course
        return mean, tuple(nuisances)


def _over_hosts(table: Values) -> Values:
    return np.asarray(table.mean(axis=1))


def _ages(windows: Windows, group: Group, ticks: int) -> Values:
    """Seconds since each canary's switch in the middle of each tick, of ticks to come too: [ticks, hosts]."""
    question = windows.question
    since = group.since[group.some_canaries]
    times = question.times[windows.span]
    first = float(times[0]) if len(times) else float(np.nanmax(since)) + question.tick
    last = float(times[-1]) if len(times) else first - question.tick
    known = times if len(times) else np.zeros(0)
    coming = last + question.tick * np.arange(1, ticks - len(known) + 1)
    return np.asarray(np.concatenate([known, coming])[:, None] - question.tick / 2 - since[None, :])


def _filled(course: Values, ticks: int) -> Values:
    found = np.zeros(ticks)
    found[: len(course)] = np.nan_to_num(course)
    return found


def _mean_over(table: Values) -> Values:
    present = ~np.isnan(table)
    return np.asarray(np.where(present, table, 0.0).sum(axis=0) / np.maximum(present.sum(axis=0), 1))


def _recent(raw: Values, ticks: int) -> Values:
    """Mean of the latest readings at each tick; minus infinity before there are any."""
    known = np.isfinite(raw)
    begun = np.zeros((ticks, *raw.shape[1:]))
    total = np.concatenate([begun, np.cumsum(np.where(known, raw, 0.0), axis=0)])
    number = np.concatenate([begun, np.cumsum(known, axis=0)])
    some = number[ticks:] - number[:-ticks]
    return np.where(some > 0, (total[ticks:] - total[:-ticks]) / np.maximum(some, 1), -np.inf)


def _latter_half(raw: Values) -> Values:
    """Mean of the latter half of what was seen by each tick."""
    known = np.isfinite(raw)
    total = np.concatenate([[0.0], np.cumsum(np.where(known, raw, 0.0))])
    number = np.concatenate([[0.0], np.cumsum(known)])
    end = np.arange(1, len(raw) + 1)
    begin = end // 2
    some = number[end] - number[begin]
    return np.where(some > 0, (total[end] - total[begin]) / np.maximum(some, 1), np.nan)
