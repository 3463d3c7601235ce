"""Reads what tests leave about the lines that they ran: coverage.py's data, its JSON, and lcov.

What lies in a checkout was written by the tests of a commit: it may be anything. Only plain files of a
bounded size are copied out, and read there.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from leuko.domain.coverage import Lines
from leuko.domain.errors import LeukoError
from leuko.domain.patterns import Patterns

LARGEST = 64 << 20
"""Bytes of one report."""
MOST = 200
"""Reports of a build."""
_SQLITE = b"SQLite format 3\x00"


class ReportError(LeukoError):
    """A file that should be a report is none."""


class _File(msgspec.Struct, frozen=True):
    executed_lines: list[int] = []
    missing_lines: list[int] = []


class _Json(msgspec.Struct, frozen=True):
    files: dict[str, _File]


def find_reports(checkout: Path, patterns: Sequence[str]) -> list[str]:
    """Paths of files in the checkout that fit the patterns, in order; symbolic links are left out."""
    wanted = Patterns(tuple(patterns))
    found: list[str] = []
    for folder, folders, names in os.walk(checkout):
        folders[:] = sorted(name for name in folders if name != ".git")
        for name in sorted(names):
            path = os.path.relpath(Path(folder, name), checkout)
            if wanted.match(os.fsencode(path)) and stat.S_ISREG(os.lstat(checkout / path).st_mode):
                found.append(path)
    return found[:MOST]


def read_report(checkout: Path, path: str, sources: Mapping[str, str]) -> dict[str, Lines]:
    """Lines by file, as the report calls these. Raises ReportError for what cannot be read.

    `sources` are the texts of touched Python files: coverage.py's own data only has the lines that ran, and
    those that could have are found in the text.
    """
    data = _read(checkout / path, path)
    if data.startswith(_SQLITE):
        return _coverage_data(data, path, sources)
    if data.lstrip()[:1] == b"{":
        return _coverage_json(data, path)
    return read_lcov(data.decode("utf-8", "replace"), path)


def statements(sources: Mapping[str, str]) -> dict[str, frozenset[int]]:
    """Lines of Python files that could run; none of a file that is no Python of this version."""
    return {path: lines.missed for path, lines in _analysed(dict.fromkeys(sources, ()), sources).items()}


def read_lcov(text: str, path: str) -> dict[str, Lines]:
    """The records `SF`, `DA` and `end_of_record` of geninfo(1); others are let pass."""
    found: dict[str, Lines] = {}
    source, run, missed, known = "", set[int](), set[int](), False
    for number, line in enumerate(text.splitlines(), 1):
        key, _, rest = line.strip().partition(":")
        if key == "SF":
            source, run, missed, known = rest, set(), set(), True
        elif key == "DA" and known:
            try:
                row, hits = rest.split(",")[:2]
                (run if int(hits) > 0 else missed).add(int(row))
            except ValueError:
                raise _wrong(path, f"line {number} is no DA record: {line[:80]}") from None
        elif key == "end_of_record" and known:
            found[source] = found.get(source, Lines()) | Lines(frozenset(run), frozenset(missed - run))
            known = False
    if not found:
        raise _wrong(path, "is neither data of coverage.py, nor its JSON, nor lcov")
    return found


def _read(place: Path, path: str) -> bytes:
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
            raise _wrong(path, f"is no plain file of at most {LARGEST >> 20} MiB")
        return file.read(LARGEST)


def _coverage_json(data: bytes, path: str) -> dict[str, Lines]:
    try:
        told = msgspec.json.decode(data, type=_Json)
    except msgspec.DecodeError as error:
        raise _wrong(path, f"is no JSON of coverage.py: {error}") from error
    return {
        name: Lines(frozenset(file.executed_lines), frozenset(file.missing_lines))
        for name, file in told.files.items()
    }


def _coverage_data(data: bytes, path: str, sources: Mapping[str, str]) -> dict[str, Lines]:
    """Executed lines of every file; those that could have run, of the touched ones."""
    from coverage import CoverageData
    from coverage.exceptions import CoverageException

    with tempfile.TemporaryDirectory(prefix="leuko-coverage-") as folder:
        copy = Path(folder) / "data"
        copy.write_bytes(data)
        try:
            read = CoverageData(str(copy))
            read.read()
            ran = {name: tuple(read.lines(name) or ()) for name in read.measured_files()}
        except (CoverageException, ValueError, TypeError) as error:
            raise _wrong(path, f"is no data of coverage.py: {error}") from error
        finally:
            read.close(force=True)
    found = {name: Lines(frozenset(lines)) for name, lines in ran.items()}
    for source in sources:
        fitting = [name for name in ran if f"/{name}".endswith(f"/{source}")]
        lines = [line for name in fitting for line in ran[name]]
        if fitting:
            analysed = _analysed({source: lines}, {source: sources[source]})
            found[fitting[0]] |= analysed.get(source, Lines())
    return found


def _analysed(ran: Mapping[str, Iterable[int]], sources: Mapping[str, str]) -> dict[str, Lines]:
    """Through coverage.py, on copies of our own: statements of each text, run or not."""
    from coverage import Coverage
    from coverage.exceptions import CoverageException

    found: dict[str, Lines] = {}
    with tempfile.TemporaryDirectory(prefix="leuko-coverage-") as folder:
        for number, (path, lines) in enumerate(ran.items()):
            if PurePosixPath(path).suffix != ".py":
                continue
            copy = Path(folder).resolve() / f"{number}.py"
            copy.write_text(sources[path], "utf-8", "surrogateescape")
            measured = Coverage(data_file=None, config_file=False)
            measured.get_data().add_lines({str(copy): list(lines)})
            try:
                _, statements_, _, missing, _ = measured.analysis2(str(copy))
            except CoverageException:
                continue  # no Python, or one that is newer than ours: nothing is known of it
            found[path] = Lines(frozenset(statements_) - frozenset(missing), frozenset(missing))
    return found


def _wrong(path: str, rule: str) -> ReportError:
    return ReportError(rule, where=path, way_out="docs/how-to/coverage.md", code="V030")
