"""Which of several changes broke a test, where the test may also fail by chance.

After Google's FACF (ICST 2023, "flake-aware culprit finding"): one hypothesis for each change, one that the
failure was a flake, and one that the test failed before any of them. What is added here is that nobody knows
how often the test fails by chance. So the rate is not a number but a distribution, learned from the test's
own history and its suite's, held open towards high rates, and updated with each run together with the
hypotheses: to overestimate it costs runs, to underestimate it names the wrong person.

Versions are numbered: 0 is the last known good one, 1 to n are the changes in order of landing, n is the one
that failed. Everything is computed anew from all runs at every call; nothing is kept between calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FLAKE = 0.4
"""Of failures in a range, those that no change is to blame for (Google: about 40 %)."""
BEFORE = 0.02
"""Of failures in a range, those that were there before it: another machine, another hour, a dead service."""
SLIP = 0.002
"""How often a broken test is taken to pass all the same. Nothing is ever quite impossible."""
CERTAIN = 0.99
MOST_RUNS = 60
TOGETHER = 4
"""Runs that are chosen with a view to each other; each more doubles what there is to reckon."""
FINE = 48
"""Versions that are looked at one by one."""
RATES: Floats = np.array([0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
"""How often a test may fail by chance. The first is the floor: no test is taken to be better than that."""
OPEN = 0.2
"""Weight of "it may be any rate": the history was of other days and of other machines."""
SUITE_RUNS = 10.0
"""What the suite's own rate weighs beside the test's own runs, counted in runs."""
USUAL = 0.015
"""Rate of a suite without history (Google: 1.5 % of runs are flaky)."""


class Answer(StrEnum):
    """What a search comes to. OPEN: it goes on. UNCLEAR: it has had all its runs."""

    OPEN = "open"
    CULPRIT = "culprit"
    FLAKE = "flake"
    BEFORE = "before"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the test at a version."""

    version: int
    failed: bool


@dataclass(frozen=True, slots=True)
class History:
    """How often the test failed by chance in so many runs before, and how often its suite's tests do."""

    flaked: int = 0
    runs: int = 0
    suite: float = USUAL


@dataclass(frozen=True)
class Question:
    """A search as it stands.

    `weights` say how likely each change is to break something, in any unit; equal where left out. `runs` are
    those since the failure that began the search, which is not among them. `untestable` are versions at which
    the test cannot be run at all: they do not build.
    """

    versions: int
    """n: the number of changes, and of the version that failed."""
    runs: Sequence[Run] = ()
    weights: Sequence[float] = ()
    history: History = field(default_factory=History)
    untestable: frozenset[int] = frozenset()
    certain: float = CERTAIN
    most_runs: int = MOST_RUNS

    @cached_property
    def places(self) -> tuple[int, ...]:
        """Versions at which the test can be run, ascending."""
        return tuple(v for v in range(self.versions + 1) if v not in self.untestable)

    def count(self, version: int, *, failed: bool) -> int:
        """Runs at a version that came out so; the failure that began it all counts at the last one."""
        first = int(failed and version == self.versions)
        return first + sum(run.version == version and run.failed is failed for run in self.runs)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is believed after the runs so far.

    `changes` holds the probability of each change, `before` and `flake` the rest; they sum to 1. `rate` is
    how often the test is now taken to fail by chance. `culprits` are the versions of the answer: one, or a
    few neighbours where what lies between cannot be tested. `next` are the versions to run next, one for each
    worker that is free; a version may be in it twice. Where the answer is UNCLEAR, `culprits` are those that
    together have 95 %.
    """

    answer: Answer
    changes: Floats
    before: float
    flake: float
    rate: float
    culprits: tuple[int, ...] = ()
    next: tuple[int, ...] = ()
    confirmed: bool = False

    @property
    def certainty(self) -> float:
        """Probability of the answer."""
        match self.answer:
            case Answer.FLAKE:
                return self.flake
            case Answer.BEFORE:
                return self.before
            case _:
                return float(sum(self.changes[version - 1] for version in self.culprits))


def look(question: Question, workers: int = 1) -> Standing:
    """What the runs say, and which versions to run next on so many workers."""
    believed = _posterior(question)
    marginal = believed.sum(axis=1)
    rate = float((believed.sum(axis=0) * RATES).sum())
    of_groups = marginal[:-1]
    flake, before = float(marginal[-1]), float(of_groups[0])
    changes = _spread(question, of_groups)
    wanted = _unconfirmed(question, of_groups, flake)
    leading = _leading(question, of_groups, flake)
    if wanted is not None and not wanted:
        answer, culprits = leading
        return Standing(answer, changes, before, flake, rate, culprits, confirmed=True)
    if len(question.runs) >= question.most_runs:
        return Standing(Answer.UNCLEAR, changes, before, flake, rate, likely(changes))
    probes = wanted[:workers] if wanted else _telling(question, believed, workers)
    return Standing(Answer.OPEN, changes, before, flake, rate, leading[1], tuple(probes))


def likely(changes: Floats, share: float = 0.95) -> tuple[int, ...]:
    """The fewest versions that have this share of what the changes have together, ascending."""
    total = float(changes.sum())
    if total <= 0:
        return ()
    order = np.argsort(-changes, kind="stable")
    needed = int(np.searchsorted(np.cumsum(changes[order]), share * total)) + 1
    return tuple(sorted(int(version) + 1 for version in order[:needed]))


def rates(history: History) -> Floats:
    """How likely each of RATES is before anything is run, from the history alone."""
    suite = min(0.5, max(history.suite, float(RATES[0])))
    failed = SUITE_RUNS * suite + history.flaked
    passed = SUITE_RUNS * (1 - suite) + max(0, history.runs - history.flaked)
    # as much history as a test may have: more would only say that today is like every other day
    scale = min(1.0, 100.0 / (failed + passed))
    known = np.exp(scale * (failed * np.log(RATES) + passed * np.log1p(-RATES)))
    mixed: Floats = (1 - OPEN) * known / known.sum() + OPEN / RATES.size
    return mixed


def _groups(question: Question) -> list[range]:
    """Changes that no run can tell apart, by the version at which they first show."""
    places = question.places
    return [range(low + 1, high + 1) for low, high in pairwise(places)]


def _posterior(question: Question) -> Floats:
    """Probability of each hypothesis (before, each group of changes, flake) and each rate together."""
    groups = _groups(question)
    weights = _weights(question)
    prior = rates(question.history)
    of_flake = prior * RATES / (prior * RATES).sum()  # it did fail: that makes high rates likelier
    share = 1 - FLAKE - BEFORE
    rows = [BEFORE * prior]
    rows += [share * sum(weights[version - 1] for version in group) * prior for group in groups]
    rows.append(FLAKE * of_flake)
    table = np.log(np.array(rows))
    ran = sorted({run.version for run in question.runs})
    for version, fails in zip(ran, _fails(question, ran), strict=True):
        failed = sum(run.version == version and run.failed for run in question.runs)
        passed = sum(run.version == version and not run.failed for run in question.runs)
        table += failed * np.log(fails) + passed * np.log1p(-fails)
    table = np.exp(table - table.max())
    found: Floats = table / table.sum()
    return found


def _shows(question: Question) -> NDArray[np.int64]:
    """Of each hypothesis, the first version at which the test is broken; of a flake none is."""
    groups = _groups(question)
    return np.array([question.places[0], *(group[-1] for group in groups), question.versions + 1])


def _weights(question: Question) -> Floats:
    """Of each change, summing to 1; none is below a tenth of an equal share."""
    n = question.versions
    given = np.asarray(question.weights, dtype=np.float64) if question.weights else np.ones(n)
    given = np.where(np.isfinite(given) & (given > 0), given, 0.0)
    total = float(given.sum())
    shares = given / total if total > 0 else np.full(n, 1.0 / n)
    shares = np.maximum(shares, 0.1 / n)
    held: Floats = shares / shares.sum()
    return held


def _spread(question: Question, of_groups: Floats) -> Floats:
    """Each change's own probability: what a group has, by the weights of its changes."""
    weights = _weights(question)
    changes = np.zeros(question.versions)
    for probability, group in zip(of_groups[1:], _groups(question), strict=True):
        inside = weights[group[0] - 1 : group[-1]]
        changes[group[0] - 1 : group[-1]] = probability * inside / inside.sum()
    return changes


def _leading(question: Question, of_groups: Floats, flake: float) -> tuple[Answer, tuple[int, ...]]:
    best = int(np.argmax(of_groups))
    if flake >= of_groups[best]:
        return Answer.FLAKE, ()
    if best == 0:
        return Answer.BEFORE, ()
    return Answer.CULPRIT, tuple(_groups(question)[best - 1])


def _unconfirmed(question: Question, of_groups: Floats, flake: float) -> list[int] | None:
    """Runs that the leading answer still needs before it may be said; None where it does not lead enough.

    A culprit has failed at least twice and its parent has passed, whatever the figures say; a flake has
    passed where it failed; what was broken before has failed twice there.
    """
    answer, culprits = _leading(question, of_groups, flake)
    last, first = question.versions, question.places[0]
    if max(float(of_groups.max()), flake) < question.certain:
        return None
    match answer:
        case Answer.FLAKE:
            return [last] * (1 - min(1, question.count(last, failed=False)))
        case Answer.BEFORE:
            return [first] * (2 - min(2, question.count(first, failed=True)))
        case _:
            parent, shown = culprits[0] - 1, culprits[-1]
            needed = [parent] * (1 - min(1, question.count(parent, failed=False)))
            return needed + [shown] * (2 - min(2, question.count(shown, failed=True)))


def _telling(question: Question, believed: Floats, workers: int) -> list[int]:
    """Versions whose runs together tell most about the hypotheses: for one worker about the middle of what is
    believed, as FACF has it, but once a change stands out its parent, which a flaky test also fails.

    Chosen one after the other, each beside those before it, up to four; what is left over splits what is
    believed into equal parts. A version may be chosen twice, where two runs of it tell more than another's.
    """
    candidates = _candidates(question, believed.sum(axis=1)[:-1])
    fails = _fails(question, candidates)
    known: Floats = believed[None, :, :]  # [outcomes of those chosen, hypotheses, rates]
    chosen: list[int] = []
    for _ in range(min(workers, TOGETHER)):
        both = np.stack([known[None] * fails[:, None], known[None] * (1 - fails)[:, None]], axis=1)
        split = both.sum(axis=-1).reshape(len(candidates), -1, known.shape[1])
        best = int(np.argmax(_told(split) - 1e-9 * _tried(question, candidates)))
        chosen.append(candidates[best])
        known = both[best].reshape(-1, *known.shape[1:])
    return chosen + _quantiles(question, believed.sum(axis=1)[:-1], workers, chosen)


def _told(split: Floats) -> Floats:
    """What outcomes tell about hypotheses, in nats, of [candidates, outcomes, hypotheses]."""
    of_outcomes, of_hypotheses = split.sum(axis=2), split.sum(axis=1)
    found: Floats = _entropy(of_outcomes, (1,)) + _entropy(of_hypotheses, (1,)) - _entropy(split, (1, 2))
    return found


def _entropy(shares: Floats, axes: tuple[int, ...]) -> Floats:
    logs = np.log(np.where(shares > 0, shares, 1.0))
    found: Floats = -(shares * logs).sum(axis=axes)
    return found


def _candidates(question: Question, of_groups: Floats) -> list[int]:
    """Versions worth a look: all of a few, else those at even parts of the belief, and those that lead."""
    places = question.places
    if len(places) <= FINE:
        return list(places)
    below = np.cumsum(of_groups)
    even = np.searchsorted(below, np.linspace(0, below[-1], FINE - 4)[1:-1])
    leading = [int(index) for index in np.argsort(-of_groups, kind="stable")[:3]]
    near = {int(index) for index in even} | {max(0, index - back) for index in leading for back in (0, 1)}
    return [places[index] for index in sorted(near | {0, len(places) - 1})]


def _fails(question: Question, candidates: Sequence[int]) -> Floats:
    """Probability that a run fails, [candidates, hypotheses, rates]."""
    broken = _shows(question)[None, :, None] <= np.array(candidates)[:, None, None]
    found: Floats = np.where(broken, 1 - SLIP, RATES[None, None, :])
    return found


def _quantiles(question: Question, of_groups: Floats, workers: int, chosen: Sequence[int]) -> list[int]:
    """For those workers that are left: fresh versions that split what is believed into equal parts."""
    places, below = question.places, np.cumsum(of_groups)
    added: list[int] = []
    for part in range(1, workers - len(chosen) + 1):
        distance = np.abs(below - part / (workers - len(chosen) + 1))
        order = [places[int(index)] for index in np.argsort(distance, kind="stable")]
        fresh = [place for place in order if place not in chosen and place not in added]
        added.append((fresh or order)[0])
    return added


def _tried(question: Question, places: Sequence[int]) -> Floats:
    """How often each version was run: of two that tell the same, the fresh one is taken."""
    runs = [sum(run.version == version for run in question.runs) for version in places]
    return np.array(runs, dtype=np.float64)
