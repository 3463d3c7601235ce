"""What the watch says about one gauge, and about the phase."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Decision(StrEnum):
    """PASS only ever comes from data; CONTINUE means that the window is not full yet."""

    CONTINUE = "continue"
    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the push page: a gauge at a host or an aggregate.

    Values are levels, ratios, or events a minute; None is no data. `evidence` is a factor: how much better a
    regression explains the readings than chance does, 0 where nothing could be compared.
    """

    gauge: str
    subject: str
    role: str
    aggregate: bool
    before: float | None
    after: float | None
    limit: str
    evidence: float
    decision: Decision
    blind: bool
    sentence: str
    unit: str = ""

    @property
    def delta(self) -> float | None:
        """After less before."""
        return None if self.before is None or self.after is None else self.after - self.before

    @property
    def percent(self) -> float | None:
        """Delta as a percentage of before; None where before is 0."""
        delta = self.delta
        return None if delta is None or not self.before else 100.0 * delta / abs(self.before)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the watch says about a phase so far. `ticks` of `wanted` closed ticks with data were seen."""

    decision: Decision
    sentence: str
    findings: tuple[Finding, ...]
    ticks: int
    wanted: int
    evidence: float = 0.0
    """The push's e-value so far, earlier phases included: it fails at 1 / budget."""
    until: float = 0.0
    """Closing time of the newest tick that it knew, in seconds: with this it can be computed again."""

    @property
    def blind(self) -> tuple[str, ...]:
        """Names of gauges that could not have shown a change of a size worth stopping for."""
        return tuple(dict.fromkeys(finding.gauge for finding in self.findings if finding.blind))
