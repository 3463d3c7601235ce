"""Searches for the change that broke the tests: whom they suspect, what was run, what they found."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from leuko.domain import culprit_words as words
from leuko.domain.culprit import Inquiry, Probe, ProbeState, Reversal
from leuko.domain.line import Line
from leuko.store.culprits import CulpritSearch
from leuko.store.records import from_json
from leuko.store.store import Store

RECENT = 60


class SuspectView(msgspec.Struct, frozen=True):
    """One change of the range. `probability` is the highest that any failed test gives it."""

    revision: str
    subject: str
    author: str
    probability: float
    culprit: bool
    runs: list[str]
    """What each run at it said: `passed`, `failed`, `running`, `nothing`."""


class ProbeView(msgspec.Struct, frozen=True):
    """One run at a revision. `said` is one word; `reason` why it said nothing."""

    number: int
    revision: str
    version: int
    said: str
    failed: list[str]
    seconds: float
    reason: str
    started_at: datetime


class SubjectView(msgspec.Struct, frozen=True):
    """One test (or command) that failed, and what is believed about it."""

    title: str
    answer: str
    certainty: float
    flake: float
    rate: float


class SearchView(msgspec.Struct, frozen=True):
    """A search. `sentence` is its answer, or how far it is; `reverts` what can be done or was."""

    id: int
    state: str
    build: int | None
    good: str
    culprit: str
    culprits: list[str]
    sentence: str
    started_at: datetime
    ended_at: datetime | None
    runs: int
    followed: int
    left_out: int
    subjects: list[SubjectView]
    suspects: list[SuspectView]
    probes: list[ProbeView]
    reverts: list[str]
    locks: list[str]


async def culprits(store: Store, line: Line, *, limit: int = 20) -> list[SearchView]:
    """Newest first."""
    return [search_view(one) for one in await store.culprits.recent(line, limit=limit)]


async def culprit(store: Store, line: Line, number: int) -> SearchView | None:
    """By its number."""
    found = await store.culprits.get(line, number)
    return search_view(found) if found is not None else None


async def search_of(store: Store, line: Line, revision: str) -> CulpritSearch | None:
    """The newest search that suspected a change."""
    for search in await store.culprits.recent(line, limit=RECENT):
        inquiry = from_json(search.record, Inquiry)
        if any(one.revision == revision for one in inquiry.suspects):
            return search
    return None


def search_view(search: CulpritSearch) -> SearchView:
    """As pages and the API show it."""
    inquiry = from_json(search.record, Inquiry)
    return SearchView(
        id=search.id,
        state=search.state,
        build=search.build,
        good=inquiry.good,
        culprit=search.culprit,
        culprits=[one.revision for one in inquiry.culprits],
        sentence=search.sentence or words.progress(inquiry),
        started_at=search.started_at,
        ended_at=search.ended_at,
        runs=len(inquiry.probes),
        followed=len(inquiry.subjects),
        left_out=inquiry.left_out,
        subjects=[
            SubjectView(one.title, one.answer, one.certainty, one.flake, one.rate) for one in inquiry.subjects
        ],
        suspects=_suspects(inquiry),
        probes=[_probe(inquiry, one) for one in inquiry.probes],
        reverts=[revert_sentence(one) for one in inquiry.reversals],
        locks=list(inquiry.locks),
    )


def _suspects(inquiry: Inquiry) -> list[SuspectView]:
    found = []
    guilty = {one.revision for one in inquiry.culprits}
    for version, one in enumerate(inquiry.suspects, 1):
        shares = [subject.changes[version - 1] for subject in inquiry.subjects if subject.changes]
        runs = [_said(probe) for probe in inquiry.probes if probe.version == version]
        found.append(
            SuspectView(
                one.revision, one.subject, one.author, max(shares, default=0.0), one.revision in guilty, runs
            )
        )
    return found


def _probe(inquiry: Inquiry, probe: Probe) -> ProbeView:
    return ProbeView(
        probe.number,
        inquiry.revision(probe.version),
        probe.version,
        _said(probe),
        list(probe.failed),
        probe.seconds,
        probe.reason,
        probe.started_at,
    )


def _said(probe: Probe) -> str:
    if probe.state is not ProbeState.DONE:
        return "running" if probe.state is ProbeState.RUNNING else "nothing"
    return "failed" if probe.failed else "passed"


def revert_sentence(reversal: Reversal) -> str:
    """What became of a revert, or the one command that lands it."""
    short = reversal.of[:8]
    if reversal.landed_at is not None:
        how = "by itself, as configured" if reversal.automatic else f"by {reversal.by or 'somebody'}"
        return f"{short} is reverted by {reversal.landed_as[:8]}, landed {how}."
    if reversal.trouble:
        return f"{short} is not reverted: {' '.join(reversal.trouble.split())}"
    if reversal.landing_at is not None:
        return f"The revert of {short} is being pushed."
    return f"A revert of {short} is prepared ({reversal.revision[:8]}): `leuko revert {short}` lands it."


def change_sentences(search: CulpritSearch, revision: str) -> Sequence[str]:
    """What a search says about one of its suspects."""
    inquiry = from_json(search.record, Inquiry)
    if search.ended_at is None:
        return (words.progress(inquiry),)
    said = [search.sentence]
    guilty = [one.revision for one in inquiry.culprits]
    order = [one.revision for one in inquiry.suspects]
    if guilty and revision not in guilty:
        first = min(order.index(one) for one in guilty)
        if order.index(revision) > first:
            said.append(
                f"It is red because it contains {order[first][:8]}; the fix or the revert makes it good."
            )
        else:
            said.append("It landed before that, is not to blame, and is verified by itself.")
    said += [
        revert_sentence(one) for one in inquiry.reversals if one.of == revision or revision not in guilty
    ]
    return tuple(said)
