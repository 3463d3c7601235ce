"""The cases of one batch as they are told: found, begun, ended, each once; names that a store can keep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from leuko.domain.case import OUTPUT_CAP, Batch, Case, CaseResult, CaseState
from leuko.verify.engine import CaseBegan, CaseEnded, CaseFound, OnCase

REASON_CAP = 400
NAME_CAP = 1000


@dataclass(slots=True)
class Cases:
    """Tells `on_case`, and knows what is still open. `only` are the cases wanted, where not all are."""

    batch: Batch
    worker: str
    on_case: OnCase
    found: dict[Case, None] = field(default_factory=dict)
    running: dict[Case, None] = field(default_factory=dict)
    ended: dict[Case, CaseResult] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    """Files of which any case was told."""
    _failed: set[str] = field(default_factory=set)

    def case(self, file: object, name: object) -> Case:
        """The case of that name; characters that no store can keep are written out."""
        return Case(self.batch.suite, clean(str(file))[:NAME_CAP], clean(str(name))[:NAME_CAP])

    def tell_found(self, case: Case) -> None:
        """The runner knows of it."""
        if self._wanted(case) and case not in self.found and case not in self.ended:
            self.found[case] = None
            self.on_case(CaseFound(case))

    def tell_began(self, case: Case) -> None:
        """It runs."""
        if self._wanted(case) and case not in self.running:
            self.running[case] = None
            self.files.add(case.file)
            self.on_case(CaseBegan(case, self.worker))

    def tell_ended(
        self,
        case: Case,
        state: CaseState,
        seconds: float = 0.0,
        reason: str = "",
        output: Iterable[str] = (),
        broken: str = "",
    ) -> None:
        """It has a result. Told twice, the worse one counts."""
        self.running.pop(case, None)
        self.found.pop(case, None)
        self.files.add(case.file)
        if state is CaseState.FAILED:
            self._failed.add(case.file)
        before = self.ended.get(case)
        if not self._wanted(case) or (before is not None and before.state is CaseState.FAILED):
            return
        if before is not None and state is not CaseState.FAILED:
            return
        result = CaseResult(
            case=case,
            state=state,
            seconds=max(0.0, seconds),
            worker=self.worker,
            attempt=self.batch.attempt,
            reason=clean(" ".join(reason.split()))[:REASON_CAP],
            output=clipped(clean("\n".join(text.rstrip("\n") for text in output if text))),
            broken=broken,
        )
        self.ended[case] = result
        self.on_case(CaseEnded(result))

    def numbered(self, case: Case, seen: dict[Case, int]) -> Case:
        """The second case of a name gets " (2)"."""
        seen[case] = number = seen.get(case, 0) + 1
        return case if number == 1 else Case(case.suite, case.file, f"{case.name} ({number})")

    def failed(self, files: Iterable[str]) -> bool:
        """True where a case of these files failed, be it one that was not asked for."""
        return not self._failed.isdisjoint(files)

    def _wanted(self, case: Case) -> bool:
        asked = not self.batch.only or not case.name or case in self.batch.only
        return asked and case not in self.batch.without


def clean(text: str) -> str:
    """Text that every store takes: NUL and lone surrogates are written out."""
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def clipped(text: str) -> str:
    """At most `OUTPUT_CAP` characters: both ends."""
    if len(text) <= OUTPUT_CAP:
        return text
    said = f"\n[leuko] {len(text) - OUTPUT_CAP:,} characters of output were left out here\n"
    half = (OUTPUT_CAP - len(said)) // 2
    return text[:half] + said + text[-half:]
