"""PHPUnit's log for TeamCity: the one of its formats that tells each test while it runs.

What a test prints stands in the same log, so that a test could print lines that look like PHPUnit's own. It
can add results that way but take none back: a failure counts whatever else is said, so does the exit code.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

from junitparser import JUnitXml, JUnitXmlError

from leuko.domain.case import Case, CaseState
from leuko.verify.runners.cases import Cases

if TYPE_CHECKING:
    from leuko.verify.runners.calls import Called

_MESSAGE = re.compile(r"##teamcity\[(\w+)((?:\s+\w+='(?:[^'|]|\|.)*')*)\s*\]\s*$", re.DOTALL)
_ATTRIBUTE = re.compile(r"(\w+)='((?:[^'|]|\|.)*)'", re.DOTALL)
_ESCAPE = re.compile(r"\|(?:0x([0-9a-fA-F]{4})|(.))", re.DOTALL)
_PLAIN = {"n": "\n", "r": "\r", "x": "\u0085", "l": "\u2028", "p": "\u2029"}
_WARNINGS = ("RiskyTestError", "Warning")
_NO_TESTS = "WarningTestCase::"
_PLACE = re.compile(r"/\S+:\d+")
_KEPT = 65536


class TeamCity:
    """Reads one command's log into cases of `file`. A failure is told at the end of its file."""

    def __init__(self, cases: Cases, file: str) -> None:
        self._cases = cases
        self._file = file
        self._running: Case | None = None
        self._seen: dict[Case, int] = {}
        self._failed: dict[Case, tuple[float, str, list[str]]] = {}
        self._warned: set[str] = set()
        self._skipped: str | None = None
        self._output: list[str] = []
        self._size = 0

    def line(self, text: str, _at: float = 0.0) -> None:
        """The next line of the log."""
        found = _MESSAGE.match(text)
        if found is None:
            if text and self._size < _KEPT:
                self._output.append(text)
                self._size += len(text)
            return
        facts = {name: _plain(value) for name, value in _ATTRIBUTE.findall(found[2])}
        match found[1]:
            case "testStarted":
                self._began(facts)
            case "testFailed":
                self._fail(facts)
            case "testIgnored":
                self._skipped = facts.get("message", "")
            case "testFinished":
                self._ended(facts)
            case _:  # suites and counts
                pass

    def report(self, content: bytes) -> None:
        """PHPUnit's report: it says which failures PHPUnit itself only warns of."""
        try:
            report = JUnitXml.fromstring(content)
        except (ParseError, JUnitXmlError, ValueError, LookupError):
            return  # cut off by whatever ended PHPUnit
        for test in report._elem.iter("testcase"):  # noqa: SLF001 - the library does not look into nested suites
            kinds = {child.get("type", "") for child in test if child.tag in ("error", "failure", "warning")}
            if kinds and all(kind.endswith(_WARNINGS) for kind in kinds):
                self._warned.add(f"{test.get('class', '').rpartition(chr(92))[2]}::{test.get('name', '')}")

    def finish(self, called: Called) -> None:
        """The command has ended: failures are told, with their details."""
        harmless = called.exit_code == 0 or any(case.name not in self._warned for case in self._failed)
        for case, (seconds, reason, output) in self._failed.items():
            if harmless and not called.why and case.name in self._warned:
                self._cases.tell_ended(case, CaseState.PASSED, seconds, f"risky: {reason}", output)
            else:
                self._cases.tell_ended(case, CaseState.FAILED, seconds, reason, output)
        if self._output and self._running is None:
            called.output = "\n".join([called.output, *self._output])

    def _began(self, facts: dict[str, str]) -> None:
        _, _, full = facts.get("locationHint", "").partition("::\\")
        kind, _, method = full.partition("::")
        name = f"{kind.rpartition(chr(92))[2]}::{method}" if method else facts.get("name", "")
        self._running = self._cases.numbered(self._cases.case(self._file, name), self._seen)
        self._output, self._size, self._skipped = [], 0, None
        if not name.startswith(_NO_TESTS):
            self._cases.tell_began(self._running)

    def _fail(self, facts: dict[str, str]) -> None:
        if self._running is None:
            return
        message, details = facts.get("message", ""), facts.get("details", "").strip()
        lines = [line for line in message.splitlines() if line.strip() and not _PLACE.fullmatch(line)]
        reason = lines[-1] if lines else ""
        self._failed[self._running] = (_seconds(facts), reason, [message, details])

    def _ended(self, facts: dict[str, str]) -> None:
        case, self._running = self._running, None
        if case is None:
            return
        if case.name.startswith(_NO_TESTS):  # what PHPUnit puts in the place of a class without tests
            self._cases.running.pop(case, None)
            whole = self._cases.case(self._file, "")
            self._cases.tell_ended(whole, CaseState.SKIPPED, reason=" ".join(self._output))
            return
        if case in self._failed:  # what it printed comes after its failure
            self._failed[case][2].extend(self._output)
            return
        if self._skipped is not None:
            self._cases.tell_ended(case, CaseState.SKIPPED, _seconds(facts), self._skipped)
        else:
            self._cases.tell_ended(case, CaseState.PASSED, _seconds(facts), output=self._output)
        self._output, self._size = [], 0


def _seconds(facts: dict[str, str]) -> float:
    try:
        return int(facts.get("duration", "0")) / 1000
    except ValueError:
        return 0.0


def _plain(value: str) -> str:
    return _ESCAPE.sub(
        lambda found: chr(int(found[1], 16)) if found[1] else _PLAIN.get(found[2], found[2]), value
    )
