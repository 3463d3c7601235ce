"""What the tests of a build come to: one state and one sentence. A pure function of what was seen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from leuko.domain.build import BuildState
from leuko.domain.case import CaseResult, CaseState, NodeChanged

_SHOWN = 5


def conclude(
    results: Sequence[CaseResult],
    nodes: Iterable[NodeChanged],
    suites: Mapping[str, int],
    quarantined: Collection[str] = (),
    trouble: str = "",
) -> tuple[BuildState, str]:
    """The state, and why it is not plainly passed.

    `results` are the final ones; `suites` counts the files found of each suite; `quarantined` are tests
    (as `str(case)`) whose failing holds up nobody; `trouble` is why the run was given up, if so. A test that
    failed makes the build red, whatever else broke: a person can act on it. What broke is never red, and
    never green either.
    """
    counted = [one for one in results if str(one.case) not in quarantined]
    failed = [one for one in counted if one.state is CaseState.FAILED and not one.broken]
    if failed:
        names = ", ".join(str(one.case) for one in failed[:_SHOWN])
        more = f" and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
        return BuildState.FAILED, f"{len(failed)} of {len(results)} tests failed: {names}{more}"
    ended = list(nodes)
    broken = trouble or next((node.broken for node in ended if node.broken), "")
    if broken:
        return BuildState.BROKEN, broken
    stopped = [node for node in ended if node.state is CaseState.FAILED]
    if stopped:
        names = ", ".join(f"{node.name} ({node.reason})" for node in stopped)
        return BuildState.FAILED, f"set-up failed: {names}"
    broken = next((f"{one.case}: {one.broken}" for one in counted if one.broken), "")
    if broken:
        return BuildState.BROKEN, broken
    unfinished = sum(not one.state.ended for one in results)
    if unfinished:
        return BuildState.BROKEN, f"{unfinished} tests came to no result"
    return _enough(results, suites)


def _enough(results: Sequence[CaseResult], suites: Mapping[str, int]) -> tuple[BuildState, str]:
    """Nothing failed: was anything tested?"""
    for suite, files in suites.items():
        if not files:
            rule = f"verify.suites.{suite}: no file matches its patterns, and untested is not passed"
            return BuildState.FAILED, f"{rule}: mend `files`, or take the suite out"
        ran = [one for one in results if one.case.suite == suite]
        if all(not one.case.name and one.state is CaseState.SKIPPED for one in ran):  # files without tests
            rule = f"verify.suites.{suite}: no tests were found in its {files} files"
            return BuildState.FAILED, f"{rule}, and untested is not passed: is it the right runner?"
        if all(one.state is CaseState.SKIPPED for one in ran):
            rule = f"verify.suites.{suite}: all of its {len(ran)} tests were skipped"
            return BuildState.FAILED, f"{rule}, and skipped is not passed: run one, or take the suite out"
    return BuildState.PASSED, ""
