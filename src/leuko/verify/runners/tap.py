"""TAP, line by line as a command prints it. tap.py reads lines; what belongs to what is decided here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from tap.parser import Parser

from leuko.domain.case import Case, CaseState
from leuko.verify.runners.cases import Cases, clean

if TYPE_CHECKING:
    from tap.line import Result

    from leuko.verify.runners.calls import Called

# tap.py takes `okay` for a result and `1024` for a plan: only what TAP itself calls one is given to it.
_RESULT = re.compile(r"(not )?ok(?=\s|$)")
_PLAN = re.compile(r"1\.\.(\d{1,9})(?:\s|$)")
_BAIL = re.compile(r"Bail out!(.*)", re.IGNORECASE)
_VERSION = re.compile(r"TAP version \d+\s*$")
_SUBTEST = re.compile(r"#\s*Subtest(?::\s*(.*))?")
_LEVEL = 4
"""Spaces of indentation of a subtest."""
_HASH = "\ue000"
"""Stands for an escaped `\\#` while tap.py looks for the directive."""
_KEPT = 65536
_LONGEST_YAML = 16384


@dataclass(slots=True)
class _Level:
    """One stream: the command's own, or a subtest's."""

    name: str = ""
    plan: int | None = None
    count: int = 0
    failed: int = 0


@dataclass(slots=True)
class _Held:
    """A failed test: what explains it comes after it."""

    case: Case
    state: CaseState
    reason: str
    seconds: float
    indent: int
    before: list[str]
    after: list[str] = field(default_factory=list)


class Tap:
    """Reads one command's TAP into cases of `file`. Subtests are called `outer > inner`."""

    def __init__(self, cases: Cases, file: str) -> None:
        self._cases = cases
        self._file = file
        self._parser = Parser()
        self._levels = [_Level()]
        self._name = ""
        self._seen: dict[Case, int] = {}
        self._held: _Held | None = None
        self._lines: list[str] = []
        self._size = 0
        self._yaml = ""
        self._clock = 0.0
        self._bailed: str | None = None
        self._skipped: str | None = None

    def line(self, text: str, at: float = 0.0) -> None:
        """The next line; `at` in seconds since the command began."""
        stripped = text.lstrip(" ")
        indent = len(text) - len(stripped)
        if self._in_yaml(text, stripped, indent):
            return
        if _RESULT.match(stripped):
            self._result(stripped.rstrip(), indent, at)
        elif found := _PLAN.match(stripped):
            self._plan(stripped.rstrip(), int(found[1]), indent)
        elif (found := _BAIL.match(stripped)) and indent == 0:
            self._bailed = found[1].strip() or "no reason given"
        elif _VERSION.match(stripped):
            pass
        elif found := _SUBTEST.match(stripped):
            self._let_go()
            self._name = (found[1] or "").strip()
        else:
            self._keep(text)

    def finish(self, called: Called) -> None:
        """The command has ended: is the stream whole?"""
        self._let_go()
        top = self._levels[0]
        called.output = clean("\n".join([*self._lines, called.output]).strip("\n"))
        whole = self._cases.case(self._file, "")
        output = (called.output,)
        if self._bailed is not None:
            self._cases.tell_ended(
                whole, CaseState.FAILED, reason=f"bailed out: {self._bailed}", output=output
            )
        elif self._skipped is not None and not top.count:
            self._cases.tell_ended(whole, CaseState.SKIPPED, called.seconds, self._skipped)
        elif called.why or called.number or (top.count and called.exit_code and top.failed):
            pass  # its end says enough
        elif top.plan is None and top.count:
            reason = f"printed {top.count} results and no plan (1..{top.count}): it may have ended early"
            self._cases.tell_ended(whole, CaseState.FAILED, reason=reason, output=output)
        elif top.plan is not None and top.plan != top.count:
            reason = f"planned {top.plan} tests and printed {top.count} results"
            self._cases.tell_ended(whole, CaseState.FAILED, reason=reason, output=output)

    def _result(self, text: str, indent: int, at: float) -> None:
        self._let_go()
        depth = min(indent // _LEVEL, len(self._levels))
        inner = self._levels[depth + 1] if len(self._levels) > depth + 1 else None
        self._open(depth)
        parsed: Result = self._parser.parse_line(text.replace("\\#", _HASH))
        level = self._levels[depth]
        level.count += 1
        state, reason = _judged(parsed)
        seconds, self._clock = max(0.0, at - self._clock), max(at, self._clock)
        level.failed += state is CaseState.FAILED
        if inner is not None and (state is not CaseState.FAILED or inner.failed):
            return  # the sum of its subtests, which were told one by one
        case = self._named(parsed, depth)
        before, self._lines, self._size = self._lines, [], 0
        if state is CaseState.FAILED:
            self._held = _Held(case, state, reason, seconds, indent, before)
        else:
            self._cases.tell_ended(case, state, seconds, reason, before)

    def _named(self, parsed: Result, depth: int) -> Case:
        own = parsed.description.removeprefix("-").strip().replace(_HASH, "#")
        path = [level.name for level in self._levels[1 : depth + 1] if level.name]
        name = " > ".join([*path, own or f"test {parsed.number or self._levels[depth].count}"])
        return self._cases.numbered(self._cases.case(self._file, name), self._seen)

    def _open(self, depth: int) -> None:
        """Makes `depth` the innermost stream."""
        del self._levels[depth + 1 :]
        while len(self._levels) <= depth:
            self._levels.append(_Level(self._name))
        self._name = ""

    def _plan(self, text: str, number: int, indent: int) -> None:
        self._let_go()
        depth = min(indent // _LEVEL, len(self._levels))
        if depth:
            return  # a subtest that broke its plan is failed by its own result
        self._open(0)
        self._levels[0].plan = number
        plan = self._parser.parse_line(text)
        if plan.category == "plan" and (plan.skip or number == 0):
            self._skipped = plan.directive.reason or "skips all its tests"

    def _in_yaml(self, text: str, stripped: str, indent: int) -> bool:
        """A block of YAML after a result, from `---` to `...`; a passed test's is not kept."""
        mark = stripped.rstrip()
        if self._yaml:
            if mark == "..." or (mark and indent < len(self._yaml)):
                self._yaml = ""
                return mark == "..."
            if self._held is not None and len(self._held.after) < 2000:
                self._held.after.append(text.removeprefix(self._yaml))
            return True
        if mark == "---" and indent:
            self._yaml = " " * indent
            return True
        return False

    def _keep(self, text: str) -> None:
        if not text.strip():
            return
        if self._held is not None and text.lstrip().startswith("#"):
            self._held.after.append(text)
        elif self._size < _KEPT:
            self._lines.append(text)
            self._size += len(text)

    def _let_go(self) -> None:
        """The failed test that was held is told, with what came after it."""
        held, self._held = self._held, None
        if held is None:
            return
        reason = held.reason or _reason(held.after)
        self._cases.tell_ended(held.case, held.state, held.seconds, reason, [*held.before, *held.after])


def _judged(parsed: Result) -> tuple[CaseState, str]:
    why = (parsed.directive.reason or "").replace(_HASH, "#")
    if parsed.skip:
        return CaseState.SKIPPED, why
    if parsed.todo:
        if parsed.ok:
            return CaseState.PASSED, f"passed, though it is still to do: {why}".rstrip(": ")
        return CaseState.SKIPPED, f"failed, as expected of what is still to do: {why}".rstrip(": ")
    return (CaseState.PASSED, "") if parsed.ok else (CaseState.FAILED, "")


def _reason(after: list[str]) -> str:
    """One line out of a YAML block or comments: the message, if there is one."""
    block = "\n".join(line for line in after if not line.lstrip().startswith("#"))
    if block.strip() and len(block) <= _LONGEST_YAML:
        try:
            found = YAML(typ="safe", pure=True).load(block)
        except (YAMLError, ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            message = found.get("message") or found.get("error")
            if message:
                return str(message).strip().splitlines()[0]
    comments = [line.lstrip(" #").strip() for line in after if line.lstrip().startswith("#")]
    return next((line for line in comments if line), "not ok")
