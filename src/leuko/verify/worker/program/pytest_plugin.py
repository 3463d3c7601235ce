"""Tells the worker of each test of pytest, while it runs. PYTEST_DONT_REWRITE

Loaded by PYTEST_PLUGINS, so that any command may start pytest: 6 or newer, with xdist or without. It changes
nothing that a test sees. Of the options, two do not fit a batch and are overridden: a collection error would
stop the other files, and --maxfail leaves tests unrun.
"""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional, Set

import pytest

from .clipping import CAP, of_file, of_text
from .events import Teller, take_spec

_REASON = 300


def pytest_configure(config: Any) -> None:
    """Begins to tell, where a worker asked for it."""
    spec = take_spec()
    if spec is None or hasattr(config, "workerinput"):
        return
    config.option.continue_on_collection_errors = True
    config.option.maxfail = 0
    config.pluginmanager.register(_Telling(config, Teller(spec)), "leuko-telling")


class _Telling:
    """The hooks. A test's parts (setup, call, teardown) come one by one; it ends with the last of them."""

    def __init__(self, config: Any, teller: Teller) -> None:
        self._config = config
        self._teller = teller
        self._root = str(getattr(config, "rootpath", None) or config.rootdir)
        self._parts: Dict[str, List[Any]] = {}
        self._names: Dict[str, List[str]] = {}
        self._told: Set[str] = set()
        self._deselected: Dict[str, int] = {}
        self._marked = config.option.capture == "no"
        self._say_hello()

    def _say_hello(self) -> None:
        captured = []
        capturing = self._config.pluginmanager.getplugin("capturemanager")
        for name in ("out", "err"):
            try:  # private, may move: without it a flood costs memory and a hung test's output is lost
                one = getattr(capturing._global_capturing, name)  # noqa: SLF001
                captured.append(one.tmpfile.fileno())
                one.snap = _bounded(one.snap, one.tmpfile)
            except (AttributeError, OSError, ValueError):
                pass
        self._teller.greet("pytest " + pytest.__version__, captured)

    def _place(self, nodeid: str) -> List[str]:
        """File as the worker calls it, and name in it."""
        file, _, name = nodeid.partition("::")
        return [self._teller.shown(os.path.join(self._root, file)), name]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: Any, items: List[Any]) -> None:
        """Numbers what has the same name, keeps what was asked for."""
        only: Optional[Dict[str, List[str]]] = self._teller.spec["only"]
        without: Dict[str, List[str]] = self._teller.spec["without"]
        kept, dropped, counts = [], [], {}  # type: ignore[var-annotated]
        for item in items:
            counts[item.nodeid] = number = counts.get(item.nodeid, 0) + 1
            file, name = self._place(item.nodeid)
            if number > 1:
                name = "{} ({})".format(name, number)
            unasked = only is not None and file in only and name not in only[file]
            if unasked or name in without.get(file, ()):
                dropped.append(item)
                continue
            kept.append(item)
            self._names.setdefault(item.nodeid, []).append(name)
        if dropped:
            items[:] = kept
        for item in kept:
            self._told.add(self._place(item.nodeid)[0])

    def pytest_collection_finish(self, session: Any) -> None:
        """Tells what will run."""
        self._teller.tell("file", file=None)
        counts: Dict[str, int] = {}
        for item in session.items:
            seen = counts[item.nodeid] = counts.get(item.nodeid, 0) + 1
            names = self._names.get(item.nodeid, [])
            file, name = self._place(item.nodeid)
            self._teller.note("found", file=file, name=names[seen - 1] if seen <= len(names) else name)
        self._teller.flush()

    def pytest_deselected(self, items: List[Any]) -> None:
        """Counts what the suite's own options leave out."""
        for item in items:
            file = self._place(item.nodeid)[0]
            self._deselected[file] = self._deselected.get(file, 0) + 1

    def pytest_collectstart(self, collector: Any) -> None:
        """A file is imported: it may hang there."""
        if isinstance(collector, pytest.File):
            self._teller.tell("file", file=self._place(collector.nodeid)[0])

    def pytest_collectreport(self, report: Any) -> None:
        """A file that cannot be collected, or skips itself."""
        if report.outcome == "passed" or not report.nodeid:
            return
        file, name = self._place(report.nodeid)
        self._told.add(file)
        skipped = report.outcome == "skipped"
        reason = _skip_reason(report) if skipped else "cannot be collected: " + _reason(report)
        self._teller.tell(
            "ended", file=file, name=name, state="skipped" if skipped else "failed", seconds=0.0,
            reason=reason[:_REASON], output="" if skipped else of_text(_text(report)),
        )  # fmt: skip

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        """A test begins."""
        file, name = self._place(nodeid)
        names = self._names.get(nodeid)
        self._parts[nodeid] = []
        mark = self._teller.mark() if self._marked else 0
        self._teller.tell("began", file=file, name=names[0] if names else name, mark=mark)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """One part of it."""
        self._parts.setdefault(report.nodeid, []).append(report)

    def pytest_runtest_logfinish(self, nodeid: str, location: Any) -> None:
        """A test has ended."""
        parts = self._parts.pop(nodeid, [])
        file, name = self._place(nodeid)
        names = self._names.get(nodeid)
        if names:
            name = names.pop(0) if len(names) > 1 else names[0]
        self._told.add(file)
        state, reason = _judged(parts)
        mark = self._teller.mark() if self._marked else 0
        # Nothing but the next test's beginning comes between: both are told by one write.
        self._teller.note(
            "ended", file=file, name=name, state=state, reason=reason[:_REASON],
            seconds=sum(part.duration for part in parts), output=_output(parts, state), mark=mark,
        )  # fmt: skip

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: Any, exitstatus: Any) -> None:
        """Tells which files had no test."""
        self._teller.flush()
        if int(exitstatus) not in (0, 1, 5):
            return
        for file in self._teller.spec["files"]:
            if file not in self._told:
                self._teller.tell("empty", file=file, deselected=self._deselected.get(file, 0))


def _bounded(snap: Any, tmpfile: Any) -> Any:
    """Reads only the ends of a flood: pytest itself would take all of it into memory."""

    def bounded() -> Any:
        descriptor = tmpfile.fileno()
        if os.fstat(descriptor).st_size <= 4 * CAP:
            return snap()
        text = of_file(descriptor)
        tmpfile.seek(0)
        tmpfile.truncate()
        return text

    return bounded


def _judged(parts: List[Any]) -> List[str]:
    """State and one line of why, by the parts of one test; the last run of a plugin's own reruns counts."""
    last = max((at for at, part in enumerate(parts) if part.outcome == "rerun"), default=-1)
    parts = parts[last + 1 :]
    for part in parts:
        if part.outcome == "failed":
            where = "" if part.when == "call" else "in its {}: ".format(part.when)
            return ["failed", where + _reason(part)]
    for part in parts:
        if part.outcome == "skipped":
            expected = getattr(part, "wasxfail", None)
            if expected is not None:
                return ["skipped", ("failed, as expected: " + expected).rstrip(": ")]
            return ["skipped", _skip_reason(part)]
    for part in parts:
        expected = getattr(part, "wasxfail", None)
        if expected is not None and part.when == "call":
            return ["passed", ("passed, though it was expected to fail: " + expected).rstrip(": ")]
    if not any(part.when == "call" for part in parts):
        return ["failed", "it told no result"]
    return ["passed", "passed after {} reruns".format(last) if last > 0 else ""]


def _reason(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message) if crash is not None else _text(report)
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if crash is None and lines:
        errors = [line[1:].strip() for line in lines if line.startswith("E ")]
        return errors[-1] if errors else lines[-1]
    return lines[0] if lines else ""


def _skip_reason(report: Any) -> str:
    found = report.longrepr
    text = str(found[2]) if isinstance(found, tuple) and len(found) == 3 else _text(report)
    return text[len("Skipped: ") :] if text.startswith("Skipped: ") else text.strip()


def _text(report: Any) -> str:
    try:
        return str(report.longreprtext)
    except Exception as error:  # noqa: BLE001 - a customer's own __repr__ may raise anything
        return "its failure cannot be shown: {!r}".format(error)[:_REASON]


def _output(parts: List[Any], state: str) -> str:
    texts = [_text(part) for part in parts if part.outcome == "failed"] if state == "failed" else []
    if parts:  # each part repeats what was captured before it
        for title, content in parts[-1].sections:
            texts.append("--- {} ---\n{}".format(title, content))
    return of_text("\n".join(texts))
