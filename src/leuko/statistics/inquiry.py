"""What the probes of a search say, about all that failed at once: one run at a version answers for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from leuko.domain.culprit import OPEN, Inquiry, ProbeState, Subject
from leuko.statistics.culprit import MOST_RUNS, Answer, History, Question, Run, Standing, likely, look


def assess(inquiry: Inquiry, workers: int, *, most_runs: int = MOST_RUNS) -> tuple[Inquiry, tuple[int, ...]]:
    """The search with what is believed now, and the versions to run next; none when all is answered."""
    subjects: list[Subject] = []
    wishes: list[tuple[int, ...]] = []
    if not _testable(inquiry):
        return replace(inquiry, subjects=tuple(_given_up(one) for one in inquiry.subjects)), ()
    for subject in inquiry.subjects:
        if subject.answer != OPEN:
            subjects.append(subject)
            continue
        standing = look(_question(inquiry, subject, most_runs), workers)
        subjects.append(_believed(subject, standing))
        if standing.answer is Answer.OPEN:
            wishes.append(standing.next)
    return replace(inquiry, subjects=tuple(subjects)), _together(wishes, workers)


def _testable(inquiry: Inquiry) -> bool:
    """False where the ends themselves cannot be run: then nothing can be told."""
    return not inquiry.untestable & {0, inquiry.last}


def _given_up(subject: Subject) -> Subject:
    if subject.answer != OPEN:
        return subject
    return replace(subject, answer=Answer.UNCLEAR.value, culprits=())


def _question(inquiry: Inquiry, subject: Subject, most_runs: int) -> Question:
    runs = [
        Run(probe.version, subject.title in probe.failed)
        for probe in inquiry.probes
        if probe.state is ProbeState.DONE and subject.title in (*probe.failed, *probe.passed)
    ]
    return Question(
        inquiry.last,
        runs,
        [suspect.weight for suspect in inquiry.suspects],
        History(subject.flaked, subject.runs, subject.suite_rate),
        inquiry.untestable,
        most_runs=min(most_runs, most_runs - _silent(inquiry)),
    )


def _silent(inquiry: Inquiry) -> int:
    """Probes that cost time and said nothing count, too: a search ends."""
    return sum(probe.state in (ProbeState.NOTHING, ProbeState.CUT) for probe in inquiry.probes)


def _believed(subject: Subject, standing: Standing) -> Subject:
    changes = tuple(round(float(each), 5) for each in standing.changes)
    culprits = standing.culprits
    if standing.answer is Answer.OPEN:
        culprits = likely(standing.changes)
    return replace(
        subject,
        answer=standing.answer.value,
        culprits=culprits,
        certainty=round(standing.certainty, 5),
        rate=round(standing.rate, 4),
        changes=changes,
        before=round(standing.before, 5),
        flake=round(standing.flake, 5),
    )


def _together(wishes: Sequence[tuple[int, ...]], workers: int) -> tuple[int, ...]:
    """Each subject's first wish, then each one's second, and so on: one run serves all that want it.

    A version that one subject wants twice is run twice.
    """
    chosen: list[int] = []
    for place in range(workers):
        for wish in wishes:
            if place < len(wish) and chosen.count(wish[place]) < wish[: place + 1].count(wish[place]):
                chosen.append(wish[place])
    return tuple(chosen[:workers])
