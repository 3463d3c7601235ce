"""Lines that a change touches, and which of them tests ran. Nothing that was not measured counts as run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

_HUNK = re.compile(r"^@@ -\d+(?:,(?P<old>\d+))? \+(?P<start>\d+)(?:,(?P<new>\d+))? @@")
_INTO = "+++ b/"


@dataclass(frozen=True, slots=True)
class Lines:
    """Of one file in a report: lines that ran, and lines that could have and did not."""

    run: frozenset[int] = frozenset()
    missed: frozenset[int] = frozenset()

    def __or__(self, other: Lines) -> Lines:
        """Of two reports: what one of them saw running did run."""
        run = self.run | other.run
        return Lines(run, (self.missed | other.missed) - run)


@dataclass(frozen=True, slots=True)
class FileCoverage:
    """One touched file. `measured`: how many of the touched lines can run at all; `missed`: did not.

    `unknown`: no report knows the file, so its touched lines count as missed.
    """

    path: str
    measured: int
    missed: tuple[int, ...]
    unknown: bool = False

    @property
    def ranges(self) -> str:
        """`3, 7-12`."""
        return ", ".join(
            f"{start}-{end}" if end > start else str(start) for start, end in _ranges(self.missed)
        )


@dataclass(frozen=True, slots=True)
class ChangeCoverage:
    """What became of the lines of a change. `trouble` says why nothing can be said."""

    files: tuple[FileCoverage, ...] = ()
    reports: tuple[str, ...] = ()
    trouble: str = ""
    remarks: tuple[str, ...] = field(default=())

    @property
    def measured(self) -> int:
        """Touched lines that can run."""
        return sum(file.measured for file in self.files)

    @property
    def missed(self) -> int:
        """Of these, lines that no test ran."""
        return sum(len(file.missed) for file in self.files)

    @property
    def share(self) -> float | None:
        """Part that ran, 0 to 1; None where nothing was measured or nothing could run."""
        return 1 - self.missed / self.measured if self.measured and not self.trouble else None

    @property
    def sentence(self) -> str:
        """For a person."""
        if self.trouble:
            return f"coverage of the change is not known: {self.trouble}"
        if not self.measured:
            return "the change touches no line that tests could run"
        if not self.missed:
            return f"tests ran all {self.measured} lines that the change touches"
        return (
            f"no test ran {self.missed} of the {self.measured} lines that the change touches "
            f"({self.share:.0%} ran)"
        )


def touched(patch: str) -> dict[str, frozenset[int]]:
    """Lines of the new files that a patch without context (`-U0`) adds or changes.

    Files that only lose lines, are only renamed, or hold no text have none and are not there.
    """
    found: dict[str, set[int]] = {}
    path, left = "", 0
    for line in patch.split("\n"):
        hunk = _HUNK.match(line) if left == 0 else None
        if hunk is not None:
            start, new, old = int(hunk["start"]), int(hunk["new"] or 1), int(hunk["old"] or 1)
            left = new + old
            if new and path:
                found.setdefault(path, set()).update(range(start, start + new))
        elif left and line[:1] in ("+", "-"):
            left -= 1
        elif not left and line.startswith("diff --git "):
            path = ""
        elif not left and line.startswith(_INTO):
            path = line.removeprefix(_INTO).rstrip("\t")
    return {name: frozenset(lines) for name, lines in found.items()}


def placed(reported: Mapping[str, Lines], paths: Iterable[str]) -> dict[str, Lines]:
    """Files of reports under their paths in the repository, as far as these are asked for.

    A report has absolute paths, of a checkout or of a worker's folder, or relative ones. A path is the
    repository's when it ends in it; where several files of the repository fit, the longest is meant.
    """
    wanted = sorted(paths, key=len, reverse=True)
    found: dict[str, Lines] = {}
    for name, lines in reported.items():
        plain = "/" + name.replace("\\", "/").removeprefix("./")
        for path in wanted:
            if plain.endswith("/" + path):
                found[path] = found.get(path, Lines()) | lines
                break
    return found


def compared(
    changed: Mapping[str, frozenset[int]],
    known: Mapping[str, Lines],
    suffixes: Iterable[str],
    could_run: Mapping[str, frozenset[int]],
) -> tuple[FileCoverage, ...]:
    """Touched lines against reports. `suffixes` are those of files that reports have: `.py`.

    A touched file with such a suffix that no report knows was never loaded: its lines (of `could_run`, or all
    that are touched) count as missed.
    """
    kinds = set(suffixes)
    files = []
    for path in sorted(changed):
        lines = known.get(path)
        if lines is not None:
            can_run = changed[path] & (lines.run | lines.missed)
            files.append(FileCoverage(path, len(can_run), tuple(sorted(can_run & lines.missed))))
        elif suffix(path) in kinds:
            can_run = changed[path] & could_run.get(path, changed[path])
            files.append(FileCoverage(path, len(can_run), tuple(sorted(can_run)), unknown=True))
    return tuple(files)


def suffix(path: str) -> str:
    """`.py`; empty for a name without one, and for one that is all suffix."""
    name = path.replace("\\", "/").rpartition("/")[2]
    head, dot, tail = name.rpartition(".")
    return dot + tail if head else ""


def _ranges(lines: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Neighbours together."""
    if not lines:
        return
    start = lines[0]
    for one, other in pairwise(lines):
        if other != one + 1:
            yield start, one
            start = other
    yield start, lines[-1]
