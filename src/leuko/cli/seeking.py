"""A search by hand, live in the terminal: what is believed of each commit, and the runs so far."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from leuko.cli.scene import Scene
from leuko.cli.show import console, plain, print_json, terminal
from leuko.clock import SystemClock
from leuko.config.loading import load
from leuko.config.verify import Verify
from leuko.domain import culprit_words as words
from leuko.domain.culprit import Inquiry, Probe, ProbeState, Subject, SubjectKind
from leuko.domain.errors import LeukoError
from leuko.runtime.by_hand import CommandProber, Span, Trees, measuring, search, search_metric, span
from leuko.runtime.freezing import frozen_for
from leuko.runtime.probing import BuildProber, Prober
from leuko.runtime.suspects import inquire
from leuko.statistics.culprit_metric import MetricAnswer, MetricQuestion, MetricStanding
from leuko.store.records import to_json
from leuko.vcs.checkout import check_out
from leuko.vcs.git import Git
from leuko.vcs.landings import History
from leuko.verify.account import current
from leuko.verify.build import LocalVerifier
from leuko.verify.finding import find

NONE, UNCLEAR = 1, 5
BAR = 20
SHOWN = 12
"""Commits that are drawn: those believed most."""


@dataclass(frozen=True)
class Asked:
    """What the command line said."""

    good: str
    bad: str
    command: str = ""
    case: str = ""
    metric: str = ""
    worse: str = "up"
    least: float = 0.0
    setup: str = ""
    mirror: bool = False
    workers: int = 0
    runs: int = 60
    timeout: float = 900.0

    def check(self) -> None:
        """Exactly one thing is asked about."""
        given = [name for name in ("command", "case", "metric") if getattr(self, name)]
        if len(given) != 1:
            raise click.UsageError("say what to run: one of --command, --test and --metric")
        if self.workers < 0 or self.runs < 4:
            raise click.UsageError("--workers should be 0 or more, --runs 4 or more")


def seek(scene: Scene, asked: Asked) -> int:
    """Searches; the exit code."""
    asked.check()
    with tempfile.TemporaryDirectory(prefix="leuko-culprit-") as made:
        return asyncio.run(_seek(scene, asked, Path(made)))


async def _seek(scene: Scene, asked: Asked, scratch: Path) -> int:
    git = Git(await _place(scene, asked))
    history = History(git)
    ends = await span(history, asked.good, asked.bad)
    trees = Trees(git, scratch, asked.command or asked.metric, asked.setup, asked.timeout)
    scene.say(f"{len(ends.changes)} commits between {ends.good[:8]} and {ends.changes[-1].revision[:8]}")
    if asked.metric:
        return await _metric(scene, asked, ends, trees)
    if asked.command:
        subject = Subject(SubjectKind.COMMAND, asked.command)
        return await _tests(scene, asked, history, ends, subject, CommandProber(trees))
    subject, prober = await _of_suite(scene, asked, git, history, ends, scratch)
    return await _tests(scene, asked, history, ends, subject, prober)


async def _place(scene: Scene, asked: Asked) -> Path:
    """The git directory that is looked into."""
    if asked.mirror:
        named = scene.named()
        found = sorted((scene.state / "lines").glob("*/*/mirror.git")) + sorted(
            (scene.state / "lines").glob("*/mirror.git")
        )
        mine = [one for one in found if named is None or all(part in str(one) for part in named)]
        if len(mine) == 1:
            return mine[0]
        raise LeukoError(
            "there is no mirror of this line here"
            if not mine
            else "there are several mirrors: say which line",
            where=str(scene.state),
            way_out="run it in a checkout without --mirror, or name the state directory with --state",
            code="X075",
        )
    answer = await asyncio.to_thread(
        subprocess.run,
        ["git", "rev-parse", "--absolute-git-dir"],
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        raise LeukoError(
            "this folder is in no git repository",
            where=str(Path.cwd()),
            way_out="go to a checkout, or look into the installation's mirror with --mirror",
            code="X076",
        )
    return Path(answer.stdout.strip())


# -- tests ----------------------------------------------------------------------------------------------


async def _tests(
    scene: Scene, asked: Asked, history: History, ends: Span, subject: Subject, prober: Prober
) -> int:
    inquiry = await inquire(history, ends.good, ends.changes, [subject])
    with _drawn(scene) as draw:

        def tell(believed: Inquiry, probe: Probe | None) -> None:
            if probe is not None and draw is None:
                scene.say(_run_line(believed, probe))
            elif draw is not None:
                draw(_belief(believed))

        inquiry = await search(inquiry, prober, asked.workers or 2, asked.runs, SystemClock(), tell)
    answer = inquiry.subjects[0]
    if scene.as_json:
        print_json({**to_json(inquiry), "answer": answer.answer, "sentence": words.answer(inquiry)})
    else:
        click.echo(plain(words.answer(inquiry)))
        if answer.answer == "culprit":
            click.echo(f"certainty {answer.certainty:.1%}, {len(inquiry.probes)} runs")
    return {"culprit": 0, "flake": NONE, "before": NONE}.get(answer.answer, UNCLEAR)


def _run_line(inquiry: Inquiry, probe: Probe) -> str:
    said = "says nothing" if probe.state is not ProbeState.DONE else "fails" if probe.failed else "passes"
    why = f" ({plain(probe.reason)})" if probe.reason else ""
    head = f"{inquiry.revision(probe.version)[:8]} {said}, {probe.seconds:.1f} s{why}."
    return f"{head} {plain(words.progress(inquiry))}"


def _belief(inquiry: Inquiry) -> list[tuple[str, str, str, str, str]]:
    subject = inquiry.subjects[0]
    rows = []
    changes = subject.changes or (0.0,) * len(inquiry.suspects)
    best = sorted(range(len(changes)), key=lambda index: -changes[index])[:SHOWN]
    for index in sorted(best):
        one = inquiry.suspects[index]
        runs = "".join(_mark(probe) for probe in inquiry.probes if probe.version == index + 1)
        rows.append((one.revision[:8], _bar(changes[index]), f"{changes[index]:.0%}", runs, one.subject))
    rows.append(("", _bar(subject.flake), f"{subject.flake:.0%}", "", "no change: a flake"))
    return rows


def _mark(probe: Probe) -> str:
    match probe.state:
        case ProbeState.RUNNING:
            return "…"
        case ProbeState.DONE:
            return "✗" if probe.failed else "✓"
        case _:
            return "?"


def _bar(share: float) -> str:
    full = round(BAR * share)
    return "█" * full + "·" * (BAR - full)


async def _of_suite(
    scene: Scene, asked: Asked, git: Git, history: History, ends: Span, scratch: Path
) -> tuple[Subject, Prober]:
    """A test of verify.suites, run with the set-up that the revision's own configuration says."""
    configuration = (await asyncio.to_thread(load, scene.config, scene.environment)).configuration

    async def verify_of(revision: str) -> Verify:
        verify = (await frozen_for(configuration, history, revision)).verify
        return verify.model_copy(update={"workers": 1})

    async def tree(revision: str, folder: Path) -> Sequence[str]:
        return (await check_out(git, revision, folder)).warnings

    head = ends.changes[-1].revision
    subject = await _subject(asked.case, await verify_of(head), head, tree, scratch / "look")
    verifier = LocalVerifier(tree, current(), scratch / "builds", scratch / "state", namespaces=False)
    return subject, BuildProber(verifier, verify_of, history.has_file)


async def _subject(
    case: str,
    verify: Verify,
    head: str,
    tree: Callable[[str, Path], Any],
    folder: Path,
) -> Subject:
    """`unit: tests/test_a.py::test_one`, or without the suite where only one has the file."""
    suite, colon, rest = case.partition(": ")
    named = (suite if colon else "", rest if colon else case)
    file, _, name = named[1].partition("::")
    if named[0] in verify.tests and not file:
        return Subject(SubjectKind.COMMAND, named[0])
    if not colon and case in verify.tests:
        return Subject(SubjectKind.COMMAND, case)
    await tree(head, folder)
    files = (await asyncio.to_thread(find, folder, verify.suites)).files
    having = [each for each, those in files.items() if file in those and named[0] in ("", each)]
    if len(having) != 1:
        known = ", ".join(verify.suites) or "none"
        rule = "is in no suite" if not having else f"is in several suites: {', '.join(having)}"
        raise LeukoError(
            f"{file} {rule}",
            where="--test",
            way_out=f"write SUITE: FILE::NAME; suites here: {known}",
            code="X077",
        )
    return Subject(SubjectKind.CASE, name, having[0], file)


# -- a number -------------------------------------------------------------------------------------------


async def _metric(scene: Scene, asked: Asked, ends: Span, trees: Trees) -> int:
    question = MetricQuestion(
        len(ends.changes), rises=asked.worse == "up", least=asked.least / 100.0, most_runs=max(8, asked.runs)
    )

    def revision(version: int) -> str:
        return ends.changes[version - 1].revision if version else ends.good

    with _drawn(scene) as draw:

        def tell(
            now: MetricQuestion, standing: MetricStanding, version: int, value: float | None, why: str
        ) -> None:
            if draw is not None:
                draw(_metric_belief(ends, now, standing))
            else:
                said = f"{value:g}" if value is not None else f"says nothing ({plain(why)})"
                scene.say(f"{revision(version)[:8]} {said}")

        question, standing = await search_metric(
            question, revision, measuring(trees), asked.workers or 1, tell
        )
    sentence = _metric_sentence(ends, standing)
    if scene.as_json:
        print_json(_metric_json(ends, question, standing, sentence))
    else:
        click.echo(plain(sentence))
    return {MetricAnswer.CULPRIT: 0, MetricAnswer.NONE: NONE}.get(standing.answer, UNCLEAR)


def _metric_sentence(ends: Span, standing: MetricStanding) -> str:
    names = ", ".join(
        f'{ends.changes[v - 1].revision[:8]} "{ends.changes[v - 1].subject}" by {ends.changes[v - 1].author}'
        for v in standing.culprits[:3]
    )
    more = f" or one of {len(standing.culprits) - 3} more" if len(standing.culprits) > 3 else ""
    change = standing.after - standing.before
    part = f" ({change / abs(standing.before):+.1%})" if standing.before else ""
    moved = f"{standing.before:.6g} to {standing.after:.6g}{part}"
    match standing.answer:
        case MetricAnswer.CULPRIT:
            one = "moved it" if len(standing.culprits) == 1 else "moved it, one of these"
            return f"{names} {one}: {moved}, certainty {standing.certainty:.1%}, noise {standing.noise:.3g}."
        case MetricAnswer.NONE:
            return (
                f"No commit moved it for the worse (certainty {standing.none:.0%}): with a noise of "
                f"{standing.noise:.3g}, a step of about {standing.visible:.3g} would have shown."
            )
        case _:
            return f"It cannot be told: the noise is {standing.noise:.3g}; perhaps {names}{more}: {moved}."


def _metric_belief(
    ends: Span, question: MetricQuestion, standing: MetricStanding
) -> list[tuple[str, str, str, str, str]]:
    changes = [float(each) for each in standing.changes]
    best = sorted(range(len(changes)), key=lambda index: -changes[index])[:SHOWN]
    rows = [("good", "", "", _values(question, 0), ends.good[:8])]
    for index in sorted(best):
        one = ends.changes[index]
        rows.append(
            (
                one.revision[:8],
                _bar(changes[index]),
                f"{changes[index]:.0%}",
                _values(question, index + 1),
                one.subject,
            )
        )
    rows.append(("", _bar(standing.none), f"{standing.none:.0%}", "", "no commit"))
    return rows


def _values(question: MetricQuestion, version: int) -> str:
    return " ".join(f"{value:.4g}" for value in question.at(version)[-4:])


def _metric_json(
    ends: Span, question: MetricQuestion, standing: MetricStanding, sentence: str
) -> dict[str, Any]:
    def known(value: float) -> float | None:
        return value if value == value else None  # noqa: PLR0124 - NaN is not in JSON

    return {
        "answer": standing.answer.value,
        "sentence": sentence,
        "culprits": [ends.changes[version - 1].revision for version in standing.culprits],
        "certainty": standing.certainty,
        "before": known(standing.before),
        "after": known(standing.after),
        "noise": known(standing.noise),
        "good": ends.good,
        "suspects": [
            {
                "revision": one.revision,
                "subject": one.subject,
                "author": one.author,
                "probability": float(share),
            }
            for one, share in zip(ends.changes, standing.changes, strict=True)
        ],
        "values": [{"version": one.version, "value": one.value} for one in question.values],
    }


# -- drawing --------------------------------------------------------------------------------------------

Row = tuple[str, str, str, str, str]


@contextmanager
def _drawn(scene: Scene) -> Iterator[Callable[[list[Row]], None] | None]:
    """Draws over itself on a terminal; None elsewhere."""
    if scene.as_json or scene.quiet or not terminal():
        yield None
        return
    from rich.live import Live

    from leuko.cli.show import table

    with Live(console=console(), refresh_per_second=8, transient=True) as live:
        yield lambda rows: live.update(table((), rows))
