"""Who may have broken a build, what failed in it, and how much each change is suspected beforehand."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from leuko.domain.build import Build
from leuko.domain.case import CaseState
from leuko.domain.change import Change
from leuko.domain.culprit import FOLLOWED, Inquiry, Subject, SubjectKind, Suspect
from leuko.domain.history import History
from leuko.domain.line import Line
from leuko.statistics.culprit import USUAL
from leuko.store.changes import ChangeState, Landed
from leuko.store.store import Store
from leuko.vcs.landings import History as GitHistory

TOUCHES = 4.0
"""A change that touches the file of a failing test is suspected so many times as much."""
FARTHEST = 400
"""Changes that are looked back through for the last one that was settled."""
UNSETTLED = (ChangeState.WAITING, ChangeState.VERIFYING)


@dataclass(frozen=True, slots=True)
class Scope:
    """Changes from after the last settled one to the failed build's, in order of landing.

    `waits`: an earlier change is still being verified, and what comes of it changes the range.
    """

    suspects: tuple[Landed, ...] = ()
    before: Landed | None = None
    """The last settled change before them: green, or red already."""
    waits: bool = False


async def scope_of(store: Store, line: Line, build: Build) -> Scope:
    """Which changes a red build is about, beside those that it covers."""
    covers = set(await store.builds.changes(line, build.id))
    recent = await store.changes.recent(line, limit=FARTHEST, concerning=True)
    newest = next((index for index, one in enumerate(recent) if one.revision in covers), None)
    if newest is None or recent[newest].build != build.id:
        return Scope()  # it was of no change of the branch, or a later build says something else
    suspects: list[Landed] = []
    for one in recent[newest:]:
        mine = one.revision in covers
        if not mine and one.state in UNSETTLED:
            return Scope(waits=True)
        if not mine and one.state in (ChangeState.GREEN, ChangeState.RED):
            return Scope(tuple(reversed(suspects)), one)
        suspects.append(one)
    return Scope(tuple(reversed(suspects)))


async def failed_in(store: Store, line: Line, build: int) -> list[Subject]:
    """What failed in a build, without tests in quarantine; of each file first one test, then a second."""
    found: dict[str, Subject] = {}
    steps = await store.builds.steps(line, build)
    for step in steps:
        if step.kind in ("test", "setup") and not step.passed:
            kind = SubjectKind.SETUP if step.kind == "setup" else SubjectKind.COMMAND
            found[step.name] = Subject(kind, step.name, suite_rate=USUAL)
    rows = await store.cases.rows(line, build, states=(CaseState.FAILED, CaseState.PASSED))
    last = {row.case: row for row in rows if not row.quarantined}  # in order: the last attempt stands
    history = await store.cases.history(line) if last else History()
    failed = [case for case, row in last.items() if row.state is CaseState.FAILED and not row.broken]
    seen: dict[tuple[str, str], int] = {}
    order = []
    for case in failed:
        rank = seen[(case.suite, case.file)] = seen.get((case.suite, case.file), 0) + 1
        order.append((rank, case))
    for _, case in sorted(order):
        past = history.past(case)
        flaked, runs = (past.flakes, past.runs) if past is not None else (0, 0)
        subject = Subject(SubjectKind.CASE, case.name, case.suite, case.file, flaked, runs, USUAL)
        found[subject.title] = subject
    return list(found.values())


async def inquire(
    git: GitHistory, good: str, changes: Sequence[Change], subjects: Sequence[Subject]
) -> Inquiry:
    """A search about these changes. `good`: the revision before the first."""
    followed = tuple(subjects[:FOLLOWED])
    files = {one.file for one in followed if one.file}
    suspects = [
        Suspect(
            one.revision,
            one.subject,
            one.author,
            one.commits[0].email if one.commits else "",
            weight(await git.lines_changed(one.parent, one.revision), files),
        )
        for one in changes
    ]
    return Inquiry(good, tuple(suspects), followed, left_out=len(subjects) - len(followed))


def weight(lines: dict[str, int], files: Collection[str]) -> float:
    """How much a change is suspected: by its size, and more where it touches a failing test's own file."""
    size = 1.0 + math.log2(1.0 + min(10_000, sum(lines.values())))
    return size * (TOUCHES if any(name in files for name in lines) else 1.0)
