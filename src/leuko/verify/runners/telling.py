"""An assignment as the worker reads it: one line of JSON. Pure; the worker puts its own paths in."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from leuko.config.verify import Suite
from leuko.domain.case import Batch, Case
from leuko.verify.engine import Assignment
from leuko.verify.runners.commands import Plain, plain, shell, with_files

USUAL = {
    "pytest": "python3 -m pytest",
    "unittest": "python3 -m unittest",
    "node": "node --test",
    "phpunit": "phpunit",
}
"""Commands of suites that name none."""
_CHANNEL = {
    "pytest": "events",
    "unittest": "events",
    "node": "events",
    "phpunit": "lines",
    "tap": "tap",
    "junit": "none",
    "exit": "none",
}
_ONE_FILE_A_CALL = ("exit", "tap", "phpunit")
"""Runners whose results name no file, or that take one file only."""
_NODE = ("--test-reporter=\0tools/leuko_worker/node_reporter.mjs", "--test-reporter-destination=\0pipe")
_PHPUNIT = ("--log-teamcity", "\0pipe", "--log-junit", "\0scratch/phpunit.xml")
_NUMBERED = re.compile(r" \(\d+\)$")
_PLUGIN = "leuko_worker.pytest_plugin"


def told(assignment: Assignment, *, last: bool = False, top: str = "") -> bytes:
    """The line for a worker's standard input.

    `last`: the worker runs this batch to its end though its input is closed, then ends. `top`: the checkout,
    from the worker's own working directory.
    """
    batch, suite = assignment.batch, assignment.suite
    kept = plain(_command(suite)) if suite.runner in ("pytest", "unittest") else None
    order = {
        "id": batch.number,
        "top": top,
        "env": {**assignment.environment, **suite.env},
        "timeout": batch.timeout,
        "file_timeout": suite.timeout,
        "last": last,
        "channel": _CHANNEL[suite.runner],
        "python": suite.runner in ("pytest", "unittest"),
        "plugin": _PLUGIN if suite.runner == "pytest" else "",
        "site": suite.runner == "unittest" and kept is None,
        "report": suite.report,
        "calls": [_call(batch, suite, files, kept) for files in calls(batch, suite)],
    }
    return json.dumps(order).encode() + b"\n"


def cancelled() -> bytes:
    """The line that ends what the worker runs; its end is told as usual."""
    return b'{"cancel":true}\n'


def calls(batch: Batch, suite: Suite) -> list[tuple[str, ...]]:
    """Files by command, in the order in which the commands run."""
    if suite.many and suite.runner not in _ONE_FILE_A_CALL:
        return [batch.files]
    return [(file,) for file in batch.files]


def _command(suite: Suite) -> str:
    return suite.command.strip() or USUAL[suite.runner]


def _call(batch: Batch, suite: Suite, files: tuple[str, ...], kept: Plain | None) -> dict[str, Any]:
    only = _only(batch, files)
    found: dict[str, Any] = {
        "files": files,
        "only": only,
        "without": _names(batch.without, files),
        "timeout": min(batch.timeout, suite.timeout * len(files)),
    }
    shown = tuple(_safe(file) for file in files)
    if kept is not None:
        module = "leuko_worker.unittest_runner" if kept.module == "unittest" else kept.module
        arguments = [*kept.arguments, *shown]
        found["env"] = kept.environment
        found["argv"] = [kept.interpreter, *kept.options, "-m", module, *arguments]
        if suite.warm:
            head = [kept.interpreter, *kept.options]
            found["warm"] = {"head": head, "module": module, "arguments": arguments}
        return found
    found["argv"] = _argv(suite, shown, only)
    return found


def _argv(suite: Suite, files: tuple[str, ...], only: dict[str, list[str]] | None) -> list[str]:
    command = _command(suite)
    match suite.runner:
        case "exit" | "tap" | "junit":
            return shell(command, files)
        case "node":
            return shell(with_files(command), _NODE + files)
        case "phpunit":
            return shell(with_files(command), _PHPUNIT + _filter(only, files) + files)
        case "unittest":
            return shell(with_files(command), _modules(files, only))
        case _:
            return shell(with_files(command), files)


def _modules(files: Sequence[str], only: dict[str, list[str]] | None) -> tuple[str, ...]:
    """What unittest, Django's included, is told of files: the names of their modules, or of single tests."""
    found = []
    for file in files:
        module = str(PurePosixPath(file).with_suffix("")).replace("/", ".")
        names = (only or {}).get(file)
        found += [f"{module}.{_NUMBERED.sub('', name)}" for name in names] if names else [module]
    return tuple(dict.fromkeys(found))


def _filter(only: dict[str, list[str]] | None, files: tuple[str, ...]) -> tuple[str, ...]:
    """PHPUnit's choice of tests: an expression over `Namespace\\Class::method with data set "..."`."""
    names = (only or {}).get(files[0])
    if not names:
        return ()
    chosen = {_NUMBERED.sub("", name) for name in names}
    choice = "|".join(re.escape(name).replace("/", r"\/") for name in sorted(chosen))
    return ("--filter", rf"/(?:^|\\)(?:{choice})$/")


def _only(batch: Batch, files: Sequence[str]) -> dict[str, list[str]] | None:
    """Names by file, where not all tests of the files are to run; None where all are."""
    names = _names(batch.only, files)
    whole = {case.file for case in batch.only if not case.name}
    return {file: found for file, found in names.items() if file not in whole} or None


def _names(cases: Sequence[Case], files: Sequence[str]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for case in cases:
        if case.file in files and case.name:
            names.setdefault(case.file, []).append(case.name)
    return names


def _safe(file: str) -> str:
    """A file that begins with a dash is no option."""
    return f"./{file}" if file.startswith("-") else file
