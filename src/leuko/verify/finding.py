"""Which files of a checkout are tests, of which suite, with which tags."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from leuko.config.verify import Suite
from leuko.domain.patterns import Patterns

_LISTED = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
_LEFT_OUT = frozenset({".git", ".hg", ".svn"})
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Found:
    """Files of tests, as paths from the checkout.

    `files` has every suite, also those without any file. A file may be in several suites: a warning says so.
    """

    files: Mapping[str, tuple[str, ...]]
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """File -> its tags, where it has any."""
    warnings: tuple[str, ...] = ()


def find(checkout: Path, suites: Mapping[str, Suite], paths: Iterable[str] | None = None) -> Found:
    """The suites' files among `paths`; without those, among all files of the tree.

    Refused, with a warning: symbolic links that lead out of the checkout, and names that no command could be
    told (not UTF-8). Raises OSError where the tree cannot be read.
    """
    top = Path(os.path.realpath(checkout))
    listed = sorted(set(_walk(top) if paths is None else paths))
    warnings: list[str] = []
    usable = _usable(top, listed, suites, warnings)
    files = {name: _of_suite(suite, usable) for name, suite in suites.items()}
    warnings += _twice(files)
    return Found(files, _tags(suites, files), tuple(warnings))


async def listed(checkout: Path) -> list[str] | None:
    """What git knows of a developer's checkout, new files included, ignored ones not; None without git."""
    process = await asyncio.create_subprocess_exec(
        "git", "-C", str(checkout), "-c", "core.fsmonitor=false", *_LISTED,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    said, _ = await process.communicate()
    if process.returncode != 0:
        return None
    return [os.fsdecode(name) for name in said.split(b"\0") if name]


def _walk(top: Path) -> Iterable[str]:
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        within = os.path.relpath(folder, top)
        for name in names:
            yield name if within == "." else f"{within}/{name}"


def _usable(
    top: Path, paths: Sequence[str], suites: Mapping[str, Suite], warnings: list[str]
) -> list[tuple[str, bytes]]:
    """Files that are there, are files, and lie inside."""
    wanted = [_anchored(suite.files) for suite in suites.values()]
    usable, outside, unnamed = [], [], []
    for path in paths:
        raw = os.fsencode(path)
        if not any(patterns.match(raw) for patterns in wanted):
            continue
        real = os.path.realpath(top / path)
        if not _decodes(raw):
            unnamed.append(ascii(path))
        elif real != str(top) and not real.startswith(f"{top}{os.sep}"):
            outside.append(ascii(path))
        elif Path(real).is_file():
            usable.append((path, raw))
    for left_out, why in ((outside, "lead out of the checkout"), (unnamed, "have names that are not UTF-8")):
        if left_out:
            names = ", ".join(left_out[:_SHOWN])
            warnings.append(f"{len(left_out)} files of tests {why} and are left out: {names}")
    return usable


def _decodes(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _of_suite(suite: Suite, usable: Sequence[tuple[str, bytes]]) -> tuple[str, ...]:
    wanted, unwanted = _anchored(suite.files), _anchored(_and_below(suite.exclude))
    return tuple(path for path, raw in usable if wanted.match(raw) and not unwanted.match(raw))


def _tags(suites: Mapping[str, Suite], files: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    tags: dict[str, dict[str, None]] = {}
    for name, suite in suites.items():
        for tag, patterns in suite.tags.items():
            tagged = _anchored(_and_below(patterns))
            for path in files[name]:
                if tagged.match(os.fsencode(path)):
                    tags.setdefault(path, {})[tag] = None
    return {path: tuple(those) for path, those in tags.items()}


def _twice(files: Mapping[str, tuple[str, ...]]) -> list[str]:
    owners: dict[str, list[str]] = {}
    for suite, those in files.items():
        for path in those:
            owners.setdefault(path, []).append(suite)
    shared = [(path, names) for path, names in owners.items() if len(names) > 1]
    if not shared:
        return []
    shown = ", ".join(f"{path} (in {' and '.join(names)})" for path, names in shared[:_SHOWN])
    return [f"{len(shared)} files belong to several suites and run in each: {shown}"]


def _anchored(patterns: Iterable[str]) -> Patterns:
    """Patterns of suites begin at the top, also those without a slash."""
    return Patterns(f"/{pattern.removeprefix('./')}" for pattern in patterns)


def _and_below(patterns: Iterable[str]) -> Iterable[str]:
    """What names a folder means everything in it, where files are left out or tagged."""
    for pattern in patterns:
        yield from (pattern, f"{pattern.rstrip('/')}/**")
