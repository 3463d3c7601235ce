"""How one command of a batch ended, and what that means for the tests that told nothing themselves."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from leuko.config.verify import Suite
from leuko.domain.case import CaseState
from leuko.verify.runners.cases import Cases, clean

_NOT_FOUND = (126, 127)
_KILLED = 128 + signal.SIGKILL
_NO_TESTS = 5
"""Exit code of pytest, and of unittest from Python 3.12, where no test was found."""
_STOPPED = ("cancelled", "left alone")
_WHY = {
    "timeout": "did not end in its time and was killed",
    "file timeout": "did not end in its time and was killed",
    "flood": "told more tests than any suite has",
    "cancelled": "was cancelled",
    "left alone": "was cancelled",
}
_TELLS_NOTHING = {
    "pytest": "pytest told Leuko nothing: does the command start it, in the environment that it gets?",
    "unittest": "unittest told Leuko nothing: does the command start it, in the environment that it gets?",
    "node": "node told Leuko nothing: does the command end in `node --test`, with its arguments passed on?",
    "phpunit": "PHPUnit told Leuko nothing: does the command start it, with its arguments passed on?",
    "tap": "printed no TAP: not a single `ok` or `not ok`",
    "junit": "has no test in the report",
}


@dataclass(slots=True)
class Called:
    """One command: its files, what its runner said, and how it ended."""

    files: tuple[str, ...]
    hello: bool = False
    """The runner's plugin was there."""
    loading: str = ""
    """The file that was being imported."""
    exit_code: int | None = None
    number: int = 0
    """Of the signal that ended it."""
    seconds: float = 0.0
    why: str = ""
    """Why the worker ended it: timeout, file timeout, flood, cancelled, left alone."""
    broken: str = ""
    output: str = ""
    captured: str = ""
    oom: bool = False
    trouble: str = ""

    def take(self, frame: dict[str, Any]) -> None:
        """What the worker said at its end."""
        self.exit_code, self.number = frame["exit"], int(frame["signal"])
        self.seconds, self.why = float(frame["seconds"]), frame["why"]
        self.output, self.captured = clean(frame["output"]), clean(frame["captured"])
        self.oom, self.trouble = bool(frame["oom"]), frame["trouble"]

    @property
    def stopped(self) -> bool:
        """It was ended because nobody wants to know any more."""
        return self.why in _STOPPED

    @property
    def said(self) -> str:
        """In a few words; empty where it ended well."""
        if self.why:
            return _WHY[self.why]
        if self.trouble or self.exit_code is None or self.killed:
            return self.trouble or self._signal()
        return f"ended with {self.exit_code}" if self.exit_code else ""

    @property
    def killed(self) -> bool:
        """By somebody else, not for being late; a shell says it by 137."""
        return not self.why and (self.number == signal.SIGKILL or self.exit_code == _KILLED)

    def _signal(self) -> str:
        if self.killed:
            return "was killed for lack of memory" if self.oom else "was killed from outside (SIGKILL)"
        return f"was ended by {_signal_name(self.number)}" if self.number else "could not be ended"


def conclude(cases: Cases, suite: Suite, called: Called) -> None:
    """Tells the results that the command's end decides. Whatever a stop left untold stays untold."""
    if called.stopped:
        return
    called.broken = called.broken or _broken(cases, called)
    if suite.runner == "exit":
        _by_exit_code(cases, suite, called)
        return
    interrupted = _in_the_middle(cases, suite, called)
    if called.why:
        if not interrupted:
            _timed_out(cases, suite, called)
        return
    if not interrupted:
        _as_a_whole(cases, suite, called)
        _not_there(cases, called)


def _broken(cases: Cases, called: Called) -> str:
    """Why the end says nothing about the commit, if so."""
    if called.trouble and (called.exit_code != 0 or called.why):
        return called.trouble
    if called.killed:
        return f"its command {called.said}"
    untold = not any(file in cases.files for file in called.files)
    if called.exit_code in _NOT_FOUND and (untold or len(called.files) == 1):
        return f"a program that it starts is not there or cannot be run (exit {called.exit_code})"
    if called.exit_code and untold and "No module named pytest" in called.output:
        return "pytest is not installed where the tests run"
    return ""


def _by_exit_code(cases: Cases, suite: Suite, called: Called) -> None:
    case = cases.case(called.files[0], "")
    if called.exit_code == 0 and not called.why:
        cases.tell_ended(case, CaseState.PASSED, called.seconds, output=(called.output,))
        return
    reason = _late(suite, called) if called.why else called.said
    cases.tell_ended(case, CaseState.FAILED, called.seconds, reason, (called.output,), called.broken)


def _in_the_middle(cases: Cases, suite: Suite, called: Called) -> bool:
    """Tests that ran when the command ended are failed by that. True where there were any."""
    mine = [case for case in cases.running if case.file in called.files or len(cases.running) == 1]
    for case in mine:
        reason = _late(suite, called) if called.why else f"its process {_ended(called)} in the middle of it"
        output = (called.captured, called.output)
        cases.tell_ended(case, CaseState.FAILED, reason=reason, output=output, broken=called.broken)
    return bool(mine)


def _timed_out(cases: Cases, suite: Suite, called: Called) -> None:
    """No test ran: the file that was loaded, or the first of which nothing is known, is late."""
    silent = [file for file in called.files if file not in cases.files]
    late = called.loading or next(iter(silent), called.files[-1])
    where = " while it was loaded" if called.loading else ""
    output = (called.captured, called.output)
    cases.tell_ended(
        cases.case(late, ""),
        CaseState.FAILED,
        called.seconds,
        _late(suite, called) + where,
        output,
        called.broken,
    )


def _as_a_whole(cases: Cases, suite: Suite, called: Called) -> None:
    """Files that told nothing, and a command that fails though no test did."""
    if called.exit_code == 0:
        for file in _silent(cases, called):
            reason = _TELLS_NOTHING.get(suite.runner, "told no test")
            cases.tell_ended(cases.case(file, ""), CaseState.FAILED, reason=reason, output=(called.output,))
        return
    if called.exit_code == _NO_TESTS and called.hello and not list(_silent(cases, called)):
        return
    if cases.failed(called.files):
        return
    files = list(_silent(cases, called)) or [called.files[-1]]
    for file in files:
        reason = f"its command {_ended(called)}, though no test failed"
        cases.tell_ended(
            cases.case(file, ""),
            CaseState.FAILED,
            reason=reason,
            output=(called.output,),
            broken=called.broken,
        )


def _not_there(cases: Cases, called: Called) -> None:
    """Tests that were asked for by name, and that the runner did not know."""
    for case in cases.batch.only:
        if case.file in called.files and case.name and case not in cases.ended:
            cases.tell_ended(
                case, CaseState.FAILED, reason="the runner knows no test of this name any more",
                output=(called.output,), broken=called.broken,
            )  # fmt: skip


def _silent(cases: Cases, called: Called) -> Iterator[str]:
    return (file for file in called.files if file not in cases.files)


def _late(suite: Suite, called: Called) -> str:
    if called.why == "flood":
        return called.said
    return f"did not end within {suite.timeout:g} s"


def _ended(called: Called) -> str:
    return called.said or "ended"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
