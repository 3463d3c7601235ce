"""A search for the change that broke something: who may have, what was run, what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

OPEN = "open"
FOLLOWED = 12
"""Failed tests that a search follows one by one: where more failed, the rest goes with them."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """One change of the range. `weight`: how likely it is, beside the others, before anything is run."""

    revision: str
    subject: str = ""
    author: str = ""
    email: str = ""
    weight: float = 1.0


class SubjectKind(StrEnum):
    """What is asked about: a test of a suite, a command of `verify.tests`, a node of the set-up."""

    CASE = "case"
    COMMAND = "command"
    SETUP = "setup"


@dataclass(frozen=True, slots=True)
class Subject:
    """What failed, and what is believed about it so far.

    `answer` is one of statistics.culprit.Answer; `culprits` are versions of it (see Inquiry). `changes` has
    each suspect's probability, `before` and `flake` the rest.
    """

    kind: SubjectKind
    name: str
    """Of the test in its file, of the command, of the node."""
    suite: str = ""
    file: str = ""
    flaked: int = 0
    runs: int = 0
    suite_rate: float = 0.0
    answer: str = OPEN
    culprits: tuple[int, ...] = ()
    certainty: float = 0.0
    rate: float = 0.0
    changes: tuple[float, ...] = ()
    before: float = 0.0
    flake: float = 0.0

    @property
    def title(self) -> str:
        """As people call it."""
        if self.kind is not SubjectKind.CASE:
            return self.name
        return f"{self.suite}: {self.file}" + (f"::{self.name}" if self.name else "")


class ProbeState(StrEnum):
    """NOTHING: it said nothing about the version, a broken build for instance. CUT: the controller died."""

    RUNNING = "running"
    DONE = "done"
    NOTHING = "nothing"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Probe:
    """One run of what failed at one version. `failed` and `passed` are titles of subjects."""

    number: int
    version: int
    state: ProbeState
    started_at: datetime
    failed: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Reversal:
    """The revert of a culprit: prepared, and landed by whom. `trouble`: why there is none, or none landed."""

    of: str
    revision: str = ""
    subject: str = ""
    trouble: str = ""
    landing_at: datetime | None = None
    landed_at: datetime | None = None
    landed_as: str = ""
    by: str = ""
    automatic: bool = False


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A search. Version 0 is `good`, version k the k-th of `suspects`, in order of landing; the last failed.

    `left_out` counts tests that failed, too, and are not followed one by one.
    """

    good: str
    suspects: tuple[Suspect, ...]
    subjects: tuple[Subject, ...]
    probes: tuple[Probe, ...] = ()
    left_out: int = 0
    reversals: tuple[Reversal, ...] = ()
    locks: tuple[str, ...] = ()
    """Ids of the locks that it took."""

    @property
    def last(self) -> int:
        """The version that failed."""
        return len(self.suspects)

    def revision(self, version: int) -> str:
        """Of a version."""
        return self.suspects[version - 1].revision if version else self.good

    @property
    def open(self) -> tuple[Subject, ...]:
        """Subjects without an answer."""
        return tuple(subject for subject in self.subjects if subject.answer == OPEN)

    @property
    def culprits(self) -> tuple[Suspect, ...]:
        """Changes proved to have broken something: those that an answer names alone."""
        found = {
            one.culprits[0] for one in self.subjects if one.answer == "culprit" and len(one.culprits) == 1
        }
        return tuple(self.suspects[version - 1] for version in sorted(found))

    @property
    def untestable(self) -> frozenset[int]:
        """Versions at which runs said nothing twice, and never anything."""
        told = {probe.version for probe in self.probes if probe.state is ProbeState.DONE}
        silent = [probe.version for probe in self.probes if probe.state is ProbeState.NOTHING]
        return frozenset(version for version in silent if silent.count(version) >= 2 and version not in told)

    def began(self, versions: Sequence[int], at: datetime) -> Inquiry:
        """With probes that run."""
        number = len(self.probes)
        new = [
            Probe(number + index, version, ProbeState.RUNNING, at)
            for index, version in enumerate(versions, 1)
        ]
        return replace(self, probes=(*self.probes, *new))

    def ended(self, probe: Probe) -> Inquiry:
        """With what came of one."""
        return replace(
            self, probes=tuple(probe if one.number == probe.number else one for one in self.probes)
        )

    def cut(self) -> Inquiry:
        """Without anything that runs: whoever ran it is dead, and it says nothing."""
        return replace(
            self,
            probes=tuple(
                replace(one, state=ProbeState.CUT, reason="the controller was restarted")
                if one.state is ProbeState.RUNNING
                else one
                for one in self.probes
            ),
        )

    def reversed(self, reversal: Reversal) -> Inquiry:
        """With a revert in place of what was known of it."""
        others = tuple(one for one in self.reversals if one.of != reversal.of)
        return replace(self, reversals=(*others, reversal))

    def reversal(self, revision: str) -> Reversal | None:
        """Of a culprit."""
        return next((one for one in self.reversals if one.of == revision), None)
