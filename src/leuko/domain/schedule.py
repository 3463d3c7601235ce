"""Which tests go to which worker, and when: urgent ones first, then the longest, in shrinking batches.

Theory: with batches of remaining / (2 m) of the expected work over m workers, longest tests first, 15,000
uneven tests over 35 uneven machines end within 2 % of the lower bound although handing out a batch costs
400 ms; a test by test hand-out at that price costs 32 %, a division made beforehand 38 %. What is left is the
one giant test that ends last: it is divided where its cases are known.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Protocol

from leuko.domain.case import Case

SMALLEST = 1.0
"""Seconds of expected work below which a batch is not worth its hand-out."""
OVERHEADS = 2.0
"""A batch should last so many times what is spent around it."""
MOST_SMALLEST = 10.0
"""Seconds: however dear it is, hands-out go on."""
MOST_FILES = 500
"""Files of a batch: they are arguments of one command."""
UNKNOWN = 1.0
"""Seconds expected of a file where nothing at all is known."""
GIANT = 0.5
"""Part of the ideal time of the whole run above which one file is divided."""


class Rank(IntEnum):
    """Why a unit goes before others."""

    RETRY = 0
    FAILED = 1
    """Last time."""
    TOUCHED = 2
    """By this change."""
    REST = 3


class Known(Protocol):
    """What earlier runs tell, as leuko.domain.history.History does."""

    def seconds(self, case: Case) -> float | None:
        """How long a test should take; None: never seen."""

    def file_seconds(self, suite: str, file: str) -> float | None:
        """How long all tests of a file should take; None: never seen."""

    def cases(self, suite: str, file: str) -> tuple[Case, ...]:
        """The tests that the file had when it last ran."""

    def file_failed_last(self, suite: str, file: str) -> bool:
        """True where a test of the file failed last."""


class NothingKnown:
    """The history of a first run."""

    def seconds(self, _case: Case) -> float | None:
        """Nothing."""
        return None

    def file_seconds(self, _suite: str, _file: str) -> float | None:
        """Nothing."""
        return None

    def cases(self, _suite: str, _file: str) -> tuple[Case, ...]:
        """None."""
        return ()

    def file_failed_last(self, _suite: str, _file: str) -> bool:
        """Not that anybody knows."""
        return False


@dataclass(frozen=True, slots=True)
class Unit:
    """What goes to a worker in one piece: a file, or some tests of a giant one.

    `expected` and `timeout` are seconds. It never goes to a worker in `avoid` while there is another one.
    """

    suite: str
    file: str
    only: tuple[Case, ...] = ()
    without: tuple[Case, ...] = ()
    expected: float = UNKNOWN
    rank: Rank = Rank.REST
    timeout: float = 300.0
    attempt: int = 1
    avoid: frozenset[str] = frozenset()
    alone: bool = False
    """In a batch of its own: something went wrong that may be its doing."""
    losses: int = 0
    """Workers that died while it ran."""
    guessed: bool = False
    """Nobody has seen it run: `expected` is worth as much as the run itself teaches."""
    group: tuple[bool, ...] = ()
    """The half of the half of a batch that went wrong: only those of one group share a batch again."""

    @property
    def key(self) -> tuple[int, float, str, str]:
        """Order of handing out."""
        return self.rank, -self.expected, self.suite, self.file

    @property
    def kind(self) -> tuple[int, bool, tuple[bool, ...]] | None:
        """Units of one kind may share a batch; None: with nobody."""
        if self.alone or self.without or (self.only and self.attempt == 1):
            return None
        return self.attempt, bool(self.only), self.group


def units(
    files: Mapping[str, Iterable[str]],
    known: Known,
    timeouts: Mapping[str, float],
    touched: Collection[str] = (),
) -> list[Unit]:
    """A unit for each file of each suite. Files never seen are expected to last as long as the median one."""
    seen = {
        (suite, file): known.file_seconds(suite, file) for suite, those in files.items() for file in those
    }
    measured = sorted(seconds for seconds in seen.values() if seconds is not None)
    usual = measured[len(measured) // 2] if measured else UNKNOWN
    return [
        Unit(
            suite,
            file,
            expected=usual if seconds is None else seconds,
            guessed=seconds is None,
            rank=_rank(suite, file, known, touched),
            timeout=timeouts[suite],
        )
        for (suite, file), seconds in seen.items()
    ]


def _rank(suite: str, file: str, known: Known, touched: Collection[str]) -> Rank:
    if known.file_failed_last(suite, file):
        return Rank.FAILED
    return Rank.TOUCHED if file in touched else Rank.REST


def divided(all_units: Iterable[Unit], known: Known, workers: int, suites: Collection[str]) -> list[Unit]:
    """Giants of the suites that can run single tests, in parts; the last part is whatever else they hold.

    A part lasts at most a share of the ideal time of the run, as far as whole tests allow.
    """
    listed = list(all_units)
    most = max(SMALLEST, GIANT * sum(unit.expected for unit in listed) / max(1, workers))
    out: list[Unit] = []
    for unit in listed:
        giant = workers > 1 and unit.expected > most and unit.suite in suites and not unit.only
        out += _parts(unit, known, most) if giant else [unit]
    return out


def _parts(unit: Unit, known: Known, most: float) -> list[Unit]:
    """Longest first into the emptiest part; the rest (tests not known yet among it) is the last one."""
    seconds = {case: known.seconds(case) or 0.0 for case in known.cases(unit.suite, unit.file)}
    count = min(len(seconds), int(-(-unit.expected // most)))
    if count < 2:
        return [unit]
    bins: list[tuple[float, int, list[Case]]] = [(0.0, index, []) for index in range(count)]
    for case in sorted(seconds, key=lambda case: (-seconds[case], case)):
        total, index, cases = bins.pop(0)
        insort(bins, (total + seconds[case], index, [*cases, case]))
    (rest, _, _), *named = bins
    parts = [replace(unit, only=tuple(cases), expected=total) for total, _, cases in named]
    elsewhere = tuple(case for _, _, cases in named for case in cases)
    return [*parts, replace(unit, without=elsewhere, expected=rest)]


class Schedule:
    """The units that wait. A suite's units stay until its set-up is done and what it uses alone is free."""

    def __init__(self, exclusive: Mapping[str, Iterable[str]], smallest: float = SMALLEST) -> None:
        """`exclusive`: what each suite uses alone; also says which suites there are."""
        self._exclusive = {suite: frozenset(things) for suite, things in exclusive.items()}
        self._waiting: dict[str, list[Unit]] = {suite: [] for suite in exclusive}
        self._open: set[str] = set()
        self._held: set[str] = set()
        self._least = self._smallest = smallest
        self._scale = 1.0
        self._lessons: list[tuple[float, float]] = []

    def add(self, more: Iterable[Unit]) -> None:
        """Units that wait from now on."""
        for unit in more:
            insort(self._waiting[unit.suite], unit, key=lambda one: one.key)

    def open(self, suite: str) -> None:
        """The suite's set-up is done."""
        self._open.add(suite)

    def drop(self, suite: str) -> list[Unit]:
        """The suite will not be run: its units, which wait no more."""
        dropped, self._waiting[suite] = self._waiting[suite], []
        return dropped

    def free(self, suite: str) -> None:
        """A batch of the suite ended: what it used alone is free again."""
        self._held -= self._exclusive[suite]

    def learn(self, batch: Collection[Unit], seconds: float, around: float) -> None:
        """What a batch that ended took: its tests, and what was spent around them, both in seconds.

        Guesses are put right by it; and where handing out is dear, no batch is smaller than it is worth. Part
        of what is spent around tests comes with each file: the line through all batches says how much.
        """
        guessed = bool(batch) and all(unit.guessed and unit.attempt == 1 for unit in batch)
        if guessed:
            self._lessons.append((sum(unit.expected for unit in batch), seconds + around))
        fixed, scale = _line(self._lessons) if guessed else (around / 2, self._scale)
        self._scale = max(scale, 1e-6)
        self._smallest = max(self._least, min(OVERHEADS * fixed, MOST_SMALLEST))

    def _seconds(self, unit: Unit) -> float:
        return unit.expected * self._scale if unit.guessed else unit.expected

    @property
    def waiting(self) -> int:
        """How many units wait, ready or not."""
        return sum(len(those) for those in self._waiting.values())

    @property
    def ready(self) -> bool:
        """True where some worker could be given a batch."""
        return any(self._ready(suite) for suite in self._waiting)

    def _ready(self, suite: str) -> bool:
        return suite in self._open and bool(self._waiting[suite]) and not self._exclusive[suite] & self._held

    def take(self, worker: str, workers: Collection[str]) -> tuple[Unit, ...]:
        """The next batch for this worker, out of the schedule; empty where nothing waits that it may have.

        `workers` are all that there are. What a batch uses alone is held until `free`.
        """
        others = frozenset(workers) - {worker}
        first = min(
            (
                found
                for suite in self._waiting
                if self._ready(suite) and (found := self._first(suite, worker, others))
            ),
            key=lambda unit: unit.key,
            default=None,
        )
        if first is None:
            return ()
        batch = self._fill(first, worker, others, self._size(first, max(1, len(workers))))
        self._held |= self._exclusive[first.suite]
        return batch

    def _first(self, suite: str, worker: str, others: frozenset[str]) -> Unit | None:
        return next((unit for unit in self._waiting[suite] if _may(unit, worker, others)), None)

    def _size(self, first: Unit, workers: int) -> float:
        """Seconds of expected work of the next batch."""
        everything = [unit for those in self._waiting.values() for unit in those]
        size = sum(self._seconds(unit) for unit in everything) / (2 * workers)
        if first.rank is not Rank.REST:  # urgent ones go to all workers at once, not to the first that asks
            urgent = sum(self._seconds(unit) for unit in everything if unit.rank is first.rank)
            size = min(size, urgent / workers)
        return max(size, self._smallest)

    def _fill(self, first: Unit, worker: str, others: frozenset[str], size: float) -> tuple[Unit, ...]:
        """Units of the kind of the first, in order, until the next one would make it too long."""
        queue = self._waiting[first.suite]
        queue.remove(first)
        taken, left, total = [first], [], self._seconds(first)
        for position, unit in enumerate(queue):
            full = total >= self._smallest and total + self._seconds(unit) > size
            if first.kind is None or full or len(taken) >= MOST_FILES:
                left += queue[position:]
                break
            if unit.kind == first.kind and _may(unit, worker, others):
                taken.append(unit)
                total += self._seconds(unit)
            else:
                left.append(unit)
        self._waiting[first.suite] = left
        return tuple(taken)


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Seconds that any batch takes, and seconds for each one expected: least squares, neither below zero."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if spread <= 0:
        return mean_y / 2, mean_y / 2 / mean_x
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    slope = min(max(slope, 0.0), mean_y / mean_x)
    return mean_y - slope * mean_x, slope


def _may(unit: Unit, worker: str, others: frozenset[str]) -> bool:
    """A failure is tried again elsewhere; where there is nobody else, at the same worker."""
    return worker not in unit.avoid or not others - unit.avoid
