"""Tells the worker of each test of unittest, whatever runs it: all results call the library's own class."""

from __future__ import annotations

import os
import sys
import time
import traceback
import unittest
from functools import wraps
from typing import Any, Callable, Dict, List, Optional, Tuple

from .clipping import of_text
from .events import Teller

Place = Tuple[str, str]
"""File as the worker calls it, and name in it."""
_REASON = 300
_WRAPPED = (
    "startTest",
    "stopTest",
    "stopTestRun",
    "addSuccess",
    "addError",
    "addFailure",
    "addSkip",
    "addExpectedFailure",
    "addUnexpectedSuccess",
    "addSubTest",
)


class Watch:
    """`found` knows the place of tests by their identity, where a runner of ours has loaded them."""

    def __init__(
        self,
        teller: Teller,
        found: Optional[Dict[int, Place]] = None,
        told: Optional[Dict[str, bool]] = None,
    ) -> None:
        self._teller = teller
        self._found = found or {}
        self._owner: Any = None
        self._test: Any = None
        self._begun = 0.0
        self._verdicts: List[Tuple[str, str, str]] = []
        self._told = told or {}
        self._waiting: Dict[Place, Any] = {}

    def expect(self, tests: List[Any]) -> None:
        """These will run: what a broken setUpClass leaves out is among them."""
        for test in tests:
            self._waiting[self.place(test)] = test

    def install(self) -> None:
        """From now on every result tells; the first that begins is the one that counts."""
        for name in _WRAPPED:
            setattr(unittest.TestResult, name, self._wrapped(name, getattr(unittest.TestResult, name)))

    def _wrapped(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        told = getattr(self, "_" + name.lower())

        @wraps(original)
        def wrapper(result: Any, *arguments: Any, **named: Any) -> Any:
            if self._owner is None and name.startswith(("startTest", "add")):
                self._owner = result
            if result is not self._owner:
                return original(result, *arguments, **named)
            if name == "startTest":
                told(*arguments)
                return original(result, *arguments, **named)
            answer = original(result, *arguments, **named)
            told(*arguments)
            return answer

        return wrapper

    def place(self, test: Any) -> Place:
        """File and name of a test; a name alone where it stands for its file."""
        known = self._found.get(id(test))
        if known is not None:
            return known
        module = type(test).__module__
        if module == "unittest.loader":  # stands for a module that cannot be imported, or skips itself
            return self._asked(str(test.id()).split(".", 3)[-1]), ""
        identity = str(test.id())
        name = identity[len(module) + 1 :] if identity.startswith(module + ".") else identity
        return self._file_of(module), name

    def _asked(self, module: str) -> str:
        """The file of a module that could not be imported, of whose name only the end may be known."""
        for file in self._teller.spec["files"]:
            known = os.path.splitext(file)[0].replace(os.sep, ".")
            if known == module or known.endswith("." + module):
                return str(file)
        return self._file_of(module)

    def _file_of(self, module: str) -> str:
        path = getattr(sys.modules.get(module), "__file__", None)
        if path:
            return self._teller.shown(path)
        return self._teller.shown(os.path.join(self._teller.spec["top"], *module.split(".")) + ".py")

    def _starttest(self, test: Any) -> None:
        self._test, self._verdicts, self._begun = test, [], time.perf_counter()
        file, name = self.place(test)
        self._teller.tell("began", file=file, name=name, mark=self._teller.mark())

    def _stoptest(self, test: Any) -> None:
        if test is not self._test:
            return
        self._test = None
        worst = [verdict for verdict in self._verdicts if verdict[0] == "failed"]
        state, reason = ("failed", "it told no result") if not self._verdicts else self._verdicts[-1][:2]
        if worst:
            more = " (and {} more)".format(len(worst) - 1) if len(worst) > 1 else ""
            state, reason = "failed", worst[0][1] + more
        self._end(self.place(test), state, reason, "\n".join(text for _, _, text in self._verdicts if text))

    def _end(self, place: Place, state: str, reason: str, output: str) -> None:
        file, name = place
        self._told[file] = True
        self._waiting.pop(place, None)
        seconds = time.perf_counter() - self._begun if self._begun else 0.0
        self._begun = 0.0
        self._teller.tell(
            "ended", file=file, name=name, state=state, reason=reason[:_REASON], output=of_text(output),
            seconds=seconds, mark=self._teller.mark(),
        )  # fmt: skip

    def _verdict(self, test: Any, state: str, reason: str, output: str = "") -> None:
        if test is self._test or (self._test is not None and getattr(test, "test_case", None) is self._test):
            self._verdicts.append((state, reason, output))
        elif isinstance(test, unittest.TestCase):  # told without having begun
            self._end(self.place(test), state, reason, output)
        else:
            self._shared(str(test), state, reason, output)

    def _shared(self, what: str, state: str, reason: str, output: str) -> None:
        """`setUpClass (tests.test_a.TestA)`: what holds for many tests is told of each that will not run."""
        stage, _, scope = what.partition(" (")
        scope = scope.rstrip(")")
        reason = "in its {}: {}".format(stage, reason) if state == "failed" else reason
        if stage in ("setUpClass", "setUpModule"):
            concerned = [place for place, test in self._waiting.items() if _belongs(test, scope)]
            for place in concerned:
                self._end(place, state, reason, output)
            if concerned:
                return
        module = scope if scope in sys.modules else scope.rpartition(".")[0]
        self._end((self._file_of(module), "" if state == "failed" else what), state, reason, output)

    def _addsuccess(self, test: Any) -> None:
        self._verdict(test, "passed", "")

    def _adderror(self, test: Any, error: Any) -> None:
        where = "" if type(test).__module__ != "unittest.loader" else "cannot be imported: "
        self._verdict(test, "failed", where + reason_of(error), text_of(error))

    def _addfailure(self, test: Any, error: Any) -> None:
        self._verdict(test, "failed", reason_of(error), text_of(error))

    def _addskip(self, test: Any, reason: Any) -> None:
        self._verdict(test, "skipped", str(reason))

    def _addexpectedfailure(self, test: Any, error: Any) -> None:
        self._verdict(test, "skipped", "failed, as expected: " + reason_of(error))

    def _addunexpectedsuccess(self, test: Any) -> None:
        self._verdict(test, "failed", "passed, though it is marked as an expected failure")

    def _addsubtest(self, test: Any, subtest: Any, error: Any) -> None:
        if error is None:
            return
        described = subtest._subDescription()  # noqa: SLF001 - how unittest itself names it
        self._verdicts.append(
            ("failed", described + " " + reason_of(error), described + "\n" + text_of(error))
        )

    def _stoptestrun(self) -> None:
        for file in self._teller.spec["files"]:
            if file not in self._told:
                self._teller.tell("empty", file=file)


def _belongs(test: Any, scope: str) -> bool:
    kind = type(test)
    return scope in (kind.__module__, "{}.{}".format(kind.__module__, kind.__qualname__))


def reason_of(error: Any) -> str:
    """One line of why, by (type, value, traceback)."""
    try:
        lines = "".join(traceback.format_exception_only(error[0], error[1])).strip().splitlines()
    except Exception:  # noqa: BLE001 - a customer's own __str__ may raise anything
        return str(getattr(error[0], "__name__", "error"))
    named = [line for line in lines if line.strip()]
    if issubclass(error[0], SyntaxError):
        return named[-1] if named else "SyntaxError"
    return named[0] if named else ""


def text_of(error: Any) -> str:
    """The traceback, without the library's own frames in front."""
    kind, value, trace = error
    inner = trace
    while inner is not None and "__unittest" in inner.tb_frame.f_globals:  # the library's own frames
        inner = inner.tb_next
    try:
        return "".join(traceback.format_exception(kind, value, inner or trace))
    except Exception as failure:  # noqa: BLE001 - as above
        return "its failure cannot be shown: {!r}".format(failure)[:_REASON]
