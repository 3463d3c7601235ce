"""JUnit XML reports, read by junitparser once their command has ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

from junitparser import Error, Failure, JUnitXml, JUnitXmlError, Skipped, TestCase

from leuko.domain.case import Case, CaseState
from leuko.verify.runners.cases import Cases

if TYPE_CHECKING:
    from leuko.verify.runners.calls import Called

_DEEPEST = 200


class Junit:
    """The reports of one command. `pattern` is where they were to be, `files` what it tested."""

    def __init__(self, pattern: str, files: tuple[str, ...]) -> None:
        self._pattern = pattern
        self._files = files
        self._reports: list[tuple[str, bytes, str]] = []
        self._seen: dict[Case, int] = {}

    def add(self, path: str, content: bytes, trouble: str) -> None:
        """A report file that the command wrote, or why it cannot be had."""
        self._reports.append((path, content, trouble))

    def tell(self, cases: Cases, called: Called) -> None:
        """Tells what stands in the reports. A broken one is a failure, never a pass; so is none."""
        for path, content, trouble in self._reports:
            try:
                told = trouble or self._read(cases, content)
            except (ParseError, JUnitXmlError, ValueError, LookupError, RecursionError) as error:
                told = f"cannot be read: {error}"
            if told:
                reason = f"the report {path} {told}"
                whole = cases.case(self._files[0], "")
                cases.tell_ended(whole, CaseState.FAILED, reason=reason, output=(called.output,))
        if not self._reports and called.exit_code == 0:
            reason = f"the command wrote no new report at {self._pattern}"
            whole = cases.case(self._files[0], "")
            cases.tell_ended(whole, CaseState.FAILED, reason=reason, output=(called.output,))

    def _read(self, cases: Cases, content: bytes) -> str:
        report = JUnitXml.fromstring(content)
        for test in _tests(report._elem):  # noqa: SLF001 - the library itself overlooks tests that no suite holds
            file = self._file(test)
            name = test.name or "without a name"
            if test.classname and not self._tells(file, test.classname):
                name = f"{test.classname}::{name}"
            case = cases.numbered(cases.case(file, name), self._seen)
            state, reason, output = judged(test)
            cases.tell_ended(case, state, test.time or 0.0, reason, output)
        return ""

    def _file(self, test: TestCase) -> str:
        """The file of a test: as it says itself, else by the name of its class, else the class itself."""
        if len(self._files) == 1:
            return self._files[0]
        own = str(test._elem.attrib.get("file", ""))  # noqa: SLF001 - an attribute that the library has no name for
        for file in self._files:
            if own and (own == file or own.endswith(f"/{file}")):
                return file
        words = (test.classname or "").replace("/", ".").split(".")
        for length in range(len(words), 0, -1):
            for file in self._files:
                stem = PurePosixPath(file).with_suffix("").parts
                if list(stem[-length:]) == words[:length]:
                    return file
        return own or test.classname or self._files[0]

    def _tells(self, file: str, classname: str) -> bool:
        """True where the class adds nothing to the file."""
        return PurePosixPath(file).stem == classname.rpartition(".")[2] or file == classname


def judged(test: TestCase) -> tuple[CaseState, str, list[str]]:
    """State, reason and output of one test of a report."""
    output = [text for text in (test.system_out, test.system_err) if text]
    results = test.result
    for result in results:
        if isinstance(result, Failure | Error):
            text = result.text or ""
            said = result.message or text or result.type or ""
            reason = next((line.strip() for line in said.splitlines() if line.strip()), "failed")
            return CaseState.FAILED, reason, [result.message or "", text, *output]
    for result in results:
        if isinstance(result, Skipped):
            return CaseState.SKIPPED, result.message or (result.text or "").strip(), []
    return CaseState.PASSED, "", output


def _tests(element: Any, depth: int = 0) -> Iterator[TestCase]:
    """All tests, however deep the suites are nested."""
    if depth > _DEEPEST:
        raise ValueError(f"its suites are nested more than {_DEEPEST} deep")
    for child in element:
        if child.tag == "testcase":
            yield TestCase.fromelem(child)  # type: ignore[no-untyped-call]  # the library types it in part
        elif child.tag in ("testsuite", "testsuites"):
            yield from _tests(child, depth + 1)
