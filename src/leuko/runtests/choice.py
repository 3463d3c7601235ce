"""Which tests a change of files asks for, and why: pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType

SHOWN = 2
_AFFIXES = ("test_{}", "{}_test", "{}.test", "{}.spec", "{}Test", "Test{}", "{}_spec", "tests_{}")

_LANGUAGES = MappingProxyType(dict.fromkeys((".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx", ".mts"), ".js"))


@dataclass(frozen=True, slots=True)
class Choice:
    """Files of tests, and a sentence for the page."""

    files: tuple[str, ...]
    why: str


def choose(changed: Collection[str], tests: Collection[str], importers: Mapping[str, str]) -> Choice:
    """`tests` are all files of tests; `importers` files that import a changed one -> that one.

    The first of these that finds something counts, for each changed file: it is a test itself; tests below a
    conftest.py; tests that import it; tests called after it; tests of its folder.
    """
    found: dict[str, None] = {}
    whys: list[str] = []
    for path in sorted(changed):
        files, why = _of(path, tests, importers)
        found |= dict.fromkeys(files)
        whys.append(f"{path} changed: {why}")
    more = f" And {len(whys) - SHOWN} more files." if len(whys) > SHOWN else ""
    return Choice(tuple(found), " ".join(f"{why}." for why in whys[:SHOWN]) + more)


def _of(path: str, tests: Collection[str], importers: Mapping[str, str]) -> tuple[list[str], str]:
    if path in tests:
        return [path], "it runs"
    place = PurePosixPath(path)
    if place.name == "conftest.py":
        below = sorted(test for test in tests if place.parent in PurePosixPath(test).parents)
        return below, f"{_files(below)} below it {_run(below)}"
    using = sorted(test for test in tests if importers.get(test) == path)
    if using:
        return using, f"{_files(using)} that import{'s' if len(using) == 1 else ''} it {_run(using)}"
    called = sorted(test for test in tests if _called_after(PurePosixPath(test), place))
    if called:
        return called, f"{_files(called)} called after it {_run(called)}"
    beside = sorted(test for test in tests if PurePosixPath(test).parent == place.parent)
    if beside:
        return beside, f"{_files(beside)} of its folder {_run(beside)}"
    return [], "no test is known to use it"


def _called_after(test: PurePosixPath, place: PurePosixPath) -> bool:
    """`cart.test.ts` after `cart.tsx`: of one language, and named by one of the usual patterns."""
    if _LANGUAGES.get(test.suffix, test.suffix) != _LANGUAGES.get(place.suffix, place.suffix):
        return False
    return test.name.removesuffix(test.suffix) in {pattern.format(place.stem) for pattern in _AFFIXES}


def _files(found: Collection[str]) -> str:
    first = next(iter(found), "")
    return f"{first}" if len(found) == 1 else f"{len(found)} files of tests"


def _run(found: Collection[str]) -> str:
    return "runs" if len(found) == 1 else "run"
